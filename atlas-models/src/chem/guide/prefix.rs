//! The beginning of a molecule, and what may follow it.

use super::SmilesGuide;
use super::aromatic::{self, GraphAtom, GraphBond};
use super::tokens::{AtomFacts, Role, TokenFacts};
use crate::chem::grammar::{Grammar, State};
use crate::chem::lexer::TokenKind;
use crate::chem::validity::is_valid;

/// The most bonds, double ones aside, of an aromatic atom. RDKit reads one more and
/// takes the atom for an aliphatic one; it writes none so.
const MOST_AROMATIC: usize = 3;

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
        let is_crowded = self.facts.is_aromatic() && self.other > MOST_AROMATIC;
        self.used <= self.facts.room && !is_crowded
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

    /// Its part in the aromatic systems if the bonds that come are at least so many:
    /// of any order, as are those that it has one end of.
    fn role_with(&self, more: usize) -> Role {
        if self.double > 1 {
            return Role::UNKNOWN;
        }
        let later = (self.double..=1).flat_map(|double| {
            let fewest = (self.other + more)
                .saturating_sub(double - self.double)
                .max(2);
            (fewest..=MOST_AROMATIC).map(move |other| self.facts.role(double, other))
        });
        later.fold(Role::NONE, Role::or)
    }

    /// The atom in the graph, with the ends of bonds that wait for their other
    /// ends, and whether more can come.
    fn in_graph(&self, waiting: usize, can_get_more: bool) -> GraphAtom {
        let is_settled = waiting == 0 && !can_get_more;
        let roles = if is_settled {
            [
                self.facts.role(self.double, self.other),
                Role::NONE,
                Role::NONE,
            ]
        } else if can_get_more {
            [0, 1, 2].map(|more| self.role_with(more))
        } else {
            [self.role_with(0), Role::NONE, Role::NONE]
        };
        let most = if can_get_more {
            self.most_bonds_to_come()
        } else {
            0
        };
        GraphAtom {
            roles: self.facts.is_aromatic().then_some(roles),
            waiting,
            bonds_to_come: waiting + most,
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
        if !(extended.push(facts) && extended.is_possible()) {
            return None;
        }
        extended.tokens.push(id);
        Some(extended)
    }

    /// The fewest tokens that end it: the end of each ring and branch, and an atom
    /// where one must come.
    pub(super) fn fewest_left(&self) -> usize {
        let is_atom_due = usize::from(self.grammar.state != State::Atom);
        is_atom_due + self.grammar.branches.len() + self.grammar.open_rings.len()
    }

    /// Whether everything is closed, and the aromatic atoms have partners.
    pub(super) fn is_complete(&self) -> bool {
        self.grammar.finish(0).is_ok() && aromatic::is_possible(&self.graph(true), &self.bonds)
    }

    /// Whether it is a whole molecule.
    pub(super) fn is_molecule(&self, guide: &SmilesGuide) -> bool {
        if !self.is_complete() {
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
        self.can_close_rings() && aromatic::is_possible(&self.graph(false), &self.bonds)
    }

    /// Whether no ring is open, or an atom has room for what closes them.
    fn can_close_rings(&self) -> bool {
        let has_room = |atom: usize| self.atoms[atom].fits_with(1);
        let mut branched = self.grammar.branches.iter().filter_map(|&(_, atom)| atom);
        self.grammar.open_rings.is_empty()
            || matches!(
                self.grammar.state,
                State::Start | State::Bond | State::BranchBond
            )
            || self.grammar.current.is_some_and(has_room)
            || branched.any(has_room)
    }

    /// The atoms so far, and the bonds that they can get; none, if they are all.
    fn graph(&self, are_all: bool) -> Vec<GraphAtom> {
        let mut waiting = vec![0; self.atoms.len()];
        let mut can_get_more = vec![false; self.atoms.len()];
        let mut placed = self.atoms.clone();
        if !are_all {
            let branched = self.grammar.branches.iter().filter_map(|&(_, atom)| atom);
            for atom in branched.chain(self.grammar.current) {
                can_get_more[atom] = true;
            }
            if let (Some(current), Some(bond)) = (self.grammar.current, self.grammar.bond) {
                placed[current].add(order(Some(bond)));
                waiting[current] += 1;
            }
            for open in self.grammar.open_rings.values() {
                waiting[open.atom] += 1;
            }
        }
        let bonds = waiting.into_iter().zip(can_get_more);
        let atoms = placed.iter().zip(bonds);
        atoms
            .map(|(atom, (waiting, more))| atom.in_graph(waiting, more))
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
