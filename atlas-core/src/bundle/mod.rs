//! The bundle: a model as a folder.

#[cfg(test)]
mod durability;
mod files;
mod folder;
mod format;
mod golden;
mod layout;
mod load;
mod manifest;
mod pieces;
mod save;
mod staging;
mod tensor_file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use serde_json::Value;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::provenance::Provenance;
use crate::storage;
use folder::Folder;
use manifest::{Evidence, MANIFEST, Manifest, TensorFile};
use staging::Place;

pub use load::LoadOptions;
pub(crate) use load::load;
pub(crate) use manifest::name_defect;
pub(crate) use save::{digest, save};

/// A bundle that is in neither of its two places is looked for this often.
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
    /// meanwhile, it runs again, on the new one: so all that it gives back is of one bundle, and
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
    /// As [`Bundle::open`]; what `read` returns.
    pub fn read<R, E: From<Error>>(
        path: impl AsRef<Path>,
        mut read: impl FnMut(&Self) -> Result<R, E>,
    ) -> Result<R, E> {
        let path = path.as_ref();
        loop {
            let folder = Self::folder_at(path)?;
            let opened = Self::of(folder.clone()).map_err(E::from);
            let result = opened.and_then(|bundle| read(&bundle));
            let is_latest = folder.is_at(path) || !path.exists() && folder.is_in_place();
            if result.is_ok() || is_latest {
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
            let replaced = Place::of(path).map(|place| place.replaced());
            match replaced.and_then(|replaced| Folder::open_itself(&replaced)) {
                Ok(folder) => return Ok(folder),
                // A save may have ended, and another begun, between the two looks.
                Err(_) if looks < MOST_LOOKS => {}
                Err(_) => return Err(absent),
            }
        }
    }

    fn of(folder: Folder) -> Result<Self> {
        let bytes = folder.read(MANIFEST, manifest::LARGEST).map_err(|error| {
            match error.is_not_found() {
                true => Error::not_a_bundle(folder.path(), format!("it holds no {MANIFEST}")),
                false => error,
            }
        })?;
        let manifest = manifest::read(&folder.path().join(MANIFEST), &bytes)?;
        Ok(Self { folder, manifest })
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

    /// The dtype of tensors for which the model names none. It is never `None`.
    pub fn dtype(&self) -> Option<DType> {
        storage::tensor_dtype(self.manifest.content.dtype)
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
        &self.manifest.evidence.provenance
    }

    /// Whether the bundle holds a behaviour check.
    pub fn has_golden(&self) -> bool {
        self.manifest.evidence.golden.is_some()
    }

    /// The digest of the inputs of the behaviour check, of which the content digest is made too.
    /// `None` if the bundle holds none.
    pub fn golden_inputs(&self) -> Option<&str> {
        self.manifest.content.golden.as_deref()
    }

    /// Whether the bundle carries the state of training.
    pub fn has_checkpoint(&self) -> bool {
        self.manifest.evidence.checkpoint.is_some()
    }

    /// Reads the state of training that was saved with the model, its tensors onto the CPU.
    /// `None` if the bundle was saved without.
    ///
    /// # Errors
    /// If the file of its tensors is not as it was saved.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let Some(entry) = &self.manifest.evidence.checkpoint else {
            return Ok(None);
        };
        let tensors = self.tensors_of(&entry.file)?;
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

    /// Reads one tensor, onto the CPU. The whole file of its network is read and checked:
    /// [`Bundle::tensors`] reads it once for all of them.
    ///
    /// # Errors
    /// If there is no such tensor, or the file is not as it was saved.
    pub fn tensor(&self, network: &str, name: &str) -> Result<Tensor> {
        let none = || self.holds_no(format_args!("tensor `{network}/{name}`"));
        let file = self.network_file(network).ok_or_else(none)?;
        self.tensors_of(file)?.remove(name).ok_or_else(none)
    }

    /// Reads every tensor of a network, onto the CPU, and checks its file.
    ///
    /// # Errors
    /// If there is no such network, or the file is not as it was saved.
    pub fn tensors(&self, network: &str) -> Result<BTreeMap<String, Tensor>> {
        let none = || self.holds_no(format_args!("network `{network}`"));
        self.tensors_of(self.network_file(network).ok_or_else(none)?)
    }

    fn network_file(&self, network: &str) -> Option<&TensorFile> {
        let mut files = self.manifest.content.networks.iter();
        files.find(|file| file.name == network)
    }

    fn holds_no(&self, what: fmt::Arguments<'_>) -> Error {
        Error::new(format_args!("{} holds no {what}", self.path().display()))
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
    /// saved, and for each that does not belong to the bundle.
    pub fn findings(&self) -> Vec<Error> {
        let mut findings: Vec<Error> = self
            .tensor_files()
            .filter_map(|file| self.check_file(file).err())
            .collect();
        let own = self.file_names();
        match self.folder.names() {
            Ok(names) => findings.extend(
                names
                    .iter()
                    .filter(|name| !own.contains(name.as_str()))
                    .map(|name| {
                        Error::corrupt(&self.path().join(name), "it does not belong to the bundle")
                    }),
            ),
            Err(error) => findings.push(error),
        }
        findings
    }

    fn check_file(&self, file: &TensorFile) -> Result<()> {
        let Evidence { golden, .. } = &self.manifest.evidence;
        let inputs = self
            .golden_inputs()
            .filter(|_| golden.as_ref() == Some(file));
        let path = self.file_path(file);
        if inputs.is_some() {
            golden::check_inputs(&path, file)?;
        }
        let tensors = self.tensors_of(file)?;
        match inputs {
            Some(inputs) => golden::Stored::new(&path, tensors, inputs).map(drop),
            None => Ok(()),
        }
    }

    /// Whether the path still leads to this bundle.
    pub(crate) fn is_in_place(&self) -> bool {
        self.folder.is_in_place()
    }

    fn tensor_files(&self) -> impl Iterator<Item = &TensorFile> {
        let Evidence {
            golden, checkpoint, ..
        } = &self.manifest.evidence;
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

    fn manifest_path(&self) -> PathBuf {
        self.path().join(MANIFEST)
    }

    /// The tensors of one of the bundle's files.
    fn tensors_of(&self, file: &TensorFile) -> Result<BTreeMap<String, Tensor>> {
        self.read_tensors(file, false)
    }

    /// The tensors of one of the bundle's files, as variables if they are to be trained.
    fn read_tensors(&self, file: &TensorFile, trainable: bool) -> Result<BTreeMap<String, Tensor>> {
        let name = manifest::file_name(&file.name);
        let opened = self.folder.file(&name)?;
        tensor_file::read(opened, &self.path().join(&name), file, trainable)
    }
}

impl<'a> NetworkFile<'a> {
    /// The network's name.
    pub fn name(&self) -> &'a str {
        &self.file.name
    }

    /// The name of its file in the bundle's folder.
    pub fn file(&self) -> String {
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
            let dtype = storage::tensor_dtype(tensor.dtype)?;
            Some(StoredTensor {
                name: &tensor.name,
                dtype,
                shape: &tensor.shape,
            })
        })
    }
}
