//! AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).

use atlas_core::{Error, Params, Result};
use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Tensor, Var, bail};
use rayon::prelude::*;

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
    /// Share of a weight that is taken off each step, times the learning rate. Vectors (biases,
    /// the gains of norms) are spared.
    #[param(default = 0.0, min = 0.0)]
    pub weight_decay: f64,
}

/// The optimiser's state: for each variable the running means of its gradient and of the
/// gradient's square.
#[derive(Debug)]
pub struct AdamW {
    params: AdamWParams,
    slots: Vec<Slot>,
    steps: u64,
}

#[derive(Debug)]
struct Slot {
    var: Var,
    mean: Var,
    square: Var,
    decay: f64,
}

impl AdamW {
    /// An optimiser of `vars`, before its first step.
    ///
    /// # Errors
    /// If there is no memory for the state.
    pub fn new(vars: Vec<Var>, params: AdamWParams) -> Result<Self> {
        let slot = |var: Var| {
            let zeros = || Var::zeros(var.shape(), var.dtype(), var.device());
            let decay = if var.rank() > 1 {
                params.weight_decay
            } else {
                0.0
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
            for moment in [mean, square] {
                if moment.dims() != slot.var.dims() || moment.dtype() != slot.var.dtype() {
                    return Err(Error::new(format_args!(
                        "moments of {:?} {:?} for a variable of {:?} {:?}",
                        moment.dtype(),
                        moment.dims(),
                        slot.var.dtype(),
                        slot.var.dims()
                    )));
                }
            }
            slot.mean.set(&mean.to_device(slot.var.device())?)?;
            slot.square.set(&square.to_device(slot.var.device())?)?;
        }
        self.steps = steps;
        Ok(())
    }

    /// Moves the variables against `gradients`, which are in their order, each first multiplied
    /// by `scale`.
    ///
    /// # Errors
    /// If a tensor operation fails; a gradient of another shape than its variable is one cause.
    pub fn step(&mut self, gradients: &[Tensor], rate: f64, scale: f64) -> Result<()> {
        self.steps += 1;
        let count = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let AdamWParams {
            beta1,
            beta2,
            epsilon,
            ..
        } = self.params;
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
            update.apply(slot, &gradient.contiguous()?)?;
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
    fn apply(self, slot: &Slot, gradient: &Tensor) -> Result<()> {
        let on_cpu = slot.var.device().is_cpu() && slot.var.dtype() == DType::F32;
        if on_cpu {
            self.fused(slot, gradient)
        } else {
            self.composed(slot, gradient)
        }
    }

    /// By candle's own operations, on any device.
    fn composed(self, slot: &Slot, gradient: &Tensor) -> Result<()> {
        let gradient = (gradient * self.scale)?;
        let mean = ((slot.mean.as_tensor() * self.beta1)? + (&gradient * (1.0 - self.beta1))?)?;
        let square =
            ((slot.square.as_tensor() * self.beta2)? + (gradient.sqr()? * (1.0 - self.beta2))?)?;
        let step = (&mean / ((&square * self.correction)?.sqrt()? + self.epsilon)?)?;
        let moved = ((slot.var.as_tensor() * self.keep)? - (step * self.step)?)?;
        slot.var.set(&moved)?;
        slot.mean.set(&mean)?;
        Ok(slot.square.set(&square)?)
    }

    /// In place: each of the three passes reads and writes its tensor once.
    fn fused(self, slot: &Slot, gradient: &Tensor) -> Result<()> {
        let (beta1, beta2) = (self.beta1 as f32, self.beta2 as f32);
        let scale = self.scale as f32;
        slot.mean.inplace_op2(
            gradient,
            &Zip("adamw-mean", move |mean, gradient| {
                beta1 * mean + (1.0 - beta1) * (scale * gradient)
            }),
        )?;
        slot.square.inplace_op2(
            gradient,
            &Zip("adamw-square", move |square, gradient| {
                let gradient = scale * gradient;
                beta2 * square + (1.0 - beta2) * gradient * gradient
            }),
        )?;
        let moved = Moved {
            update: self,
            mean: slot.mean.as_tensor().clone(),
        };
        Ok(slot.var.inplace_op2(slot.square.as_tensor(), &moved)?)
    }
}

/// Elements that one thread takes at a time.
const PART: usize = 1 << 14;

/// `target[i] = f(target[i], other[i])`.
struct Zip<F>(&'static str, F);

impl<F: Fn(f32, f32) -> f32 + Sync> InplaceOp2 for Zip<F> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        other: &CpuStorage,
        other_layout: &Layout,
    ) -> candle_core::Result<()> {
        let other = elements(other, other_layout)?;
        let target = elements_mut(target, target_layout)?;
        let parts = target.par_chunks_mut(PART).zip(other.par_chunks(PART));
        parts.for_each(|(target, other)| {
            for (target, other) in target.iter_mut().zip(other) {
                *target = (self.1)(*target, *other);
            }
        });
        Ok(())
    }
}

/// The variable's own move, by the mean and the mean square.
struct Moved {
    update: Update,
    mean: Tensor,
}

impl InplaceOp2 for Moved {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        square: &CpuStorage,
        square_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (mean, mean_layout) = self.mean.storage_and_layout();
        let candle_core::Storage::Cpu(mean) = &*mean else {
            bail!("the mean is not on the CPU")
        };
        let mean = elements(mean, mean_layout)?;
        let square = elements(square, square_layout)?;
        let target = elements_mut(target, target_layout)?;
        let Update {
            epsilon,
            step,
            correction,
            keep,
            ..
        } = self.update;
        let (epsilon, step, correction, keep) =
            (epsilon as f32, step as f32, correction as f32, keep as f32);
        let parts = target
            .par_chunks_mut(PART)
            .zip(mean.par_chunks(PART))
            .zip(square.par_chunks(PART));
        parts.for_each(|((target, mean), square)| {
            for ((target, mean), square) in target.iter_mut().zip(mean).zip(square) {
                *target = keep * *target - step * mean / ((square * correction).sqrt() + epsilon);
            }
        });
        Ok(())
    }
}

fn elements<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("an optimiser's tensors are contiguous"),
    }
}

fn elements_mut<'a>(
    storage: &'a mut CpuStorage,
    layout: &Layout,
) -> candle_core::Result<&'a mut [f32]> {
    match (layout.contiguous_offsets(), storage) {
        (Some((start, end)), CpuStorage::F32(elements)) => Ok(&mut elements[start..end]),
        _ => bail!("an optimiser's tensors are contiguous f32"),
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
    fn the_fused_step_is_pytorchs_up_to_rounding() {
        assert_near(DType::F32, 3e-6);
    }
}
