//! What a model draws latents from: the standard normal distribution or a mixture that was fitted.

use atlas_core::{Draws, Result};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::models::Mixture;

/// The density that latents are drawn from: standard normal until one is
/// [fitted](Mixture::fit) to the latents of the training set.
///
/// Its tensors are buffers, which training leaves alone: `weights.values`
/// `[components]`, `means.values` `[components, latent]` and `factors.values` `[components, latent,
/// latent]`, the lower triangular factors of the covariances. The standard normal has one weight and nothing else.
pub struct Prior {
    weights: Tensor,
    /// Of a mixture that was fitted.
    means_and_factors: Option<[Tensor; 2]>,
    latent: usize,
}

impl Prior {
    /// The names of the tensors.
    pub const TENSORS: [&str; 3] = ["weights.values", "means.values", "factors.values"];

    /// Takes a mixture of so many components from `vb`; without components it is the standard
    /// normal.
    ///
    /// # Errors
    /// If `vb` does not have the tensors, or not in their shapes.
    pub fn new(components: usize, latent: usize, vb: VarBuilder) -> candle_core::Result<Self> {
        let [weights, means, factors] = Self::TENSORS;
        let fitted = (components > 0).then(|| -> candle_core::Result<_> {
            let zero = Init::Const(0.0);
            let means = vb.get_with_hints((components, latent), means, zero)?;
            let factors = vb.get_with_hints((components, latent, latent), factors, zero)?;
            Ok([means, factors])
        });
        let weights_count = components.max(1);
        let share = Init::Const(1.0 / weights_count as f64);
        Ok(Self {
            weights: vb.get_with_hints(weights_count, weights, share)?,
            means_and_factors: fitted.transpose()?,
            latent,
        })
    }

    /// Whether it is a mixture that was fitted.
    pub fn is_fitted(&self) -> bool {
        self.means_and_factors.is_some()
    }

    /// Latents drawn from it, `[count, latent]`, in `f32` on the CPU.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn draw(&self, draws: Draws, count: usize) -> Result<Tensor> {
        let Some([means, factors]) = &self.means_and_factors else {
            return draws.normal(count, self.latent);
        };
        let values = |tensor: &Tensor| -> Result<Vec<f64>> {
            let tensor = tensor.detach().to_device(&Device::Cpu)?;
            Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
        };
        let mixture = Mixture {
            latent: self.latent,
            weights: values(&self.weights)?,
            means: values(means)?,
            factors: values(factors)?,
        };
        mixture.draw(draws, count)
    }
}
