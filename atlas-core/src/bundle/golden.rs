//! The stored side of the behaviour check.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::layout::TensorEntry;
use super::manifest::{GOLDEN_NAME, TensorFile};
use super::tensor_file;
use crate::error::{Error, Result};
use crate::golden::{GoldenFns, GoldenInputs};
use crate::model::{AnyModel, AtlasModel, Model};
use crate::params::{Problem, Report};

/// The tensor that holds the input texts: a JSON list of strings as bytes.
const TEXTS: &str = "input-texts";
const INPUT: &str = "input.";
const OUTPUT: &str = "output.";
/// The most bytes that the input texts take in a batch: each as many as the longest.
const MOST_TEXT: usize = 1 << 16;
/// The most bytes that all input tensors take, the one of the texts among them.
const MOST_INPUT: u64 = 1 << 24;

/// The behaviour of a model, ready to be stored.
pub(super) struct Computed {
    pub(super) inputs_digest: String,
    pub(super) tensors: BTreeMap<String, Tensor>,
}

/// The model's inputs and outputs; `None` for a model without a behaviour check.
pub(super) fn compute<T: AtlasModel>(model: &Model<T>) -> Result<Option<Computed>> {
    let Some(functions) = T::behaviour() else {
        return Ok(None);
    };
    let place = "the behaviour check";
    let inputs = (functions.inputs)(model).map_err(|error| error.within(place))?;
    let mut tensors = store(&inputs)?;
    check_texts(inputs.as_texts()).map_err(|why| Error::new(why).within(place))?;
    let size = |(name, tensor): (&String, &Tensor)| {
        let bytes = tensor.elem_count() * tensor.dtype().size_in_bytes();
        (name.clone(), bytes as u64)
    };
    check_size(tensors.iter().map(size)).map_err(|why| Error::new(why).within(place))?;
    let inputs_digest = digest(&tensors)?;
    for (name, output) in outputs(model, &functions, &inputs)? {
        if !is_finite(&output)? {
            return Err(Error::new(format_args!("output `{name}` is not finite")).within(place));
        }
        tensors.insert(format!("{OUTPUT}{name}"), output);
    }
    Ok(Some(Computed {
        inputs_digest,
        tensors,
    }))
}

fn outputs<T: AtlasModel>(
    model: &Model<T>,
    functions: &GoldenFns<T>,
    inputs: &GoldenInputs,
) -> Result<Vec<(String, Tensor)>> {
    let place = "the behaviour check";
    let outputs = (functions.outputs)(model, inputs).map_err(|error| error.within(place))?;
    if outputs.is_empty() {
        return Err(Error::new("there is no output").within(place));
    }
    let mut names = BTreeSet::new();
    if let Some((name, _)) = outputs.iter().find(|(name, _)| !names.insert(name.clone())) {
        return Err(Error::new(format_args!("there are two outputs `{name}`")).within(place));
    }
    outputs
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor.detach().to_device(&Device::Cpu)?.contiguous()?)))
        .collect()
}

fn store(inputs: &GoldenInputs) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    if !inputs.as_texts().is_empty() {
        let bytes = serde_json::to_vec(inputs.as_texts())
            .map_err(|error| Error::internal(error.to_string()))?;
        let length = bytes.len();
        tensors.insert(
            TEXTS.to_owned(),
            Tensor::from_vec(bytes, length, &Device::Cpu)?,
        );
    }
    for (name, tensor) in inputs.tensors() {
        let tensor = tensor.detach().to_device(&Device::Cpu)?.contiguous()?;
        if tensors.insert(format!("{INPUT}{name}"), tensor).is_some() {
            let error = Error::new(format_args!("there are two inputs `{name}`"));
            return Err(error.within("the behaviour check"));
        }
    }
    Ok(tensors)
}

/// An error if a model that makes one batch of the texts could need far more memory for it than
/// the texts take: a bundle may come from anybody, and its texts are run.
fn check_texts(texts: &[String]) -> Result<(), String> {
    let longest = texts.iter().map(String::len).max().unwrap_or(0).max(1);
    match texts.len().saturating_mul(longest) <= MOST_TEXT {
        true => Ok(()),
        false => Err(format!(
            "its {} input texts, of up to {longest} bytes, are too many or too long: the product may be {MOST_TEXT}",
            texts.len()
        )),
    }
}

/// An error if the inputs among these tensors, each with its bytes, take more than a bundle may
/// store.
fn check_size(tensors: impl Iterator<Item = (String, u64)>) -> Result<(), String> {
    let inputs = tensors.filter(|(name, _)| is_input(name));
    let bytes = inputs.fold(0_u64, |all, (_, bytes)| all.saturating_add(bytes));
    match bytes <= MOST_INPUT {
        true => Ok(()),
        false => Err(format!(
            "its inputs take {bytes} bytes, and may take {MOST_INPUT}"
        )),
    }
}

fn is_input(name: &str) -> bool {
    name == TEXTS || name.starts_with(INPUT)
}

