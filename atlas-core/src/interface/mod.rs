//! The traits by which code uses a model without its type: `Objective` to train it, `Predictor`,
//! `Encoder`, `Decoder` and `Sampler` to serve it.

mod objective;

use candle_core::Tensor;

pub use objective::{Loss, LossWeight, Objective, Step};

use crate::error::Result;
use crate::random::Draws;

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

/// A model that turns inputs into predictions: a classifier, a property of a molecule, the next
/// token.
pub trait Predictor {
    /// What is predicted from.
    type Input;
    /// What is predicted.
    type Output;

    /// The predictions, one for each input. Deterministic.
    ///
    /// # Errors
    /// If an input is not one that the model can represent; the message says which, from 0, as
    /// `input 3`.
    fn predict(&self, inputs: &[Self::Input]) -> Result<Vec<Self::Output>>;
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
