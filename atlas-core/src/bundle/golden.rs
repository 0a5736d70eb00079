//! The record of a behaviour check, to and from the tensors of `golden.safetensors`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::manifest::TensorFile;
use super::tensor_file;
use crate::error::{Error, Result};
use crate::snapshot::{GoldenInputs, GoldenRecord};
use crate::tensors::{GOLDEN, Tensors};

/// The tensor that holds the input texts: a JSON list of strings as bytes.
const TEXTS: &str = "input-texts";
const INPUT: &str = "input.";
const OUTPUT: &str = "output.";

/// Every tensor of the record's file.
pub(super) fn tensors(record: &GoldenRecord) -> Result<Tensors> {
    let mut tensors = inputs(&record.inputs)?;
    for (name, output) in &record.outputs {
        tensors.insert(format!("{OUTPUT}{name}"), output.clone());
    }
    Ok(tensors)
}

fn inputs(inputs: &GoldenInputs) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    if !inputs.as_texts().is_empty() {
        let bytes = serde_json::to_vec(inputs.as_texts())
            .map_err(|error| Error::internal(error.to_string()))?;
        let length = bytes.len();
        let texts = Tensor::from_vec(bytes, length, &Device::Cpu)?;
        tensors.insert(TEXTS.to_owned(), texts);
    }
    for (name, tensor) in inputs.tensors() {
        tensors.insert(format!("{INPUT}{name}"), tensor.clone());
    }
    Ok(tensors)
}

/// The digest of a record's inputs: that of a tensor file of them alone.
pub(super) fn inputs_digest(record: &GoldenRecord) -> Result<String> {
    digest(&inputs(&record.inputs)?)
}

fn digest(inputs: &Tensors) -> Result<String> {
    let inputs = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Ok(tensor_file::describe(GOLDEN, inputs)?.blake3)
}

fn is_input(name: &str) -> bool {
    name == TEXTS || name.starts_with(INPUT)
}

/// An error if the inputs in that file are larger than a bundle may store, by what the manifest
/// says of them.
pub(super) fn check_size(path: &Path, file: &TensorFile) -> Result<()> {
    let inputs = file.tensors.iter().filter(|tensor| is_input(&tensor.name));
    let bytes = inputs.map(|tensor| tensor.bytes().map_or(u64::MAX, |bytes| bytes as u64));
    match GoldenInputs::size_defect(bytes) {
        None => Ok(()),
        Some(why) => Err(Error::corrupt(path, why)),
    }
}

/// The record that the tensors of the file at `path` are; an error unless its inputs have that
/// digest.
pub(super) fn record(path: &Path, tensors: Tensors, inputs_digest: &str) -> Result<GoldenRecord> {
    let corrupt = |why: String| Error::corrupt(path, why);
    let mut inputs = Tensors::new();
    let mut outputs = BTreeMap::new();
    for (name, tensor) in tensors {
        let tensor = tensor.detach();
        if let Some(output) = name.strip_prefix(OUTPUT) {
            outputs.insert(output.to_owned(), tensor);
        } else if is_input(&name) {
            inputs.insert(name, tensor);
        } else {
            return Err(corrupt(format!(
                "`{name}` is neither an input nor an output"
            )));
        }
    }
    if digest(&inputs)? != inputs_digest {
        return Err(corrupt(
            "its inputs are not those that atlas.json names".to_owned(),
        ));
    }
    let texts = inputs.remove(TEXTS);
    let texts = texts.map_or(Ok(Vec::new()), |bytes| texts_of(&bytes).map_err(corrupt))?;
    let mut record = GoldenRecord {
        inputs: GoldenInputs::texts(texts),
        outputs,
    };
    for (name, tensor) in inputs {
        let name = name.strip_prefix(INPUT).unwrap_or(&name);
        record.inputs = record.inputs.with_tensor(name, tensor);
    }
    match record.defect()? {
        None => Ok(record),
        Some(why) => Err(corrupt(why)),
    }
}

/// The texts that are stored in a tensor.
fn texts_of(bytes: &Tensor) -> Result<Vec<String>, String> {
    let failed = |why: &dyn Display| format!("`{TEXTS}` is no list of texts: {why}");
    let bytes = bytes.to_vec1::<u8>().map_err(|error| failed(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(&error))
}
