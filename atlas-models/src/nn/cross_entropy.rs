//! The loss of predicting tokens.

use super::activation::exp;
use super::graph::{self, Backward, read};
use super::lanes::{Isa, Kernel, Lanes, Real};
use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::ops::log_softmax;

/// The cross-entropy of a batch of predictions.
#[derive(Debug, Clone)]
pub struct CrossEntropy {
    /// The sum over the rows that count, in nats: a scalar, differentiable.
    pub sum: Tensor,
    /// The number of rows that count.
    pub count: usize,
}

/// The cross-entropy of the softmax of `logits` `[rows, vocabulary]` with one target
/// for each row. Rows whose target is `ignored` count nothing.
///
/// # Errors
///
/// There is not one target for each row, or one is not in the vocabulary.
pub fn softmax_cross_entropy(
    logits: &Tensor,
    targets: &[u32],
    ignored: Option<u32>,
) -> Result<CrossEntropy> {
    check(logits, targets, ignored)?;
    let count = targets
        .iter()
        .filter(|&&target| Some(target) != ignored)
        .count();
    let sum = match logits.dtype() {
        DType::F32 if logits.device().is_cpu() => fused::<f32>(logits, targets, ignored)?,
        DType::F64 if logits.device().is_cpu() => fused::<f64>(logits, targets, ignored)?,
        _ => plain(logits, targets, ignored)?.sum_all()?,
    };
    Ok(CrossEntropy { sum, count })
}

/// The cross-entropy of each row, `[rows]`, without gradients; zero where the target is `ignored`.
///
/// # Errors
///
/// As [`softmax_cross_entropy`].
pub fn cross_entropy_rows(
    logits: &Tensor,
    targets: &[u32],
    ignored: Option<u32>,
) -> Result<Tensor> {
    check(logits, targets, ignored)?;
    plain(&logits.detach(), targets, ignored)
}

fn check(logits: &Tensor, targets: &[u32], ignored: Option<u32>) -> Result<()> {
    let (rows, vocabulary) = logits.dims2()?;
    if targets.len() != rows {
        bail!("{} targets for {rows} rows of logits", targets.len())
    }
    let outside = |target: u32| Some(target) != ignored && target as usize >= vocabulary;
    if let Some(row) = targets.iter().position(|&target| outside(target)) {
        bail!(
            "target {} at row {row}, the vocabulary has {vocabulary}",
            targets[row]
        )
    }
    Ok(())
}

/// The loss of each row, of candle's operations.
fn plain(logits: &Tensor, targets: &[u32], ignored: Option<u32>) -> Result<Tensor> {
    let (rows, _) = logits.dims2()?;
    let device = logits.device();
    let counts = |target: u32| Some(target) != ignored;
    let index: Vec<u32> = targets
        .iter()
        .map(|&t| if counts(t) { t } else { 0 })
        .collect();
    let mask: Vec<f32> = targets
        .iter()
        .map(|&t| if counts(t) { -1.0 } else { 0.0 })
        .collect();
    let index = Tensor::from_vec(index, (rows, 1), device)?;
    let mask = Tensor::from_vec(mask, rows, device)?.to_dtype(logits.dtype())?;
    let chosen = log_softmax(logits, 1)?.gather(&index, 1)?.squeeze(1)?;
    chosen * mask
}

fn fused<T: Real>(logits: &Tensor, targets: &[u32], ignored: Option<u32>) -> Result<Tensor> {
    let (rows, vocabulary) = logits.dims2()?;
    let (sum, gradient) = read(logits, |logits: &[T]| {
        let mut gradient = vec![T::zero(); logits.len()];
        let sum = Isa::detect().run(Losses {
            logits,
            targets,
            ignored,
            vocabulary,
            gradient: &mut gradient,
        });
        (sum, gradient)
    })?;
    let sum = T::from_f64(sum);
    if !graph::tracks(&[logits]) {
        return Tensor::full(sum, (), &Device::Cpu);
    }
    let gradient = Tensor::from_vec(gradient, (rows, vocabulary), &Device::Cpu)?;
    graph::record(&[logits], vec![sum], (), Loss { gradient })
}

/// The losses' sum; leaves its gradient by the logits: the softmax, less one at the target.
struct Losses<'a, T> {
    logits: &'a [T],
    targets: &'a [u32],
    ignored: Option<u32>,
    vocabulary: usize,
    gradient: &'a mut [T],
}

