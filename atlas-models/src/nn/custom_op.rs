//! Differentiable operations of any number of inputs.
//!
//! candle's custom operations have at most three inputs. Here each input has a node of its own, the
//! nodes form a chain, and the output's node ends it. Backpropagation reaches the output first,
//! which computes the gradients of all inputs, and then the node of each input, which passes its
//! gradient on. What flows along the chain itself is one element that means nothing.

use super::simd::Real;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, Device, Layout, Result, Shape, Storage, Tensor, bail,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What an operation does on the way back.
pub(crate) trait Backward: Send + Sync {
    /// The operation's name in messages.
    fn name(&self) -> &'static str;

    /// The gradient of each input, in the order they were given to [`record`], from the gradient
    /// of the output. An input that `wanted` does not ask for may get `None`.
    ///
    /// # Errors
    ///
    /// Whatever keeps the gradients from being computed.
    fn backward(
        &self,
        wanted: &[bool],
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>>;
}

/// Whether backpropagation would visit any of these.
pub(crate) fn tracks(inputs: &[&Tensor]) -> bool {
    inputs.iter().any(|input| input.track_op())
}

/// Calls `use_it` with the elements of CPU tensors, which are copied where they are not contiguous.
///
/// # Errors
///
/// A tensor is elsewhere, or of another type than `T`.
pub(crate) fn read<T: Real, R, const N: usize>(
    tensors: [&Tensor; N],
    use_it: impl FnOnce([&[T]; N]) -> R,
) -> Result<R> {
    let tensors = tensors.iter().map(|tensor| tensor.contiguous());
    let tensors = tensors.collect::<Result<Vec<_>>>()?;
    let storages: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let mut slices: [&[T]; N] = [&[]; N];
    for ((slice, tensor), (storage, layout)) in slices.iter_mut().zip(&tensors).zip(&storages) {
        let Storage::Cpu(storage) = &**storage else {
            bail!(
                "expected a tensor on the CPU, got one on {:?}",
                tensor.device()
            )
        };
        let start = layout.start_offset();
        *slice = &T::cpu_storage_as_slice(storage)?[start..start + tensor.elem_count()];
    }
    Ok(use_it(slices))
}

/// The tensor of the elements `output`, computed from `inputs` by `operation`; part of the graph
/// if one of them is.
///
/// # Errors
///
/// An input is not on the CPU, or `output` does not fill the shape.
pub(crate) fn record<T: Real>(
    inputs: &[&Tensor],
    output: Vec<T>,
    shape: impl Into<Shape>,
    operation: impl Backward + 'static,
) -> Result<Tensor> {
    let shape = shape.into();
    if !tracks(inputs) {
        return Tensor::from_vec(output, shape, &Device::Cpu);
    }
    if output.len() != shape.elem_count() {
        bail!("{} elements for a shape of {shape:?}", output.len())
    }
    let gradients = Gradients::default();
    let mut chain = Tensor::zeros(1, T::DTYPE, &Device::Cpu)?;
    for (index, &input) in inputs.iter().enumerate() {
        let name = operation.name();
        let gradients = gradients.clone();
        let node = InputNode {
            name,
            index,
            gradients,
        };
        chain = chain.apply_op2(input, node)?;
    }
    chain.apply_op1(OutputNode {
        operation,
        wanted: inputs.iter().map(|input| input.track_op()).collect(),
        output: Mutex::new(Some((T::to_cpu_storage_owned(output), shape))),
        gradients,
    })
}

/// The gradients of the inputs, from the output's turn on the way back until theirs.
type Gradients = Arc<Mutex<Vec<Option<Tensor>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The node of an input.
struct InputNode {
    name: &'static str,
    index: usize,
    gradients: Gradients,
}

impl CustomOp2 for InputNode {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        chain: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((chain.clone(), Shape::from(1)))
    }

    fn bwd(
        &self,
        chain: &Tensor,
        _input: &Tensor,
        _output: &Tensor,
        _gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = lock(&self.gradients)[self.index].take();
        Ok((Some(chain.zeros_like()?), gradient))
    }
}

/// The node of the output.
struct OutputNode<B> {
    operation: B,
    wanted: Vec<bool>,
    /// Until the node is made.
    output: Mutex<Option<(CpuStorage, Shape)>>,
    gradients: Gradients,
}

impl<B: Backward> CustomOp1 for OutputNode<B> {
    fn name(&self) -> &'static str {
        self.operation.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match lock(&self.output).take() {
            Some(output) => Ok(output),
            None => bail!("{} was computed twice", self.operation.name()),
        }
    }

    fn bwd(&self, chain: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradients = self.operation.backward(&self.wanted, output, gradient)?;
        *lock(&self.gradients) = gradients;
        Ok(Some(chain.zeros_like()?))
    }
}
