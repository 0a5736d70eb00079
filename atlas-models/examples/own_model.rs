//! `atlas` with a model of one's own beside those that it ships: every command knows it.
//!
//! ```sh
//! cargo run --release --example own_model -- models
//! cargo run --release --example own_model -- train --model token-bag --out runs/token-bag
//! cargo run --release --example own_model -- encode runs/token-bag -i molecules.smi -o z.npy
//! ```

use std::borrow::Cow;
use std::process::ExitCode;

use atlas_core::prelude::*;
use atlas_models::chem::{Notation, Smiles, Tokens, Vocabulary};
use atlas_models::models::MoleculeSampler;
use atlas_models::{cli, models};
use candle_core::{DType, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};

fn main() -> ExitCode {
    let mut registry = models::registry();
    registry.register::<TokenBag>(|model| Box::new(model));
    cli::main(registry)
}

/// How often each token occurs in a molecule, through one linear layer each way.
///
/// The order of the tokens is lost: a molecule comes back with its tokens in the order of the
/// vocabulary.
#[derive(AtlasModel)]
#[atlas(name = "token-bag", golden)]
struct TokenBag {
    /// The tokens, special ones first. Training takes them from the data.
    #[param(len = 4..)]
    vocabulary: Vec<String>,
    /// Dimensions of the latent.
    #[param(default = 16, min = 1)]
    latent_size: usize,

    #[derived(with = tokenizer)]
    tokenizer: Vocabulary,
    #[network(with = encoder)]
    encoder: Linear,
    #[network(with = decoder)]
    decoder: Linear,
}

fn tokenizer(params: &TokenBagParams) -> Result<Vocabulary> {
    Vocabulary::from_tokens(Notation::Atoms, params.vocabulary.clone()).map_err(Error::other)
}

fn encoder(params: &TokenBagParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.vocabulary.len(), params.latent_size, vb)
}

fn decoder(params: &TokenBagParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.latent_size, params.vocabulary.len(), vb)
}

/// A token is repeated at most so often.
const LONGEST_RUN: f64 = 50.0;

impl TokenBag {
    fn tokens(&self, smiles: &Smiles) -> Result<Tokens> {
        self.tokenizer.encode(smiles).map_err(Error::other)
    }

    /// How often each token occurs, `[batch, vocabulary]`.
    fn counts(&self, batch: &[Tokens]) -> Result<Tensor> {
        let width = self.vocabulary.len();
        let mut counts = vec![0f32; batch.len() * width];
        for (row, tokens) in counts.chunks_mut(width).zip(batch) {
            tokens.iter().for_each(|id| row[usize::from(*id)] += 1.0);
        }
        let weight = self.encoder.weight();
        let counts = Tensor::from_vec(counts, (batch.len(), width), weight.device())?;
        Ok(counts.to_dtype(weight.dtype())?)
    }

    /// The strings of counts `[batch, vocabulary]`.
    fn strings(&self, counts: &Tensor) -> Result<Vec<String>> {
        let counts = counts.round()?.clamp(0.0, LONGEST_RUN)?;
        let rows = counts.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        let string = |row: &Vec<f32>| {
            // The special tokens are part of no string.
            let counted = self.vocabulary.iter().zip(row).skip(3);
            counted
                .map(|(token, count)| token.repeat(*count as usize))
                .collect()
        };
        Ok(rows.iter().map(string).collect())
    }
}

impl Encoder for TokenBag {
    type Input = Smiles;

    fn encode(&self, inputs: &[Smiles]) -> Result<Tensor> {
        let inputs = inputs.iter().enumerate().map(|(index, smiles)| {
            self.tokens(smiles)
                .map_err(|error| error.within(format_args!("input {index}")))
        });
        let tokens = inputs.collect::<Result<Vec<_>>>()?;
        let counts = self.counts(&tokens)?;
        Ok(self.encoder.forward(&counts)?)
    }
}

impl Decoder for TokenBag {
    type Output = String;

    fn decode(&self, latents: &Tensor) -> Result<Vec<String>> {
        self.strings(&self.decoder.forward(latents)?)
    }
}

impl Sampler for TokenBag {
    fn latent_size(&self) -> usize {
        self.latent_size
    }

    fn sample(&self, latents: &Tensor, draws: Draws, temperature: f64) -> Result<Vec<String>> {
        let counts = self.decoder.forward(latents)?;
        let (batch, width) = counts.dims2()?;
        let noise = draws.normal(batch, width)?;
        let noise = noise.to_dtype(counts.dtype())?.to_device(counts.device())?;
        self.strings(&(counts + (noise * (0.5 * temperature))?)?)
    }
}

impl MoleculeSampler for TokenBag {}

impl Objective for TokenBag {
    type Input = Smiles;

    fn size(&self, input: &Smiles) -> Result<usize> {
        Ok(self.tokens(input)?.len())
    }

    fn weights(&self) -> Vec<LossWeight> {
        vec![SIZE]
    }

    fn loss(&self, batch: &[&Smiles], step: &mut Step) -> Result<Loss> {
        let tokens = batch.iter().map(|smiles| self.tokens(smiles));
        let counts = self.counts(&tokens.collect::<Result<Vec<_>>>()?)?;
        let latents = self.encoder.forward(&counts)?;
        let error = (self.decoder.forward(&latents)? - counts)?.sqr()?;
        let error = (error.sum_all()? / batch.len() as f64)?;
        let size = latents.sqr()?.mean_all()?;
        Ok(Loss {
            total: (&error + (&size * step.weight(&SIZE))?)?,
            parts: vec![("error".into(), error), ("size".into(), size)],
        })
    }
}

/// Keeps the latents where the prior draws them.
const SIZE: LossWeight = LossWeight {
    name: Cow::Borrowed("size"),
    default: 0.01,
    doc: Cow::Borrowed("the latents' mean square"),
};

impl Golden for TokenBag {
    fn golden_inputs(&self) -> Result<GoldenInputs> {
        // Every token that is a molecule by itself.
        let tokens = self.vocabulary.iter();
        Ok(GoldenInputs::texts(
            tokens.filter(|token| Smiles::parse(token).is_ok()),
        ))
    }

    fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        let smiles = inputs.as_texts().iter();
        let smiles = smiles.map(|text| Smiles::parse(text).map_err(Error::other));
        let latents = self.encode(&smiles.collect::<Result<Vec<_>>>()?)?;
        let counts = self.decoder.forward(&latents)?;
        Ok(vec![
            ("latents".to_owned(), latents),
            ("counts".to_owned(), counts),
        ])
    }
}
