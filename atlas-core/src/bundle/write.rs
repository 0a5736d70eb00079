//! Saving a snapshot: writes its files into a [`Staging`] folder, then commits that.

use std::io::Write;
use std::path::Path;

use candle_core::Tensor;

use super::files::NewFile;
use super::manifest::{
    self, Attachments, CheckpointEntry, Content, MANIFEST, TensorFile, file_name,
};
use super::save_target::SaveTarget;
use super::staging::Staging;
use super::{frozen, golden, tensor_file};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tensors::{self, CHECKPOINT, GOLDEN};

impl Snapshot {
    /// Saves the snapshot as a bundle: all of it or nothing. A bundle that is already there is
    /// replaced in one step, and what others left in its folder stays there. Where `path` is a
    /// symbolic link, the bundle is saved where it leads. Anything else that is there is left alone,
    /// with an error.
    ///
    /// A checkpoint is committed together with the model. The bundle is one like any other: it
    /// has the model's digest and is loaded as usual.
    ///
    /// # Errors
    /// If the path holds something that is not a bundle, if no bundle can hold the snapshot, or if
    /// writing fails; what was there before is then still there, whole. Where a disk fails after
    /// the bundles have changed places and refuses to change them back, the error says where the
    /// old one is.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.check()?;
        let target = SaveTarget::of(path.as_ref())?;
        target.prepare()?;
        let staging = Staging::create(&target)?;
        self.write(staging.path())?;
        staging.commit()
    }

    /// The content digest that a bundle of this snapshot has: 64 hexadecimal digits of BLAKE3 over
    /// name, version, dtype, parameters, tensors and golden inputs. Equal models have equal
    /// digests.
    ///
    /// # Errors
    /// If a tensor cannot be read from its device, or no bundle can hold the snapshot.
    pub fn digest(&self) -> Result<String> {
        let describe = |name: &str, tensors: TensorsOf<'_>| tensor_file::describe(name, tensors);
        self.content(describe)?.digest()
    }

    /// An error if no bundle can hold the snapshot.
    fn check(&self) -> Result<()> {
        tensors::check_model_dtype(self.dtype)?;
        if let Some(defect) = self
            .networks
            .keys()
            .find_map(|name| tensors::name_defect(name))
        {
            return Err(Error::new(defect));
        }
        let defect = self
            .golden
            .as_ref()
            .map(|golden| golden.defect())
            .transpose()?;
        match defect.flatten() {
            Some(defect) => Err(Error::new(defect).within("the behaviour check")),
            None => Ok(()),
        }
    }

    /// Writes every file of the bundle into `folder`, the manifest last.
    fn write(&self, folder: &Path) -> Result<()> {
        let content = self.content(|name, tensors| write_tensors(folder, name, tensors))?;
        let golden = self.golden.as_ref().map(|record| {
            let tensors = golden::tensors(record)?;
            write_tensors(folder, GOLDEN, named(&tensors))
        });
        let checkpoint = self.checkpoint.as_ref().map(|checkpoint| {
            let tensors = Box::new(checkpoint.tensors());
            Ok::<_, Error>(CheckpointEntry {
                values: checkpoint.values().clone(),
                file: write_tensors(folder, CHECKPOINT, tensors)?,
            })
        });
        let attachments = Attachments {
            golden: golden.transpose()?,
            checkpoint: checkpoint.transpose()?,
            provenance: frozen::noted(self),
        };
        let text = manifest::write(&content, &attachments)?;
        let path = folder.join(MANIFEST);
        // What a note or a name can be and no manifest can hold must not be found out by a load.
        manifest::read(&path, text.as_bytes()).map_err(|error| {
            Error::refused(&path, format!("it could not be read again ({error})"))
        })?;
        let mut file = NewFile::create(&path)?;
        file.write_all(text.as_bytes())
            .map_err(|error| Error::io("write", &path, error))?;
        file.sync()
    }

    /// What the digest covers; `file` gives the file of a network's tensors.
    fn content(
        &self,
        mut file: impl FnMut(&str, TensorsOf<'_>) -> Result<TensorFile>,
    ) -> Result<Content> {
        let networks = self.networks.iter();
        let golden = self.golden.as_ref();
        Ok(Content {
            model: self.model.clone(),
            version: self.version,
            dtype: tensors::stored_dtype(self.dtype)?,
            params: manifest::sorted(self.params.clone()),
            networks: networks
                .map(|(name, tensors)| file(name, named(tensors)))
                .collect::<Result<_>>()?,
            golden: golden.map(golden::inputs_digest).transpose()?,
        })
    }
}

/// The tensors of a file, each with its name.
type TensorsOf<'a> = Box<dyn Iterator<Item = (&'a str, &'a Tensor)> + 'a>;

fn named(tensors: &tensors::Tensors) -> TensorsOf<'_> {
    let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Box::new(named)
}

fn write_tensors(folder: &Path, name: &str, tensors: TensorsOf<'_>) -> Result<TensorFile> {
    let path = folder.join(file_name(name));
    let mut file = NewFile::create(&path)?;
    let written = tensor_file::write(name, &mut file, tensors, &path)?;
    file.sync()?;
    Ok(written)
}
