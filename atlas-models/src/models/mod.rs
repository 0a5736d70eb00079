//! The architectures, each in a file of its own, behind one interface; and the [parts] that they are
//! made of.

mod autoencoder;
mod conv_vae;
mod fit_prior;
mod graph_vae;
mod gru_translator;
mod gru_vae;
mod mixture;
pub mod parts;
mod transformer_vae;

use atlas_core::{
    AnyModel, AtlasModel, Decoder, Encoder, Error, Model, Objective, Registry, Result, Sampler,
};
use candle_core::Tensor;
use serde_json::{Value, json};

use crate::chem::Smiles;
use crate::nn::TokenChoice;

#[doc(hidden)]
pub use autoencoder::Autoencoder;
pub use conv_vae::{ConvVae, ConvVaeParams};
pub use fit_prior::{add_standard_prior, fit_prior, latents_of};
pub use graph_vae::{GraphVae, GraphVaeParams};
pub use gru_translator::{GruTranslator, GruTranslatorParams};
pub use gru_vae::{GruVae, GruVaeParams};
pub use mixture::{COMPONENTS, Candidate, Fit, Mixture};
pub use transformer_vae::{TransformerVae, TransformerVaeParams};

/// What a sampler of molecules can do beyond [`Sampler`]. A model that can none of it implements the
/// trait without its methods.
pub trait MoleculeSampler: Sampler<Output = String> {
    /// The string that the latent of a molecule is to be decoded to: the molecule as it is given,
    /// unless the model writes another spelling of it.
    ///
    /// # Errors
    /// If the model cannot represent the molecule.
    fn target(&self, molecule: &Smiles) -> Result<String> {
        Ok(molecule.as_str().to_owned())
    }

    /// Whether [`prior`](Sampler::prior) draws from a density that was fitted to latents.
    fn has_fitted_prior(&self) -> bool {
        false
    }

    /// The most probable strings of latents `[batch, latent]`, by a beam search that follows `width`
    /// beginnings of each at once; with a width of 1 those of [`decode`](Decoder::decode).
    ///
    /// # Errors
    /// If the width is zero, or above 1 and the model has no beam search; those of `decode`.
    fn decode_by_beam(&self, latents: &Tensor, width: usize) -> Result<Vec<String>> {
        if width == 1 {
            return self.decode(latents);
        }
        Err(Error::new("the model has no beam search"))
    }

    /// The strings of latents `[batch, latent]`, guided by the grammar of molecules: no token is
    /// written after which no molecule can follow. `None` if the model cannot be guided.
    fn write_guided(&self, _: &Tensor, _: TokenChoice) -> Option<Result<Vec<String>>> {
        None
    }
}

impl<T: AtlasModel + MoleculeSampler> MoleculeSampler for Model<T> {
    fn target(&self, molecule: &Smiles) -> Result<String> {
        (**self).target(molecule)
    }

    fn has_fitted_prior(&self) -> bool {
        (**self).has_fitted_prior()
    }

    fn decode_by_beam(&self, latents: &Tensor, width: usize) -> Result<Vec<String>> {
        (**self).decode_by_beam(latents, width)
    }

    fn write_guided(&self, latents: &Tensor, choice: TokenChoice) -> Option<Result<Vec<String>>> {
        (**self).write_guided(latents, choice)
    }
}

/// What every molecule autoencoder is: a model that can be saved, encodes SMILES to latents,
/// decodes latents to SMILES, samples from its prior, can be trained on SMILES, and can be shared
/// among threads.
///
/// Implemented for every type that is all of these.
pub trait MoleculeAutoencoder:
    AnyModel
    + Encoder<Input = Smiles>
    + Decoder<Output = String>
    + MoleculeSampler
    + Objective<Input = Smiles>
    + Send
    + Sync
{
}

impl<M> MoleculeAutoencoder for M where
    M: AnyModel
        + Encoder<Input = Smiles>
        + Decoder<Output = String>
        + MoleculeSampler
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

const ARCHITECTURES: &[Architecture] = &[
    gru_vae::ARCHITECTURE,
    gru_translator::ARCHITECTURE,
    conv_vae::ARCHITECTURE,
    transformer_vae::ARCHITECTURE,
    graph_vae::ARCHITECTURE,
];

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

/// The group of parameters that says how molecules become tokens ([`parts::TokenParams`]), for models
/// that have it.
pub const TOKENS: &str = "tokens";

/// The parameter that is the number of components of the fitted prior, and the network that holds
/// them, for models whose prior can be fitted.
pub const PRIOR: (&str, &str) = ("prior_components", "prior");

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
