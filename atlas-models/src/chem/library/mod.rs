//! The built-in molecules.
//!
//! A made-to-order library, as vendors enumerate theirs: building blocks joined
//! by the reactions that medicinal chemists use most (amide and sulfonamide
//! formation, reductive amination, Suzuki and Sonogashira couplings, ...). It is
//! part of what makes a result reproducible: the molecules and their order are
//! fixed, and a test holds their digest.
//!
//! 24,925 molecules of 14 to 59 characters (mean 31.5) and 33 distinct tokens,
//! with one to four rings; 3,328 have stereo centres and 3,557 charged atoms.
//! RDKit 2026.09.1 reads and sanitizes every one, and writes 24,925 distinct
//! canonical forms.

mod blocks;
mod families;
mod fragment;

use super::smiles::Smiles;
use families::{FAMILIES, Family};

/// The built-in molecules, in their order.
///
/// The molecules are distinct, valid, and drawn by one set of habits. The order
/// is a fixed shuffle, so any prefix, and any contiguous or regular selection,
/// is a random sample of the whole: they can be split by index.
///
/// ```
/// use atlas_models::chem::{Library, Smiles};
///
/// let library = Library::new();
/// let molecules: Vec<Smiles> = library.iter().collect();
/// let (held_out, training) = molecules.split_at(library.len() / 10);
/// assert_eq!(library.get(0).as_ref(), held_out.first());
/// assert_eq!(library.get(library.len()), None);
/// # assert_eq!(training.len(), 22_433);
/// ```
#[derive(Debug, Clone)]
pub struct Library {
    order: Vec<Member>,
}

/// One molecule of a family.
#[derive(Debug, Clone, Copy)]
struct Member {
    family: &'static Family,
    index: usize,
}

impl Library {
    /// The library; there is one.
    ///
    /// This shuffles numbers only: a molecule is drawn when it is asked for, which
    /// takes microseconds.
    pub fn new() -> Self {
        let members =
            |family: &'static Family| (0..family.len()).map(move |index| Member { family, index });
        let mut order: Vec<_> = FAMILIES.iter().flat_map(members).collect();
        shuffle(&mut order);
        Self { order }
    }

    /// The number of molecules.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// The molecule at `index`; `None` from [`len`](Self::len) on.
    pub fn get(&self, index: usize) -> Option<Smiles> {
        self.order.get(index).copied().map(Member::draw)
    }

    /// The molecules in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Smiles> + '_ {
        self.order.iter().copied().map(Member::draw)
    }
}

impl Default for Library {
    fn default() -> Self {
        Self::new()
    }
}

/// The molecules of the [`Library`], in their order.
pub fn molecules() -> impl ExactSizeIterator<Item = Smiles> {
    Library::new().order.into_iter().map(Member::draw)
}

impl Member {
    fn draw(self) -> Smiles {
        Smiles::from_checked(fragment::draw(&self.family.chain(self.index)))
    }
}

/// R. Fisher and F. Yates' shuffle, over the generator SplitMix64 of G. Steele,
/// D. Lea and C. Flood (2014) from a fixed seed.
fn shuffle<T>(items: &mut [T]) {
    let mut state: u64 = 0;
    for last in (1..items.len()).rev() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        // The high half of the product is at most `last`.
        let chosen = (u128::from(bits) * (last as u128 + 1)) >> 64;
        items.swap(last, chosen as usize);
    }
}

#[cfg(test)]
mod tests;
