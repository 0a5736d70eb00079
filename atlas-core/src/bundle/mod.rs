//! The bundle: a snapshot as a folder.

#[cfg(test)]
mod durability;
mod files;
mod folder;
mod frozen;
mod golden;
mod manifest;
mod manifest_text;
mod save_lock;
mod save_target;
mod staging;
mod tensor_file;
mod tensor_header;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::memory;
use crate::snapshot::{Checkpoint, Provenance, Snapshot};
use crate::tensors::{self, Tensors};
use folder::Folder;
use manifest::{Attachments, MANIFEST, Manifest, TensorFile};
use save_target::SaveTarget;
use staging::Staging;

/// A save moves the old bundle away before it puts the new one there. A reader that finds neither
/// looks again, this often in all.
const MOST_LOOKS: usize = 16;

/// A bundle seen without its type: what the model is, and its tensors.
///
/// ```no_run
/// let bundle = atlas_core::Bundle::open("runs/mlp")?;
/// println!("{} version {}: {}", bundle.model(), bundle.version(), bundle.digest());
/// bundle.verify()?;
/// # Ok::<(), atlas_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bundle {
    folder: Folder,
    manifest: Manifest,
}

/// A network's file in a [`Bundle`].
#[derive(Clone, Debug)]
pub struct NetworkFile<'a> {
    file: &'a TensorFile,
}

/// A tensor as a [`Bundle`]'s manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor<'a> {
    /// The tensor's name within its network.
    pub name: &'a str,
    /// The type of its elements.
    pub dtype: DType,
    /// Its dimensions.
    pub shape: &'a [usize],
}