/// An error if the inputs in that file are larger than a bundle may store, by what the manifest
/// says of them.
pub(super) fn check_inputs(path: &Path, file: &TensorFile) -> Result<()> {
    let size = |tensor: &TensorEntry| {
        (
            tensor.name.clone(),
            tensor.bytes().unwrap_or(usize::MAX) as u64,
        )
    };
    check_size(file.tensors.iter().map(size)).map_err(|why| Error::corrupt(path, why))
}

/// The digest of inputs: that of a tensor file of them alone.
fn digest(inputs: &BTreeMap<String, Tensor>) -> Result<String> {
    let inputs = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Ok(tensor_file::describe(GOLDEN_NAME, inputs)?.blake3)
}

/// The behaviour check of a bundle.
pub(super) struct Stored {
    texts: Vec<String>,
    inputs: BTreeMap<String, Tensor>,
    /// By name, without the prefix.
    outputs: BTreeMap<String, Tensor>,
}

impl Stored {
    /// The tensors of the file at `path`; an error unless they are a behaviour check, and of the
    /// inputs of that digest.
    pub(super) fn new(
        path: &Path,
        tensors: BTreeMap<String, Tensor>,
        inputs_digest: &str,
    ) -> Result<Self> {
        let mut stored = Self {
            texts: Vec::new(),
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
        };
        for (name, tensor) in tensors {
            if let Some(output) = name.strip_prefix(OUTPUT) {
                stored.outputs.insert(output.to_owned(), tensor);
            } else if is_input(&name) {
                stored.inputs.insert(name, tensor);
            } else {
                return Err(Error::corrupt(
                    path,
                    format_args!("`{name}` is neither an input nor an output"),
                ));
            }
        }
        if digest(&stored.inputs)? != inputs_digest {
            return Err(Error::corrupt(
                path,
                "its inputs are not those that atlas.json names",
            ));
        }
        if stored.outputs.is_empty() {
            return Err(Error::corrupt(path, "it holds no output"));
        }
        for (name, output) in &stored.outputs {
            // Nothing is far from infinity, so that such an output would check nothing.
            if !is_finite(output)? {
                let why = format!("output `{name}` is not finite");
                return Err(Error::corrupt(path, why));
            }
        }
        if let Some(bytes) = stored.inputs.get(TEXTS) {
            stored.texts = texts(bytes).map_err(|why| Error::corrupt(path, why))?;
            check_texts(&stored.texts).map_err(|why| Error::corrupt(path, why))?;
        }
        Ok(stored)
    }
}

/// The texts that are stored in a tensor.
fn texts(bytes: &Tensor) -> Result<Vec<String>, String> {
    let failed = |why: &dyn Display| format!("`{TEXTS}` is no list of texts: {why}");
    let bytes = bytes.to_vec1::<u8>().map_err(|error| failed(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(&error))
}

/// Which outputs a bundle has, for a model of some version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outputs {
    /// Those of the model and no others.
    Same,
    /// At least one of them: a version of the model between the two may have added some, and
    /// taken others away.
    SomeInCommon,
}

/// Recomputes the stored outputs; an error names each that differs by more than the tolerance.
pub(super) fn check<T: AtlasModel>(
    model: &Model<T>,
    path: &Path,
    stored: Stored,
    which: Outputs,
) -> Result<()> {
    let Some(functions) = T::behaviour() else {
        return Err(Error::behaviour(
            path,
            "the bundle holds a behaviour check, and the model has none",
        ));
    };
    let tolerance = tolerance(AnyModel::dtype(model), AnyModel::device(model));
    let mut expected = stored.outputs;
    let mut inputs = GoldenInputs::texts(stored.texts);
    for (name, tensor) in &stored.inputs {
        if let Some(name) = name.strip_prefix(INPUT) {
            inputs = inputs.with_tensor(name, tensor.to_device(AnyModel::device(model))?);
        }
    }
    let mut found = outputs(model, &functions, &inputs)?;
    if which == Outputs::SomeInCommon {
        found.retain(|(name, _)| expected.contains_key(name));
        expected.retain(|name, _| found.iter().any(|(found, _)| found == name));
        if found.is_empty() {
            let why = "the older bundle and the model have no output of one name";
            return Err(Error::behaviour(path, why));
        }
    }
    compare(&expected, &found, tolerance)?.into_result(|report| Error::behaviour(path, report))
}

/// How far outputs may be from the stored ones, as a share of the largest stored magnitude; why
/// so far, [`Golden`](crate::Golden) says.
fn tolerance(dtype: DType, device: &Device) -> f64 {
    match (dtype, device) {
        (DType::F64, _) => 1e-12,
        (DType::F32, Device::Cpu) => 1e-5,
        (DType::F32, _) => 4e-3,
        (DType::F16, _) => 2e-2,
        _ => 1e-1,
    }
}

