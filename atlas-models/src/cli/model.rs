//! Checks that several commands make of a model and its input.

use atlas_core::{Draws, Error, Registry, Result};
use candle_core::{DType, Tensor};
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};

use crate::chem::{self, Smiles};
use crate::cli::failure::{self, Failure};
use crate::cli::terminal::output;
use crate::models::{DEFAULT_MODEL, LONGEST, MoleculeAutoencoder};
use crate::nn::TokenChoice;

/// The model that is trained unless another is named: this crate's own default or, where that is
/// not registered, the only one there is.
pub fn default_model<I: ?Sized + 'static>(models: &Registry<I>) -> Option<&'static str> {
    let mut names = models.models().map(|model| model.name());
    let is_only = names.len() == 1;
    names.find(|name| is_only || *name == DEFAULT_MODEL)
}

/// Reads the dtype of a model: one of floats.
pub fn model_dtype() -> impl TypedValueParser<Value = DType> {
    PossibleValuesParser::new(["f16", "bf16", "f32", "f64"]).try_map(|name| name.parse::<DType>())
}

/// The molecule that an argument spells: one that can exist and that the model can represent.
pub fn known_molecule(model: &dyn MoleculeAutoencoder, text: &str) -> Result<Smiles> {
    let known = || {
        let smiles = Smiles::parse(text).map_err(Error::other)?;
        let size = model.size(&smiles)?;
        chem::canonical(text).map_err(Error::other)?;
        Ok((smiles, size))
    };
    let (smiles, size) = known().map_err(|error: Error| error.within(format_args!("`{text}`")))?;
    let longest = model.params_json()[LONGEST].as_u64();
    if let Some(longest) = longest.filter(|longest| size as u64 > *longest) {
        output::say(&format_args!(
            "`{text}` has {size} tokens and can never come back: decoding gives up after \
             {LONGEST} = {longest}"
        ));
    }
    Ok(smiles)
}

/// What stands for an empty string in a line, so that rows stay rows: no reader takes it for a
/// molecule.
pub const EMPTY: &str = "<empty>";

/// A string that a model wrote, as it stands in a line.
pub fn in_line(string: &str) -> &str {
    if string.is_empty() { EMPTY } else { string }
}

/// A density that latents are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PriorChoice {
    /// Independent dimensions of mean 0 and variance 1.
    Standard,
    /// What was fitted to the latents of the training set.
    Fitted,
}

impl PriorChoice {
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Fitted => "fitted",
        }
    }
}

/// Latents drawn from a prior, by default the model's own, as the model takes them.
pub fn latents(
    model: &dyn MoleculeAutoencoder,
    prior: Option<PriorChoice>,
    draws: Draws,
    count: usize,
) -> Result<Tensor> {
    let drawn = match prior {
        Some(PriorChoice::Standard) => draws.normal(count, model.latent_size())?,
        Some(PriorChoice::Fitted) | None => model.prior(draws, count)?,
    };
    for_model(model, &drawn)
}

/// How widely strings are searched for.
#[derive(clap::Args)]
pub struct BeamArgs {
    /// Beginnings of each string that are followed at once (beam search), to find a more probable
    /// string in more time; with 1 each token is the most probable one
    #[arg(long, value_name = "WIDTH", default_value_t = 1,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub beam: usize,
}

/// The strings of latents, guided by the grammar.
///
/// # Errors
/// If the model cannot be guided.
pub fn write_guided(
    model: &dyn MoleculeAutoencoder,
    latents: &Tensor,
    choice: TokenChoice,
) -> failure::Result<Vec<String>> {
    let written = model.write_guided(latents, choice).ok_or_else(|| {
        let name = model.name();
        Failure::new(format_args!(
            "`{name}` cannot be guided: no grammar of its tokens is known"
        ))
    })?;
    Ok(written?)
}

/// Latents as the model takes them: of its dtype, on its device.
pub fn for_model(model: &dyn MoleculeAutoencoder, latents: &Tensor) -> Result<Tensor> {
    Ok(latents.to_dtype(model.dtype())?.to_device(model.device())?)
}
