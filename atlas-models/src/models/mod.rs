//! The architectures, each in a file of its own, behind one interface.

mod gru_vae;

use atlas_core::{AnyModel, Decoder, Encoder, Objective, Registry, Sampler};
use serde_json::{Value, json};

use crate::chem::Smiles;

pub use gru_vae::{GruVae, GruVaeParams};

/// What every molecule autoencoder is: a model that can be saved, encodes SMILES to latents,
/// decodes latents to SMILES, samples from its prior, can be trained on SMILES, and can be shared
/// among threads.
///
/// Implemented for every type that is all of these.
pub trait MoleculeAutoencoder:
    AnyModel
    + Encoder<Input = Smiles>
    + Decoder<Output = String>
    + Sampler
    + Objective<Input = Smiles>
    + Send
    + Sync
{
}

impl<M> MoleculeAutoencoder for M where
    M: AnyModel
        + Encoder<Input = Smiles>
        + Decoder<Output = String>
        + Sampler
        + Objective<Input = Smiles>
        + Send
        + Sync
{
}

/// An architecture as its file declares it.
struct Architecture {
    name: &'static str,
    register: fn(&mut Registry<dyn MoleculeAutoencoder>),
    /// Whether it is trained unless another is named.
    is_default: bool,
    /// See [`built_in_overrides`].
    built_in_overrides: fn() -> Value,
}

const ARCHITECTURES: &[Architecture] = &[gru_vae::ARCHITECTURE];

/// The model that is trained unless another is named.
pub const DEFAULT_MODEL: &str = {
    let mut index = 0;
    // Without a default this does not compile.
    while !ARCHITECTURES[index].is_default {
        index += 1;
    }
    ARCHITECTURES[index].name
};

/// The parameter that takes the tokens of the data, for models that have it.
pub const VOCABULARY: &str = "vocabulary";

/// The parameter that is the width of a token's embedding, for models that have it; null stands for
/// the number of tokens. A vocabulary that grows keeps the width.
pub const EMBEDDING_SIZE: &str = "embedding_size";

/// The parameter that is the number of tokens after which decoding gives up, for models that have
/// it. Training makes it large enough for the data.
pub const LONGEST: &str = "longest";

/// Every architecture of this crate.
pub fn registry() -> Registry<dyn MoleculeAutoencoder> {
    let mut registry = Registry::new();
    for architecture in ARCHITECTURES {
        (architecture.register)(&mut registry);
    }
    registry
}

/// Parameters of a model that suit the built-in molecules: smaller than its defaults, so that
/// they are learnt in minutes. Empty for a model whose defaults will do.
pub fn built_in_overrides(model: &str) -> Value {
    let mut architectures = ARCHITECTURES.iter();
    let architecture = architectures.find(|architecture| architecture.name == model);
    architecture.map_or(json!({}), |architecture| {
        (architecture.built_in_overrides)()
    })
}
