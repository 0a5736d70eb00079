//! AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).

use std::cell::Cell;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Storage, Tensor, Var, bail};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::{Choice, Params};

/// Which variables weight decay shrinks.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decayed {
    /// Those of two dimensions and more; biases and the gains of norms are spared.
    Matrices,
    /// All of them.
    All,
}

/// The parameters of [`AdamW`].
#[derive(Params, Clone, Debug, PartialEq)]
pub struct AdamWParams {
    /// How much of the gradient's mean each step keeps.
    #[param(default = 0.9, min = 0.0, max = 0.999_999)]
    pub beta1: f64,
    /// How much of the gradient's mean square each step keeps.
    #[param(default = 0.999, min = 0.0, max = 0.999_999_999)]
    pub beta2: f64,
    /// What keeps the division by the root of the mean square finite.
    #[param(default = 1e-8, min = 1e-30)]
    pub epsilon: f64,
    /// Share of a weight that is taken off each step, times the learning rate.
    #[param(default = 0.0, min = 0.0)]
    pub weight_decay: f64,
    /// Which variables that is done to.
    #[param(default = Decayed::Matrices)]
    pub decayed: Decayed,
}

/// The optimiser and its state: for each variable the running means of its gradient and of the
/// gradient's square.
///
/// ```
/// use atlas_core::train::{AdamW, AdamWParams};
/// use atlas_core::candle_core::{self, Device, Var};
///
/// let var = Var::new(&[1f32, -2.0], &Device::Cpu)?;
/// let mut optimiser = AdamW::new(vec![var.clone()], AdamWParams::default())?;
/// for _ in 0..300 {
///     let loss = var.sqr()?.sum_all()?;
///     let mut gradients = loss.backward()?;
///     let gradient = gradients.remove(&var).unwrap();
///     optimiser.step(&[gradient], 0.05, 1.0)?;
/// }
/// assert!(var.abs()?.max(0)?.to_scalar::<f32>()? < 0.1);
/// # Ok::<(), atlas_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AdamW {
    params: AdamWParams,
    slots: Vec<Slot>,
    steps: u64,
}

/// A variable and its state.
#[derive(Debug)]
struct Slot {
    var: Var,
    mean: Var,
    square: Var,
    decay: f64,
}

impl Slot {
    /// An error unless a tensor is of the variable's shape and dtype.
    fn check(&self, what: &str, tensor: &Tensor) -> Result<()> {
        if tensor.dims() == self.var.dims() && tensor.dtype() == self.var.dtype() {
            return Ok(());
        }
        Err(Error::new(format_args!(
            "{what} of {:?} {:?} for a variable of {:?} {:?}",
            tensor.dtype(),
            tensor.dims(),
            self.var.dtype(),
            self.var.dims()
        )))
    }
}

impl AdamW {
    /// An optimiser of `vars`, which are on one device, before its first step.
    ///
    /// # Errors
    /// If there is no variable, or no memory for the state.
    pub fn new(vars: Vec<Var>, params: AdamWParams) -> Result<Self> {
        if vars.is_empty() {
            return Err(Error::new(
                "there is nothing to optimise: a model is loaded with `LoadOptions::trainable(true)` to be trained",
            ));
        }
        let slot = |var: Var| {
            let zeros = || Var::zeros(var.shape(), var.dtype(), var.device());
            let decay = match params.decayed {
                Decayed::Matrices if var.rank() < 2 => 0.0,
                _ => params.weight_decay,
            };
            Ok(Slot {
                mean: zeros()?,
                square: zeros()?,
                decay,
                var,
            })
        };
        let slots = vars.into_iter().map(slot).collect::<Result<_>>()?;
        Ok(Self {
            params,
            slots,
            steps: 0,
        })
    }

    /// The running means of each variable's gradient and of its square, in the variables' order.
    pub fn moments(&self) -> impl ExactSizeIterator<Item = (&Tensor, &Tensor)> {
        self.slots
            .iter()
            .map(|slot| (slot.mean.as_tensor(), slot.square.as_tensor()))
    }

