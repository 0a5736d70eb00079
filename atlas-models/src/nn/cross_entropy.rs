//! The loss of predicting tokens.

use super::activation::exp;
use super::custom_op::{self, Backward, read};
use super::simd::{InstructionSet, Kernel, Real, Register, Supported};
use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::ops::log_softmax;

/// The cross-entropy of the softmax of `logits`, `[rows, vocabulary]`, with one target for each
/// row: the sum over the rows, in nats, as a scalar. Differentiable.
///
/// # Errors
///
/// There is not one target for each row, or one is not in the vocabulary.
pub fn softmax_cross_entropy(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    let (rows, vocabulary) = logits.dims2()?;
    if targets.len() != rows {
        bail!("{} targets for {rows} rows of logits", targets.len())
    }
    let outside = |&target: &u32| target as usize >= vocabulary;
    if let Some(row) = targets.iter().position(outside) {
        bail!(
            "target {} at row {row}, the vocabulary has {vocabulary}",
            targets[row]
        )
    }
    match logits.dtype() {
        DType::F32 if logits.device().is_cpu() => fused::<f32>(logits, targets),
        DType::F64 if logits.device().is_cpu() => fused::<f64>(logits, targets),
        _ => composed(logits, targets),
    }
}

/// The loss composed of candle's operations, for any device and dtype.
fn composed(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    let index = Tensor::from_vec(targets.to_vec(), (targets.len(), 1), logits.device())?;
    let chosen = log_softmax(logits, 1)?.gather(&index, 1)?;
    chosen.sum_all()?.neg()
}

fn fused<T: Real>(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    let (rows, vocabulary) = logits.dims2()?;
    let mut gradient = vec![T::zero(); rows * vocabulary];
    let sum = read([logits], |[logits]: [&[T]; 1]| {
        InstructionSet::detect().run(Losses {
            logits,
            targets,
            vocabulary,
            gradient: &mut gradient,
        })
    })?;
    let gradient = Tensor::from_vec(gradient, (rows, vocabulary), &Device::Cpu)?;
    custom_op::record(&[logits], vec![T::from_f64(sum)], (), Loss { gradient })
}

/// The losses' sum; leaves its gradient by the logits: the softmax, less one at the target.
struct Losses<'a, T> {
    logits: &'a [T],
    targets: &'a [u32],
    vocabulary: usize,
    gradient: &'a mut [T],
}

impl<T: Real> Kernel for Losses<'_, T> {
    type Real = T;
    type Output = f64;

    #[inline(always)]
    fn run<R: Register<Real = T>>(self, simd: Supported<R>) -> f64 {
        let mut total = 0.0;
        let rows = self.logits.chunks_exact(self.vocabulary.max(1));
        let gradients = self.gradient.chunks_exact_mut(self.vocabulary.max(1));
        for ((logits, gradient), &target) in rows.zip(gradients).zip(self.targets) {
            let mut max = logits[0];
            for &logit in logits {
                if logit > max {
                    max = logit;
                }
            }
            let chunks = logits.chunks(R::LANES);
            for (logits, gradient) in chunks.zip(gradient.chunks_mut(R::LANES)) {
                let [weight] = exp(simd, [simd.load(logits).sub(simd.splat(max))]);
                weight.store(gradient);
            }
            let mut sum = T::zero();
            for &element in gradient.iter() {
                sum += element;
            }
            let scale = T::one() / sum;
            for element in gradient.iter_mut() {
                *element *= scale;
            }
            let target = target as usize;
            gradient[target] -= T::one();
            total += sum.to_f64().ln() + (max.to_f64() - logits[target].to_f64());
        }
        total
    }
}

struct Loss {
    gradient: Tensor,
}

