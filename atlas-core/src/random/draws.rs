//! Random numbers that a model asks for when it is trained or sampled from.

use candle_core::{DType, Device, Shape, Tensor};

use super::{Numbers, seed, tensor};
use crate::error::{Error, Result};
use crate::tensors;

/// Numbered random draws, for a model that makes outputs of its own. What a draw gives depends on the
/// seed and on the draw's number alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// The seed of all of them.
    pub seed: u64,
    /// The number of the first.
    pub first: u64,
}

impl Draws {
    /// Standard normal rows `[count, width]`, in `f32` on the CPU: one for each draw.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn normal(self, count: usize, width: usize) -> Result<Tensor> {
        let mut values = Vec::new();
        let total = count.checked_mul(width);
        if total.is_none_or(|total| values.try_reserve_exact(total).is_err()) {
            return Err(Error::new(format_args!(
                "there is no memory for {count} rows of {width} numbers"
            )));
        }
        for row in 0..count {
            let number = self.first.wrapping_add(row as u64);
            let seed = seed("Atlas 1 seed of a draw", &[self.seed, number]);
            let mut numbers = Numbers::of(seed, "prior", "normal");
            values.extend((0..width).map(|_| numbers.normal() as f32));
        }
        Ok(Tensor::from_vec(values, (count, width), &Device::Cpu)?)
    }
}

/// Standard normal noise of a step of training.
pub(crate) fn noise(seed: u64, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
    if !dtype.is_float() {
        return Err(Error::new(format_args!(
            "normal noise has no dtype {}",
            tensors::name(dtype)
        )));
    }
    let mut numbers = Numbers::of(seed, "step", "normal");
    Ok(tensor(shape, dtype, device, false, || numbers.normal())?)
}

/// The input on which the behaviour of a network is checked: standard normal, and the same for
/// ever.
pub(crate) fn golden_input(shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
    let mut numbers = Numbers::of(0, "golden", "input");
    let shape = Shape::from(shape);
    Ok(tensor(&shape, dtype, device, false, || numbers.normal())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_the_same_whatever_is_drawn_beside_it() {
        let rows = |first, count| {
            let draws = Draws { seed: 5, first };
            draws.normal(count, 7).unwrap().to_vec2::<f32>().unwrap()
        };
        let all = rows(3, 10);
        assert_eq!(rows(3, 4), all[..4]);
        assert_eq!(rows(7, 6), all[4..]);
        assert_eq!(rows(7, 0).len(), 0);
        let other = Draws { seed: 6, first: 3 };
        assert_ne!(other.normal(10, 7).unwrap().to_vec2::<f32>().unwrap(), all);
    }

    #[test]
    fn draws_are_standard_normal() {
        let draws = Draws { seed: 0, first: 0 };
        let values = draws.normal(2000, 10).unwrap().flatten_all().unwrap();
        let values = values.to_vec1::<f32>().unwrap();
        let moment = |power| {
            let powers = values.iter().map(|value| f64::from(*value).powi(power));
            powers.sum::<f64>() / values.len() as f64
        };
        // Five standard deviations of each moment's own estimate.
        assert!(moment(1).abs() < 5.0 / 20_000f64.sqrt(), "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 5.0 * (2.0 / 20_000f64).sqrt());
        assert!((moment(4) - 3.0).abs() < 5.0 * (96.0 / 20_000f64).sqrt());
    }

    /// The first numbers of each kind: what a seed gives never changes.
    #[test]
    fn a_seed_gives_these_numbers_for_ever() {
        let draws = Draws { seed: 1, first: 2 };
        let values = draws.normal(1, 3).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(values, [[-0.16108897, 0.10691631, 0.87604266]]);
        let noise = noise(1, &Shape::from(3), DType::F64, &Device::Cpu).unwrap();
        assert_eq!(
            noise.to_vec1::<f64>().unwrap(),
            [1.0462000402557754, 1.5325310999346253, -0.24746246978896347]
        );
    }
}
