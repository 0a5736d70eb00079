//! Decoding that writes molecules.
//!
//! [`SmilesGuide`] refuses, while a string is written, the tokens after which no
//! molecule can follow. It holds a string to
//!
//! - the grammar of [`Smiles`](super::Smiles), without dots inside branches and
//!   `:` at atoms that are not aromatic;
//! - the valence of each atom: its bonds, and the open ends of rings at it, fit what
//!   RDKit accepts;
//! - aromaticity: each aromatic atom that gets no more bonds is in a ring or can
//!   come to be in one, and has a partner for its double bond if it takes one;
//! - the tokens that are left: rings and branches can be closed with them;
//! - its end: it ends only where it is [valid](super::is_valid).
//!
//! A token is also refused if no token is allowed after it. That is one step of
//! foresight: a string can still come to where nothing is allowed, and ends there,
//! invalid, or go on until no tokens are left. When few are left, an ending is
//! searched for with each token; once one is found, a token is allowed only if it
//! leads to one, so that it is never lost.
//!
//! # Limits
//!
//! Not allowed are the molecules that RDKit mends while it reads them, such as a
//! nitro group that is written `N(=O)=O` (`[N+](=O)[O-]` is allowed), and aromatic
//! atoms with four neighbours. When a molecule needs all the tokens that are left,
//! the search can overlook it and refuse it.
//!
//! What is left open is aromaticity. Without aromatic atoms strings do not fail;
//! with them, a system can be begun that no ring the string could still close makes
//! whole.
//!
//! # Measured
//!
//! No prefix of the 249,572 molecules of ZINC, MUV and QM9 is refused if there are
//! 200 tokens to write them with. With exactly as many as a molecule has, 11 % of
//! 1,222 of ZINC are, 14 % of 4,654 of MUV, and 5 of 6,602 of QM9.
//!
//! Molecules of ZINC in which each token is replaced by another at a chance of 3 %:
//! of those of at most 50 tokens 56 % are valid without the guide and 98 % with it
//! (392 of 400); of at most 100 tokens, 62 % and 92 % (368). Of QM9, 87 % without it
//! and all of 400 with it. Uniformly random choices among the allowed tokens of
//! ZINC, many of which are charged aromatic atoms, end in a molecule for 43 of 60
//! strings of at most 25 tokens, and for all 60 of QM9's.
//!
//! To follow a molecule of ZINC takes one or two milliseconds in the dev profile,
//! most of it to look one token ahead; a string that runs out of tokens takes tens.

mod aromatic;
mod prefix;
mod tokens;

use std::collections::HashMap;

use prefix::Prefix;
use tokens::TokenFacts;

use super::lexer::TokenKind;
use super::vocabulary::{END, Vocabulary};
use crate::nn::{Guide, GuidedSequence};

/// Prefixes that a search for an ending looks at, if none is known.
const MOST_TRIALS: usize = 200;
/// If one is.
const FEW_TRIALS: usize = 100;
/// Prefixes that the searches of a string look at in all. A string that is lost would search to its
/// end, with every token.
const TRIALS_PER_STRING: usize = 3_000;

/// Refuses the tokens after which no molecule can follow.
///
/// Made once for a vocabulary, which takes some milliseconds.
#[derive(Debug, Clone)]
pub struct SmilesGuide {
    /// By id; `None` for special tokens.
    facts: Vec<Option<TokenFacts>>,
    /// One token of each kind of atom that an ending is made of, with the most
    /// room first.
    atoms: Vec<u32>,
    /// All tokens, those that are allowed most often first.
    by_chance: Vec<u32>,
    rings: HashMap<u32, u32>,
    branch_close: Option<u32>,
}

