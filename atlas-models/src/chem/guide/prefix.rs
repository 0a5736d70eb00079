//! The beginning of a molecule, and what may follow it.

use super::SmilesGuide;
use super::aromatic::{self, GraphAtom, GraphBond};
use super::tokens::{AtomFacts, Role, TokenFacts};
use crate::chem::grammar::{Grammar, State};
use crate::chem::lexer::TokenKind;
use crate::chem::validity::is_valid;

/// An atom of the molecule so far.
#[derive(Debug, Clone, Copy)]
struct PlacedAtom {
    facts: AtomFacts,
    /// The orders of its bonds and of the ends of rings that are open, summed up.
    used: usize,
    /// How many of those are double.
    double: usize,
    /// How many are single or aromatic.
    other: usize,
}

impl PlacedAtom {
    fn add(&mut self, order: usize) {
        self.used += order;
        self.double += usize::from(order == 2);
        self.other += usize::from(order == 1);
    }

    /// Whether there is room for the bonds that it has.
    fn fits(&self) -> bool {
        // RDKit mends some aromatic atoms with an oxygen too many.
        let is_mended = self.facts.is_aromatic()
            && self.double == 1
            && self.facts.role(1, self.other.max(2)).is_possible();
        self.used <= self.facts.room || is_mended
    }

    fn fits_with(mut self, order: usize) -> bool {
        self.add(order);
        self.fits()
    }

    /// Two stand for more.
    fn most_bonds_to_come(mut self) -> usize {
        self.add(1);
        usize::from(self.fits()) + usize::from(self.fits_with(1))
    }

    /// Its part in the aromatic systems, whichever of the bonds come.
    fn in_graph(self, bonds_to_come: usize) -> GraphAtom {
        let is_open = bonds_to_come > 0;
        let role = |double, other| self.facts.role(double, other);
        let possible = if is_open {
            // The bonds that are there or are yet to come may be of any order.
            let later = (self.double..=1).flat_map(|double| {
                let others = self.other.saturating_sub(1).max(2)..=4;
                others.map(move |other| (double, other))
            });
            let later = later.map(|(double, other)| role(double, other));
            later.reduce(Role::or).unwrap_or(Role::UNKNOWN)
        } else {
            role(self.double, self.other)
        };
        GraphAtom {
            role: self.facts.is_aromatic().then_some(possible),
            bonds_to_come,
        }
    }
}

/// The tokens of a molecule so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Prefix {
    tokens: Vec<u32>,
    grammar: Grammar,
    atoms: Vec<PlacedAtom>,
    bonds: Vec<GraphBond>,
}

impl Prefix {
    /// With one more token, if a molecule may begin so.
    pub(super) fn extended(&self, guide: &SmilesGuide, id: u32) -> Option<Self> {
        let facts = guide.facts(id)?;
        let mut extended = self.clone();
        let is_possible = extended.push(facts) && extended.is_possible();
        extended.tokens.push(id);
        Some(extended).filter(|_| is_possible)
    }

    /// The fewest tokens that end it: the end of each ring and branch, and an atom
    /// where one must come.
    pub(super) fn fewest_left(&self) -> usize {
        let is_atom_due = usize::from(self.grammar.state != State::Atom);
        is_atom_due + self.grammar.branches.len() + self.grammar.open_rings.len()
    }

    /// Whether it is a whole molecule.
    pub(super) fn is_molecule(&self, guide: &SmilesGuide) -> bool {
        if self.grammar.finish(0).is_err() || !aromatic::is_possible(&self.graph(true), &self.bonds)
        {
            return false;
        }
        let texts = self.tokens.iter().filter_map(|&id| guide.facts(id));
        let text: String = texts.map(|facts| facts.text.as_str()).collect();
        is_valid(&text)
    }

    /// The numbers of the rings that are open.
    pub(super) fn open_rings(&self) -> impl Iterator<Item = u32> {
        self.grammar.open_rings.keys().copied()
    }

    pub(super) fn is_at_aromatic_atom(&self) -> bool {
        let current = self.grammar.current.map(|atom| self.atoms[atom].facts);
        current.is_some_and(|facts| facts.is_aromatic())
    }

