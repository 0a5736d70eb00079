//! Sets of substructures, and how alike two of them are.

use chematic_fp::BitVecN;

/// Bits of a fingerprint.
const BITS: usize = 1024;

/// A Morgan fingerprint of radius 2 in 1,024 bits (Rogers and Hahn, "Extended-Connectivity
/// Fingerprints", 2010), as RDKit computes it without chirality. MOSES compares molecules by it.
///
/// ```
/// use atlas_models::chem::Descriptors;
///
/// let [phenol, aniline] = ["Oc1ccccc1", "Nc1ccccc1"].map(|text| Descriptors::of(text).unwrap());
/// // 6 of the 16 bits that either has.
/// assert_eq!(phenol.fingerprint.tanimoto(&aniline.fingerprint), 6.0 / 16.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    words: [u64; BITS / 64],
    ones: u32,
}

impl Fingerprint {
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
