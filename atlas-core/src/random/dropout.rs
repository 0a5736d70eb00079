//! [`Dropout`]: masks that depend on a seed.

use candle_core::{DType, Result, Tensor, WithDType, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Dropout (Srivastava et al. 2014) whose masks depend on a seed and on how many elements it has
/// been applied to, and on nothing else. `candle_nn::Dropout` draws from a generator that cannot be
/// seeded: two runs of one seed give two models.
///
/// [`Step::dropout`](crate::Step::dropout) is the short form.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    generator: ChaCha8Rng,
}

impl Dropout {
    /// Dropout with the masks of this seed, such as [`Step::next_seed`](crate::Step::next_seed).
    pub fn seeded(seed: u64) -> Self {
        Self {
            generator: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Sets each element to zero with probability `rate` and scales the others by `1 / (1 - rate)`.
    /// The mask is drawn on the CPU, one draw an element in order, so it is the same on every
    /// device.
    ///
    /// # Errors
    /// If `rate` is not in `[0, 1)`.
    pub fn apply(&mut self, x: &Tensor, rate: f64) -> Result<Tensor> {
        if !(0.0..1.0).contains(&rate) {
            bail!("a dropout rate of {rate}, expected one in [0, 1)")
        }
        if rate == 0.0 {
            return Ok(x.clone());
        }
        let mask = match x.dtype() {
            DType::F64 => mask::<f64>(x, rate, &mut self.generator)?,
            _ => mask::<f32>(x, rate, &mut self.generator)?,
        };
        x * mask.to_dtype(x.dtype())?
    }
}

/// What each element of `x` is multiplied with.
fn mask<T: WithDType>(x: &Tensor, rate: f64, generator: &mut ChaCha8Rng) -> Result<Tensor> {
    let scale = T::from_f64(1.0 / (1.0 - rate));
    let threshold = (rate * (u32::MAX as f64 + 1.0)) as u64;
    let mask: Vec<T> = (0..x.elem_count())
        .map(|_| {
            let dropped = u64::from(generator.next_u32()) < threshold;
            if dropped { T::zero() } else { scale }
        })
        .collect();
    Tensor::from_vec(mask, x.shape(), x.device())
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn a_seed_gives_one_mask_and_the_gradient_passes_through_it() -> Result<()> {
        let x = Var::ones((40, 50), DType::F32, &Device::Cpu)?;
        let once = Dropout::seeded(3).apply(&x, 0.25)?;
        let again = Dropout::seeded(3).apply(&x, 0.25)?;
        let values = once.flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(values, again.flatten_all()?.to_vec1::<f32>()?);
        let dropped = values.iter().filter(|&&value| value == 0.0).count();
        assert!((400..600).contains(&dropped), "{dropped} of 2000 dropped");
        assert!(
            values
                .iter()
                .all(|&value| value == 0.0 || value == 4.0 / 3.0)
        );
        let gradients = once.sum_all()?.backward()?;
        let gradient = gradients.get(&x).unwrap().flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(gradient, values);
        Ok(())
    }

    fn seeded() -> Dropout {
        Dropout::seeded(11)
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() -> Result<()> {
        let values: Vec<f64> = (0..30).map(|i| (i * 7 % 30) as f64 / 15.0 - 1.0).collect();
        let x = Var::from_tensor(&Tensor::from_vec(values, (2, 3, 5), &Device::Cpu)?)?;
        crate::nn::check_gradients(&[("x", &x)], || {
            seeded().apply(&x, 0.4)?.powf(2.0)?.sum_all()
        })
    }

    #[test]
    fn a_kept_element_and_its_gradient_are_scaled_exactly() -> Result<()> {
        let x = Var::ones(1000, DType::F64, &Device::Cpu)?;
        for rate in [0.1, 0.3, 0.5, 0.9] {
            let y = seeded().apply(&x, rate)?;
            let gradients = y.sum_all()?.backward()?;
            let gradient = gradients.get(&x).unwrap().to_vec1::<f64>()?;
            let y = y.to_vec1::<f64>()?;
            let scale = 1.0 / (1.0 - rate);
            assert!(y.iter().all(|&element| element == 0.0 || element == scale));
            assert!(y.contains(&0.0) && y.contains(&scale));
            assert_eq!(gradient, y);
        }
        Ok(())
    }

    #[test]
    fn the_mask_is_one_draw_an_element_whatever_the_type_and_shape() -> Result<()> {
        let kept = |shape: &[usize], dtype, dropout: &mut Dropout| -> Result<Vec<bool>> {
            let x = Tensor::ones(shape, dtype, &Device::Cpu)?;
            let y = dropout.apply(&x, 0.5)?.to_dtype(DType::F64)?;
            let elements = y.flatten_all()?.to_vec1::<f64>()?;
            Ok(elements.into_iter().map(|element| element != 0.0).collect())
        };
        let expected = kept(&[60], DType::F32, &mut seeded())?;
        for dtype in [DType::F64, DType::F16, DType::BF16] {
            assert_eq!(kept(&[3, 4, 5], dtype, &mut seeded())?, expected);
        }
        let mut continued = seeded();
        let mut parts = kept(&[7], DType::F64, &mut continued)?;
        parts.extend(kept(&[53], DType::F32, &mut continued)?);
        assert_eq!(parts, expected);
        let mut other = Dropout::seeded(12);
        assert_ne!(kept(&[60], DType::F32, &mut other)?, expected);
        Ok(())
    }

    #[test]
    fn a_rate_of_zero_gives_the_input_and_draws_nothing() -> Result<()> {
        let x = Tensor::arange(0f32, 9.0, &Device::Cpu)?;
        let mut used = seeded();
        let y = used.apply(&x, 0.0)?;
        assert_eq!(y.to_vec1::<f32>()?, x.to_vec1::<f32>()?);
        assert_eq!(used, seeded());
        Ok(())
    }

    #[test]
    fn a_rate_outside_zero_to_one_is_an_error() {
        let x = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
        for rate in [-0.1, 1.0, f64::NAN] {
            let error = Dropout::seeded(0).apply(&x, rate).unwrap_err();
            assert!(error.to_string().contains("dropout rate"), "{error}");
        }
    }
}
