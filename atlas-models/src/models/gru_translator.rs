//! A recurrent network that translates between spellings of a molecule.

use atlas_core::prelude::*;
use serde_json::{Value, json};

use super::Architecture;
use super::parts::{
    GruReader, GruReaderParams, GruWriter, GruWriterParams, LatentEncoder, LatentKind,
    LatentParams, Prior, TokenParams, check_vocabulary,
};
use crate::autoencoder;
use crate::chem::{Spelling, Vocabulary};

/// A GRU reads any spelling of a molecule into a latent vector, a GRU writes the canonical one from it.
///
/// So the latent cannot hold how the molecule was spelt, only what it is: CDDD (Winter et al.,
/// "Learning continuous and data-driven molecular descriptors by translating equivalent chemical
/// representations", 2019). Each molecule is read in another random spelling whenever training sees
/// it, from both ends. Latents are points, to which training adds noise.
#[derive(AtlasModel)]
#[atlas(name = "gru-translator", golden)]
pub struct GruTranslator {
    /// The tokens in the order of their ids, the special ones first. Training takes them from the
    /// data.
    #[param(len = 4..=65_536, check = check_vocabulary)]
    pub vocabulary: Vec<String>,
    /// Tokens after which decoding gives up on a molecule that has not ended.
    #[param(default = 200, min = 1, max = 100_000)]
    pub longest: usize,
    /// How molecules are written as tokens.
    #[param(nested, default = TokenParams {
        read: Spelling::Random,
        write: Spelling::Canonical,
        ..TokenParams::default()
    })]
    pub tokens: TokenParams,
    /// The GRU that reads.
    #[param(nested, default = GruReaderParams { bidirectional: true, ..GruReaderParams::default() })]
    pub reader: GruReaderParams,
    /// The latent between reading and writing.
    #[param(nested, default = LatentParams {
        kind: LatentKind::Deterministic,
        ..LatentParams::default()
    })]
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
    encoder: LatentEncoder<GruReader>,
    #[network(with = decoder)]
    decoder: GruWriter,
    #[network(with = prior, buffers = ["values"])]
    prior: Prior,
}

autoencoder!(GruTranslator, GruTranslatorParams, GruReader => GruWriter);

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: GruTranslator::NAME,
    register: |registry| {
        registry.register_with_sizes::<GruTranslator>(|model| Box::new(model), sizes());
    },
    is_default: false,
    built_in_overrides: || size([192, 96, 320]),
};

fn sizes() -> Vec<Value> {
    [[96, 64, 192], [192, 96, 320], [192, 128, 512]]
        .map(size)
        .to_vec()
}

fn size([reader, latent, writer]: [usize; 3]) -> Value {
    json!({
        "reader": { "hidden_size": reader, "layers": 1 },
        "latent": { "size": latent },
        "writer": { "hidden_size": writer, "layers": 1 },
    })
}