impl Backward for Loss {
    fn name(&self) -> &'static str {
        "softmax-cross-entropy"
    }

    fn backward(
        &self,
        _wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(self.gradient.broadcast_mul(gradient)?)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atlas_core::nn::check_gradients;
    use candle_core::Var;

    fn logits(rows: usize, vocabulary: usize, scale: f64) -> Result<Tensor> {
        let count = (rows * vocabulary) as i64;
        let values: Vec<f64> = (0..count)
            .map(|i| (i * 29 % 83) as f64 / 83.0 * scale)
            .collect();
        Tensor::from_vec(values, (rows, vocabulary), &Device::Cpu)
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() -> Result<()> {
        for targets in [&[3u32][..], &[3, 18, 0, 7, 3], &[7, 2]] {
            let logits = Var::from_tensor(&logits(targets.len(), 19, 3.0)?)?;
            check_gradients(&[("logits", &logits)], || {
                softmax_cross_entropy(&logits, targets)? * 1.5
            })?;
        }
        Ok(())
    }

    /// The bits of the gradient by each row.
    fn gradient_bits(logits: &Tensor, targets: &[u32]) -> Result<Vec<Vec<u64>>> {
        let logits = Var::from_tensor(&logits.contiguous()?)?;
        let gradients = softmax_cross_entropy(&logits, targets)?.backward()?;
        let rows = gradients.get(&logits).unwrap().to_vec2::<f64>()?;
        let bits = |row: Vec<f64>| row.into_iter().map(f64::to_bits).collect();
        Ok(rows.into_iter().map(bits).collect())
    }

    #[test]
    fn the_gradient_by_a_row_does_not_depend_on_the_rows_beside_it() -> Result<()> {
        let logits = logits(60, 41, 8.0)?;
        let targets: Vec<u32> = (0..60).map(|row| row * 11 % 41).collect();
        let all = gradient_bits(&logits, &targets)?;
        for rows in 1..=60 {
            let some = gradient_bits(&logits.narrow(0, 0, rows)?, &targets[..rows])?;
            assert!(some == all[..rows], "{rows} rows");
        }
        Ok(())
    }

    #[test]
    fn every_instruction_set_agrees_with_candles_operations() -> Result<()> {
        InstructionSet::each(|| {
            for vocabulary in [1, 3, 16, 17, 70] {
                let logits = Var::from_tensor(&logits(6, vocabulary, 6.0)?)?;
                let targets: Vec<u32> = (0..6).map(|row| row * 5 % vocabulary as u32).collect();
                let fused = softmax_cross_entropy(&logits, &targets)?;
                let composed = composed(&logits, &targets)?;
                let difference = (&fused - &composed)?.abs()?.to_scalar::<f64>()?;
                assert!(difference < 1e-12, "{vocabulary}: {difference}");
                let (fused, composed) = (fused.backward()?, composed.backward()?);
                let (a, b) = (fused.get(&logits).unwrap(), composed.get(&logits).unwrap());
                let difference = (a - b)?.abs()?.flatten_all()?.max(0)?;
                let difference = difference.to_scalar::<f64>()?;
                assert!(difference < 1e-14, "{vocabulary}: {difference}");
            }
            Ok(())
        })
    }

    #[test]
    fn no_rows_cost_nothing() -> Result<()> {
        let logits = Var::zeros((0, 5), DType::F64, &Device::Cpu)?;
        let loss = softmax_cross_entropy(&logits, &[])?;
        assert_eq!(loss.to_scalar::<f64>()?, 0.0);
        assert_eq!(loss.backward()?.get(&logits).unwrap().dims(), [0, 5]);
        Ok(())
    }

    #[test]
    fn huge_logits_give_finite_losses_and_gradients() -> Result<()> {
        let logits = Tensor::new(&[[1e4f32, -1e4, 0.0], [-1e4, 1e4, 3.0]], &Device::Cpu)?;
        let logits = Var::from_tensor(&logits)?;
        let loss = softmax_cross_entropy(&logits, &[0, 0])?;
        assert_eq!(loss.to_scalar::<f32>()?, 2e4);
        let gradients = loss.backward()?;
        let gradient = gradients.get(&logits).unwrap().to_vec2::<f32>()?;
        assert!(
            gradient
                .iter()
                .flatten()
                .all(|element| element.abs() <= 1.0)
        );
        assert_eq!(gradient[1][..2], [-1.0, 1.0]);
        Ok(())
    }

    #[test]
    fn a_target_outside_the_vocabulary_is_an_error_that_names_its_row() -> Result<()> {
        let logits = logits(3, 4, 1.0)?;
        let error = softmax_cross_entropy(&logits, &[0, 4, 1])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("target 4 at row 1, the vocabulary has 4"),
            "{error}"
        );
        let error = softmax_cross_entropy(&logits, &[0])
            .unwrap_err()
            .to_string();
        assert!(error.contains("1 targets for 3 rows"), "{error}");
        Ok(())
    }
}
