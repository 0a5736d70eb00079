//! The tensors that a bundle can hold: their dtypes, sizes, and the names of their networks.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Shape, Tensor, Var, WithDType};
use safetensors::Dtype;

use crate::error::{Error, Result};

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// The longest name of a network.
const LONGEST_NAME: usize = 128;
/// The name of the tensor file of the behaviour check.
pub(crate) const GOLDEN: &str = "golden";
/// The name of the tensor file of the state of training.
pub(crate) const CHECKPOINT: &str = "checkpoint";

#[cfg(target_endian = "big")]
compile_error!("bundles are little-endian, and so are the machines that Atlas runs on");

/// Runs `$body` with `$T` as the element type of a dtype that a bundle can hold, `$other` for the
/// rest.
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        match $dtype {
            candle_core::DType::U8 => {
                type $T = u8;
                $body
            }
            candle_core::DType::U32 => {
                type $T = u32;
                $body
            }
            candle_core::DType::I16 => {
                type $T = i16;
                $body
            }
            candle_core::DType::I32 => {
                type $T = i32;
                $body
            }
            candle_core::DType::I64 => {
                type $T = i64;
                $body
            }
            candle_core::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            candle_core::DType::F16 => {
                type $T = half::f16;
                $body
            }
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            _ => $other,
        }
    };
}
pub(crate) use with_element;

/// The name of a dtype in bundles, safetensors' own; an error for the dtypes that none can hold.
pub(crate) fn stored_dtype(dtype: DType) -> Result<Dtype> {
    Ok(match dtype {
        DType::U8 => Dtype::U8,
        DType::U32 => Dtype::U32,
        DType::I16 => Dtype::I16,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::BF16 => Dtype::BF16,
        DType::F16 => Dtype::F16,
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        other => {
            return Err(Error::new(format_args!(
                "a bundle cannot hold tensors of dtype {other:?}"
            )));
        }
    })
}

/// The dtype of that name; `None` for those that no bundle holds.
pub(crate) fn tensor_dtype(stored: Dtype) -> Option<DType> {
    Some(match stored {
        Dtype::U8 => DType::U8,
        Dtype::U32 => DType::U32,
        Dtype::I16 => DType::I16,
        Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        Dtype::BF16 => DType::BF16,
        Dtype::F16 => DType::F16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        _ => return None,
    })
}

/// A tensor of those elements, a variable if it is to be trained.
pub(crate) fn tensor<T: WithDType>(
    elements: Vec<T>,
    shape: &Shape,
    device: &Device,
    trainable: bool,
) -> candle_core::Result<Tensor> {
    if trainable {
        Var::from_vec(elements, shape, device).map(|var| var.as_tensor().clone())
    } else {
        Tensor::from_vec(elements, shape, device)
    }
}

/// The bytes that a tensor takes; `None` where they, or the strides of a tensor without elements,
/// are beyond what memory can address.
pub(crate) fn byte_count(dtype: DType, shape: &[usize]) -> Option<u64> {
    let size = dtype.size_in_bytes() as u64;
    let spread = shape
        .iter()
        .try_fold(size, |bytes, dim| bytes.checked_mul((*dim as u64).max(1)))?;
    isize::try_from(spread).ok()?;
    Some(if shape.contains(&0) { 0 } else { spread })
}

/// A dtype and shape as messages show them: `F32 [50, 20]`.
pub(crate) fn describe(dtype: DType, shape: &[usize]) -> String {
    format!("{} {shape:?}", name(dtype))
}

/// A dtype as safetensors writes it: `F32`.
pub(crate) fn name(dtype: DType) -> String {
    format!("{dtype:?}")
}

/// Why there can be no network of that name: files are named after networks.
pub(crate) fn name_defect(network: &str) -> Option<String> {
    let is_word = network
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_');
    if network.is_empty() || network.len() > LONGEST_NAME || !is_word {
        return Some(format!(
            "`{network}` is no name of a network: 1 to {LONGEST_NAME} of a-z, A-Z, 0-9 and _"
        ));
    }
    let kept_for = match network {
        GOLDEN => "the behaviour check",
        CHECKPOINT => "the state of training",
        _ => return None,
    };
    Some(format!(
        "no network can be called `{network}`: {network}.safetensors is kept for {kept_for}"
    ))
}

/// An error unless a model can be of that dtype.
pub(crate) fn check_model_dtype(dtype: DType) -> Result<()> {
    match dtype {
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 => Ok(()),
        other => Err(Error::new(format_args!(
            "a model is of dtype F32, F64, F16 or BF16, not {other:?}"
        ))),
    }
}
/// The last part of the name of a batch norm's counter, which PyTorch keeps for a batch norm
/// without momentum.
pub(crate) const BATCH_COUNTER: &str = "num_batches_tracked";

/// Whether the tensor of that name counts the batches of a batch norm: PyTorch has it, and no layer
/// here.
pub(crate) fn is_batch_counter(name: &str, tensors: &Tensors) -> bool {
    name.strip_suffix(BATCH_COUNTER).is_some_and(|module| {
        (module.is_empty() || module.ends_with('.'))
            && tensors.contains_key(&format!("{module}running_mean"))
            && tensors
                .get(name)
                .is_some_and(|counter| counter.dtype().is_int())
    })
}
