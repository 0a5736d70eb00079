//! Saving: every file into a staging folder, synced, then committed in one step.

use std::io::Write;
use std::path::Path;

use candle_core::Tensor;

use super::files::NewFile;
use super::manifest::{
    self, CHECKPOINT_NAME, CheckpointEntry, Content, Evidence, GOLDEN_NAME, MANIFEST, TensorFile,
    file_name,
};
use super::staging::{Place, Staging};
use super::{golden, tensor_file};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::model::{AnyModel, AtlasModel, Model};
use crate::storage;

/// Saves `model` at `target`, with the state of training if there is one; what is there is
/// replaced if it is a bundle and nothing else.
pub(crate) fn save<T: AtlasModel>(
    model: &Model<T>,
    checkpoint: Option<&Checkpoint>,
    target: &Path,
) -> Result<()> {
    let place = Place::of(target)?;
    place.prepare()?;
    let staging = Staging::create(&place)?;
    write(model, checkpoint, staging.path())?;
    staging.commit()
}

/// The content digest that a saved `model` has.
pub(crate) fn digest<T: AtlasModel>(model: &Model<T>) -> Result<String> {
    let golden = golden::compute(model)?;
    let inputs = golden.map(|golden| golden.inputs_digest);
    let networks = AnyModel::networks(model).iter();
    let files = networks.map(|network| tensor_file::describe(network.name(), network.tensors()));
    content(model, files.collect::<Result<_>>()?, inputs)?.digest()
}

/// Writes every file of the bundle into `folder`, the manifest last.
fn write<T: AtlasModel>(
    model: &Model<T>,
    checkpoint: Option<&Checkpoint>,
    folder: &Path,
) -> Result<()> {
    let golden = golden::compute(model)?;
    let mut networks = Vec::new();
    for network in AnyModel::networks(model) {
        networks.push(write_tensors(folder, network.name(), network.tensors())?);
    }
    let mut inputs_digest = None;
    let mut golden_file = None;
    if let Some(golden) = golden {
        let tensors = golden
            .tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor));
        golden_file = Some(write_tensors(folder, GOLDEN_NAME, tensors)?);
        inputs_digest = Some(golden.inputs_digest);
    }
    let checkpoint = checkpoint.map(|checkpoint| {
        let file = write_tensors(folder, CHECKPOINT_NAME, checkpoint.tensors())?;
        let values = checkpoint.values().clone();
        Ok::<_, Error>(CheckpointEntry { values, file })
    });
    let content = content(model, networks, inputs_digest)?;
    let evidence = Evidence {
        golden: golden_file,
        checkpoint: checkpoint.transpose()?,
        provenance: AnyModel::provenance(model).clone(),
    };
    let text = manifest::write(&content, &evidence)?;
    let path = folder.join(MANIFEST);
    // What a note or a name can be and no manifest can hold must not be found out by a load.
    manifest::read(&path, text.as_bytes())
        .map_err(|error| Error::refused(&path, format!("it could not be read again ({error})")))?;
    let mut file = NewFile::create(&path)?;
    file.write_all(text.as_bytes())
        .map_err(|error| Error::io("write", &path, error))?;
    file.sync()
}

fn content<T: AtlasModel>(
    model: &Model<T>,
    mut networks: Vec<TensorFile>,
    golden: Option<String>,
) -> Result<Content> {
    networks.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(Content {
        model: T::NAME.to_owned(),
        version: T::VERSION,
        dtype: storage::stored_dtype(AnyModel::dtype(model))?,
        params: manifest::stored_params(AnyModel::params_json(model))?,
        networks,
        golden,
    })
}

fn write_tensors<'a>(
    folder: &Path,
    name: &str,
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
) -> Result<TensorFile> {
    let path = folder.join(file_name(name));
    let mut file = NewFile::create(&path)?;
    let written = tensor_file::write(name, &mut file, tensors, &path)?;
    file.sync()?;
    Ok(written)
}
