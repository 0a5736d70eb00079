//! Gaussian error linear units.

use super::activation::sigmoid;
use super::custom_op::{self, Backward, read};
use super::simd::{InstructionSet, Kernel, Real, Register, Supported};
use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;
use std::marker::PhantomData;

/// `√(2 / π)`
const SLOPE: f64 = 0.797_884_560_802_865_4;
const CUBIC: f64 = 0.044_715;

/// Gaussian error linear units (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016) in the
/// form with `tanh`: `x / 2 * (1 + tanh(√(2 / π) * (x + 0.044715 x³)))`, PyTorch's
/// `gelu(x, approximate="tanh")`. Differentiable.
///
/// # Errors
///
/// What candle's operations refuse.
pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::F32 if x.device().is_cpu() => fused::<f32>(x),
        DType::F64 if x.device().is_cpu() => fused::<f64>(x),
        _ => x.gelu(),
    }
}

/// Elements that a thread takes at a time.
const CHUNK: usize = 1 << 14;

fn fused<T: Real>(x: &Tensor) -> Result<Tensor> {
    let mut output = vec![T::ZERO; x.elem_count()];
    read([x], |[x]: [&[T]; 1]| {
        let set = InstructionSet::detect();
        let chunks = x.par_chunks(CHUNK).zip(output.par_chunks_mut(CHUNK));
        chunks.for_each(|(x, output)| set.run(Gelu { x, output }));
    })?;
    let operation = Operation::<T> {
        x: x.clone(),
        real: PhantomData,
    };
    custom_op::record(&[x], output, x.shape(), operation)
}

/// The units of elements, on one thread.
pub(super) struct Gelu<'a, T> {
    pub(super) x: &'a [T],
    pub(super) output: &'a mut [T],
}

/// Registers that take turns at every operation, so that none waits for its own last one.
const TURNS: usize = 4;

impl<T: Real> Kernel for Gelu<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(self, simd: Supported<R>) {
        let chunks = self.x.chunks(TURNS * R::LANES);
        for (x, output) in chunks.zip(self.output.chunks_mut(TURNS * R::LANES)) {
            let x = registers(simd, x);
            let gates = sigmoid(simd, x.map(|x| doubled_argument(simd, x)));
            let gated = x.iter().zip(gates).map(|(x, gate)| x.mul(gate));
            for (output, gated) in output.chunks_mut(R::LANES).zip(gated) {
                gated.store(output);
            }
        }
    }
}

/// Twice what `tanh` is taken of: `(1 + tanh(u)) / 2` is the sigmoid of `2 u`.
#[inline(always)]
fn doubled_argument<T: Real, R: Register<Real = T>>(simd: Supported<R>, x: R) -> R {
    let cubic = simd.splat(T::from_f64(2.0 * SLOPE * CUBIC));
    let linear = simd.splat(T::from_f64(2.0 * SLOPE));
    x.mul(x.mul(x).mul_add(cubic, linear))
}

#[inline(always)]
fn registers<R: Register>(simd: Supported<R>, elements: &[R::Real]) -> [R; TURNS] {
    let mut all = [simd.splat(R::Real::ZERO); TURNS];
    for (register, chunk) in all.iter_mut().zip(elements.chunks(R::LANES)) {
        *register = simd.load(chunk);
    }
    all
}

/// The gradients by the elements, from those by their units.
struct GeluGradient<'a, T> {
    x: &'a [T],
    gradient: &'a [T],
    by_x: &'a mut [T],
}

impl<T: Real> Kernel for GeluGradient<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(self, simd: Supported<R>) {
        let cubic = simd.splat(T::from_f64(6.0 * SLOPE * CUBIC));
        let linear = simd.splat(T::from_f64(2.0 * SLOPE));
        let one = simd.splat(T::ONE);
        let size = TURNS * R::LANES;
        let chunks = self.x.chunks(size).zip(self.gradient.chunks(size));
        for ((x, gradient), by_x) in chunks.zip(self.by_x.chunks_mut(size)) {
            let (x, gradient) = (registers(simd, x), registers(simd, gradient));
            let gates = sigmoid(simd, x.map(|x| doubled_argument(simd, x)));
            let all = x.into_iter().zip(gates).zip(gradient);
            for (((x, gate), gradient), by_x) in all.zip(by_x.chunks_mut(R::LANES)) {
                let slope = x.mul(x).mul_add(cubic, linear);
                let from_gate = x.mul(slope).mul(gate.mul(one.sub(gate)));
                let factor = gate.add(from_gate);
                gradient.mul(factor).store(by_x);
            }
        }
    }
}

struct Operation<T> {
    x: Tensor,
    real: PhantomData<T>,
}

impl<T: Real> Backward for Operation<T> {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn backward(
        &self,
        _wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        read([&self.x, gradient], |[x, gradient]: [&[T]; 2]| {
            let mut gradients = vec![T::ZERO; gradient.len()];
            let set = InstructionSet::detect();
            let chunks = x.par_chunks(CHUNK).zip(gradient.par_chunks(CHUNK));
            let chunks = chunks.zip(gradients.par_chunks_mut(CHUNK));
            chunks.for_each(|((x, gradient), by_x)| set.run(GeluGradient { x, gradient, by_x }));
            let gradients = Tensor::from_vec(gradients, self.x.shape(), &Device::Cpu)?;
            Ok(vec![Some(gradients)])
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atlas_core::nn::check_gradients;
    use candle_core::Var;

    fn arguments(count: usize) -> Result<Tensor> {
        let middle = count as f64 / 2.0;
        let values: Vec<f64> = (0..count).map(|i| (i as f64 - middle) * 0.17).collect();
        Tensor::from_vec(values, count, &Device::Cpu)
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() -> Result<()> {
        for count in [1, 5, 83] {
            let x = Var::from_tensor(&arguments(count)?)?;
            check_gradients(&[("x", &x)], || gelu(&x)?.sqr()?.sum_all())?;
        }
        Ok(())
    }

    #[test]
    fn every_instruction_set_computes_candles_gelu() -> Result<()> {
        for set in InstructionSet::available() {
            for count in [1, 31, 140] {
                let x = arguments(count)?;
                let mut found = vec![0.0; count];
                set.run(Gelu {
                    x: &x.to_vec1()?,
                    output: &mut found,
                });
                for (found, expected) in found.into_iter().zip(x.gelu()?.to_vec1::<f64>()?) {
                    assert!((found - expected).abs() < 1e-14, "{found} {expected}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn huge_arguments_give_the_limits() -> Result<()> {
        let x = Var::new(&[-1e12f32, -300.0, 300.0, 1e12], &Device::Cpu)?;
        let y = gelu(&x)?;
        let found = y.to_vec1::<f32>()?;
        assert!(found[..2].iter().all(|y| y.abs() < 1e-25), "{found:?}");
        assert_eq!(found[2..], [300.0, 1e12]);
        let gradients = y.sum_all()?.backward()?;
        let gradient = gradients.get(&x).unwrap().to_vec1::<f32>()?;
        assert!(
            gradient.iter().all(|slope| slope.abs() <= 1.0),
            "{gradient:?}"
        );
        Ok(())
    }
}