impl<T: Real> Kernel for Losses<'_, T> {
    type Real = T;
    type Output = f64;

    #[inline(always)]
    unsafe fn run<V: Lanes<Real = T>>(self) -> f64 {
        let mut total = 0.0;
        let rows = self.logits.chunks_exact(self.vocabulary.max(1));
        let gradients = self.gradient.chunks_exact_mut(self.vocabulary.max(1));
        for ((logits, gradient), &target) in rows.zip(gradients).zip(self.targets) {
            if Some(target) == self.ignored {
                continue;
            }
            let mut max = logits[0];
            for &logit in logits {
                if logit > max {
                    max = logit;
                }
            }
            // SAFETY: both chunks have the vocabulary's length; the instruction set is present.
            unsafe {
                for start in (0..logits.len()).step_by(V::COUNT) {
                    let count = V::COUNT.min(logits.len() - start);
                    let x = V::load_first(logits.as_ptr().add(start), count);
                    let [weight] = exp([x.sub(V::splat(max))]);
                    weight.store_first(gradient.as_mut_ptr().add(start), count);
                }
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
        _inputs: &[Tensor],
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
    use crate::nn::differences::assert_gradients;
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
            let count = targets.iter().filter(|&&target| target != 7).count();
            assert_gradients(&[("logits", &logits)], || {
                let loss = softmax_cross_entropy(&logits, targets, Some(7))?;
                assert_eq!(loss.count, count);
                loss.sum * 1.5
            })?;
        }
        Ok(())
    }

    /// The bits of the gradient by each row.
    fn gradient_bits(
        logits: &Tensor,
        targets: &[u32],
        ignored: Option<u32>,
    ) -> Result<Vec<Vec<u64>>> {
        let logits = Var::from_tensor(&logits.contiguous()?)?;
        let gradients = softmax_cross_entropy(&logits, targets, ignored)?
            .sum
            .backward()?;
        let rows = gradients.get(&logits).unwrap().to_vec2::<f64>()?;
        let bits = |row: Vec<f64>| row.into_iter().map(f64::to_bits).collect();
        Ok(rows.into_iter().map(bits).collect())
    }

    #[test]
    fn an_ignored_row_adds_nothing_and_gets_a_gradient_of_zero() -> Result<()> {
        let logits = logits(4, 19, 5.0)?;
        let gradient = gradient_bits(&logits, &[3, 7, 7, 18], Some(7))?;
        assert_eq!(gradient[1..3], vec![vec![0; 19]; 2]);
        // An ignored target need not be in the vocabulary.
        let outside = gradient_bits(&logits, &[3, 99, 99, 18], Some(99))?;
        assert_eq!(outside, gradient);
        let counted = Tensor::cat(&[logits.narrow(0, 0, 1)?, logits.narrow(0, 3, 1)?], 0)?;
        let with = softmax_cross_entropy(&logits, &[3, 7, 7, 18], Some(7))?;
        let without = softmax_cross_entropy(&counted, &[3, 18], Some(7))?;
        assert_eq!([with.count, without.count], [2, 2]);
        assert_eq!(
            with.sum.to_scalar::<f64>()?,
            without.sum.to_scalar::<f64>()?
        );
        Ok(())
    }

    #[test]
    fn rows_that_are_all_ignored_give_zero() -> Result<()> {
        let logits = logits(2, 5, 3.0)?;
        let loss = softmax_cross_entropy(&logits, &[1, 1], Some(1))?;
        assert_eq!(loss.count, 0);
        assert_eq!(loss.sum.to_scalar::<f64>()?, 0.0);
        let gradient = gradient_bits(&logits, &[1, 1], Some(1))?;
        assert_eq!(gradient, vec![vec![0; 5]; 2]);
        Ok(())
    }

    #[test]
    fn the_gradient_by_a_row_does_not_depend_on_the_rows_beside_it() -> Result<()> {
        let logits = logits(60, 41, 8.0)?;
        let targets: Vec<u32> = (0..60).map(|row| row * 11 % 41).collect();
        let all = gradient_bits(&logits, &targets, None)?;
        for rows in 1..=60 {
            let some = gradient_bits(&logits.narrow(0, 0, rows)?, &targets[..rows], None)?;
            assert!(some == all[..rows], "{rows} rows");
        }
        Ok(())
    }

    #[test]
    fn every_instruction_set_agrees_with_candles_operations() -> Result<()> {
        Isa::each(|| {
            for vocabulary in [1, 3, 16, 17, 70] {
                let logits = Var::from_tensor(&logits(6, vocabulary, 6.0)?)?;
                let targets: Vec<u32> = (0..6).map(|row| row * 5 % vocabulary as u32).collect();
                let fused = softmax_cross_entropy(&logits, &targets, Some(1))?.sum;
                let plain = plain(&logits, &targets, Some(1))?.sum_all()?;
                let difference = (&fused - &plain)?.abs()?.to_scalar::<f64>()?;
                assert!(difference < 1e-12, "{vocabulary}: {difference}");
                let (fused, plain) = (fused.backward()?, plain.backward()?);
                let (a, b) = (fused.get(&logits).unwrap(), plain.get(&logits).unwrap());
                let difference = (a - b)?.abs()?.flatten_all()?.max(0)?;
                let difference = difference.to_scalar::<f64>()?;
                assert!(difference < 1e-14, "{vocabulary}: {difference}");
            }
            Ok(())
        })
    }

    #[test]
    fn it_is_the_sum_of_the_rows_that_candles_operations_give() -> Result<()> {
        let logits = logits(4, 40, 9.0)?;
        let targets = [39, 1, 2, 0];
        let rows = cross_entropy_rows(&logits, &targets, Some(2))?.to_vec1::<f64>()?;
        assert_eq!(rows[2], 0.0);
        let loss = softmax_cross_entropy(&logits, &targets, Some(2))?
            .sum
            .to_scalar::<f64>()?;
        assert!((loss - rows.iter().sum::<f64>()).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn huge_logits_give_finite_losses_and_gradients() -> Result<()> {
        let logits = Tensor::new(&[[1e4f32, -1e4, 0.0], [-1e4, 1e4, 3.0]], &Device::Cpu)?;
        let logits = Var::from_tensor(&logits)?;
        let loss = softmax_cross_entropy(&logits, &[0, 0], None)?.sum;
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
        let error = softmax_cross_entropy(&logits, &[0, 4, 1], None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("target 4 at row 1, the vocabulary has 4"),
            "{error}"
        );
        let error = softmax_cross_entropy(&logits, &[0], None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("1 targets for 3 rows"), "{error}");
        Ok(())
    }
}