    /// Takes a token; false if it does not fit, and what is left is of no use.
    fn push(&mut self, facts: &TokenFacts) -> bool {
        let token = facts.token();
        let (before, bond) = (self.grammar.current, self.grammar.bond);
        let opened = token.ring_number().and_then(|number| {
            let open = self.grammar.open_rings.get(&number)?;
            Some((open.atom, open.bond))
        });
        if self.grammar.push(token).is_err() {
            return false;
        }
        match (facts.kind, before) {
            (TokenKind::Atom | TokenKind::BracketAtom, _) => {
                let Some(facts) = facts.atom else {
                    return false;
                };
                let atom = self.atoms.len();
                self.atoms.push(PlacedAtom {
                    facts,
                    used: 0,
                    double: 0,
                    other: 0,
                });
                before.is_none_or(|before| {
                    self.reserve(before, bond)
                        && self.reserve(atom, bond)
                        && self.join(before, atom, bond)
                })
            }
            (TokenKind::Bond, Some(before)) => {
                self.atoms[before].fits_with(order(self.grammar.bond))
                    && (token.text != ":" || self.atoms[before].facts.is_aromatic())
            }
            (TokenKind::BranchOpen, Some(before)) => self.atoms[before].fits_with(1),
            (TokenKind::RingClosure, Some(before)) => match opened {
                None => self.reserve(before, bond),
                Some((opened, opened_bond)) => {
                    let bond_written = opened_bond.or(bond);
                    if opened_bond.is_none() && order(bond) > 1 {
                        let opened = &mut self.atoms[opened];
                        opened.used -= 1;
                        opened.other -= 1;
                        opened.add(order(bond));
                        if !opened.fits() {
                            return false;
                        }
                    }
                    self.reserve(before, bond_written) && self.join(opened, before, bond_written)
                }
            },
            (TokenKind::BranchClose, _) => true,
            // The judge reads no dot inside a branch.
            (TokenKind::Dot, _) => self.grammar.branches.is_empty(),
            (_, None) => false,
        }
    }

    /// Takes room for a bond; false if there is none.
    fn reserve(&mut self, atom: usize, bond: Option<u8>) -> bool {
        let atom = &mut self.atoms[atom];
        atom.add(order(bond));
        atom.fits()
    }

    fn join(&mut self, low: usize, high: usize, bond: Option<u8>) -> bool {
        let is_aromatic = |atom: usize| self.atoms[atom].facts.is_aromatic();
        let both_aromatic = is_aromatic(low) && is_aromatic(high);
        let is_bond_aromatic = both_aromatic && matches!(bond, None | Some(b':'));
        self.bonds.push((low, high, is_bond_aromatic));
        both_aromatic || bond != Some(b':')
    }

    fn is_possible(&self) -> bool {
        aromatic::is_possible(&self.graph(false), &self.bonds)
    }

    /// The atoms so far, and the bonds that they can get; none, if they are all.
    fn graph(&self, are_all: bool) -> Vec<GraphAtom> {
        let mut bonds_to_come = vec![0; self.atoms.len()];
        let branched = self.grammar.branches.iter().filter_map(|&(_, atom)| atom);
        for atom in branched.filter(|_| !are_all) {
            bonds_to_come[atom] = self.atoms[atom].most_bonds_to_come();
        }
        if let Some(current) = self.grammar.current.filter(|_| !are_all) {
            let mut atom = self.atoms[current];
            let is_bond_written = self.grammar.bond.is_some();
            if is_bond_written {
                atom.add(order(self.grammar.bond));
            }
            bonds_to_come[current] = usize::from(is_bond_written) + atom.most_bonds_to_come();
        }
        for open in self.grammar.open_rings.values() {
            bonds_to_come[open.atom] += 1;
        }
        let placed = self.atoms.iter().zip(bonds_to_come);
        placed
            .map(|(atom, bonds_to_come)| atom.in_graph(bonds_to_come))
            .collect()
    }
}

fn order(bond: Option<u8>) -> usize {
    match bond {
        Some(b'=') => 2,
        Some(b'#') => 3,
        Some(b'$') => 4,
        _ => 1,
    }
}
