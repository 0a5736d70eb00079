//! Sets of substructures, and how alike two of them are.

use chematic_core::Molecule;
use chematic_fp::{
    BitVecN, RdkitMorganConfig, RdkitMorganFingerprint, RdkitMorganFpSize, RdkitMorganRadius,
    rdkit_morgan_bitvec, rdkit_morgan_fingerprint,
};

use crate::chem::error::{Error, Result};
use crate::chem::grammar;
use crate::chem::validity::graph;

/// Bits of a fingerprint.
const BITS: usize = 1024;
/// How MOSES asks RDKit.
const CONFIG: RdkitMorganConfig = RdkitMorganConfig {
    radius: RdkitMorganRadius::R2,
    fp_size: RdkitMorganFpSize::B1024,
    include_chirality: false,
};

/// The fingerprint of a molecule with all that it is made of.
pub(super) fn morgan(molecule: &Molecule) -> Result<RdkitMorganFingerprint> {
    rdkit_morgan_fingerprint(molecule, &CONFIG).map_err(unexamined)
}

/// What is said of a valid molecule whose descriptors are not known.
pub(super) fn unexamined(why: impl std::fmt::Display) -> Error {
    Error::chemistry(format!("it cannot be examined: {why}"))
}

/// A Morgan fingerprint of radius 2 in 1,024 bits (Rogers and Hahn, "Extended-Connectivity
/// Fingerprints", 2010), as RDKit computes it without chirality. MOSES compares molecules by it.
///
/// ```
/// use atlas_models::chem::Fingerprint;
///
/// // They share 6 of the 16 bits that either has.
/// let (phenol, aniline) = (Fingerprint::of("Oc1ccccc1")?, Fingerprint::of("Nc1ccccc1")?);
/// assert_eq!(phenol.tanimoto(&aniline), 6.0 / 16.0);
/// # Ok::<(), atlas_models::chem::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    words: [u64; BITS / 64],
    ones: u32,
}

impl Fingerprint {
    /// The fingerprint of the molecule that `smiles` spells.
    ///
    /// # Errors
    /// Where [`canonical`](crate::chem::canonical) fails, and for a molecule that cannot be examined.
    pub fn of(smiles: &str) -> Result<Self> {
        grammar::check(smiles)?;
        let bits = rdkit_morgan_bitvec(&graph(smiles)?, &CONFIG);
        Ok(Self::new(&bits.map_err(unexamined)?))
    }

    pub(super) fn new(bits: &BitVecN) -> Self {
        let bytes = bits.to_le_bytes();
        let mut words = [0; BITS / 64];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
            let bytes = bytes.iter().rev();
            *word = bytes.fold(0, |word, &byte| word << 8 | u64::from(byte));
        }
        Self {
            words,
            ones: words.iter().map(|word| word.count_ones()).sum(),
        }
    }

    /// Tanimoto's similarity, from 0 to 1: the share of the bits of either that both have. Two
    /// fingerprints without bits are equal.
    pub fn tanimoto(&self, other: &Self) -> f64 {
        let pairs = self.words.iter().zip(&other.words);
        let both: u32 = pairs.map(|(a, b)| (a & b).count_ones()).sum();
        let either = self.ones + other.ones - both;
        if either == 0 {
            1.0
        } else {
            f64::from(both) / f64::from(either)
        }
    }

    /// The numbers of the bits that are set, from 0 to 1,023.
    pub fn bits(&self) -> impl Iterator<Item = usize> + '_ {
        (0..BITS).filter(|bit| self.words[bit / 64] >> (bit % 64) & 1 == 1)
    }
}
