//! The architectures, each in a file of its own, behind one interface.

mod gru_vae;

use atlas_core::{AnyModel, Decoder, Encoder, Objective, Registry, Sampler};
use serde_json::{Value, json};

use crate::chem::Smiles;

pub use gru_vae::{GruVae, GruVaeParams};

/// What every molecule autoencoder is: a model that can be saved, encodes SMILES to latents,
/// decodes latents to SMILES, samples from its prior, and can be trained on SMILES.
///
/// Implemented for every type that is all of these.
pub trait MoleculeAutoencoder:
    AnyModel + Encoder<Input = Smiles> + Decoder<Output = String> + Sampler + Objective<Input = Smiles>
{
}

impl<M> MoleculeAutoencoder for M where
    M: AnyModel
        + Encoder<Input = Smiles>
        + Decoder<Output = String>
        + Sampler
        + Objective<Input = Smiles>
{
}

/// The model that is trained unless another is named.
pub const DEFAULT_MODEL: &str = "gru-vae";

/// The parameter that takes the tokens of the data, for models that have it.
pub const VOCABULARY: &str = "vocabulary";

/// Every architecture of this crate.
pub fn registry() -> Registry<dyn MoleculeAutoencoder> {
    let mut registry = Registry::<dyn MoleculeAutoencoder>::new();
    registry.register::<GruVae>(|model| Box::new(model));
    registry
}

/// Parameters of a model that suit the built-in molecules: smaller than its defaults, so that
/// they are learnt in minutes. Empty for a model whose defaults will do.
pub fn built_in_overrides(model: &str) -> Value {
    match model {
        "gru-vae" => json!({
            "encoder_hidden_size": 256,
            "latent_size": 96,
            "decoder_hidden_size": 320,
            "decoder_layers": 1,
        }),
        _ => json!({}),
    }
}
