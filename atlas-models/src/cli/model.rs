//! Checks that several commands make of a model and its input.

use atlas_core::{Registry, Result};
use candle_core::Tensor;

use crate::chem::Smiles;
use crate::models::{DEFAULT_MODEL, MoleculeAutoencoder};

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

/// What stands for an empty string in a line, so that rows stay rows: no reader takes it for a
/// molecule.
pub const EMPTY: &str = "<empty>";

/// A string that a model wrote, as it stands in a line.
pub fn in_line(string: &str) -> &str {
    if string.is_empty() { EMPTY } else { string }
}

/// Latents as the model takes them: of its dtype, on its device.
pub fn for_model(model: &dyn MoleculeAutoencoder, latents: &Tensor) -> Result<Tensor> {
    Ok(latents.to_dtype(model.dtype())?.to_device(model.device())?)
}