fn compare(
    expected: &BTreeMap<String, Tensor>,
    found: &[(String, Tensor)],
    tolerance: f64,
) -> Result<Report> {
    let mut report = Report::default();
    for (name, _) in found
        .iter()
        .filter(|(name, _)| !expected.contains_key(name))
    {
        report.push(Problem::new(name, "the bundle has no such output"));
    }
    for (name, expected) in expected {
        match found.iter().find(|(found, _)| found == name) {
            None => report.push(Problem::new(name, "the model gives no such output")),
            Some((_, found)) if found.dims() != expected.dims() => {
                let shape = format!("{:?}", found.dims());
                report.push(
                    Problem::new(name, format!("expected shape {:?}", expected.dims()))
                        .with_found(shape),
                );
            }
            Some((_, found)) => {
                if let Some(problem) = difference(name, expected, found, tolerance)? {
                    report.push(problem);
                }
            }
        }
    }
    Ok(report)
}

/// A problem if the values differ by more than the tolerance.
fn difference(
    name: &str,
    expected: &Tensor,
    found: &Tensor,
    tolerance: f64,
) -> Result<Option<Problem>> {
    let shape = expected.dims();
    let (expected, found) = (values(expected)?, values(found)?);
    let scale = expected
        .iter()
        .fold(0.0, |scale: f64, value| scale.max(value.abs()));
    let distance = |(expected, found): (&f64, &f64)| {
        let distance = (expected - found).abs();
        if distance.is_nan() {
            f64::INFINITY
        } else {
            distance
        }
    };
    let distances = expected.iter().zip(&found).map(distance);
    let worst = distances
        .enumerate()
        .max_by(|(_, left), (_, right)| left.total_cmp(right));
    let allowed = tolerance * scale;
    Ok(worst.filter(|(_, distance)| *distance > allowed).map(|(index, distance)| {
        let why = format!(
            "expected {}, off by {distance:e} where {allowed:e} is allowed; the largest difference",
            expected[index]
        );
        Problem::new(format!("{name}{:?}", position(index, shape)), why).with_found(found[index].to_string())
    }))
}

/// The index in each dimension of the element that is the `index`th in all.
fn position(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut position = vec![0; shape.len()];
    for (place, dim) in position.iter_mut().zip(shape).rev() {
        *place = index % dim;
        index /= dim;
    }
    position
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    Ok(values(tensor)?.iter().all(|value| value.is_finite()))
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::*;

    /// A behaviour check of these texts and of one output, as a load takes it.
    fn stored(texts: &[String], output: f32) -> Result<Stored> {
        let inputs = store(&GoldenInputs::texts(texts)).unwrap();
        let inputs_digest = digest(&inputs).unwrap();
        let mut tensors = inputs;
        let output = Tensor::new(&[1.0, output], &Device::Cpu).unwrap();
        tensors.insert("output.sum".to_owned(), output);
        Stored::new(Path::new("golden.safetensors"), tensors, &inputs_digest)
    }

    #[track_caller]
    fn refusal(stored: Result<Stored>) -> String {
        match stored {
            Ok(_) => panic!("it was read"),
            Err(error) => {
                assert!(error.is_corrupt(), "{error}");
                error.to_string()
            }
        }
    }

    #[test]
    fn an_output_that_is_not_finite_is_refused() {
        let texts = ["C".to_owned()];
        assert_eq!(stored(&texts, 2.0).unwrap().texts, texts);
        for output in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let why = refusal(stored(&texts, output));
            assert!(why.ends_with("output `sum` is not finite"), "{why}");
        }
    }

    #[test]
    fn texts_whose_batch_would_be_large_are_refused() {
        let mut texts = vec!["C".repeat(256)];
        texts.resize(256, "C".to_owned());
        assert_eq!(stored(&texts, 2.0).unwrap().texts, texts);
        texts.push(String::new());
        let why = refusal(stored(&texts, 2.0));
        assert!(
            why.ends_with("its 257 input texts, of up to 256 bytes, are too many or too long: the product may be 65536"),
            "{why}"
        );
        let empty = vec![String::new(); MOST_TEXT + 1];
        refusal(stored(&empty, 2.0));
    }

    #[test]
    fn inputs_that_are_large_are_refused_by_what_the_manifest_says() {
        let file = |bytes: usize| TensorFile {
            name: GOLDEN_NAME.to_owned(),
            bytes: 0,
            blake3: String::new(),
            tensors: [("input.a", bytes), (TEXTS, 1), ("output.large", 1 << 40)]
                .map(|(name, bytes)| TensorEntry {
                    name: name.to_owned(),
                    dtype: Dtype::U8,
                    shape: vec![bytes],
                })
                .to_vec(),
        };
        let check = |bytes| check_inputs(Path::new("golden.safetensors"), &file(bytes));
        check(MOST_INPUT as usize - 1).unwrap();
        let error = check(MOST_INPUT as usize).unwrap_err();
        assert!(error.is_corrupt(), "{error}");
        assert!(
            error
                .to_string()
                .ends_with("its inputs take 16777217 bytes, and may take 16777216"),
            "{error}"
        );
    }
}
