//! The variational autoencoder whose encoder is a convolution.

use atlas_core::prelude::*;
use serde_json::{Value, json};

use super::Architecture;
use super::parts::{
    ConvolutionReader, ConvolutionReaderParams, GruWriter, GruWriterParams, LatentEncoder,
    LatentParams, Prior, TokenParams, check_vocabulary,
};
use crate::autoencoder;
use crate::chem::Vocabulary;

/// A convolution reads the tokens into a latent vector, a GRU writes them from it.
///
/// The shape of chemical_vae (Gómez-Bombarelli et al. 2018) on ZINC: three layers of 9, 9 and 10
/// filters and one of 436 units read at most 120 tokens. It cannot read longer molecules.
#[derive(AtlasModel)]
#[atlas(name = "conv-vae", golden)]
pub struct ConvVae {
    /// The tokens in the order of their ids, the special ones first. Training takes them from the
    /// data.
    #[param(len = 4..=65_536, check = check_vocabulary)]
    pub vocabulary: Vec<String>,
    /// Tokens of the longest molecule that is read, and after which decoding gives up on one that has
    /// not ended.
    #[param(default = 120, min = 1, max = 100_000)]
    pub longest: usize,
    /// How molecules are written as tokens.
    #[param(nested)]
    pub tokens: TokenParams,
    /// The convolution that reads.
    #[param(nested)]
    pub reader: ConvolutionReaderParams,
    /// The latent between reading and writing.
    #[param(nested)]
    pub latent: LatentParams,
    /// The GRU that writes.
    #[param(nested)]
    pub writer: GruWriterParams,
    /// Components of the fitted prior; 0 for the standard normal.
    #[param(default = 0, max = 1000)]
    pub prior_components: usize,

    #[derived(with = tokenizer)]
    tokenizer: Vocabulary,
    #[network(with = encoder)]
    encoder: LatentEncoder<ConvolutionReader>,
    #[network(with = decoder)]
    decoder: GruWriter,
    #[network(with = prior, buffers = ["values"])]
    prior: Prior,
}

autoencoder!(ConvVae, ConvVaeParams, ConvolutionReader => GruWriter);

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: ConvVae::NAME,
    register: |registry| {
        registry.register_with_sizes::<ConvVae>(|model| Box::new(model), sizes());
    },
    is_default: false,
    built_in_overrides: || size([435, 96, 320]),
};

fn sizes() -> Vec<Value> {
    [[128, 64, 192], [256, 96, 320], [435, 128, 512]]
        .map(size)
        .to_vec()
}

fn size([reader, latent, writer]: [usize; 3]) -> Value {
    json!({
        "reader": { "hidden_size": reader },
        "latent": { "size": latent },
        "writer": { "hidden_size": writer, "layers": 1 },
    })
}