    /// Takes up where an optimiser of the same variables was after `steps` steps.
    ///
    /// # Errors
    /// If the moments are not as many as the variables, or not of their shapes and dtypes.
    pub fn restore(&mut self, steps: u64, moments: &[(Tensor, Tensor)]) -> Result<()> {
        if moments.len() != self.slots.len() {
            return Err(Error::new(format_args!(
                "moments of {} variables for {}",
                moments.len(),
                self.slots.len()
            )));
        }
        for (slot, (mean, square)) in self.slots.iter().zip(moments) {
            slot.check("a moment", mean)?;
            slot.check("a moment", square)?;
        }
        for (slot, (mean, square)) in self.slots.iter().zip(moments) {
            slot.mean.set(&mean.to_device(slot.var.device())?)?;
            slot.square.set(&square.to_device(slot.var.device())?)?;
        }
        self.steps = steps;
        Ok(())
    }

    /// Moves the variables against `gradients`, which are in their order, each first multiplied
    /// by `scale`. Returns the places of those variables that are not finite after it, or whose
    /// moments are not: training cannot go on from there.
    ///
    /// # Errors
    /// If the gradients are not as many as the variables, or not of their shapes and dtypes;
    /// nothing has moved then. If a tensor operation fails, some variables may have moved and
    /// others not.
    pub fn step(&mut self, gradients: &[Tensor], rate: f64, scale: f64) -> Result<Vec<usize>> {
        self.check(gradients)?;
        self.steps += 1;
        let count = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let AdamWParams {
            beta1,
            beta2,
            epsilon,
            ..
        } = self.params;
        let mut checks = Vec::with_capacity(gradients.len());
        for (slot, gradient) in self.slots.iter().zip(gradients) {
            let update = Update {
                beta1,
                beta2,
                epsilon,
                scale,
                step: rate / (1.0 - beta1.powi(count)),
                correction: 1.0 / (1.0 - beta2.powi(count)),
                keep: 1.0 - rate * slot.decay,
            };
            checks.push(update.apply(slot, gradient)?);
        }
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        // All are read from their device at once.
        let checks = Tensor::stack(&checks, 0)?.to_vec1::<f32>()?;
        let places = checks.iter().enumerate();
        Ok(places
            .filter_map(|(place, check)| check.is_nan().then_some(place))
            .collect())
    }

    fn check(&self, gradients: &[Tensor]) -> Result<()> {
        if gradients.len() != self.slots.len() {
            return Err(Error::new(format_args!(
                "gradients of {} variables for {}",
                gradients.len(),
                self.slots.len()
            )));
        }
        for (slot, gradient) in self.slots.iter().zip(gradients) {
            slot.check("a gradient", gradient)?;
        }
        Ok(())
    }
}

/// One step of one variable.
#[derive(Clone, Copy)]
struct Update {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    scale: f64,
    /// The learning rate over the correction of the mean's bias.
    step: f64,
    /// The correction of the mean square's bias.
    correction: f64,
    /// What weight decay leaves of the variable.
    keep: f64,
}

impl Update {
    /// Moves one variable. Returns a scalar on the variable's device: NaN if the variable or a
    /// moment is not finite afterwards, otherwise zero.
    fn apply(self, slot: &Slot, gradient: &Tensor) -> Result<Tensor> {
        let is_plain = slot.var.dtype() == DType::F32 && slot.var.is_contiguous();
        if is_plain && slot.var.device().is_cpu() {
            let is_finite = self.in_one_pass(slot, &gradient.contiguous()?)?;
            let check = if is_finite { 0f32 } else { f32::NAN };
            Ok(Tensor::new(check, slot.var.device())?)
        } else {
            self.composed(slot, gradient)
        }
    }

    /// By candle's own operations, on any device.
    fn composed(self, slot: &Slot, gradient: &Tensor) -> Result<Tensor> {
        let gradient = (gradient * self.scale)?;
        let mean = ((slot.mean.as_tensor() * self.beta1)? + (&gradient * (1.0 - self.beta1))?)?;
        let square =
            ((slot.square.as_tensor() * self.beta2)? + (gradient.sqr()? * (1.0 - self.beta2))?)?;
        let step = (&mean / ((&square * self.correction)?.sqrt()? + self.epsilon)?)?;
        let moved = ((slot.var.as_tensor() * self.keep)? - (step * self.step)?)?;
        // Zero times infinity or NaN is NaN.
        let zeros = (((&mean * 0.0)? + (&square * 0.0)?)? + (&moved * 0.0)?)?;
        let check = zeros.sum_all()?.to_dtype(DType::F32)?;
        slot.var.set(&moved)?;
        slot.mean.set(&mean)?;
        slot.square.set(&square)?;
        Ok(check)
    }

