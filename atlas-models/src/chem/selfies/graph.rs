//! The molecule between SMILES and SELFIES.
//!
//! Both notations write a molecule as a walk over its atoms. The graph keeps the
//! order of the walk: the atoms as they are written, and at each atom the bonds
//! that leave it as they are written.

use std::fmt;

use crate::chem::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chirality {
    /// `@`
    Anticlockwise,
    /// `@@`
    Clockwise,
}

impl Chirality {
    pub(super) fn mirrored(self) -> Self {
        match self {
            Self::Anticlockwise => Self::Clockwise,
            Self::Clockwise => Self::Anticlockwise,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Atom<'a> {
    /// With a capital letter, aromatic or not.
    pub element: &'a str,
    pub is_aromatic: bool,
    pub isotope: Option<u32>,
    pub chirality: Option<Chirality>,
    /// `None` for an atom without brackets: as many as its valence leaves room for.
    pub hydrogens: Option<u32>,
    pub charge: i32,
    /// Where it stands in the string that it was read from, in bytes.
    pub offset: usize,
}

impl<'a> Atom<'a> {
    /// An atom without brackets.
    pub(super) fn plain(element: &'a str, offset: usize) -> Self {
        Self {
            element,
            is_aromatic: false,
            isotope: None,
            chirality: None,
            hydrogens: None,
            charge: 0,
            offset,
        }
    }

    /// The bonds that the atom may have, each counted by its order: the default
    /// constraints of SELFIES, less the hydrogens in its brackets. Below zero for
    /// an atom with too many hydrogens.
    pub(super) fn capacity(&self) -> i32 {
        let bonds = match (self.element, self.charge) {
            ("H" | "F" | "Cl" | "Br" | "I", 0) | ("O", -1) => 1,
            ("O", 0) | ("B", 1) | ("N", -1) => 2,
            ("B" | "N", 0) | ("O", 1) | ("C", 1 | -1) => 3,
            ("C", 0) | ("B", -1) | ("N", 1) | ("P", 1) => 4,
            ("P", 0) | ("S", 1 | -1) => 5,
            ("S", 0) | ("P", -1) => 6,
            _ => 8,
        };
        bonds - self.hydrogens.unwrap_or(0) as i32
    }

    pub(super) fn is_bracketed(&self) -> bool {
        self.hydrogens.is_some()
    }
}

/// What stands between the brackets, or an atom without brackets.
impl fmt::Display for Atom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(isotope) = self.isotope {
            write!(f, "{isotope}")?;
        }
        f.write_str(self.element)?;
        match self.chirality {
            Some(Chirality::Anticlockwise) => f.write_str("@")?,
            Some(Chirality::Clockwise) => f.write_str("@@")?,
            None => {}
        }
        match self.hydrogens {
            None => {}
            // Without it the atom would read as one without brackets.
            Some(0) => {
                let plain = self.isotope.is_none() && self.chirality.is_none() && self.charge == 0;
                if plain && ORGANIC.contains(&self.element) {
                    f.write_str("H0")?;
                }
            }
            Some(count) => write!(f, "H{count}")?,
        }
        match self.charge {
            0 => Ok(()),
            charge => write!(f, "{charge:+}"),
        }
    }
}

/// The elements that SMILES writes without brackets.
pub(super) const ORGANIC: [&str; 10] = ["B", "C", "N", "O", "S", "P", "F", "Cl", "Br", "I"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bond {
    /// The atom that is written first.
    pub low: usize,
    pub high: usize,
    /// Twice the order: 2 for a single bond, 3 for an aromatic one.
    pub twice_order: u8,
    /// `/` or `\` as written at `low` and, for a ring bond, at `high`.
    pub stereo: [Option<u8>; 2],
    pub is_ring: bool,
}

impl Bond {
    /// The bond as both notations write it; `stereo` is that of the end.
    pub(super) fn text(&self, stereo: Option<u8>) -> &'static str {
        match (self.twice_order, stereo) {
            (4, _) => "=",
            (6, _) => "#",
            (_, Some(b'/')) => "/",
            (_, Some(_)) => "\\",
            (_, None) => "",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub atoms: Vec<Atom<'a>>,
    /// The first atom of each fragment.
    pub roots: Vec<usize>,
    /// In the order in which both ends were known.
    pub bonds: Vec<Bond>,
    /// The bonds that leave each atom, in the order of writing: those to atoms
    /// that are written after it, and its ring bonds.
    pub leaving: Vec<Vec<usize>>,
    /// Twice the sum of the orders of each atom's bonds.
    pub twice_used: Vec<u32>,
}

impl<'a> Graph<'a> {
    /// Adds an atom and the bond to it from `previous`; without one it is a root.
    pub(super) fn add_atom(
        &mut self,
        atom: Atom<'a>,
        previous: Option<(usize, u8, Option<u8>)>,
    ) -> usize {
        let high = self.atoms.len();
        self.atoms.push(atom);
        self.leaving.push(Vec::new());
        self.twice_used.push(0);
        let Some((low, twice_order, stereo)) = previous else {
            self.roots.push(high);
            return high;
        };
        let bond = self.add_bond(Bond {
            low,
            high,
            twice_order,
            stereo: [stereo, None],
            is_ring: false,
        });
        self.leaving[low].push(bond);
        high
    }

    /// Adds a bond that leaves no atom yet.
    pub(super) fn add_bond(&mut self, bond: Bond) -> usize {
        self.twice_used[bond.low] += u32::from(bond.twice_order);
        self.twice_used[bond.high] += u32::from(bond.twice_order);
        self.bonds.push(bond);
        self.bonds.len() - 1
    }

    pub(super) fn set_order(&mut self, bond: usize, twice_order: u8) {
        let bond = &mut self.bonds[bond];
        for atom in [bond.low, bond.high] {
            self.twice_used[atom] += u32::from(twice_order);
            self.twice_used[atom] -= u32::from(bond.twice_order);
        }
        bond.twice_order = twice_order;
    }

    /// The bond between two atoms.
    pub(super) fn bond_between(&self, low: usize, high: usize) -> Option<usize> {
        let mut leaving = self.leaving[low].iter().copied();
        leaving.find(|&bond| (self.bonds[bond].low, self.bonds[bond].high) == (low, high))
    }

    /// Checks that no atom has more bonds than SELFIES allows.
    ///
    /// # Errors
    ///
    /// The first atom that has.
    pub(super) fn check_capacities(&self) -> Result<()> {
        for (atom, &twice_used) in self.atoms.iter().zip(&self.twice_used) {
            let (used, capacity) = (twice_used / 2, atom.capacity());
            if i64::from(used) > i64::from(capacity) {
                let reason = format!("`{atom}` has {used} bonds, and SELFIES allows {capacity}");
                return Err(Error::selfies(atom.offset, reason));
            }
        }
        Ok(())
    }
}
