//! The variational autoencoder of transformers.

use atlas_core::prelude::*;
use serde_json::{Value, json};

use super::Architecture;
use super::parts::{
    LatentEncoder, LatentParams, Prior, TokenParams, TransformerParams, TransformerReader,
    TransformerWriter, check_vocabulary,
};
use crate::autoencoder;
use crate::chem::Vocabulary;

/// A transformer reads the tokens into a latent vector, a transformer writes them from it.
///
/// The latent is a map of the mean of the last layer that reads (as in Optimus, Li et al. 2020, whose
/// second way of telling it to the writer is used: it is added to every token's embedding).
#[derive(AtlasModel)]
#[atlas(name = "transformer-vae", golden)]
pub struct TransformerVae {
    /// The tokens in the order of their ids, the special ones first. Training takes them from the
    /// data.
    #[param(len = 4..=65_536, check = check_vocabulary)]
    pub vocabulary: Vec<String>,
    /// Tokens after which decoding gives up on a molecule that has not ended.
    #[param(default = 200, min = 1, max = 100_000)]
    pub longest: usize,
    /// How molecules are written as tokens.
    #[param(nested)]
    pub tokens: TokenParams,
    /// The transformer that reads.
    #[param(nested)]
    pub reader: TransformerParams,
    /// The latent between reading and writing.
    #[param(nested)]
    pub latent: LatentParams,
    /// The transformer that writes.
    #[param(nested)]
    pub writer: TransformerParams,
    /// Components of the fitted prior; 0 for the standard normal.
    #[param(default = 0, max = 1000)]
    pub prior_components: usize,

    #[derived(with = tokenizer)]
    tokenizer: Vocabulary,
    #[network(with = encoder)]
    encoder: LatentEncoder<TransformerReader>,
    #[network(with = decoder)]
    decoder: TransformerWriter,
    #[network(with = prior, buffers = ["values"])]
    prior: Prior,
}

autoencoder!(TransformerVae, TransformerVaeParams, TransformerReader => TransformerWriter);

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: TransformerVae::NAME,
    register: |registry| {
        registry.register_with_sizes::<TransformerVae>(|model| Box::new(model), sizes());
    },
    is_default: false,
    built_in_overrides: || size([128, 2, 96]),
};

fn sizes() -> Vec<Value> {
    [[96, 2, 64], [128, 3, 96], [192, 3, 128]]
        .map(size)
        .to_vec()
}

fn size([width, layers, latent]: [usize; 3]) -> Value {
    let transformer = json!({
        "hidden_size": width,
        "layers": layers,
        "feed_forward_size": 4 * width,
    });
    json!({ "reader": transformer, "latent": { "size": latent }, "writer": transformer })
}
