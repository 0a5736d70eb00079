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
/// them and the outputs is covered. They are few and small: the number of texts times the bytes of
/// the longest is at most 65,536, and all inputs take at most 16 MiB, so that a bundle from anybody
/// cannot have a load run a batch that no memory holds. No two inputs or outputs have one name.
///
/// # Tolerance
///
/// On one machine outputs are equal to the bit. Another processor, or another number of threads,
/// sums in another order, and each sum is rounded. An element may be off by this share of the
/// largest stored magnitude of its output:
///
/// | dtype of the model | device | share | why |
/// |---|---|---|---|
/// | `F64` | any | 10⁻¹² | thousands of roundings of 2⁻⁵³ |
/// | `F32` | CPU | 10⁻⁵ | some 170 roundings of 2⁻²⁴ |
/// | `F32` | another | 4·10⁻³ | about 2⁻⁸: accelerators may multiply with 10 bits of mantissa |
/// | `F16` | any | 2·10⁻² | some 40 roundings of 2⁻¹¹ |
/// | `BF16` | any | 10⁻¹ | some 25 roundings of 2⁻⁸ |
///
/// A changed activation, epsilon or tokenizer moves outputs by far more; what it moves by less is
/// not told from another processor. Outputs are finite: a model whose are not is not saved.
///
/// # Other versions
///
/// A bundle of this version of the model has the outputs of the model, and no others. A newer
/// version may have added outputs or taken some away: of an older bundle those are compared that
/// both have, of which there must be one.
pub trait Golden: AtlasModel {
    /// The inputs that are stored with the model. They may depend on the parameters.
    ///
    /// # Errors
    /// What making them returns.
    fn golden_inputs(&self) -> Result<GoldenInputs>;

    /// The outputs on stored inputs, each with a name of its own. Deterministic.
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