    /// Reads and writes every element once, on the CPU; whether all is finite afterwards. For the 4.5
    /// million weights of MOSES' autoencoder that takes 7 ms on two cores, where candle's own
    /// operations take 230 ms, nearly as long as the rest of a step.
    fn in_one_pass(self, slot: &Slot, gradient: &Tensor) -> Result<bool> {
        // A gradient that is the variable itself could not be read while that is written.
        let gradient = if storage_of(gradient) == storage_of(&slot.var) {
            gradient.copy()?
        } else {
            gradient.clone()
        };
        let (gradient, layout) = gradient.storage_and_layout();
        let Storage::Cpu(gradient) = &*gradient else {
            return Err(Error::new("the gradient is not on the CPU"));
        };
        let gradient = elements(gradient, layout)?;
        let is_finite = in_place(&slot.mean, |mean| {
            in_place(&slot.square, |square| {
                in_place(&slot.var, |weights| {
                    Ok(self.pass(weights, mean, square, gradient))
                })
            })
        });
        Ok(is_finite?)
    }

    /// Whether all is finite afterwards. Each element is computed by itself, so that the number of
    /// threads changes no bit.
    fn pass(
        self,
        weights: &mut [f32],
        means: &mut [f32],
        squares: &mut [f32],
        gradient: &[f32],
    ) -> bool {
        let parts = weights
            .par_chunks_mut(PART)
            .zip(means.par_chunks_mut(PART))
            .zip(squares.par_chunks_mut(PART))
            .zip(gradient.par_chunks(PART));
        let part =
            |(((weights, means), squares), gradient)| self.part(weights, means, squares, gradient);
        parts.map(part).reduce(|| true, |left, right| left & right)
    }

    fn part(
        self,
        weights: &mut [f32],
        means: &mut [f32],
        squares: &mut [f32],
        gradient: &[f32],
    ) -> bool {
        // These are taken from one before rounding: a beta can round to one.
        let (new1, new2) = ((1.0 - self.beta1) as f32, (1.0 - self.beta2) as f32);
        let (beta1, beta2) = (self.beta1 as f32, self.beta2 as f32);
        let (scale, epsilon) = (self.scale as f32, self.epsilon as f32);
        let (step, correction) = (self.step as f32, self.correction as f32);
        let keep = self.keep as f32;
        let mut is_finite = true;
        let moments = means.iter_mut().zip(squares);
        for ((weight, (mean, square)), gradient) in weights.iter_mut().zip(moments).zip(gradient) {
            let gradient = scale * gradient;
            *mean = beta1 * *mean + new1 * gradient;
            *square = beta2 * *square + new2 * gradient * gradient;
            *weight = keep * *weight - step * *mean / ((*square * correction).sqrt() + epsilon);
            is_finite &= weight.is_finite() & mean.is_finite() & square.is_finite();
        }
        is_finite
    }
}

/// Elements that one thread takes at a time.
const PART: usize = 1 << 14;

/// What tensors that share their elements have in common.
fn storage_of(tensor: &Tensor) -> *const Storage {
    std::ptr::from_ref(&*tensor.storage_and_layout().0)
}

/// Runs `pass` on the elements of a contiguous f32 tensor on the CPU, which it may change.
fn in_place<R>(
    tensor: &Tensor,
    pass: impl FnOnce(&mut [f32]) -> candle_core::Result<R>,
) -> candle_core::Result<R> {
    let pass = InPlace {
        pass: Cell::new(Some(pass)),
        result: Cell::new(None),
    };
    tensor.inplace_op1(&pass)?;
    match pass.result.into_inner() {
        Some(result) => result,
        None => bail!("candle did not run an operation in place"),
    }
}

/// A closure as candle's operation in place: candle runs it on the elements of a tensor.
struct InPlace<F, R> {
    pass: Cell<Option<F>>,
    result: Cell<Option<candle_core::Result<R>>>,
}

impl<F: FnOnce(&mut [f32]) -> candle_core::Result<R>, R> InplaceOp1 for InPlace<F, R> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let elements = match (layout.contiguous_offsets(), storage) {
            (Some((start, end)), CpuStorage::F32(elements)) => &mut elements[start..end],
            _ => bail!("an optimiser's tensors are contiguous f32"),
        };
        self.result.set(self.pass.take().map(|pass| pass(elements)));
        Ok(())
    }
}

