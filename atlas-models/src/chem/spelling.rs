//! One molecule, spelt in different ways.
//!
//! Random spellings follow E. J. Bjerrum, "SMILES Enumeration as Data
//! Augmentation for Neural Network Modeling of Molecules" (2017): a random first
//! atom, and random turns at every branch. They are RDKit's
//! (`MolToSmiles(doRandom=True)`), which `chematic-smiles` follows in Rust: any
//! atom can come first, aromatic systems are perceived, and stereochemistry stays.
//!
//! # Measured
//!
//! One random spelling of each of the 24,445 molecules of ZINC, 4,655 of MUV and
//! 3,301 of QM9: none is refused, all are the same molecule by RDKit, and none has
//! a token that [`Spelling::tokens`] does not say. Of twenty spellings, 19.8 are
//! distinct for ZINC and MUV, 18.0 for QM9. Drawing one spelling of each molecule
//! misses some of the tokens that others have (ring numbers `7` and `8` of ZINC,
//! `6` of MUV), which is why the tokens are said and not drawn.
//!
//! A random spelling takes 0.5 ms for a molecule of ZINC and 0.1 ms for one of QM9
//! in the dev profile, a canonical one 0.7 and 0.1 ms. `chematic-smiles` draws
//! behind a lock, so that threads share the time of writing, though not that of
//! reading and perceiving the molecule.

use std::collections::BTreeSet;

use atlas_core::Choice;
use chematic_smiles::rdkit_random_smiles;

use super::error::{Error, Result};
use super::lexer::{Lexer, TokenKind};
use super::smiles::Smiles;
use super::validity::{canonical, graph, into_error};

/// Which of the strings that describe a molecule is taken.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// The one that is given.
    AsGiven,
    /// The one that RDKit writes.
    Canonical,
    /// One drawn at random.
    Random,
}

impl Spelling {
    /// A spelling of the molecule that `smiles` describes. The same seed draws the
    /// same one; the others draw none.
    ///
    /// ```
    /// use atlas_models::chem::{Smiles, Spelling, canonical};
    ///
    /// let toluene = Smiles::parse("Cc1ccccc1")?;
    /// let spelt = Spelling::Random.spell(&toluene, 1)?;
    /// assert_eq!(canonical(spelt.as_str())?, "Cc1ccccc1");
    /// assert_eq!(Spelling::Random.spell(&toluene, 1)?, spelt);
    /// # Ok::<(), atlas_models::chem::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If another spelling than the given one is asked for: where [`canonical`]
    /// fails, and for a metal complex that RDKit writes with `->`.
    pub fn spell(self, smiles: &Smiles, seed: u64) -> Result<Smiles> {
        let spelt = match self {
            Self::AsGiven => return Ok(smiles.clone()),
            Self::Canonical => canonical(smiles.as_str())?,
            Self::Random => {
                let molecule = graph(smiles.as_str())?;
                let drawn = rdkit_random_smiles(&molecule, 1, mixed(seed), &Default::default());
                drawn.map_err(into_error)?.pop().unwrap_or_default()
            }
        };
        Smiles::parse(&spelt).map_err(|error| {
            Error::chemistry(format!(
                "it is spelt `{spelt}`, which is not SMILES: {error}"
            ))
        })
    }

    /// The tokens that spellings of the molecule can have, whatever the seed.
    ///
    /// Which spellings are drawn does not matter, as they have the tokens of the
    /// canonical one but for these: chirality can be mirrored, directional bonds
    /// can lean the other way, and as many rings can be open at once as there are.
    ///
    /// # Errors
    ///
    /// Where [`spell`](Self::spell) fails.
    pub fn tokens(self, smiles: &Smiles) -> Result<BTreeSet<String>> {
        if self != Self::Random {
            let spelt = self.spell(smiles, 0)?;
            return Ok(spelt.tokens().map(str::to_owned).collect());
        }
        let canonical = Self::Canonical.spell(smiles, 0)?;
        let mut tokens = BTreeSet::new();
        let mut ring_ends = 0;
        for token in Lexer::new(canonical.as_str()) {
            let token = token?;
            match token.kind {
                TokenKind::RingClosure => ring_ends += 1,
                TokenKind::BracketAtom => drop(tokens.insert(mirrored(token.text))),
                TokenKind::Bond if matches!(token.text, "/" | "\\") => {
                    tokens.extend(["/", "\\"].map(str::to_owned));
                }
                _ => {}
            }
            tokens.insert(token.text.to_owned());
        }
        tokens.extend((1..=ring_ends / 2).map(ring_closure));
        // A chain that starts in its middle has a branch.
        tokens.extend(["(", ")"].map(str::to_owned));
        Ok(tokens)
    }
}

