//! Whether molecules survive encoding and decoding.

use atlas_core::train::Dataset;
use atlas_core::{Decoder, Encoder, Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::chem::{self, Lexer, Smiles};

/// Molecules that are encoded and decoded at a time.
const BATCH: usize = 256;

/// What became of molecules that were encoded, and decoded from the mean of their latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconstruction {
    /// Molecules that were tried.
    pub molecules: usize,
    /// Those that came back as the same string.
    pub exact: usize,
    /// Those that came back as the same molecule: the canonical forms are equal.
    pub canonical: usize,
    /// Those that came back as a valid molecule, the same or another.
    pub valid: usize,
    /// Tokens of the molecules that were tried.
    pub tokens: usize,
    /// Those of them that came back in their place.
    pub tokens_right: usize,
}

impl Reconstruction {
    /// The share of molecules that came back as the same string.
    pub fn exact_share(&self) -> f64 {
        share(self.exact, self.molecules)
    }

    /// The share of molecules that came back as the same molecule.
    pub fn canonical_share(&self) -> f64 {
        share(self.canonical, self.molecules)
    }

    /// The share of molecules that came back as a valid molecule.
    pub fn valid_share(&self) -> f64 {
        share(self.valid, self.molecules)
    }

    /// The share of tokens that came back in their place.
    pub fn token_share(&self) -> f64 {
        share(self.tokens_right, self.tokens)
    }

    fn add(&mut self, molecule: &Reconstructed<'_>) {
        let Reconstructed {
            original, decoded, ..
        } = molecule;
        self.molecules += 1;
        self.exact += usize::from(molecule.is_exact());
        self.valid += usize::from(molecule.valid);
        self.canonical += usize::from(molecule.same);
        let mut tokens = Lexer::new(decoded).map_while(|token| token.ok());
        for token in original.tokens() {
            self.tokens += 1;
            self.tokens_right +=
                usize::from(tokens.next().is_some_and(|decoded| decoded.text == token));
        }
    }
}

/// What became of one molecule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconstructed<'a> {
    /// The molecule that was encoded.
    pub original: &'a Smiles,
    /// What its latent was decoded to.
    pub decoded: &'a str,
    /// Whether that is a valid molecule.
    pub valid: bool,
    /// Whether it is the same molecule, in whatever spelling.
    pub same: bool,
}

impl<'a> Reconstructed<'a> {
    fn new(original: &'a Smiles, decoded: &'a str) -> Self {
        Self {
            original,
            decoded,
            valid: chem::is_valid(decoded),
            same: chem::is_same(original.as_str(), decoded),
        }
    }

    /// Whether it came back as the same string.
    pub fn is_exact(&self) -> bool {
        self.original.as_str() == self.decoded
    }

    /// [`chem::similarity`] of what came back; `None` if either is no valid molecule.
    pub fn similarity(&self) -> Option<f64> {
        chem::similarity(self.original.as_str(), self.decoded).ok()
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Encodes and decodes `molecules`; `each` is told of every one, in their order, and its error ends
/// the work.
///
/// # Errors
/// If a molecule cannot be read, the model cannot represent it, or the model gives another number
/// of strings than it was given.
pub fn reconstruction<M>(
    model: &M,
    molecules: &dyn Dataset<Smiles>,
    each: &mut dyn FnMut(&Reconstructed<'_>) -> Result<()>,
) -> Result<Reconstruction>
where
    M: ?Sized + Encoder<Input = Smiles> + Decoder<Output = String>,
{
    let mut result = Reconstruction::default();
    for begin in (0..molecules.len()).step_by(BATCH) {
        let end = molecules.len().min(begin + BATCH);
        let indices: Vec<u32> = (begin as u32..end as u32).collect();
        let batch = molecules.read(&indices)?;
        let decoded = model.decode(&model.encode(&batch)?)?;
        if decoded.len() != batch.len() {
            return Err(Error::new(format_args!(
                "the model decoded {} molecules to {} strings",
                batch.len(),
                decoded.len()
            )));
        }
        let pairs: Vec<_> = batch.iter().zip(&decoded).collect();
        let judged: Vec<_> = pairs
            .into_par_iter()
            .map(|(original, decoded)| Reconstructed::new(original, decoded))
            .collect();
        for molecule in &judged {
            result.add(molecule);
            each(molecule)?;
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Reconstruction {
        let mut result = Reconstruction::default();
        for (original, decoded) in pairs {
            let original = Smiles::parse(original).unwrap();
            result.add(&Reconstructed::new(&original, decoded));
        }
        result
    }

    #[test]
    fn another_spelling_of_the_molecule_is_canonical_but_not_exact() {
        let result = of(&[("OCC", "CCO")]);
        assert_eq!((result.exact, result.canonical, result.valid), (0, 1, 1));
        assert_eq!((result.tokens, result.tokens_right), (3, 1));
    }

    #[test]
    fn an_invalid_string_is_neither_valid_nor_canonical() {
        let result = of(&[("CCO", "CC(")]);
        assert_eq!(
            (
                result.exact,
                result.canonical,
                result.valid,
                result.tokens_right
            ),
            (0, 0, 0, 2)
        );
    }

    #[test]
    fn shares_are_of_molecules_and_tokens() {
        let result = of(&[("CCO", "CCO"), ("CCO", "CCN"), ("CCCl", "CC"), ("C", "")]);
        assert_eq!((result.exact_share(), result.valid_share()), (0.25, 0.75));
        assert_eq!(
            (result.tokens_right, result.tokens, result.token_share()),
            (7, 10, 0.7)
        );
        assert_eq!(of(&[]).exact_share(), 0.0);
    }
}