fn elements<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("an optimiser's tensors are contiguous"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Three steps on fixed gradients; weight decay 0.1 on the matrix alone.
    ///
    /// ```python
    /// import torch  # 2.x
    /// torch.set_default_dtype(torch.float64)
    /// w = torch.nn.Parameter(torch.tensor([[1.0, -2.0], [3.0, 0.5]]))
    /// b = torch.nn.Parameter(torch.tensor([0.1, -0.1]))
    /// o = torch.optim.AdamW([{"params": [w], "weight_decay": 0.1}, {"params": [b], "weight_decay": 0.0}], lr=0.05)
    /// for i in range(3):
    ///     w.grad = torch.tensor([[0.1, -0.2], [0.3, 0.4]]) * (i + 1)
    ///     b.grad = torch.tensor([0.5, -0.25]) / (i + 1)
    ///     o.step()
    /// print(w.tolist(), b.tolist())
    /// ```
    fn three_steps(dtype: DType) -> (Vec<f64>, Vec<f64>) {
        let var = |values: &[f64], shape: &[usize]| {
            let tensor = Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
            Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap()
        };
        let weight = var(&[1.0, -2.0, 3.0, 0.5], &[2, 2]);
        let bias = var(&[0.1, -0.1], &[2]);
        let params = AdamWParams {
            weight_decay: 0.1,
            ..Default::default()
        };
        let mut optimiser = AdamW::new(vec![weight.clone(), bias.clone()], params).unwrap();
        for step in 1..=3 {
            let on_weight = var(
                &[0.1, -0.2, 0.3, 0.4].map(|value| value * f64::from(step)),
                &[2, 2],
            );
            let on_bias = var(&[0.5, -0.25].map(|value| value / f64::from(step)), &[2]);
            let gradients = [on_weight.as_tensor().clone(), on_bias.as_tensor().clone()];
            optimiser.step(&gradients, 0.05, 1.0).unwrap();
        }
        let values = |var: &Var| {
            var.flatten_all()
                .unwrap()
                .to_dtype(DType::F64)
                .unwrap()
                .to_vec1()
                .unwrap()
        };
        (values(&weight), values(&bias))
    }

    fn assert_near(dtype: DType, tolerance: f64) {
        let weight = [
            0.8396557682137431,
            -1.8247306381120987,
            2.80980551141155,
            0.3471183230612761,
        ];
        let bias = [-0.04026690488152973, 0.04026690140550079];
        let found = three_steps(dtype);
        for (found, expected) in found.0.iter().zip(weight).chain(found.1.iter().zip(bias)) {
            assert!((found - expected).abs() < tolerance, "{found} {expected}");
        }
    }

    #[test]
    fn the_composed_step_is_pytorchs() {
        assert_near(DType::F64, 1e-14);
    }

    #[test]
    fn the_step_in_one_pass_is_pytorchs_up_to_rounding() {
        assert_near(DType::F32, 3e-6);
    }

    /// The weights and the mean squares after some steps on a gradient that changes its sign and
    /// size.
    fn steps(dtype: DType, params: &AdamWParams, size: usize) -> (Vec<f64>, Vec<f64>) {
        let values = |scale: f64| {
            let value = |index: usize| scale * ((index * 7919 % 1013) as f64 / 500.0 - 1.0);
            let values: Vec<f64> = (0..size).map(value).collect();
            let tensor = Tensor::new(values, &Device::Cpu).unwrap();
            tensor.to_dtype(dtype).unwrap()
        };
        let var = Var::from_tensor(&values(1.0)).unwrap();
        let mut optimiser = AdamW::new(vec![var.clone()], params.clone()).unwrap();
        for scale in [0.5, -2.0, 1.0, 0.1] {
            let not_finite = optimiser.step(&[values(scale)], 0.01, 0.7).unwrap();
            assert_eq!(not_finite, Vec::<usize>::new());
        }
        let read = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap().to_vec1().unwrap();
        let square = optimiser.moments().next().unwrap().1.clone();
        (read(&var), read(&square))
    }

    #[test]
    fn a_beta_that_rounds_to_one_still_takes_the_gradient_in() {
        let params = AdamWParams {
            beta1: 0.999_999,
            beta2: 0.999_999_999,
            ..Default::default()
        };
        let (weights, squares) = steps(DType::F32, &params, 100);
        let (exact_weights, exact_squares) = steps(DType::F64, &params, 100);
        for (found, exact) in weights.iter().zip(&exact_weights) {
            assert!((found - exact).abs() < 1e-5, "{found} {exact}");
        }
        for (found, exact) in squares.iter().zip(&exact_squares) {
            assert!((found - exact).abs() <= 1e-5 * exact, "{found} {exact}");
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build()
                .unwrap()
                .install(|| steps(DType::F32, &AdamWParams::default(), 3 * PART + 5))
        };
        let alone = run(1);
        assert!(run(2) == alone && run(5) == alone);
    }

    #[test]
    fn decay_shrinks_matrices_or_all() {
        let shrinks = |decayed| {
            let var = |shape: &[usize]| {
                Var::from_tensor(&Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap()).unwrap()
            };
            let vars = [var(&[1, 1]), var(&[1])];
            let params = AdamWParams {
                weight_decay: 0.5,
                decayed,
                ..Default::default()
            };
            let mut optimiser = AdamW::new(vars.to_vec(), params).unwrap();
            let gradients = vars.each_ref().map(|var| var.zeros_like().unwrap());
            optimiser.step(&gradients, 0.5, 1.0).unwrap();
            vars.map(|var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0])
        };
        assert_eq!(shrinks(Decayed::Matrices), [0.75, 1.0]);
        assert_eq!(shrinks(Decayed::All), [0.75, 0.75]);
        assert_eq!(AdamWParams::default().decayed, Decayed::Matrices);
    }

    #[test]
    fn variables_that_are_no_longer_finite_are_told() {
        for dtype in [DType::F32, DType::F64] {
            let ones = || Tensor::ones(3, dtype, &Device::Cpu).unwrap();
            let vars = [ones(), (ones() * 1e300).unwrap(), ones()];
            let vars = vars.map(|tensor| Var::from_tensor(&tensor).unwrap());
            let mut optimiser = AdamW::new(vars.to_vec(), AdamWParams::default()).unwrap();
            let gradients = [ones(), ones(), (ones() * f64::INFINITY).unwrap()];
            let places = optimiser.step(&gradients, -1e305, 1.0).unwrap();
            // The largest f32 is far less than what the rate moves it by.
            let expected: &[usize] = match dtype {
                DType::F32 => &[0, 1, 2],
                _ => &[2],
            };
            assert_eq!(places, expected, "{dtype:?}");
        }
    }

    #[test]
    fn nothing_moves_unless_every_gradient_fits_its_variable() {
        for dtype in [DType::F32, DType::F64] {
            let ones = |size: usize| Tensor::ones(size, dtype, &Device::Cpu).unwrap();
            let vars = [2, 3].map(|size| Var::from_tensor(&ones(size)).unwrap());
            let mut optimiser = AdamW::new(vars.to_vec(), AdamWParams::default()).unwrap();
            let mut message = |gradients: &[Tensor]| {
                let error = optimiser.step(gradients, 0.1, 1.0).unwrap_err();
                error.to_string()
            };
            assert_eq!(
                message(&[ones(2), ones(2)]),
                format!("a gradient of {dtype:?} [2] for a variable of {dtype:?} [3]")
            );
            assert_eq!(message(&[ones(2)]), "gradients of 1 variables for 2");
            for (var, moment) in vars.iter().zip(optimiser.moments()) {
                let sum = |tensor: &Tensor| {
                    let sum = tensor.sum_all().unwrap().to_dtype(DType::F64).unwrap();
                    sum.to_scalar::<f64>().unwrap()
                };
                assert_eq!(sum(var), var.elem_count() as f64);
                assert_eq!((sum(moment.0), sum(moment.1)), (0.0, 0.0));
            }
        }
    }

    #[test]
    fn a_gradient_that_is_the_variable_itself_is_read_as_it_was() {
        let var = Var::new(&[2f32, -4.0], &Device::Cpu).unwrap();
        let gradient = var.as_tensor().clone();
        let mut optimiser = AdamW::new(vec![var.clone()], AdamWParams::default()).unwrap();
        optimiser.step(&[gradient], 0.5, 1.0).unwrap();
        let moved = var.to_vec1::<f32>().unwrap();
        assert!((moved[0] - 1.5).abs() < 1e-6 && (moved[1] + 3.5).abs() < 1e-6);
    }
}