/// A seed of RDKit's generator, whose seeds that are close to each other draw
/// numbers that are too: the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
/// Splittable Pseudorandom Number Generators", 2014). Zero would go on where the
/// last molecule stopped.
fn mixed(seed: u64) -> u32 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    1 + (mixed % 0x7fff_fffe) as u32
}

/// The atom with `@` for `@@`, and the other way round.
fn mirrored(atom: &str) -> String {
    if atom.contains("@@") {
        atom.replacen("@@", "@", 1)
    } else {
        atom.replacen('@', "@@", 1)
    }
}

/// How RDKit writes the number of a ring.
fn ring_closure(number: usize) -> String {
    match number {
        0..=9 => number.to_string(),
        10..=99 => format!("%{number}"),
        _ => format!("%({number})"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::chem::{is_same, molecules};

    fn smiles(text: &str) -> Smiles {
        Smiles::parse(text).unwrap()
    }

    const HARD: [&str; 12] = [
        "C[C@H](N)C(=O)O",
        "C1C[C@@]1(F)Cl",
        r"F/C=C/C=C\Cl",
        r"C/C=C1\CCC[C@@H]1O",
        "[Na+].CC(=O)[O-]",
        "*c1ccc(*)cc1",
        "C[*:1]",
        "[2H]C([2H])([2H])O",
        "C12C3C4C1C5C2C3C45",
        "c1ccc2[nH]c3ccccc3c2c1",
        "[O-][n+]1ccccc1-c1ccccc1",
        "C[S@](=O)CCC#N",
    ];

    #[test]
    fn every_spelling_is_of_the_same_molecule() {
        let hard = HARD.map(smiles);
        for smiles in hard.into_iter().chain(molecules().take(100)) {
            for seed in 0..5 {
                let spelt = Spelling::Random.spell(&smiles, seed).unwrap();
                assert!(is_same(smiles.as_str(), spelt.as_str()), "{smiles} {spelt}");
            }
        }
    }

    #[test]
    fn a_seed_draws_one_spelling_and_others_draw_others() {
        let smiles = smiles("CC(=O)Oc1ccccc1C(=O)O");
        let spell = |seed| Spelling::Random.spell(&smiles, seed).unwrap();
        let spellings: HashSet<Smiles> = (0..200).map(spell).collect();
        assert!(spellings.len() > 100, "{}", spellings.len());
        assert!((0..20).all(|seed| spell(seed) == spell(seed)));
    }

    #[test]
    fn every_atom_can_come_first() {
        let first = |seed| {
            let spelt = Spelling::Random.spell(&smiles("CNOSP"), seed).unwrap();
            spelt.as_str().chars().next().unwrap()
        };
        let firsts: BTreeSet<char> = (0..100).map(first).collect();
        assert_eq!(firsts, BTreeSet::from(['C', 'N', 'O', 'S', 'P']));
    }

    #[test]
    fn what_is_given_is_kept_and_what_is_canonical_is_written() {
        let ethanol = smiles("C(O)C");
        assert_eq!(Spelling::AsGiven.spell(&ethanol, 7).unwrap(), ethanol);
        let canonical = Spelling::Canonical.spell(&ethanol, 7).unwrap();
        assert_eq!(canonical.as_str(), "CCO");
    }

    #[test]
    fn what_is_no_molecule_cannot_be_spelt_otherwise() {
        let impossible = smiles("CF=C");
        assert!(Spelling::AsGiven.spell(&impossible, 0).is_ok());
        for spelling in [Spelling::Canonical, Spelling::Random] {
            assert!(spelling.spell(&impossible, 0).unwrap_err().is_chemistry());
            assert!(spelling.tokens(&impossible).unwrap_err().is_chemistry());
        }
    }

    #[test]
    fn the_tokens_are_those_of_every_spelling() {
        let hard = HARD.map(smiles);
        for smiles in hard.into_iter().chain(molecules().take(50)) {
            for spelling in [Spelling::AsGiven, Spelling::Canonical, Spelling::Random] {
                let tokens = spelling.tokens(&smiles).unwrap();
                for seed in 0..10 {
                    let spelt = spelling.spell(&smiles, seed).unwrap();
                    let missing: Vec<_> = spelt.tokens().filter(|&t| !tokens.contains(t)).collect();
                    assert!(missing.is_empty(), "{smiles} {spelt} {missing:?}");
                }
            }
        }
    }

    #[test]
    fn tokens_are_no_more_than_respelling_can_bring() {
        let tokens = |text| {
            let tokens = Spelling::Random.tokens(&smiles(text)).unwrap();
            tokens.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(tokens("CO"), "( ) C O");
        assert_eq!(tokens("OC1[C@@H](F)C1"), "( ) 1 C F O [C@@H] [C@H]");
        assert_eq!(tokens(r"F/C=C/F"), r"( ) / = C F \");
    }
}
