//! The building blocks, in the notation of the module `fragment`.
//!
//! Changing a block changes the library, and with it every result that was
//! obtained from it.

/// What sits on an arene: one exit.
pub(super) const SUBSTITUENTS: &[&str] = &[
    "C*",
    "F*",
    "Cl*",
    "Br*",
    "CO*",
    "N#C*",
    "FC(F)(F)*",
    "O=[N+]([O-])*",
    "CC(C)*",
    "CN(C)*",
    "CC(=O)N*",
];

/// Six-membered arenes and thiophene: what most commercial aryl blocks are.
pub(super) const COMMON_ARENES: &[&str] = &[
    "*c1ccc(*)cc1",
    "*c1cccc(*)c1",
    "*c1ccc(*)nc1",
    "*c1ccc(*)s1",
];

/// The common arenes, more of their kind, and azoles.
pub(super) const ARENES: &[&str] = &[
    "*c1ccc(*)cc1",
    "*c1cccc(*)c1",
    "*c1ccc(*)nc1",
    "*c1ccc(*)cn1",
    "*c1ccc(*)c(F)c1",
    "*c1ccc(*)c(Cl)c1",
    "*c1ccc(*)s1",
    "*c1csc(*)n1",
    "*c1cnc(*)nc1",
];

/// Benzene rings that carry a sulfonyl chloride.
pub(super) const SULFONYL_ARENES: &[&str] = &["*c1ccc(*)cc1", "*c1cccc(*)c1", "*c1ccc(*)s1"];

/// Single rings, aromatic and not: one exit.
pub(super) const MONOCYCLES: &[&str] = &[
    "c1ccc(*)cc1",
    "c1ccc(*)nc1",
    "c1cncc(*)c1",
    "c1cc(*)ccn1",
    "c1cnc(*)nc1",
    "c1cnc(*)cn1",
    "c1coc(*)c1",
    "c1csc(*)c1",
    "c1coc(*)n1",
    "c1csc(*)n1",
    "c1c[nH]c(*)n1",
    "c1cc(*)n[nH]1",
    "Cn1cc(*)cn1",
    "Cc1cc(*)no1",
    "Cc1noc(*)n1",
    "C1CC1*",
    "C1CCC(*)C1",
    "C1CCC(*)CC1",
    "C1CC(*)CCO1",
    "CN1CCC(*)CC1",
];

/// Fused rings: one exit.
pub(super) const BICYCLES: &[&str] = &[
    "c1ccc2[nH]c(*)cc2c1",
    "c1ccc2c(*)c[nH]c2c1",
    "Cn1cc(*)c2ccccc21",
    "c1cnc2[nH]cc(*)c2c1",
    "c1ccc2[nH]nc(*)c2c1",
    "c1ccc2[nH]c(*)nc2c1",
    "c1ccc2sc(*)nc2c1",
    "c1ccc2oc(*)nc2c1",
    "c1ccc2oc(*)cc2c1",
    "c1ccc2sc(*)cc2c1",
    "c1ccc2nc(*)ccc2c1",
    "c1ccc2c(*)ccnc2c1",
    "c1cnc2ccc(*)cc2c1",
    "c1ccc2c(*)cncc2c1",
    "c1ccc2nc(*)cnc2c1",
    "c1ccc2cc(*)ccc2c1",
    "c1ccn2cc(*)nc2c1",
    "C1Oc2ccc(*)cc2O1",
    "C1COc2cc(*)ccc2O1",
    "Clc1ccc2[nH]c(*)cc2c1",
];

/// Azines whose chlorine an amine replaces: one exit.
pub(super) const CHLOROAZINES: &[&str] = &[
    "c1ccc2c(*)ncnc2c1",
    "c1ccc2c(*)nncc2c1",
    "c1nc2c(*)ncnc2[nH]1",
    "c1cc2c(*)ncnc2[nH]1",
    "Cc1cc2c(*)ncnc2s1",
    "COc1cc2ncnc(*)c2cc1OC",
    "Clc1cc(*)ncn1",
    "Clc1ccnc(*)n1",
    "Nc1nc(*)cc(Cl)n1",
    "FC(F)(F)c1ccnc(*)n1",
    "N#Cc1ccc(*)nc1",
    "O=[N+]([O-])c1ccc(*)nc1",
    "Brc1cnc(*)nc1",
    "Cc1cc(*)nc(C)n1",
];

