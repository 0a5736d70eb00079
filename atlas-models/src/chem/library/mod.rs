//! The built-in molecules.
//!
//! Small molecules in the manner of a made-to-order library, as vendors enumerate theirs:
//! building blocks joined by the reactions that medicinal chemists use most (amide and
//! sulfonamide formation, reductive amination, Suzuki and Sonogashira couplings, ...). They are
//! there to try a model, a command or a machine on, in two minutes and without a file. They are no
//! sample of the molecules that chemists make: they have at most [`MAX_TOKENS`] tokens, no more
//! than three blocks beside a reaction's own atoms, and are drawn by one set of habits. What a
//! model does to them says how well it learns such a set, not what it would do to ZINC or to a
//! project's molecules.
//!
//! There are 85,632, and 1,000 more that are made with one of 75 blocks of some 1,000: these are
//! held out, so that no molecule to train on is made with one, and the 1,000 tell what a model does
//! to rings and chains that it has not seen.

mod blocks;
mod families;
mod fragment;

use std::collections::{BTreeMap, BTreeSet};

use atlas_core::random::permutation;

use super::lexer::Lexer;
use super::smiles::Smiles;
use super::validity::canonical;
use families::{BLOCKS, FAMILIES, Family};

/// The most tokens of a molecule.
const MAX_TOKENS: usize = 24;
/// The most molecules of a family that are made without a held-out block.
const OF_A_FAMILY: usize = 4_700;
/// Molecules that are made with a held-out block.
const OF_HELD_OUT_BLOCKS: usize = 1_000;
/// The seed of everything that is drawn.
const SEED: u64 = 0;
/// Of so many blocks of a list that can be held out, one is.
const HELD_OUT: usize = 10;

/// The built-in molecules, in their order.
///
/// The molecules are distinct, valid, and drawn by one set of habits. The order
/// is a fixed shuffle, so any prefix, and any contiguous or regular selection,
/// is a random sample of the whole: they can be split by index.
///
/// ```
/// use atlas_models::chem::Library;
///
/// let library = Library::new();
/// let (held_out, training) = library.molecules().split_at(1_000);
/// let of_new_blocks = library.of_held_out_blocks();
/// # assert_eq!((held_out.len(), of_new_blocks.len()), (1_000, 1_000));
/// ```
#[derive(Debug, Clone)]
pub struct Library {
    held_out_blocks: BTreeSet<&'static str>,
    molecules: Vec<Smiles>,
    of_held_out_blocks: Vec<Smiles>,
}

impl Library {
    /// The library; there is one. Drawing it takes a fraction of a second.
    pub fn new() -> Self {
        let mut library = Self {
            held_out_blocks: held_out_blocks(),
            molecules: Vec::new(),
            of_held_out_blocks: Vec::new(),
        };
        for family in FAMILIES {
            library.add(family);
        }
        library.molecules = shuffled(library.molecules);
        library.of_held_out_blocks = shuffled(library.of_held_out_blocks);
        library.of_held_out_blocks.truncate(OF_HELD_OUT_BLOCKS);
        library
    }

    /// The molecules that are made without the held-out blocks.
    pub fn molecules(&self) -> &[Smiles] {
        &self.molecules
    }

    /// Molecules that are made with a held-out block each, or with two.
    pub fn of_held_out_blocks(&self) -> &[Smiles] {
        &self.of_held_out_blocks
    }

    /// The blocks that none of the [`molecules`](Self::molecules) is made with, as SMILES in which
    /// `*` is where the rest of a molecule is attached.
    ///
    /// They are drawn once, by a fixed seed: of each list of blocks a tenth of those whose text
    /// occurs in no other block. A block that is in several lists, drawn from another end, is held
    /// out of all of them, and so is its mirror image.
    pub fn held_out_blocks(&self) -> impl Iterator<Item = &'static str> {
        self.held_out_blocks.iter().copied()
    }

    /// Adds members of a family, drawn once.
    fn add(&mut self, family: Family) {
        let lists: Vec<Vec<&str>> = family
            .iter()
            .map(|list| blocks_of(list).collect())
            .collect();
        let all = lists.iter().map(Vec::len).product();
        let enough = self.molecules.len() + OF_A_FAMILY;
        for member in permutation(all, SEED) {
            if self.molecules.len() == enough {
                break;
            }
            // The digits of the number, in the mixed radix of the lists' lengths.
            let mut rest = member;
            let choose = |list: &Vec<&'static str>| {
                let fragment = list[rest % list.len()];
                rest /= list.len();
                fragment
            };
            let chain: Vec<&str> = lists.iter().map(choose).collect();
            let text = fragment::draw(&chain);
            if Lexer::new(&text).count() > MAX_TOKENS {
                continue;
            }
            let is_held_out = chain
                .iter()
                .any(|block| self.held_out_blocks.contains(block));
            let part = if is_held_out {
                &mut self.of_held_out_blocks
            } else {
                &mut self.molecules
            };
            part.push(Smiles::from_checked(text));
        }
    }
}

impl Default for Library {
    fn default() -> Self {
        Self::new()
    }
}

/// The molecules of the [`Library`], in their order.
pub fn molecules() -> impl ExactSizeIterator<Item = Smiles> {
    Library::new().molecules.into_iter()
}

fn blocks_of(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split_ascii_whitespace()
}

/// See [`Library::held_out_blocks`].
fn held_out_blocks() -> BTreeSet<&'static str> {
    // One form for a block and its mirror image, from whichever end it is drawn.
    let form = |block: &'static str| {
        let flat = block.replace('@', "");
        canonical(&flat).unwrap_or(flat)
    };
    let forms: BTreeMap<&str, String> = BLOCKS
        .iter()
        .flat_map(|list| blocks_of(list))
        .map(|block| (block, form(block)))
        .collect();
    let is_in_another = |block: &str| {
        let text = block.replace("(*)", "").replace('*', "");
        forms
            .iter()
            .any(|(other, form)| other.contains(&text) && *form != forms[block])
    };
    let mut drawn = BTreeSet::new();
    for list in BLOCKS {
        let candidates = blocks_of(list).filter(|block| !is_in_another(block));
        let candidates = shuffled(candidates.collect());
        let count = candidates.len() / HELD_OUT;
        drawn.extend(candidates.iter().take(count).map(|block| &forms[block]));
    }
    let held_out = forms.iter().filter(|(_, form)| drawn.contains(form));
    held_out.map(|(block, _)| *block).collect()
}

/// The items in an order that is drawn once.
fn shuffled<T>(items: Vec<T>) -> Vec<T> {
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    let order = permutation(items.len(), SEED);
    order
        .into_iter()
        .filter_map(|index| items[index].take())
        .collect()
}

#[cfg(test)]
mod tests;
