//! The variational autoencoder that reads graphs.

use atlas_core::prelude::*;
use serde_json::{Value, json};

use super::Architecture;
use super::parts::{
    GraphReader, GraphReaderParams, GruWriter, GruWriterParams, LatentEncoder, LatentParams, Prior,
    TokenParams, check_vocabulary,
};
use crate::autoencoder;
use crate::chem::{Spelling, Vocabulary};

/// A message-passing network reads a molecule's atoms and bonds into a latent vector, a GRU writes its
/// canonical spelling.
///
/// So the latent does not depend on how the molecule is spelt. What reads is the network of Yang et al.
/// (2019), what writes that of MOSES.
#[derive(AtlasModel)]
#[atlas(name = "graph-vae", golden)]
pub struct GraphVae {
    /// The tokens in the order of their ids, the special ones first. Training takes them from the
    /// data.
    #[param(len = 4..=65_536, check = check_vocabulary)]
    pub vocabulary: Vec<String>,
    /// Tokens after which decoding gives up on a molecule that has not ended.
    #[param(default = 200, min = 1, max = 100_000)]
    pub longest: usize,
    /// How molecules are written as tokens.
    #[param(nested, default = TokenParams { write: Spelling::Canonical, ..TokenParams::default() })]
    pub tokens: TokenParams,
    /// The network that reads.
    #[param(nested)]
    pub reader: GraphReaderParams,
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
    encoder: LatentEncoder<GraphReader>,
    #[network(with = decoder)]
    decoder: GruWriter,
    #[network(with = prior, buffers = ["values"])]
    prior: Prior,
}

autoencoder!(GraphVae, GraphVaeParams, GraphReader => GruWriter);

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: GraphVae::NAME,
    register: |registry| {
        registry.register_with_sizes::<GraphVae>(|model| Box::new(model), sizes());
    },
    is_default: false,
    built_in_overrides: || size([192, 96, 320]),
};

fn sizes() -> Vec<Value> {
    [[128, 64, 192], [192, 96, 320], [256, 128, 512]]
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