impl SmilesGuide {
    /// The guide to the tokens of `vocabulary`.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let texts = vocabulary.tokens().iter();
        let facts: Vec<Option<TokenFacts>> = texts.map(|text| TokenFacts::new(text)).collect();
        let known = || {
            (0..)
                .zip(&facts)
                .filter_map(|(id, facts)| Some((id, facts.as_ref()?)))
        };
        let mut atoms: Vec<(u32, &TokenFacts)> = Vec::new();
        for (id, facts) in known().filter(|(_, facts)| facts.atom.is_some()) {
            if atoms.iter().all(|(_, other)| other.atom != facts.atom) {
                atoms.push((id, facts));
            }
        }
        atoms.sort_by_key(|(_, facts)| facts.atom.map(|atom| std::cmp::Reverse(atom.room)));
        let ids = |atoms: &[(u32, &TokenFacts)]| atoms.iter().map(|&(id, _)| id).collect();
        let all: Vec<u32> = ids(&atoms);
        let others = known().map(|(id, _)| id).filter(|id| !all.contains(id));
        let by_chance = all.iter().copied().chain(others).collect();
        // Atoms in brackets are mostly charged: an ending does well without them.
        atoms.retain(|(_, facts)| facts.kind == TokenKind::Atom);
        let atoms = if atoms.is_empty() { all } else { ids(&atoms) };
        let rings = known().filter_map(|(id, facts)| Some((facts.token().ring_number()?, id)));
        let rings = rings.collect();
        let close = known().find(|(_, facts)| facts.kind == TokenKind::BranchClose);
        let branch_close = close.map(|(id, _)| id);
        Self {
            facts,
            atoms,
            by_chance,
            rings,
            branch_close,
        }
    }

    fn facts(&self, id: u32) -> Option<&TokenFacts> {
        self.facts.get(id as usize)?.as_ref()
    }

    /// Whether something may follow `prefix` when `left` tokens can.
    fn has_successor(&self, prefix: &Prefix, left: usize) -> bool {
        let follows = |&id: &u32| {
            let extended = prefix.extended(self, id);
            extended.is_some_and(|extended| extended.fewest_left() < left)
        };
        left > 0 && self.by_chance.iter().any(follows) || prefix.is_molecule(self)
    }

    /// An ending of at most `left` tokens, the shortest that is found soon.
    fn ending(&self, prefix: &Prefix, left: usize, trials: &mut usize) -> Option<Vec<u32>> {
        let fewest = prefix.fewest_left();
        let mut ending = Vec::new();
        for most in (fewest..=left).take(6).chain([left]) {
            if self.search(prefix, most.min(left), &mut ending, trials) {
                return Some(ending);
            }
        }
        None
    }

    /// Extends `ending` by at most `left` tokens to one of `prefix`.
    fn search(
        &self,
        prefix: &Prefix,
        left: usize,
        ending: &mut Vec<u32>,
        trials: &mut usize,
    ) -> bool {
        if prefix.fewest_left() > left || *trials == 0 {
            return false;
        }
        *trials -= 1;
        if prefix.is_molecule(self) {
            return true;
        }
        if left == 0 {
            return false;
        }
        for id in self.ways_on(prefix) {
            if let Some(extended) = prefix.extended(self, id) {
                ending.push(id);
                if self.search(&extended, left - 1, ending, trials) {
                    return true;
                }
                ending.pop();
            }
        }
        false
    }
}

impl SmilesGuide {
    /// The tokens that an ending of `prefix` may go on with: those that close
    /// something, then the atoms, and the ring of an aromatic atom without one.
    fn ways_on(&self, prefix: &Prefix) -> Vec<u32> {
        let is_aromatic = prefix.is_at_aromatic_atom();
        let open = prefix
            .open_rings()
            .filter_map(|number| self.rings.get(&number));
        let closing = open.chain(&self.branch_close).copied();
        let is_open = |number: &u32| prefix.open_rings().any(|open| open == *number);
        let unused = self
            .rings
            .iter()
            .filter(|(number, _)| !is_open(number))
            .min();
        let opening = unused.map(|(_, &id)| id).filter(|_| is_aromatic);
        // An aromatic system goes on as one.
        let is_alike = |id: &u32| {
            let atom = self.facts(*id).and_then(|facts| facts.atom);
            atom.is_some_and(|atom| atom.is_aromatic()) == is_aromatic
        };
        let (alike, others): (Vec<u32>, Vec<u32>) = self.atoms.iter().partition(|id| is_alike(id));
        closing.chain(alike).chain(opening).chain(others).collect()
    }
}

impl Guide for SmilesGuide {
    fn start(&self) -> Box<dyn GuidedSequence + '_> {
        Box::new(Writing {
            guide: self,
            written: Continued::default(),
            allowed: None,
            trials: TRIALS_PER_STRING,
        })
    }
}

/// A prefix, and how it can end if that was looked for.
#[derive(Default)]
struct Continued {
    prefix: Prefix,
    ending: Option<Vec<u32>>,
}

struct Writing<'a> {
    guide: &'a SmilesGuide,
    written: Continued,
    /// What was written with the token that was allowed last.
    allowed: Option<Continued>,
    /// Prefixes that may still be looked at to find endings.
    trials: usize,
}

impl Writing<'_> {
    fn continued(&mut self, id: u32, left: usize) -> Option<Continued> {
        let prefix = self.written.prefix.extended(self.guide, id)?;
        if let Some((&first, rest)) = self.written.ending.as_deref().and_then(<[_]>::split_first)
            && first == id
        {
            let ending = Some(rest.to_vec());
            return Some(Continued { prefix, ending });
        }
        let fewest = prefix.fewest_left();
        if fewest > left {
            return None;
        }
        // Where tokens run short, an ending is looked for, and kept once it is found.
        // A ring needs two atoms and its end; an aromatic system, some more.
        if left < 3 * fewest + 6 {
            let is_known = self.written.ending.is_some();
            let most = if is_known { FEW_TRIALS } else { MOST_TRIALS };
            let most = most.min(self.trials);
            let mut trials = most;
            let ending = self.guide.ending(&prefix, left, &mut trials);
            self.trials -= most - trials;
            if ending.is_some() || is_known {
                return ending.map(|ending| Continued {
                    prefix,
                    ending: Some(ending),
                });
            }
        }
        let ending = None;
        let is_open = self.guide.has_successor(&prefix, left);
        is_open.then_some(Continued { prefix, ending })
    }
}

impl GuidedSequence for Writing<'_> {
    fn allows(&mut self, token: u32, left: usize) -> bool {
        if token == u32::from(END) {
            return self.written.prefix.is_molecule(self.guide);
        }
        self.allowed = self.continued(token, left);
        self.allowed.is_some()
    }

    fn push(&mut self, _: u32) {
        if let Some(allowed) = self.allowed.take() {
            self.written = allowed;
        }
    }
}

#[cfg(test)]
mod tests;
