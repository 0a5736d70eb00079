//! The reactions of the library, and which blocks go into each.

use super::blocks::*;

/// What molecules of one reaction are made of: a block from each list, or a group that the
/// reaction leaves.
pub(super) type Family = &'static [&'static str];

/// Every family. No two share a molecule, and none has one twice.
pub(super) const FAMILIES: &[Family] = &[
    // Amides and sulfonamides.
    &[AROMATIC_HEADS, ACYLS, CYCLIC_AMINES],
    &[AROMATIC_HEADS, ACYLS, OPEN_AMINES],
    &[SATURATED_HEADS, "*C(=O)* *CC(=O)*", CYCLIC_AMINES],
    &[SATURATED_HEADS, "*C(=O)* *CC(=O)*", OPEN_AMINES],
    &[ALKYL_HEADS, "*C(=O)*", CYCLIC_AMINES],
    &[ALKYL_HEADS, "*C(=O)*", OPEN_AMINES],
    &[SUBSTITUENTS, ARENES, "*C(=O)* *S(=O)(=O)*", OPEN_AMINES],
    &[SUBSTITUENTS, ARENES, "*NC(=O)* *CNC(=O)*", ALKYL_TAILS],
    // Amines, by alkylation and by reductive amination.
    &[AROMATIC_HEADS, "*C* *CC* *OCC* *C(O)C*", CYCLIC_AMINES],
    &[
        SUBSTITUENTS,
        ARENES,
        "*C(=O)* *S(=O)(=O)* *C*",
        CYCLIC_AMINES,
    ],
    // Nucleophilic aromatic substitutions.
    &[AZINES, CYCLIC_AMINES],
    &[AZINES, OPEN_AMINES],
    // Ethers, thioethers and esters.
    &[AROMATIC_HEADS, ETHERS, SATURATED_TAILS],
    &[AROMATIC_HEADS, ETHERS, AROMATIC_TAILS],
    &[SATURATED_HEADS, "*COC* *CSC* *C(=O)OC*", AROMATIC_TAILS],
    &[
        SUBSTITUENTS,
        ARENES,
        "*OC* *SC* *NC(=O)* *CNC(=O)*",
        SATURATED_TAILS,
    ],
    // Suzuki and Sonogashira couplings, some of amines sold as hydrochlorides.
    &[SUBSTITUENTS, ARENES, "*-*", AROMATIC_TAILS],
    &[SUBSTITUENTS, ARENES, "*C#C*", SATURATED_TAILS],
    &[
        "Cl.NC* Cl.CNC* Cl.NCC* Cl.CN(C)C*",
        ARENES,
        "*-*",
        AROMATIC_TAILS,
    ],
];

/// The lists whose blocks can be held out. What else is in a family belongs to its reaction.
pub(super) const BLOCKS: &[&str] = &[
    SUBSTITUENTS,
    ARENES,
    AROMATIC_HEADS,
    SATURATED_HEADS,
    ALKYL_HEADS,
    CYCLIC_AMINES,
    OPEN_AMINES,
    AROMATIC_TAILS,
    SATURATED_TAILS,
    ALKYL_TAILS,
    AZINES,
];

const ACYLS: &str = "*C(=O)* *CC(=O)* *S(=O)(=O)*";
const ETHERS: &str = "*OC* *SC* *C(=O)OC*";
