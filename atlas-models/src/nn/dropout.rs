//! Dropout whose masks come from a generator of the caller's.

use candle_core::{Result, Tensor, bail};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Sets each element to zero with probability `rate` and scales the others by
/// `1 / (1 - rate)` (Srivastava et al. 2014). The mask is drawn on the CPU, one draw
/// an element in order, so it is the same on every device.
///
/// # Errors
///
/// `rate` is not in `[0, 1)`.
pub fn dropout(x: &Tensor, rate: f64, generator: &mut ChaCha8Rng) -> Result<Tensor> {
    if !(0.0..1.0).contains(&rate) {
        bail!("a dropout rate of {rate}, expected one in [0, 1)")
    }
    if rate == 0.0 {
        return Ok(x.clone());
    }
    let scale = (1.0 / (1.0 - rate)) as f32;
    let threshold = (rate * (u32::MAX as f64 + 1.0)) as u64;
    let mask: Vec<f32> = (0..x.elem_count())
        .map(|_| {
            let dropped = (generator.random::<u32>() as u64) < threshold;
            if dropped { 0.0 } else { scale }
        })
        .collect();
    let mask = Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?;
    x * mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};
    use rand::SeedableRng;

    #[test]
    fn a_seed_gives_one_mask_and_the_gradient_passes_through_it() -> Result<()> {
        let x = Var::ones((40, 50), DType::F32, &Device::Cpu)?;
        let once = dropout(&x, 0.25, &mut ChaCha8Rng::seed_from_u64(3))?;
        let again = dropout(&x, 0.25, &mut ChaCha8Rng::seed_from_u64(3))?;
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

    #[test]
    fn a_rate_outside_zero_to_one_is_an_error() {
        let x = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
        for rate in [-0.1, 1.0, f64::NAN] {
            let error = dropout(&x, rate, &mut ChaCha8Rng::seed_from_u64(0)).unwrap_err();
            assert!(error.to_string().contains("dropout rate"), "{error}");
        }
    }
}
