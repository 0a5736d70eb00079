//! The reactions of the library, and which blocks go into each.

use super::blocks::*;

/// Molecules of one reaction: a fragment from each list, in every combination.
#[derive(Debug)]
pub(super) struct Family {
    /// The lists, in the order in which their fragments are drawn.
    lists: &'static [&'static [&'static str]],
}

impl Family {
    pub(super) fn len(&self) -> usize {
        self.lists.iter().map(|list| list.len()).product()
    }

    /// The fragments of molecule `index`: the digits of `index` in the mixed
    /// radix of the lists' lengths. From [`len`](Self::len) on it starts over.
    pub(super) fn chain(&self, mut index: usize) -> Vec<&'static str> {
        let choose = |list: &&'static [&'static str]| {
            let fragment = list[index % list.len()];
            index /= list.len();
            fragment
        };
        self.lists.iter().map(choose).collect()
    }

    #[cfg(test)]
    pub(super) fn lists(&self) -> &'static [&'static [&'static str]] {
        self.lists
    }
}

const fn family(lists: &'static [&'static [&'static str]]) -> Family {
    Family { lists }
}

/// Every family. No two share a molecule, and none has one twice.
pub(super) static FAMILIES: &[Family] = &[
    // Amides.
    family(&[SUBSTITUENTS, ARENES, &["*C(=O)*"], AMINES]),
    family(&[MONOCYCLES, &["*C(=O)*"], AMINES]),
    family(&[BICYCLES, &["*C(=O)*"], AMINES]),
    family(&[SUBSTITUENTS, ARENES, &["*C(=O)*"], AMINO_ACIDS]),
    family(&[BICYCLES, &["*C(=O)*"], AMINO_ACIDS]),
    family(&[
        SUBSTITUENTS,
        COMMON_ARENES,
        &["*/C=C/C(=O)*"],
        ALIPHATIC_AMINES,
    ]),
    // Sulfonamides, from either side.
    family(&[SUBSTITUENTS, SULFONYL_ARENES, &["*S(=O)(=O)*"], AMINES]),
    family(&[SUBSTITUENTS, ARENES, &["*NS(=O)(=O)*"], SULFONYLS]),
    // Ureas.
    family(&[SUBSTITUENTS, COMMON_ARENES, &["*NC(=O)*"], ALIPHATIC_AMINES]),
    // Reductive aminations.
    family(&[SUBSTITUENTS, ARENES, &["*C*"], ALIPHATIC_AMINES]),
    family(&[BICYCLES, &["*C*"], ALIPHATIC_AMINES]),
    // Nucleophilic aromatic substitutions.
    family(&[CHLOROAZINES, AMINES]),
    // Suzuki and Sonogashira couplings.
    family(&[SUBSTITUENTS, ARENES, &["*-*"], BIARYL_RINGS]),
    family(&[BICYCLES, &["*-*"], BIARYL_RINGS]),
    family(&[SUBSTITUENTS, COMMON_ARENES, &["*C#C*"], TERMINAL_RINGS]),
    // Ethers.
    family(&[
        SUBSTITUENTS,
        COMMON_ARENES,
        &["*OC*", "*CO*"],
        TERMINAL_RINGS,
    ]),
    // Diamines between an arene and a cap.
    family(&[SUBSTITUENTS, COMMON_ARENES, DIAMINES, CAPS]),
    family(&[BICYCLES, &["*C(=O)N1CCN(*)CC1"], CAPS]),
    // Rings closed from two pieces.
    family(&[SUBSTITUENTS, COMMON_ARENES, AZOLE_LINKS, AZOLE_GROUPS]),
    // Building blocks, some as salts.
    family(&[SUBSTITUENTS, ARENES, HANDLES]),
    family(&[HYDROCHLORIDES, ARENES, ETHER_GROUPS]),
];
