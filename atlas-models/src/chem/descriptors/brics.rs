//! The pieces that a molecule falls into where it could have been joined.
//!
//! BRICS: Degen et al., "On the Art of Compiling and Using 'Drug-Like' Chemical Fragment Spaces"
//! (2008), with the environments and the pairs of RDKit's `FragmentOnBRICSBonds`, which differ a
//! little from the paper's. A bond is cut where the environments of its two atoms are a pair; each of
//! the atoms gets a dummy atom in the other's place, whose isotope is the number of its own
//! environment.

use std::collections::HashMap;
use std::sync::OnceLock;

use chematic_core::{Atom, AtomIdx, BondEntry, BondOrder, MolError, Molecule, MoleculeBuilder};
use chematic_perception::ring_bond_flags_shared;
use chematic_smarts::{MatchConfig, QueryMolecule, for_each_embedding, parse_smarts};

/// The environments of an atom, by number: the first atom of the SMARTS.
const ENVIRONMENTS: [(u16, &str); 15] = [
    (1, "[C;D3]([#0,#6,#7,#8])(=O)"),
    (3, "[O;D2]-;!@[#0,#6,#1]"),
    (4, "[C;!D1;!$(C=*)]-;!@[#6]"),
    (
        5,
        "[N;!D1;!$(N=*);!$(N-[!#6;!#16;!#0;!#1]);!$([N;R]@[C;R]=O)]",
    ),
    (6, "[C;D3;!R](=O)-;!@[#0,#6,#7,#8]"),
    (7, "[C;D2,D3]-[#6]"),
    (8, "[C;!R;!D1;!$(C!-*)]"),
    (9, "[n;+0;$(n(:[c,n,o,s]):[c,n,o,s])]"),
    (10, "[N;R;$(N(@C(=O))@[C,N,O,S])]"),
    (11, "[S;D2](-;!@[#0,#6])"),
    (12, "[S;D4]([#6,#0])(=O)(=O)"),
    (13, "[C;$(C(-;@[C,N,O,S])-;@[N,O,S])]"),
    (14, "[c;$(c(:[c,n,o,s]):[n,o,s])]"),
    (15, "[C;$(C(-;@C)-;@C)]"),
    (16, "[c;$(c(:c):c)]"),
];

/// The environments between which a bond is cut. Of several pairs that fit, the last counts.
const PAIRS: [(u16, &[u16]); 14] = [
    (1, &[3, 5, 10]),
    (3, &[4, 13, 14, 15, 16]),
    (4, &[5, 11]),
    (5, &[12, 14, 16, 13, 15]),
    (6, &[13, 14, 15, 16]),
    (7, &[7]),
    (8, &[9, 10, 13, 14, 15, 16]),
    (9, &[13, 14, 15, 16]),
    (10, &[13, 14, 15, 16]),
    (11, &[13, 14, 15, 16]),
    (13, &[14, 15, 16]),
    (14, &[14, 15, 16]),
    (15, &[16]),
    (16, &[16]),
];
/// The one environment whose bonds are double.
const DOUBLE: u16 = 7;

/// `molecule`, which is as RDKit leaves it, with dummy atoms where it was cut.
pub(super) fn cut(molecule: &Molecule) -> Result<Molecule, MolError> {
    let environments = environments(molecule);
    let in_ring = ring_bond_flags_shared(molecule);
    let mut builder = MoleculeBuilder::new();
    for (_, atom) in molecule.atoms() {
        builder.add_atom(atom.clone());
    }
    // What stands in an atom's list of neighbours in the place of another atom.
    let mut dummies = HashMap::new();
    for (index, bond) in molecule.bonds() {
        let is_in_ring = in_ring[index.0 as usize];
        let (begin, end) = (bond.atom1, bond.atom2);
        let Some(labels) = labels(bond, &environments).filter(|_| !is_in_ring) else {
            let added = builder.add_bond(begin, end, bond.order)?;
            if let Some(direction) = molecule.bond_direction(index) {
                builder.set_bond_direction(added, direction);
            }
            continue;
        };
        let [at_begin, at_end] = labels.map(|label| {
            let mut dummy = Atom::wildcard();
            dummy.isotope = Some(label);
            builder.add_atom(dummy)
        });
        // The direction of a bond is that of its first atom to its second.
        builder.add_bond(begin, at_begin, bond.order)?;
        builder.add_bond(at_end, end, bond.order)?;
        dummies.insert((begin.0, end.0), at_begin.0);
        dummies.insert((end.0, begin.0), at_end.0);
    }
    for (atom, _) in molecule.atoms() {
        if let Some(neighbours) = molecule.stereo_neighbor_order(atom) {
            let dummy = |&other: &u32| *dummies.get(&(atom.0, other)).unwrap_or(&other);
            builder.set_stereo_neighbor_order(atom, neighbours.iter().map(dummy).collect());
        }
    }
    Ok(builder.build())
}

/// Bits of the environments that each atom is in.
fn environments(molecule: &Molecule) -> Vec<u32> {
    static QUERIES: OnceLock<Vec<(u16, QueryMolecule)>> = OnceLock::new();
    let queries = QUERIES.get_or_init(|| {
        let parsed = ENVIRONMENTS.iter().map(|(number, smarts)| {
            let query = parse_smarts(smarts).ok()?;
            Some((*number, query))
        });
        parsed.flatten().collect()
    });
    let config = MatchConfig::default();
    let mut found = vec![0; molecule.atom_count()];
    for (number, query) in queries {
        for_each_embedding(query, molecule, &config, |atoms| {
            found[atoms[0] as usize] |= 1 << number;
        });
    }
    found
}

/// The environments of the bond's two atoms for which it is cut, if it is.
fn labels(bond: &BondEntry, environments: &[u32]) -> Option<[u16; 2]> {
    let is_double = match bond.order {
        BondOrder::Single | BondOrder::Up | BondOrder::Down => false,
        BondOrder::Double => true,
        _ => return None,
    };
    let is_in = |atom: AtomIdx, number: u16| environments[atom.0 as usize] >> number & 1 == 1;
    let pairs = PAIRS.iter().rev();
    let mut pairs = pairs.flat_map(|(one, others)| others.iter().rev().map(|other| (*one, *other)));
    let (begin, end) = (bond.atom1, bond.atom2);
    // RDKit tries the pattern from the atom that comes first.
    let (first, second) = (begin.min(end), begin.max(end));
    pairs.find_map(|(one, other)| {
        if is_double != (one == DOUBLE) {
            return None;
        }
        let of_first = if is_in(first, one) && is_in(second, other) {
            [one, other]
        } else if is_in(first, other) && is_in(second, one) {
            [other, one]
        } else {
            return None;
        };
        let [a, b] = of_first;
        Some(if first == begin { of_first } else { [b, a] })
    })
}
