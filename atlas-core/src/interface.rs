//! What training and serving see of a model, whatever its architecture.

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::Init;

use crate::error::{Error, Result};
use crate::{init, tensors};

/// A model that turns inputs into latent vectors.
pub trait Encoder {
    /// What is encoded.
    type Input;

    /// The latents of the inputs, `[batch, latent]`. Deterministic: a variational model gives the
    /// mean.
    ///
    /// # Errors
    /// If an input is not one that the model can represent; the message says which, from 0, as
    /// `input 3`.
    fn encode(&self, inputs: &[Self::Input]) -> Result<Tensor>;
}

/// A model that turns latent vectors into outputs.
pub trait Decoder {
    /// What is decoded.
    type Output;

    /// The outputs of the latents `[batch, latent]`, one a row. Deterministic: the most probable
    /// output that the model finds.
    ///
    /// # Errors
    /// If the latents are not of the model's width.
    fn decode(&self, latents: &Tensor) -> Result<Vec<Self::Output>>;
}

/// A model that makes outputs of its own: latents drawn from its prior, outputs drawn given
/// latents.
///
/// What a draw is depends on its seed and number alone, whatever is drawn beside it: draws may be
/// made in batches of any size.
pub trait Sampler: Decoder {
    /// Dimensions of a latent.
    fn latent_size(&self) -> usize;

    /// Latents drawn from the prior, `[count, latent]`, in `f32` on the CPU. Standard normal unless
    /// the model says otherwise.
    ///
    /// # Errors
    /// If there is no memory.
    fn prior(&self, draws: Draws, count: usize) -> Result<Tensor> {
        draws.normal(count, self.latent_size())
    }

    /// One output for each of the latents `[batch, latent]`, drawn by the probability that the
    /// model gives it; its logits are divided by `temperature`. Row `i` is draw `i` of `draws`.
    ///
    /// # Errors
    /// If the latents are not of the model's width, or the temperature is not a finite number above
    /// zero.
    fn sample(&self, latents: &Tensor, draws: Draws, temperature: f64)
    -> Result<Vec<Self::Output>>;
}

/// Random draws, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// What all of them depend on.
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
        let init = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        let row = |index: usize| {
            let mut hasher = blake3::Hasher::new_derive_key("Atlas 1 seed of a draw");
            hasher.update(&self.seed.to_le_bytes());
            hasher.update(&self.first.wrapping_add(index as u64).to_le_bytes());
            let mut seed = [0; 8];
            hasher.finalize_xof().fill(&mut seed);
            let shape = Shape::from((1, width));
            let (seed, device) = (u64::from_le_bytes(seed), &Device::Cpu);
            init::variable(seed, "prior", "normal", &shape, init, DType::F32, device)
        };
        if count == 0 {
            return Ok(Tensor::zeros((0, width), DType::F32, &Device::Cpu)?);
        }
        let rows = (0..count)
            .map(row)
            .collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&rows, 0)?.detach())
    }
}

/// A model that can be trained: examples in, a loss out.
///
/// Training prepares each input once and then sees examples only. The loss of a batch has named
/// parts, whose weights training schedules.
pub trait Objective {
    /// What the model is trained on.
    type Input;
    /// An input as the model reads it: compact, since training keeps all of them.
    type Example;

    /// An input as an example.
    ///
    /// # Errors
    /// If the input is not one that the model can represent; the message says why.
    fn prepare(&self, input: &Self::Input) -> Result<Self::Example>;

    /// How much work an example is, relative to others. Training batches examples of similar
    /// size. 1 unless the model says otherwise.
    fn size(&self, _example: &Self::Example) -> usize {
        1
    }

    /// The parts of the loss that training may weigh, each with its usual weight.
    fn weights(&self) -> &'static [Weight] {
        &[]
    }

    /// The loss of a batch: a scalar to minimise, averaged over the batch's examples.
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn loss(&self, batch: &[&Self::Example], step: &mut Step) -> Result<Loss>;
}

/// A weight of an [`Objective`]'s loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// The part of the loss that it multiplies.
    pub name: &'static str,
    /// Its value unless training is told another.
    pub default: f64,
    /// What the part is, in a line.
    pub doc: &'static str,
}

/// The loss of one batch.
#[derive(Clone, Debug)]
pub struct Loss {
    /// What is minimised: a scalar.
    pub total: Tensor,
    /// The named parts it is made of, each a scalar before its weight is applied.
    pub parts: Vec<(&'static str, Tensor)>,
}

/// What an [`Objective`] is told of the training step: whether it is one, the weights in force,
/// and random numbers that depend on nothing but the step's seed.
#[derive(Clone, Debug)]
pub struct Step {
    seed: u64,
    drawn: u64,
    training: bool,
    weights: Vec<(String, f64)>,
}

impl Step {
    /// A step of training: dropout and sampling are on.
    pub fn training(seed: u64) -> Self {
        Self {
            seed,
            drawn: 0,
            training: true,
            weights: Vec::new(),
        }
    }

    /// A step of evaluation: dropout and sampling are off.
    pub fn evaluation() -> Self {
        Self {
            seed: 0,
            drawn: 0,
            training: false,
            weights: Vec::new(),
        }
    }

    /// The same step with a weight of the loss set.
    #[must_use]
    pub fn with_weight(mut self, name: impl Into<String>, weight: f64) -> Self {
        self.weights.push((name.into(), weight));
        self
    }

    /// Whether dropout and sampling are on.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// The weight of a part of the loss: what was set last, or the weight's own default.
    pub fn weight(&self, weight: &Weight) -> f64 {
        let set = self
            .weights
            .iter()
            .rev()
            .find(|(name, _)| name == weight.name);
        set.map_or(weight.default, |(_, value)| *value)
    }

    /// A new seed for a generator of the model's own; another one at each call.
    pub fn next_seed(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = blake3::Hasher::new_derive_key("Atlas 1 seed within a step");
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(&self.drawn.to_le_bytes());
        let mut seed = [0; 8];
        hasher.finalize_xof().fill(&mut seed);
        u64::from_le_bytes(seed)
    }

    /// Standard normal noise; other values at each call.
    ///
    /// # Errors
    /// If there is no memory, or the dtype is not a float's.
    pub fn normal(
        &mut self,
        shape: impl Into<Shape>,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let shape = shape.into();
        let init = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        if !dtype.is_float() {
            return Err(Error::new(format_args!(
                "normal noise has no dtype {}",
                tensors::name(dtype)
            )));
        }
        let noise = init::variable(
            self.next_seed(),
            "step",
            "normal",
            &shape,
            init,
            dtype,
            device,
        )?;
        Ok(noise.detach())
    }
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
}