/// Primary and secondary aliphatic amines: one entry, on the nitrogen.
pub(super) const ALIPHATIC_AMINES: &[&str] = &[
    "*N1CCOCC1",
    "*N1CCCC1",
    "*N1CCCCC1",
    "*N1CCN(C)CC1",
    "*N1CCSCC1",
    "*N1CCC(O)CC1",
    "*N1CC[C@@H](O)C1",
    "*N1CCC[C@H]1CO",
    "*N1CCC(C(N)=O)CC1",
    "*N1CCC(F)(F)CC1",
    "*N1CCc2ccccc2C1",
    "*N1CCN(c2ccccn2)CC1",
    "*NC1CC1",
    "*NC1CCCCC1",
    "*NC1CCOCC1",
    "*NCC1CC1",
    "*NCCOC",
    "*NCCN(C)C",
    "*NCC#C",
    "*NCc1ccccc1",
    "*NCc1cccnc1",
    "*NCc1ccco1",
    "*N[C@@H](C)c1ccccc1",
    "*NC[C@H]1CCCO1",
];

/// Aliphatic amines, more of them, and anilines: what an acid is coupled with.
pub(super) const AMINES: &[&str] = &[
    "*N1CCOCC1",
    "*N1CCCC1",
    "*N1CCCCC1",
    "*N1CCN(C)CC1",
    "*N1CCSCC1",
    "*N1CCC(O)CC1",
    "*N1CC[C@@H](O)C1",
    "*N1CCC[C@H]1CO",
    "*N1CCC(C(N)=O)CC1",
    "*N1CCC(F)(F)CC1",
    "*N1CCc2ccccc2C1",
    "*N1CCN(c2ccccn2)CC1",
    "*NC1CC1",
    "*NC1CCCCC1",
    "*NC1CCOCC1",
    "*NCC1CC1",
    "*NCCOC",
    "*NCCN(C)C",
    "*NCC#C",
    "*NCc1ccccc1",
    "*NCc1cccnc1",
    "*NCc1ccco1",
    "*N[C@@H](C)c1ccccc1",
    "*N[C@H](C)c1ccccc1",
    "*NC[C@H]1CCCO1",
    "*NCC(F)(F)F",
    "*NCc1cccs1",
    "*NCc1ccc(F)cc1",
    "*NCc1nc2ccccc2[nH]1",
    "*NCCc1c[nH]c2ccccc12",
    "*N(C)Cc1ccccc1",
    "*N(C)C1CCN(C)CC1",
    "*Nc1nccs1",
    "*Nc1ccccn1",
    "*Nc1cc(C)on1",
    "*Nc1ccc(Cl)cc1",
    "*Nc1cccc(Br)c1",
    "*Nc1ccc(I)cc1",
    "*Nc1ccc2ncccc2c1",
    "*Nc1ccc2[nH]ncc2c1",
];

/// Amino acids, their esters and amides: one entry, on the nitrogen.
pub(super) const AMINO_ACIDS: &[&str] = &[
    "*NCC(=O)[O-]",
    "*NCC(=O)OC",
    "*N[C@@H](C)C(=O)[O-]",
    "*N[C@H](C)C(=O)[O-]",
    "*N[C@@H](C)C(=O)NC",
    "*N[C@@H](CO)C(=O)OC",
    "*N[C@@H](CC(C)C)C(N)=O",
    "*N[C@@H](Cc1ccccc1)C(N)=O",
    "*N[C@@H](CCSC)C(=O)[O-]",
    "*N[C@@H](CCCC[NH3+])C(=O)[O-]",
    "*N1CCC[C@H]1C(N)=O",
    "*N1CCC[C@H]1C(=O)[O-]",
];

/// Boronic acids' rings: one entry, on an aromatic carbon.
pub(super) const BIARYL_RINGS: &[&str] = &[
    "*c1ccncc1",
    "*c1cncnc1",
    "*c1cnn(C)c1",
    "*c1c(C)noc1C",
    "*c1ccoc1",
    "*c1cnc(N)nc1",
    "*c1ccc(C(N)=O)cc1",
    "*c1ccc(C(=O)[O-])cc1",
    "*c1cccc(CO)c1",
    "*c1ccc(S(C)(=O)=O)cc1",
    "*c1ccc(OC(F)F)cc1",
    "*c1ccc(C[NH3+])cc1",
    "*c1ccc(N2CCOCC2)nc1",
    "*c1ccc2[nH]ccc2c1",
    "*c1cccc2cnccc12",
    "*c1cccc(B(O)O)c1",
];