impl Bundle {
    /// Opens the bundle at `path` and reads its manifest. Tensors are read when asked for, from
    /// the folder that was opened: where a save replaces the bundle meanwhile, its files are gone,
    /// and what reads them is an error. [`Bundle::read`] then reads the new one.
    ///
    /// # Errors
    /// If there is no bundle at `path`, or its manifest is not as it was saved.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(path, |bundle| Ok(bundle.clone()))
    }

    /// What `read` makes of the bundle at `path`. Where it fails and a save has replaced the bundle
    /// meanwhile, or its files are links that lead elsewhere by now, it runs again, on the new one: so all that it gives back is of one bundle, and
    /// what it says is wrong is wrong with the bundle that is there.
    ///
    /// ```no_run
    /// use atlas_core::Bundle;
    ///
    /// // Also while a training process saves there.
    /// let checkpoint = Bundle::read("runs/mlp", Bundle::checkpoint)?;
    /// # Ok::<(), atlas_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no bundle at `path`, or its manifest is not as it was saved; what `read` returns.
    pub fn read<R, E: From<Error>>(
        path: impl AsRef<Path>,
        mut read: impl FnMut(&Self) -> Result<R, E>,
    ) -> Result<R, E> {
        let path = path.as_ref();
        loop {
            let folder = Self::folder_at(path)?;
            let (result, bundle) = match Self::in_folder(folder.clone()) {
                Ok(bundle) => (read(&bundle), Some(bundle)),
                Err(error) => (Err(error.into()), None),
            };
            let is_there = || folder.is_at(path) || !path.exists() && folder.is_in_place();
            let is_latest = || is_there() && !bundle.is_some_and(|bundle| bundle.has_changed());
            if result.is_ok() || is_latest() {
                return result;
            }
        }
    }

    /// The folder at `path`, or the one that a save has put aside for the moment, or had when it
    /// was killed.
    fn folder_at(path: &Path) -> Result<Folder> {
        let mut looks = 0;
        loop {
            looks += 1;
            let absent = match Folder::open(path) {
                Err(error) if error.is_not_found() => error,
                folder => return folder,
            };
            let replaced = SaveTarget::of(path).map(|target| target.replaced());
            match replaced.and_then(|replaced| Folder::open_itself(&replaced)) {
                Ok(folder) => return Ok(folder),
                // A save may have ended, and another begun, between the two looks.
                Err(_) if looks < MOST_LOOKS => {}
                Err(_) => return Err(absent),
            }
        }
    }

    /// Whether other files are in the same folder by now, as where a ConfigMap of Kubernetes, whose
    /// files are links, was updated.
    fn has_changed(&self) -> bool {
        let found = Self::in_folder(self.folder.clone());
        found.is_ok_and(|found| !found.tensor_files().eq(self.tensor_files()))
    }

    fn in_folder(folder: Folder) -> Result<Self> {
        let bytes = folder.read(MANIFEST, manifest::LARGEST).map_err(|error| {
            if error.is_not_found() {
                Error::not_a_bundle(folder.path(), format!("it holds no {MANIFEST}"))
            } else {
                error
            }
        })?;
        let manifest = manifest::read(&folder.path().join(MANIFEST), &bytes)?;
        Ok(Self { folder, manifest })
    }

    /// Whether a save to `path` would replace a bundle; `false` if there is nothing, or an empty
    /// folder. Whoever computes for hours before a save asks first. This ends what killed
    /// saves left undone, and tries what a save needs: it creates and removes a folder beside the
    /// bundle, and moves nothing of the bundle.
    ///
    /// # Errors
    /// If a save may not replace what is there (a folder that is no bundle, a file), or cannot: no
    /// folder can be created beside it, or the folder cannot be exchanged, such as a mount point.
    pub fn check_save_target(path: impl AsRef<Path>) -> Result<bool> {
        let target = SaveTarget::of(path.as_ref())?;
        target.tidy();
        let bundle = target.check_replaceable()?;
        Staging::try_commit(&target, bundle.as_ref())?;
        Ok(bundle.is_some())
    }

    /// Ends what killed saves of the bundle at `path` left undone, and takes away what they left
    /// behind, as far as nobody else is at work there.
    pub(crate) fn tidy(path: &Path) {
        if let Ok(target) = SaveTarget::of(path) {
            target.tidy();
        }
    }

    /// The bundle's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The name of the model it holds.
    pub fn model(&self) -> &str {
        &self.manifest.content.model
    }

    /// The version of the model's parameter schema.
    pub fn version(&self) -> u32 {
        self.manifest.content.version
    }

    /// The dtype of tensors for which the model names none.
    pub fn dtype(&self) -> DType {
        // The manifest was refused unless it is a float's.
        tensors::tensor_dtype(self.manifest.content.dtype).unwrap_or(DType::F32)
    }

    /// Every parameter, as a JSON object.
    pub fn params(&self) -> Value {
        Value::Object(self.manifest.content.params.clone())
    }

    /// The content digest: 64 hexadecimal digits that equal models share.
    pub fn digest(&self) -> &str {
        &self.manifest.digest
    }

    /// Where the model comes from.
    pub fn provenance(&self) -> &Provenance {
        &self.manifest.attachments.provenance
    }

    /// Whether the bundle holds a behaviour check.
    pub fn has_golden(&self) -> bool {
        self.manifest.attachments.golden.is_some()
    }

    /// The digest of the inputs of the behaviour check, of which the content digest is made too.
    /// `None` if the bundle holds none.
    pub fn golden_inputs_digest(&self) -> Option<&str> {
        self.manifest.content.golden.as_deref()
    }

    /// Whether the bundle carries the state of training.
    pub fn has_checkpoint(&self) -> bool {
        self.manifest.attachments.checkpoint.is_some()
    }

    /// Reads the state of training that was saved with the model, its tensors onto the CPU.
    /// `None` if the bundle was saved without.
    ///
    /// # Errors
    /// If the file of its tensors is not as it was saved.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let Some(entry) = &self.manifest.attachments.checkpoint else {
            return Ok(None);
        };
        let tensors = detached(self.read_file(&entry.file)?);
        Ok(Some(Checkpoint::from_parts(entry.values.clone(), tensors)))
    }

    /// Every network's file, by name.
    pub fn networks(&self) -> impl ExactSizeIterator<Item = NetworkFile<'_>> {
        self.manifest
            .content
            .networks
            .iter()
            .map(|file| NetworkFile { file })
    }

    /// Reads every tensor of a network, onto the CPU, and checks its file.
    ///
    /// # Errors
    /// If there is no such network, or the file is not as it was saved.
    pub fn tensors(&self, network: &str) -> Result<BTreeMap<String, Tensor>> {
        let mut files = self.manifest.content.networks.iter();
        let file = files.find(|file| file.name == network).ok_or_else(|| {
            let path = self.path().display();
            Error::new(format_args!("{path} holds no network `{network}`"))
        })?;
        Ok(detached(self.read_file(file)?))
    }

    /// Reads everything but the [checkpoint](Bundle::checkpoint), onto the CPU, and checks every
    /// file that it reads.
    ///
    /// # Errors
    /// If a file is not as it was saved, or there is no memory for all of them.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut snapshot = self.read_snapshot()?;
        for tensors in snapshot.networks.values_mut() {
            *tensors = detached(std::mem::take(tensors));
        }
        Ok(snapshot)
    }

    /// The snapshot, its tensors as variables: a model that is to be trained takes them as they
    /// are, where it would have to copy what is none.
    pub(crate) fn read_snapshot(&self) -> Result<Snapshot> {
        let Manifest {
            content,
            attachments,
            ..
        } = &self.manifest;
        let golden = content.golden.as_ref().zip(attachments.golden.as_ref());
        if let Some((_, file)) = golden {
            golden::check_size(&self.file_path(file), file)?;
        }
        let files = content.networks.iter().chain(golden.map(|(_, file)| file));
        let bytes = files.fold(0_u64, |all, file| all.saturating_add(file.bytes));
        memory::check(self.path().display().to_string(), bytes)?;
        let networks = content.networks.iter();
        let (frozen, provenance) = frozen::read(attachments.provenance.clone())
            .map_err(|why| Error::corrupt(&self.manifest_path(), why))?;
        Ok(Snapshot {
            model: content.model.clone(),
            version: content.version,
            dtype: self.dtype(),
            params: content.params.clone(),
            networks: networks
                .map(|file| Ok((file.name.clone(), self.read_file(file)?)))
                .collect::<Result<_>>()?,
            golden: golden
                .map(|(inputs, file)| {
                    golden::record(&self.file_path(file), self.read_file(file)?, inputs)
                })
                .transpose()?,
            checkpoint: None,
            frozen,
            provenance,
        })
    }

    /// An error unless these parameters, as a program reads them, are stored exactly as Atlas
    /// writes them: `1` for a float would be a bundle of the same model with another digest.
    pub(crate) fn check_spelling(&self, params: Value) -> Result<()> {
        let stored = &self.manifest.content.params;
        let Value::Object(params) = params else {
            return Err(Error::internal("parameters are not an object"));
        };
        let written = manifest::sorted(params);
        let differs = |(name, value): &(&String, &Value)| {
            stored.get(*name).map(Value::to_string) != Some(value.to_string())
        };
        match written.iter().find(differs) {
            None => Ok(()),
            Some((name, value)) => {
                let why =
                    format!("parameter `{name}` is not written as Atlas writes it, `{value}`");
                Err(Error::corrupt(&self.manifest_path(), why))
            }
        }
    }

    /// Reads every file and checks it against the manifest. This finds all that can be found
    /// without knowing the model's type; whether its parameters and tensors are those of the model,
    /// and whether it behaves as it did, a load finds.
    ///
    /// # Errors
    /// The first of the [`findings`](Bundle::findings).
    pub fn verify(&self) -> Result<()> {
        self.findings().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything that [`Bundle::verify`] finds: an error for each file that is not as it was
    /// saved.
    pub fn findings(&self) -> Vec<Error> {
        self.tensor_files()
            .filter_map(|file| self.check_file(file).err())
            .collect()
    }

    /// The names of what is in the bundle's folder and no part of it, such as `README.md` or
    /// `.DS_Store`, in order. It harms nothing, and a save over the bundle leaves it where it is.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn foreign_names(&self) -> Result<Vec<OsString>> {
        let own = self.file_names();
        let is_own = |name: &OsString| name.to_str().is_some_and(|name| own.contains(name));
        let mut names = self.folder.names()?;
        names.retain(|name| !is_own(name));
        names.sort();
        Ok(names)
    }

    fn check_file(&self, file: &TensorFile) -> Result<()> {
        let Attachments { golden, .. } = &self.manifest.attachments;
        let inputs = self
            .golden_inputs_digest()
            .filter(|_| golden.as_ref() == Some(file));
        let path = self.file_path(file);
        if inputs.is_some() {
            golden::check_size(&path, file)?;
        }
        let tensors = self.read_file(file)?;
        match inputs {
            Some(inputs) => golden::record(&path, tensors, inputs).map(drop),
            None => Ok(()),
        }
    }

    fn tensor_files(&self) -> impl Iterator<Item = &TensorFile> {
        let Attachments {
            golden, checkpoint, ..
        } = &self.manifest.attachments;
        self.manifest
            .content
            .networks
            .iter()
            .chain(golden)
            .chain(checkpoint.as_ref().map(|checkpoint| &checkpoint.file))
    }

    /// The names of all files of the bundle.
    pub fn file_names(&self) -> BTreeSet<String> {
        self.tensor_files()
            .map(|file| manifest::file_name(&file.name))
            .chain([MANIFEST.to_owned()])
            .collect()
    }

    fn file_path(&self, file: &TensorFile) -> PathBuf {
        self.path().join(manifest::file_name(&file.name))
    }

    pub(crate) fn manifest_path(&self) -> PathBuf {
        self.path().join(MANIFEST)
    }

    /// The tensors of one of the bundle's files, as variables.
    fn read_file(&self, file: &TensorFile) -> Result<Tensors> {
        let name = manifest::file_name(&file.name);
        let path = self.path().join(&name);
        let opened = self.folder.file(&name).map_err(|error| {
            if error.is_not_found() {
                Error::corrupt(&path, "it is missing")
            } else {
                error
            }
        })?;
        tensor_file::read(&opened, &path, file)
    }
}

