//! Whether molecules survive encoding and decoding.

use atlas_core::train::Dataset;
use atlas_core::{Encoder, Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::estimate::{Estimate, Ratio};
use crate::chem::{self, Lexer, Smiles};
use crate::models::MoleculeSampler;

/// Molecules that are encoded and decoded at a time.
const BATCH: usize = 256;

/// What became of molecules that were encoded, and decoded from the mean of their latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reconstruction {
    /// Molecules that were tried.
    pub molecules: usize,
    /// Those that came back as the string that the model is to write: the same string, unless it
    /// writes another spelling.
    pub exact: usize,
    /// Those that came back as the same molecule: the canonical forms are equal.
    pub canonical: usize,
    /// Those that came back as a valid molecule, the same or another.
    pub valid: usize,
    /// SMILES tokens of the strings that the model is to write.
    pub tokens: usize,
    /// Those of them that came back in their place.
    pub tokens_right: usize,
    /// The same by molecules, for an interval.
    #[serde(default)]
    tokens_of_molecules: Ratio,
    /// Of those that came back as another valid molecule, how alike the two are.
    #[serde(default)]
    failures: Ratio,
}

impl Reconstruction {
    /// The share of molecules that came back as the string that the model is to write.
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

    /// The mean [similarity](chem::similarity) of the molecules that came back as another valid
    /// molecule, and of what they came back as; `None` if there are none.
    pub fn failure_similarity(&self) -> Option<Estimate> {
        let mean = self.failures.estimate()?;
        Some(mean.within(0.0, 1.0))
    }

    /// [`token_share`](Self::token_share) with an interval that knows that the tokens of a molecule
    /// are not independent.
    pub fn token_estimate(&self) -> Option<Estimate> {
        let share = self.tokens_of_molecules.estimate()?;
        Some(share.within(0.0, 1.0))
    }

    fn add(&mut self, molecule: &Reconstructed<'_>) {
        self.molecules += 1;
        self.exact += usize::from(molecule.is_exact());
        self.valid += usize::from(molecule.valid);
        self.canonical += usize::from(molecule.same);
        if let (false, Some(similarity)) = (molecule.same, molecule.similarity) {
            self.failures.add(similarity, 1.0);
        }
        let tokens_of = |text| Lexer::new(text).map_while(|token| token.ok());
        let mut decoded = tokens_of(molecule.decoded);
        let (mut tokens, mut right) = (0, 0);
        for token in tokens_of(&molecule.target) {
            tokens += 1;
            right += usize::from(
                decoded
                    .next()
                    .is_some_and(|decoded| decoded.text == token.text),
            );
        }
        self.tokens += tokens;
        self.tokens_right += right;
        self.tokens_of_molecules.add(right as f64, tokens as f64);
    }
}

/// What became of one molecule.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconstructed<'a> {
    /// The molecule that was encoded.
    pub original: &'a Smiles,
    /// What its latent is to be decoded to.
    pub target: String,
    /// What its latent was decoded to.
    pub decoded: &'a str,
    /// Whether that is a valid molecule.
    pub valid: bool,
    /// Whether it is the same molecule, in whatever spelling.
    pub same: bool,
    /// [`chem::similarity`] of what came back; `None` if either is no valid molecule.
    pub similarity: Option<f64>,
}

impl<'a> Reconstructed<'a> {
    fn new(original: &'a Smiles, target: String, decoded: &'a str) -> Self {
        let valid = chem::is_valid(decoded);
        let same = chem::is_same(original.as_str(), decoded);
        let similarity = match (valid, same) {
            (true, true) => Some(1.0),
            (true, false) => chem::similarity(original.as_str(), decoded).ok(),
            (false, _) => None,
        };
        Self {
            original,
            target,
            decoded,
            valid,
            same,
            similarity,
        }
    }

    /// Whether it came back as the string that the model is to write.
    pub fn is_exact(&self) -> bool {
        self.target == self.decoded
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Encodes `molecules` and decodes them, by a
/// [beam search](crate::models::MoleculeSampler::decode_by_beam) that is `beam` wide; `each` is told of
/// every molecule, in their order, and its error ends the work.
///
/// # Errors
/// If a molecule cannot be read, the model cannot represent it, the model has no beam search, or it
/// gives another number of strings than it was given.
pub fn reconstruction<M>(
    model: &M,
    molecules: &dyn Dataset<Smiles>,
    beam: usize,
    each: &mut dyn FnMut(&Reconstructed<'_>) -> Result<()>,
) -> Result<Reconstruction>
where
    M: ?Sized + Encoder<Input = Smiles> + MoleculeSampler + Sync,
{
    let mut result = Reconstruction::default();
    for begin in (0..molecules.len()).step_by(BATCH) {
        let end = molecules.len().min(begin + BATCH);
        let indices: Vec<u32> = (begin as u32..end as u32).collect();
        let batch = molecules.read(&indices)?;
        let decoded = model.decode_by_beam(&model.encode(&batch)?, beam)?;
        if decoded.len() != batch.len() {
            return Err(Error::new(format_args!(
                "the model decoded {} molecules to {} strings",
                batch.len(),
                decoded.len()
            )));
        }
        let pairs: Vec<_> = batch.iter().zip(&decoded).collect();
        let judged = pairs.into_par_iter().map(|(original, decoded)| {
            let target = model.target(original)?;
            Ok(Reconstructed::new(original, target, decoded))
        });
        let judged: Result<Vec<_>> = judged.collect();
        for molecule in &judged? {
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
            let target = original.to_string();
            let original = Smiles::parse(original).unwrap();
            result.add(&Reconstructed::new(&original, target, decoded));
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
    fn only_other_valid_molecules_are_failures_that_are_compared() {
        let result = of(&[
            ("OCC", "CCO"),
            ("CCO", "CC("),
            ("CCO", "CCN"),
            ("CCO", "CCCO"),
        ]);
        let similarities =
            [("CCO", "CCN"), ("CCO", "CCCO")].map(|(a, b)| chem::similarity(a, b).unwrap());
        let mean = result.failure_similarity().unwrap();
        assert_eq!(mean.value, (similarities[0] + similarities[1]) / 2.0);
        assert!(mean.low < mean.value && mean.value < mean.high && mean.high <= 1.0);
        assert_eq!(of(&[("OCC", "CCO")]).failure_similarity(), None);
    }

    #[test]
    fn the_interval_of_tokens_is_over_molecules() {
        let share = of(&[("CCO", "CCO"), ("CCO", "CCN"), ("CCCl", "CC"), ("C", "")]);
        let estimate = share.token_estimate().unwrap();
        assert_eq!(estimate.value, share.token_share());
        // 3, 2 and 2 of 3 tokens, and 0 of 1, are 0.9, -0.1, -0.1 and -0.7 from 0.7 of their tokens.
        let deviation = (1.32f64 * 4.0 / 3.0).sqrt() / 10.0;
        assert!(
            (estimate.high - 0.7 - 1.959_964 * deviation).abs() < 1e-6,
            "{estimate:?}"
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
