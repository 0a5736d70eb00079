//! Differentiable operations of any number of inputs.
//!
//! candle's custom operations have at most three. [`record`] chains as many of
//! them as the inputs need: the last one carries the output, the others carry
//! one element each, and exist so that backpropagation reaches their inputs
//! after the output's gradient has been turned into theirs.

use super::lanes::Real;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail};
use std::sync::{Arc, Mutex, PoisonError};

/// What an operation does on the way back.
pub(crate) trait Backward: Send + Sync {
    /// The operation's name in messages.
    fn name(&self) -> &'static str;

    /// The gradient of each input, in the order they were given to [`record`], from
    /// the gradient of the output. An input that `wanted` does not ask for may get `None`.
    ///
    /// # Errors
    ///
    /// Whatever keeps the gradients from being computed.
    fn backward(
        &self,
        inputs: &[Tensor],
        wanted: &[bool],
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>>;
}

/// Whether backpropagation would visit any of these.
pub(crate) fn tracks(inputs: &[&Tensor]) -> bool {
    inputs.iter().any(|input| input.track_op())
}

/// The elements of a CPU tensor, copied only if they are not contiguous.
///
/// # Errors
///
/// The tensor is elsewhere, or of another type than `T`.
pub(crate) fn read<T: Real, R>(tensor: &Tensor, use_it: impl FnOnce(&[T]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        bail!(
            "expected a tensor on the CPU, got one on {:?}",
            tensor.device()
        )
    };
    let elements = T::cpu_storage_as_slice(storage)?;
    let start = layout.start_offset();
    Ok(use_it(
        &elements[start..start + layout.shape().elem_count()],
    ))
}

/// Makes `output` a node of the graph, computed from `inputs` by `operation`.
///
/// # Errors
///
/// The inputs and the output are not all on the CPU and of one dtype.
pub(crate) fn record<T: Real>(
    inputs: &[&Tensor],
    output: Vec<T>,
    shape: impl Into<Shape>,
    operation: impl Backward + 'static,
) -> Result<Tensor> {
    let operation: Arc<dyn Backward> = Arc::new(operation);
    let gradients = Arc::new(Mutex::new(vec![None; inputs.len()]));
    let join = |indices: Vec<usize>, output: Vec<T>, shape: Shape, inner| Join {
        operation: operation.clone(),
        inputs: inputs.iter().map(|&input| input.clone()).collect(),
        indices,
        inner,
        gradients: gradients.clone(),
        output: Mutex::new(Some((T::to_cpu_storage_owned(output), shape))),
    };
    let mut chain: Option<Tensor> = None;
    let mut next = 0;
    loop {
        let room = if chain.is_some() { 2 } else { 3 };
        let indices: Vec<usize> = (next..inputs.len().min(next + room)).collect();
        next += indices.len();
        let last = next == inputs.len();
        let mut arguments: Vec<&Tensor> = chain.iter().collect();
        arguments.extend(indices.iter().map(|&index| inputs[index]));
        let (Some(&first), Some(&end)) = (arguments.first(), arguments.last()) else {
            bail!("an operation needs an input")
        };
        // Places that no input fills repeat one of those that do: they get no gradient.
        arguments.resize(3, end);
        let second = arguments[1];
        let third = arguments[2];
        let inner = chain.is_some();
        if last {
            let op = join(indices, output, shape.into(), inner);
            return first.apply_op3(second, third, Output(op));
        }
        let op = join(indices, vec![T::zero()], Shape::from(1), inner);
        chain = Some(first.apply_op3(second, third, op)?);
    }
}

/// One link of the chain.
struct Join {
    operation: Arc<dyn Backward>,
    inputs: Vec<Tensor>,
    /// Which inputs hang on this link.
    indices: Vec<usize>,
    /// Whether the first argument is the link before.
    inner: bool,
    /// Filled by the link that carries the output, emptied by all.
    gradients: Arc<Mutex<Vec<Option<Tensor>>>>,
    output: Mutex<Option<(CpuStorage, Shape)>>,
}

impl Join {
    fn take_output(&self) -> Result<(CpuStorage, Shape)> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        match output.take() {
            Some(output) => Ok(output),
            None => bail!("{} was computed twice", self.operation.name()),
        }
    }

    /// The gradients of this link's arguments.
    fn arguments(&self, first: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let mut gradients = self
            .gradients
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut arguments = [None, None, None];
        let mut place = 0;
        if self.inner {
            arguments[0] = Some(first.zeros_like()?);
            place = 1;
        }
        for &index in &self.indices {
            arguments[place] = gradients[index].take();
            place += 1;
        }
        Ok(arguments)
    }
}

type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl CustomOp3 for Join {
    fn name(&self) -> &'static str {
        self.operation.name()
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.take_output()
    }

    fn bwd(&self, a: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Gradients> {
        self.arguments(a).map(|[a, b, c]| (a, b, c))
    }
}

/// The link that carries the operation's output.
struct Output(Join);

impl CustomOp3 for Output {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.0.take_output()
    }

    fn bwd(
        &self,
        a: &Tensor,
        _: &Tensor,
        _: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Gradients> {
        let link = &self.0;
        let wanted: Vec<bool> = link.inputs.iter().map(Tensor::track_op).collect();
        let computed =
            link.operation
                .backward(&link.inputs, &wanted, output, &gradient.contiguous()?)?;
        *link
            .gradients
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = computed;
        link.arguments(a).map(|[a, b, c]| (a, b, c))
    }
}
