//! How much of a latent is used.

use atlas_core::train::Dataset;
use atlas_core::{Objective, Result, Step};
use candle_core::{DType, Tensor};
use serde::Serialize;

use super::estimate::{Estimate, Ratio};

/// The variance above which a dimension is active.
const ACTIVE: f64 = 0.01;
/// The part of the loss that is the Kullback–Leibler divergence, for models that have it.
const KL: &str = "kl";
/// The most examples whose loss is measured at a time: a group of the interval.
const BATCH: usize = 32;
/// Groups that tell how much groups differ, where there are enough examples.
const GROUPS: usize = 32;

/// The dimensions of a latent that tell examples apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ActiveUnits {
    /// Those whose posterior mean has a variance above 0.01 over the examples: Burda et al.,
    /// "Importance Weighted Autoencoders" (2016), section 5.2.
    pub active: usize,
    /// All.
    pub latent_size: usize,
}

/// Counts the active dimensions of `latents`, `[examples, latent]`: the posterior means, which a
/// variational model encodes examples to. None is active of fewer than two examples.
///
/// # Errors
/// If the latents are no matrix of floats.
pub fn active_units(latents: &Tensor) -> Result<ActiveUnits> {
    let (examples, latent_size) = latents.dims2()?;
    let mut result = ActiveUnits {
        active: 0,
        latent_size,
    };
    if examples > 1 {
        let variances = latents.to_dtype(DType::F64)?.var(0)?.to_vec1::<f64>()?;
        result.active = variances
            .iter()
            .filter(|variance| **variance > ACTIVE)
            .count();
    }
    Ok(result)
}

/// The Kullback–Leibler divergence of the posterior from the prior, a mean over `examples`, in nats:
/// the part `kl` of the model's loss. `None` if it has no such part, or there are no examples. The
/// interval is over batches of at most 32.
///
/// # Errors
/// If an example cannot be read, or the model cannot represent one.
pub fn divergence<M>(model: &M, examples: &dyn Dataset<M::Input>) -> Result<Option<Estimate>>
where
    M: ?Sized + Objective,
{
    let mut mean = Ratio::default();
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let batch = (indices.len() / GROUPS).clamp(1, BATCH);
    for indices in indices.chunks(batch) {
        let batch = examples.read(indices)?;
        let batch: Vec<&M::Input> = batch.iter().collect();
        let parts = model.loss(&batch, &mut Step::evaluation())?.parts;
        let Some((_, divergence)) = parts.into_iter().find(|(name, _)| name == KL) else {
            return Ok(None);
        };
        let divergence = divergence.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        mean.add(divergence * batch.len() as f64, batch.len() as f64);
    }
    Ok(mean.estimate())
}

#[cfg(test)]
mod tests {
    use atlas_core::Loss;
    use candle_core::Device;

    use super::*;

    #[test]
    fn units_that_vary_are_active() {
        // Sample variances 0.02, 0 and 0.005.
        let latents = [[0.0f32, 3.0, 0.0], [0.2, 3.0, 0.1]];
        let latents = Tensor::new(&latents, &Device::Cpu).unwrap();
        let units = active_units(&latents).unwrap();
        assert_eq!((units.active, units.latent_size), (1, 3));
        let one = active_units(&latents.narrow(0, 0, 1).unwrap()).unwrap();
        assert_eq!(one.active, 0);
    }

    /// Its loss has a part of this name, the mean of the examples.
    struct Mean(&'static str);

    impl Objective for Mean {
        type Input = f32;

        fn loss(&self, batch: &[&f32], step: &mut Step) -> Result<Loss> {
            assert!(!step.is_training());
            let mean = batch.iter().copied().sum::<f32>() / batch.len() as f32;
            let total = Tensor::new(mean, &Device::Cpu)?;
            let parts = vec![(self.0.into(), total.clone())];
            Ok(Loss { total, parts })
        }
    }

    #[test]
    fn the_divergence_is_a_mean_over_examples() {
        let examples: Vec<f32> = (0..70).map(|number| number as f32).collect();
        let found = divergence(&Mean("kl"), &examples).unwrap().unwrap();
        assert!((found.value - 34.5).abs() < 1e-12, "{found:?}");
        assert!(found.low < 34.5 && found.high > 34.5);
        assert_eq!(divergence(&Mean("mmd"), &examples).unwrap(), None);
        let none: Vec<f32> = Vec::new();
        assert_eq!(divergence(&Mean("kl"), &none).unwrap(), None);
    }
}
