//! The tensors of a snapshot while networks are built from them: one that is missing, of another
//! shape or never asked for is an error.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::{DType, Device, Shape, Tensor, Var};

use super::lock;
use crate::error::Problem;
use crate::tensors::{self, Tensors};

/// A build that asks for more tensors than this which are not there is stopped: parameters can
/// make it ask for ever.
const MOST_PROBLEMS: usize = 1000;

/// Tensors by network and name, of which a build must ask for each, and for no other.
pub(super) struct StoredTensors {
    cast: bool,
    trainable: bool,
    /// Bytes of all the tensors.
    bytes: u64,
    /// Those that have not been asked for: each is given out once, so that no copy of it stays.
    left: Mutex<BTreeMap<String, Tensors>>,
    problems: Mutex<Vec<Problem>>,
}

impl StoredTensors {
    /// `cast` allows floats of another dtype than asked for, `trainable` makes variables of them.
    pub(super) fn new(networks: BTreeMap<String, Tensors>, cast: bool, trainable: bool) -> Self {
        let size = |tensor: &Tensor| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64;
        let bytes = networks.values().flat_map(Tensors::values).map(size).sum();
        Self {
            cast,
            trainable,
            bytes,
            left: Mutex::new(networks),
            problems: Mutex::default(),
        }
    }

    /// All that was found wrong; after a whole build each tensor that was not asked for, too.
    pub(super) fn problems(&self, is_whole: bool) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut *lock(&self.problems));
        if is_whole {
            for (network, tensors) in lock(&self.left).iter() {
                problems.extend(tensors.iter().map(|(name, tensor)| {
                    let path = format!("{network}/{name}");
                    let found = tensors::describe(tensor.dtype(), tensor.dims());
                    Problem::new(path, "the model asks for no such tensor").with_found(found)
                }));
            }
        }
        problems
    }

    /// The stored tensor, or a stand-in and a noted problem, so that one load names every problem.
    /// A buffer is a variable in any case.
    pub(super) fn take(
        &self,
        network: &str,
        name: &str,
        is_buffer: bool,
        shape: &Shape,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let wanted = tensors::describe(dtype, shape.dims());
        let path = format!("{network}/{name}");
        let stored = lock(&self.left)
            .get_mut(network)
            .and_then(|tensors| tensors.remove(name));
        let Some(tensor) = stored else {
            let problem = Problem::new(path, format!("missing; the model asks for {wanted}"));
            return self.stand_in(problem, shape, dtype, device);
        };
        if tensor.shape() != shape
            || (tensor.dtype() != dtype && !self.can_cast(tensor.dtype(), dtype))
        {
            let found = tensors::describe(tensor.dtype(), tensor.dims());
            let problem =
                Problem::new(path, format!("the model asks for {wanted}")).with_found(found);
            return self.stand_in(problem, shape, dtype, device);
        }
        let is_as_wanted = tensor.dtype() == dtype && tensor.device().same_device(device);
        let is_variable = self.trainable || is_buffer;
        if is_variable && tensor.is_variable() && is_as_wanted {
            return Ok(tensor);
        }
        // A migration may have made a view of another tensor.
        let tensor = tensor
            .detach()
            .contiguous()?
            .to_dtype(dtype)?
            .to_device(device)?;
        if is_variable {
            Var::from_tensor(&tensor).map(|var| var.as_tensor().clone())
        } else {
            Ok(tensor)
        }
    }

    fn can_cast(&self, from: DType, to: DType) -> bool {
        self.cast && from.is_float() && to.is_float()
    }

    /// Notes the problem. The stand-in takes no memory, but what the model makes of it may: where
    /// that could be far more than the snapshot holds, the build ends here.
    fn stand_in(
        &self,
        problem: Problem,
        shape: &Shape,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let bearable = self.bytes.saturating_mul(16).saturating_add(1 << 20);
        let is_bearable =
            tensors::byte_count(dtype, shape.dims()).is_some_and(|bytes| bytes <= bearable);
        let mut problems = lock(&self.problems);
        problems.push(problem);
        if !is_bearable || problems.len() >= MOST_PROBLEMS {
            candle_core::bail!("the snapshot does not hold the tensors that the model asks for");
        }
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }
}
