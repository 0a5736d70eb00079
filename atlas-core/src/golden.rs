//! The behaviour check: outputs on fixed inputs, stored with the model and recomputed on load.

use candle_core::Tensor;

use crate::error::Result;
use crate::model::AtlasModel;

/// A model whose behaviour is stored with it.
///
/// Shapes cannot tell that an activation, an epsilon, a padding rule or a tokenizer has changed
/// since a bundle was written; outputs can. With `#[atlas(golden)]` a save stores the model's
/// inputs and outputs, and a load recomputes the outputs from the stored inputs and refuses the
/// bundle if they differ by more than the tolerance of its dtype.
///
/// The inputs should be raw, such as SMILES rather than token ids, so that everything between
/// them and the outputs is covered.
pub trait Golden: AtlasModel {
    /// The inputs that are stored with the model. They may depend on the parameters.
    ///
    /// # Errors
    /// What making them returns.
    fn golden_inputs(&self) -> Result<GoldenInputs>;

    /// The outputs on stored inputs, each with a name. Deterministic.
    ///
    /// # Errors
    /// What computing them returns.
    fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>>;
}

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

    pub(crate) fn and_texts(mut self, texts: Vec<String>) -> Self {
        self.texts = texts;
        self
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
        self.tensors
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, tensor)| tensor)
    }

    pub(crate) fn tensors(&self) -> &[(String, Tensor)] {
        &self.tensors
    }
}

/// Outputs of a behaviour check, each with its name.
pub(crate) type GoldenOutputs = Vec<(String, Tensor)>;

/// How a model's golden inputs and outputs are computed.
#[doc(hidden)]
pub struct GoldenFns<T> {
    pub(crate) inputs: fn(&T) -> Result<GoldenInputs>,
    pub(crate) outputs: fn(&T, &GoldenInputs) -> Result<GoldenOutputs>,
}

impl<T: Golden> GoldenFns<T> {
    /// The functions of `T`.
    #[allow(clippy::new_without_default, reason = "called by the derive alone")]
    pub fn new() -> Self {
        Self {
            inputs: T::golden_inputs,
            outputs: T::golden_outputs,
        }
    }
}
