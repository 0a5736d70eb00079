//! Implements the interfaces for `Model<T>` by those of `T`.

use candle_core::Tensor;

use super::{AtlasModel, Model};
use crate::error::Result;
use crate::interface::{Decoder, Encoder, Loss, LossWeight, Objective, Predictor, Sampler, Step};
use crate::random::Draws;

impl<T: AtlasModel + Encoder> Encoder for Model<T> {
    type Input = T::Input;

    fn encode(&self, inputs: &[Self::Input]) -> Result<Tensor> {
        (**self).encode(inputs)
    }
}

impl<T: AtlasModel + Decoder> Decoder for Model<T> {
    type Output = T::Output;

    fn decode(&self, latents: &Tensor) -> Result<Vec<Self::Output>> {
        (**self).decode(latents)
    }
}

impl<T: AtlasModel + Predictor> Predictor for Model<T> {
    type Input = T::Input;
    type Output = T::Output;

    fn predict(&self, inputs: &[Self::Input]) -> Result<Vec<Self::Output>> {
        (**self).predict(inputs)
    }
}

impl<T: AtlasModel + Sampler> Sampler for Model<T> {
    fn latent_size(&self) -> usize {
        (**self).latent_size()
    }

    fn prior(&self, draws: Draws, count: usize) -> Result<Tensor> {
        (**self).prior(draws, count)
    }

    fn sample(
        &self,
        latents: &Tensor,
        draws: Draws,
        temperature: f64,
    ) -> Result<Vec<Self::Output>> {
        (**self).sample(latents, draws, temperature)
    }
}

impl<T: AtlasModel + Objective> Objective for Model<T> {
    type Input = T::Input;

    fn size(&self, input: &Self::Input) -> Result<usize> {
        (**self).size(input)
    }

    fn weights(&self) -> Vec<LossWeight> {
        (**self).weights()
    }

    fn loss(&self, batch: &[&Self::Input], step: &mut Step) -> Result<Loss> {
        (**self).loss(batch, step)
    }
}