/// Rings at the far end of an ether or an alkyne: one entry, on a carbon.
pub(super) const TERMINAL_RINGS: &[&str] = &[
    "*c1ccccc1",
    "*c1ccncc1",
    "*c1cccnc1",
    "*c1ccc(C(=O)[O-])cc1",
    "*c1ccc(C(N)=O)cc1",
    "*c1ccc(Cl)nc1",
    "*c1cc(C)on1",
    "*c1cscn1",
    "*c1nc2ccccc2[nH]1",
    "*c1ccc2ccccc2c1",
    "*C1CCOCC1",
    "*C1CCN(C)CC1",
    "*[C@H]1CCCN1C",
    "*C1CC1",
];

/// Saturated diamines between two groups: entry and exit.
pub(super) const DIAMINES: &[&str] = &[
    "*N1CCN(*)CC1",
    "*CN1CCN(*)CC1",
    "*C(=O)N1CCN(*)CC1",
    "*S(=O)(=O)N1CCN(*)CC1",
    "*OC1CCN(*)CC1",
    "*C(=O)NC1CCN(*)CC1",
];

/// Acyl, sulfonyl and alkyl groups that end on a diamine's nitrogen: one entry.
pub(super) const CAPS: &[&str] = &[
    "*C(C)=O",
    "*S(C)(=O)=O",
    "*C(=O)C1CC1",
    "*C(=O)c1ccco1",
    "*C(=O)NC(C)C",
    "*C(=O)OC(C)(C)C",
    "*CC(N)=O",
    "*CCO",
    "*Cc1ccccc1",
    "*Cc1ccc(F)cc1",
    "*C1CCOCC1",
    "*c1ncccn1",
];

/// Five-membered rings closed between two groups: entry and exit.
pub(super) const AZOLE_LINKS: &[&str] = &[
    "*-c1noc(*)n1",
    "*-c1nnc(*)o1",
    "*-c1cn(*)nn1",
    "*-c1csc(*)n1",
];

/// Groups on a ring closed between two groups: one entry, on a carbon.
pub(super) const AZOLE_GROUPS: &[&str] = &[
    "*C1CC1",
    "*C(C)C",
    "*CN1CCOCC1",
    "*CC(N)=O",
    "*CCC(=O)[O-]",
    "*CC[NH3+]",
    "*Cc1ccccc1",
    "*C1CCNCC1",
    "*[C@@H](C)CO",
    "*COC",
];

/// What is put on the nitrogen of a sulfonamide by a sulfonyl chloride.
pub(super) const SULFONYLS: &[&str] = &[
    "*C",
    "*C1CC1",
    "*c1ccccc1",
    "*c1ccc(F)c(F)c1",
    "*c1cccnc1",
    "*c1cn(C)cn1",
    "*C(F)(F)F",
    "*Cc1ccccc1",
];

/// Groups that make an arene a building block itself: one entry.
pub(super) const HANDLES: &[&str] = &[
    "*B1OC(C)(C)C(C)(C)O1",
    "*CP(=O)(OC)OC",
    "*CC(=O)[O-]",
    "*C(=O)OCC",
    "*C[N+](C)(C)C",
    "*C(N)=[NH2+]",
    "*S(N)(=O)=O",
    "*C(=O)/C=C/c1ccccc1",
    "*/C=N/O",
    r"*/C=C\C(=O)OC",
    "*CCBr",
];

/// Amines sold as hydrochlorides, on their way to an arene: one exit.
pub(super) const HYDROCHLORIDES: &[&str] = &["Cl.NC*", "Cl.CNC*", "Cl.NCC*", "Cl.C[C@H](N)*"];

/// Groups on the arene of a hydrochloride: one entry.
pub(super) const ETHER_GROUPS: &[&str] = &[
    "*OC",
    "*OC(C)C",
    "*OC(F)F",
    "*OCCOC",
    "*OCc1ccccc1",
    "*OC1CCCC1",
    "*N1CCOCC1",
    "*S(C)(=O)=O",
];
