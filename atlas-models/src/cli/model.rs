//! Checks that several commands make of a model and its input.

use atlas_core::{Draws, Error, Registry, Result};
use candle_core::Tensor;

use crate::chem::Smiles;
use crate::cli::failure::{self, Failure};
use crate::models::{DEFAULT_MODEL, MoleculeAutoencoder};
use crate::nn::TokenChoice;

/// The model that is trained unless another is named: this crate's own default or, where that is
/// not registered, the only one there is.
pub fn default_model<I: ?Sized + 'static>(models: &Registry<I>) -> Option<&'static str> {
    let mut names = models.models().map(|model| model.name());
    let is_only = names.len() == 1;
    names.find(|name| is_only || *name == DEFAULT_MODEL)
}

/// An error that says why, if the model cannot represent the molecule.
pub fn check_known(model: &dyn MoleculeAutoencoder, smiles: &Smiles) -> Result<()> {
    model.size(smiles).map(|_| ())
}

/// The molecule that an argument spells, which the model can represent.
pub fn known_molecule(model: &dyn MoleculeAutoencoder, text: &str) -> Result<Smiles> {
    let known = Smiles::parse(text).map_err(Error::other);
    known
        .and_then(|smiles| check_known(model, &smiles).map(|()| smiles))
        .map_err(|error| error.within(format_args!("`{text}`")))
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
