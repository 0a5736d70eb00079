//! Normalisation that gradients pass through.
//!
//! candle's fused `layer_norm` and `softmax_last_dim` have no backward pass:
//! everything below them silently stays as it was initialised. For a softmax
//! with gradients there is `candle_nn::ops::softmax`.

use candle_core::{Module, Result, Tensor};
use candle_nn::{Init, VarBuilder, ops::layer_norm_slow};

/// Layer normalisation (Ba et al. 2016) with the weights of PyTorch's `nn.LayerNorm`.
///
/// The variance is that of the population; `f16` and `bf16` are computed in `f32`.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl LayerNorm {
    /// Takes `weight` and `bias`, `[size]` each, from `vb`; those that it makes are ones and zeros.
    ///
    /// # Errors
    ///
    /// `vb` has not the weights in these shapes.
    pub fn new(size: usize, epsilon: f32, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(size, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(size, "bias", Init::Const(0.0))?,
            epsilon,
        })
    }
}

impl Module for LayerNorm {
    /// Normalises over the last dimension: `[.., size]` to `[.., size]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm_slow(x, &self.weight, &self.bias, self.epsilon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::differences::assert_gradients;
    use candle_core::{DType, Device, Var};
    use candle_nn::VarMap;

    #[test]
    fn gradients_are_those_of_finite_differences() -> Result<()> {
        let map = VarMap::new();
        let norm = LayerNorm::new(
            3,
            1e-5,
            VarBuilder::from_varmap(&map, DType::F64, &Device::Cpu),
        )?;
        let x = Tensor::new(&[[0.3f64, -1.2, 2.0], [0.1, 0.4, -0.7]], &Device::Cpu)?;
        let x = Var::from_tensor(&x)?;
        let factors = Tensor::new(&[[1.0f64, 2.0, -3.0], [0.5, 4.0, 1.0]], &Device::Cpu)?;
        let variables = map.data().lock().unwrap().clone();
        let checked = [
            ("x", &x),
            ("weight", &variables["weight"]),
            ("bias", &variables["bias"]),
        ];
        assert_gradients(&checked, || (norm.forward(&x)? * &factors)?.sum_all())
    }

    #[test]
    fn rows_have_mean_zero_and_variance_one() -> Result<()> {
        let map = VarMap::new();
        let norm = LayerNorm::new(
            4,
            0.0,
            VarBuilder::from_varmap(&map, DType::F64, &Device::Cpu),
        )?;
        let x = Tensor::new(&[[1.0f64, 2.0, 3.0, 10.0]], &Device::Cpu)?;
        let y = norm.forward(&x)?.to_vec2::<f64>()?.remove(0);
        assert!(y.iter().sum::<f64>().abs() < 1e-12);
        assert!((y.iter().map(|y| y * y).sum::<f64>() / 4.0 - 1.0).abs() < 1e-12);
        Ok(())
    }
}
