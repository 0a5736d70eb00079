//! The record of a behaviour check, as a value: the fixed inputs, and the outputs that the model gave.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};
use crate::tensors::Tensors;

/// The most bytes that the input texts take in a batch: each as many as the longest.
const MOST_TEXT: usize = 1 << 16;
/// The most bytes that all input tensors take.
const MOST_TENSORS: u64 = 1 << 24;

/// The inputs of a behaviour check: texts, tensors, or both.
#[derive(Clone, Debug, Default)]
pub struct GoldenInputs {
    texts: Vec<String>,
    tensors: Vec<(String, Tensor)>,
}

impl GoldenInputs {
    /// Texts as inputs.
    pub fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            texts: texts.into_iter().map(Into::into).collect(),
            tensors: Vec::new(),
        }
    }

    /// The same inputs and a named tensor.
    #[must_use]
    pub fn with_tensor(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.tensors.push((name.into(), tensor));
        self
    }

    /// The texts.
    pub fn as_texts(&self) -> &[String] {
        &self.texts
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        let mut tensors = self.tensors();
        tensors
            .find(|(known, _)| *known == name)
            .map(|(_, tensor)| tensor)
    }

    /// Every tensor with its name.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The same inputs with their tensors on a device.
    pub(crate) fn on(&self, device: &Device) -> Result<Self> {
        let moved = |(name, tensor): &(String, Tensor)| {
            let tensor = tensor.detach().to_device(device)?.contiguous()?;
            Ok((name.clone(), tensor))
        };
        Ok(Self {
            texts: self.texts.clone(),
            tensors: self.tensors.iter().map(moved).collect::<Result<_>>()?,
        })
    }

    /// The same inputs, those of dtype `from` cast to `to`.
    pub(crate) fn cast(mut self, from: DType, to: DType) -> Result<Self> {
        for (_, tensor) in &mut self.tensors {
            if tensor.dtype() == from {
                *tensor = tensor.to_dtype(to)?;
            }
        }
        Ok(self)
    }

    /// Why no bundle can hold these inputs. A bundle may come from anybody, and its inputs are
    /// run: so a model that makes one batch of the texts must not need far more memory for it than
    /// the texts take.
    pub(crate) fn defect(&self) -> Option<String> {
        let mut names = BTreeSet::new();
        if let Some((name, _)) = self.tensors().find(|(name, _)| !names.insert(*name)) {
            return Some(format!("there are two inputs `{name}`"));
        }
        let (count, longest) = (self.texts.len(), self.texts.iter().map(String::len).max());
        let longest = longest.unwrap_or(0).max(1);
        if count.saturating_mul(longest) > MOST_TEXT {
            return Some(format!(
                "its {count} input texts, of up to {longest} bytes, are too many or too long: the product may be {MOST_TEXT}"
            ));
        }
        let size = |tensor: &Tensor| tensor.elem_count() * tensor.dtype().size_in_bytes();
        Self::size_defect(self.tensors().map(|(_, tensor)| size(tensor) as u64))
    }

    /// Why no bundle can hold input tensors of so many bytes each.
    pub(crate) fn size_defect(bytes: impl Iterator<Item = u64>) -> Option<String> {
        let bytes = bytes.fold(0, u64::saturating_add);
        (bytes > MOST_TENSORS)
            .then(|| format!("its inputs take {bytes} bytes, and may take {MOST_TENSORS}"))
    }
}

/// What the behaviour check of a model compares with: its inputs, and the outputs that the model
/// had on them when it was saved.
#[derive(Clone, Debug)]
pub struct GoldenRecord {
    /// What is run again.
    pub inputs: GoldenInputs,
    /// What comes out, by name; every element is finite.
    pub outputs: BTreeMap<String, Tensor>,
}

impl GoldenRecord {
    /// Why no bundle can hold this record.
    pub(crate) fn defect(&self) -> Result<Option<String>> {
        if let Some(defect) = self.inputs.defect() {
            return Ok(Some(defect));
        }
        if self.outputs.is_empty() {
            return Ok(Some("there is no output".to_owned()));
        }
        // Nothing is far from infinity, so that such an output would check nothing.
        for (name, output) in &self.outputs {
            if !values(output)?.iter().all(|value| value.is_finite()) {
                return Ok(Some(format!("output `{name}` is not finite")));
            }
        }
        Ok(None)
    }
}

/// Outputs of which each has a name of its own, on the CPU.
pub(crate) fn named_outputs(outputs: Vec<(String, Tensor)>) -> Result<Tensors> {
    let mut named = Tensors::new();
    for (name, tensor) in outputs {
        let tensor = tensor.detach().to_device(&Device::Cpu)?.contiguous()?;
        if named.contains_key(&name) {
            return Err(Error::new(format_args!("there are two outputs `{name}`")));
        }
        named.insert(name, tensor);
    }
    Ok(named)
}

/// Every element, in order.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(inputs: GoldenInputs, output: f32) -> GoldenRecord {
        let output = Tensor::new(&[1.0, output], &Device::Cpu).unwrap();
        let outputs = [("sum".to_owned(), output)].into();
        GoldenRecord { inputs, outputs }
    }

    #[test]
    fn an_output_that_is_not_finite_is_refused() {
        let inputs = || GoldenInputs::texts(["C"]);
        assert_eq!(record(inputs(), 2.0).defect().unwrap(), None);
        for output in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let why = record(inputs(), output).defect().unwrap();
            assert_eq!(why.as_deref(), Some("output `sum` is not finite"));
        }
    }

    #[test]
    fn texts_whose_batch_would_be_large_are_refused() {
        let mut texts = vec!["C".repeat(256)];
        texts.resize(256, "C".to_owned());
        assert_eq!(GoldenInputs::texts(&texts).defect(), None);
        texts.push(String::new());
        let why = GoldenInputs::texts(&texts).defect().unwrap();
        assert_eq!(
            why,
            "its 257 input texts, of up to 256 bytes, are too many or too long: the product may be 65536"
        );
        let empty = vec![String::new(); MOST_TEXT + 1];
        assert!(GoldenInputs::texts(empty).defect().is_some());
    }

    #[test]
    fn inputs_that_are_large_are_refused() {
        let inputs = |bytes: usize| {
            let zeros = |bytes: usize| Tensor::zeros(bytes, DType::U8, &Device::Cpu).unwrap();
            let inputs = GoldenInputs::default().with_tensor("one", zeros(1));
            inputs.with_tensor("a", zeros(bytes))
        };
        assert_eq!(inputs(MOST_TENSORS as usize - 1).defect(), None);
        assert_eq!(
            inputs(MOST_TENSORS as usize).defect().as_deref(),
            Some("its inputs take 16777217 bytes, and may take 16777216")
        );
    }
}