/// The digest of the file that these tensors would be.
#[cfg(feature = "train")]
pub(crate) fn digest(tensors: &Tensors) -> Result<String> {
    let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Ok(tensor_file::describe("", named)?.blake3)
}

/// The same tensors, which are no variables.
fn detached(tensors: Tensors) -> Tensors {
    let detached = |(name, tensor): (String, Tensor)| (name, tensor.detach());
    tensors.into_iter().map(detached).collect()
}

impl<'a> NetworkFile<'a> {
    /// The network's name.
    pub fn name(&self) -> &'a str {
        &self.file.name
    }

    /// The name of its file in the bundle's folder.
    pub fn file_name(&self) -> String {
        manifest::file_name(&self.file.name)
    }

    /// The size of its file.
    pub fn bytes(&self) -> u64 {
        self.file.bytes
    }

    /// BLAKE3 of its file, 64 hexadecimal digits.
    pub fn blake3(&self) -> &'a str {
        &self.file.blake3
    }

    /// Its tensors, by name.
    pub fn tensors(&self) -> impl Iterator<Item = StoredTensor<'a>> {
        self.file.tensors.iter().filter_map(|tensor| {
            let dtype = tensors::tensor_dtype(tensor.dtype)?;
            Some(StoredTensor {
                name: &tensor.name,
                dtype,
                shape: &tensor.shape,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn files_that_fit_by_themselves_and_not_together_are_refused() {
        let Some(memory) = memory::machine_memory() else {
            eprintln!("skipped: this system does not tell how much memory it has");
            return;
        };
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("two");
        let mut snapshot = Snapshot::new("two", 1);
        for network in ["first", "second"] {
            let tensor = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
            snapshot.set_tensor(network, "weight", tensor);
        }
        snapshot.save(&path).unwrap();
        let mut bundle = Bundle::open(&path).unwrap();
        bundle.snapshot().unwrap();
        for file in &mut bundle.manifest.content.networks {
            file.bytes = memory / 2 + 1;
        }
        let error = bundle.snapshot().unwrap_err();
        assert!(error.is_too_large(), "{error}");
        assert!(
            error
                .to_string()
                .ends_with(&format!("this machine has {memory}")),
            "{error}"
        );
    }
}
