//! Which SMILES token may follow which.
//!
//! The grammar is what the OpenSMILES specification (version 1.0) and RDKit's
//! parser both read. Where they differ it takes the stricter side, with one
//! exception: a ring closure may follow a branch, as in `C(C)1CC1`, because
//! other programs write that and it cannot be misread. So these, which one of
//! the two reads, are refused: a branch that starts with a dot (`C(.C)C`), a
//! string that starts with a bond (`=CC`), a ring closure whose two ends name
//! different bonds (`C=1CC-1`), and the bonds `~`, `->`, `<-`, `\\`.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Error, Result};
use super::lexer::{Lexer, Token, TokenKind};

/// Checks that `text` is a SMILES string; says nothing about valences.
///
/// Takes time proportional to the string, and recurses over nothing: neither
/// length nor depth of branches can exhaust the stack.
///
/// # Errors
///
/// If the string is empty, is not made of tokens, or the tokens do not fit
/// together; at the byte where it goes wrong. What is never closed is reported
/// where it was opened.
pub(super) fn check(text: &str) -> Result<()> {
    let mut grammar = Grammar::default();
    for token in Lexer::new(text) {
        grammar.push(token?)?;
    }
    grammar.finish(text.len())
}

/// What the tokens so far lead up to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// At the start or after a dot: an atom must come.
    #[default]
    Start,
    /// After an atom with its ring closures and branches: anything may come.
    Atom,
    /// After a bond: its other end must come, an atom or a ring closure.
    Bond,
    /// After `(`: an atom, or the bond to it, must come.
    Branch,
    /// After `(` and a bond: an atom must come.
    BranchBond,
}

impl State {
    fn expected(self) -> &'static str {
        match self {
            Self::Start | Self::BranchBond => "an atom",
            Self::Atom => "a SMILES token",
            Self::Bond => "an atom or a ring closure",
            Self::Branch => "an atom or a bond",
        }
    }
}

type Atom = usize;

#[derive(Debug, Clone)]
pub(super) struct OpenRing {
    pub atom: Atom,
    pub bond: Option<u8>,
    offset: usize,
}

/// What of the tokens so far bears on those that may follow.
#[derive(Debug, Default, Clone)]
pub(super) struct Grammar {
    pub state: State,
    /// The atom that the next one is bonded to.
    pub current: Option<Atom>,
    /// The bond written last, until its other end is read.
    pub bond: Option<u8>,
    /// For each atom, the one that it was bonded to when it was written.
    parents: Vec<Option<Atom>>,
    /// Offset of each open `(`, and the atom that it branches from.
    pub branches: Vec<(usize, Option<Atom>)>,
    pub open_rings: BTreeMap<u32, OpenRing>,
    /// The atoms at the two ends of each closed ring, the lower one first.
    ring_bonds: BTreeSet<(Atom, Atom)>,
}

impl Grammar {
    /// Takes the next token. After an error it is of no more use.
    pub(super) fn push(&mut self, token: Token<'_>) -> Result<()> {
        match token.kind {
            TokenKind::Atom | TokenKind::BracketAtom => self.atom(),
            TokenKind::Bond => return self.bond(token),
            TokenKind::RingClosure => return self.ring_closure(token),
            TokenKind::BranchOpen => return self.branch_open(token),
            TokenKind::BranchClose => return self.branch_close(token),
            TokenKind::Dot => return self.dot(token),
        }
        Ok(())
    }

    /// An atom may stand everywhere.
    fn atom(&mut self) {
        let atom = self.parents.len();
        self.parents.push(self.current);
        self.current = Some(atom);
        self.bond = None;
        self.state = State::Atom;
    }

    fn bond(&mut self, token: Token<'_>) -> Result<()> {
        self.state = match self.state {
            State::Atom => State::Bond,
            State::Branch => State::BranchBond,
            State::Start => return self.refuse(token, "is a bond without a left end"),
            State::Bond | State::BranchBond => return self.refuse(token, "follows another bond"),
        };
        self.bond = token.text.bytes().next();
        Ok(())
    }

    fn branch_open(&mut self, token: Token<'_>) -> Result<()> {
        match self.state {
            State::Atom => {
                self.branches.push((token.offset, self.current));
                self.state = State::Branch;
                Ok(())
            }
            State::Start => self.refuse(token, "opens a branch without an atom to branch from"),
            State::Bond | State::BranchBond => {
                self.refuse(token, "opens a branch between a bond and its right end")
            }
            State::Branch => self.refuse(token, "opens a branch at the start of a branch"),
        }
    }

    fn branch_close(&mut self, token: Token<'_>) -> Result<()> {
        match self.state {
            State::Atom => {}
            State::Branch => return self.refuse(token, "closes an empty branch"),
            State::Bond | State::BranchBond => {
                return self.refuse(token, "closes a branch that ends in a bond");
            }
            State::Start if self.branches.is_empty() => {
                return self.refuse(token, "closes no branch");
            }
            State::Start => return self.refuse(token, "closes a branch that ends in a dot"),
        }
        let Some((_, atom)) = self.branches.pop() else {
            return self.refuse(token, "closes no branch");
        };
        self.current = atom;
        Ok(())
    }

    fn dot(&mut self, token: Token<'_>) -> Result<()> {
        match self.state {
            State::Atom => {
                self.current = None;
                self.state = State::Start;
                Ok(())
            }
            State::Start => self.refuse(token, "separates nothing"),
            State::Bond | State::BranchBond => self.refuse(token, "follows a bond"),
            State::Branch => self.refuse(token, "starts a branch"),
        }
    }

    fn ring_closure(&mut self, token: Token<'_>) -> Result<()> {
        let (State::Atom | State::Bond, Some(atom)) = (self.state, self.current) else {
            return self.refuse(token, "is a ring closure without an atom");
        };
        let Some(number) = token.ring_number() else {
            return self.refuse(token, "is not a ring closure");
        };
        let bond = self.bond.take();
        self.state = State::Atom;
        match self.open_rings.remove(&number) {
            Some(open) => self.close_ring(token, open, atom, bond),
            None => {
                let offset = token.offset;
                self.open_rings
                    .insert(number, OpenRing { atom, bond, offset });
                Ok(())
            }
        }
    }

    fn close_ring(
        &mut self,
        token: Token<'_>,
        open: OpenRing,
        atom: Atom,
        bond: Option<u8>,
    ) -> Result<()> {
        let refuse = |found: String, expected| {
            Err(Error::syntax(
                token.offset,
                format!("ring closure `{}` {found}", token.text),
                expected,
            ))
        };
        if open.atom == atom {
            let found = "bonds an atom to itself".to_owned();
            return refuse(found, "another atom between the two ends of a ring");
        }
        let (low, high) = (open.atom.min(atom), open.atom.max(atom));
        if self.parents[high] == Some(low) || !self.ring_bonds.insert((low, high)) {
            let found = "bonds two atoms a second time".to_owned();
            return refuse(found, "at most one bond between two atoms");
        }
        match (open.bond, bond.map(seen_from_other_end)) {
            (Some(opened), Some(closed)) if opened != closed => {
                let found = format!(
                    "closes with another bond than it opened with at byte {}",
                    open.offset
                );
                refuse(found, "the same bond, or a bond on one end only")
            }
            _ => Ok(()),
        }
    }

    fn refuse<T>(&self, token: Token<'_>, what: &str) -> Result<T> {
        let found = format!("`{}` {what}", token.text);
        Err(Error::syntax(token.offset, found, self.state.expected()))
    }

    /// Checks that the string, `end` bytes long, may end here.
    pub(super) fn finish(&self, end: usize) -> Result<()> {
        if self.parents.is_empty() {
            return Err(Error::syntax(0, "the string is empty", "an atom"));
        }
        if self.state != State::Atom {
            return Err(Error::syntax(
                end,
                "the string ends here",
                self.state.expected(),
            ));
        }
        if let Some(&(offset, _)) = self.branches.last() {
            return Err(Error::syntax(offset, "this branch is never closed", "`)`"));
        }
        let first_open = self.open_rings.iter().min_by_key(|(_, open)| open.offset);
        if let Some((number, open)) = first_open {
            let found = format!("ring closure {number} is never closed");
            return Err(Error::syntax(open.offset, found, "its other end"));
        }
        Ok(())
    }
}

/// A directional bond leans the other way when it is read from its other end.
fn seen_from_other_end(bond: u8) -> u8 {
    match bond {
        b'/' => b'\\',
        b'\\' => b'/',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_at(smiles: &str) -> usize {
        let error = check(smiles).expect_err(smiles);
        error.offset().expect("a syntax error has an offset")
    }

    #[test]
    fn what_fits_together_is_accepted() {
        for smiles in [
            "C",
            "C(C)C",
            "C(C)",
            "C(C.C)C",
            "C1.C1",
            "C(C)1CC1",
            "C1(CC1)C",
            "C=1CC1",
            "C1CC=1",
            "C=1CC=1",
            "C=1=CCC1",
            r"C/1=CC\1",
            "C%10CC%10",
            "C%(1)CC1",
            "C1CC1C1CC1",
            "C12CC1C2",
            "C(C(C(C)C)C)C",
            "c1ccccc1-c1ccccc1",
            r"F/C=C/F",
            "*C*",
            "[Na+].[Cl-]",
        ] {
            assert_eq!(check(smiles), Ok(()), "{smiles}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_at_its_byte() {
        for (smiles, offset) in [
            ("", 0),
            ("=C", 0),
            ("1CC1", 0),
            ("(C)C", 0),
            (".C", 0),
            ("C.", 2),
            ("C..C", 2),
            ("C.(C)", 2),
            ("C.1CC1", 2),
            ("C=", 2),
            ("C==C", 2),
            (r"C\\C", 2),
            ("C=.C", 2),
            ("C.=C", 2),
            ("C()", 2),
            ("C((C))C", 2),
            ("C(.C)C", 2),
            ("C(C.)C", 4),
            ("C(1CC1)C", 2),
            ("C(=1CC1)C", 3),
            ("C(=)N", 3),
            ("C=(N)C", 2),
            ("C(C=)N", 4),
            ("C)", 1),
            (")", 0),
            ("C(", 2),
            ("C(C", 1),
            ("C(C(C)C", 1),
            ("cc@2", 2),
            ("C1CC", 1),
            ("C1CC2", 1),
            ("C11", 2),
            ("C1C1", 3),
            ("C(C1)1", 5),
            ("C12CCCCC12", 9),
            ("C=1CC-1", 6),
            ("C=1CC#1", 6),
            ("C/1CC/1", 6),
            ("C CC", 1),
        ] {
            assert_eq!(refused_at(smiles), offset, "{smiles}");
        }
    }

    #[test]
    fn the_message_names_what_was_found_and_expected() {
        for (smiles, message) in [
            (
                "C(=)N",
                "byte 3: `)` closes a branch that ends in a bond; expected an atom",
            ),
            (
                "C1CC",
                "byte 1: ring closure 1 is never closed; expected its other end",
            ),
            (
                "C=",
                "byte 2: the string ends here; \
                 expected an atom or a ring closure",
            ),
            (
                "C=1CC-1",
                "byte 6: ring closure `1` closes with another bond than it opened with \
                 at byte 2; expected the same bond, or a bond on one end only",
            ),
        ] {
            assert_eq!(check(smiles).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_million_atoms_are_read() {
        assert_eq!(check(&"C".repeat(1_000_000)), Ok(()));
    }

    #[test]
    fn a_hundred_thousand_nested_branches_are_read() {
        let depth = 100_000;
        let nested = format!("{}C{}", "C(".repeat(depth), ")".repeat(depth));
        assert_eq!(check(&nested), Ok(()));
        assert_eq!(refused_at(&nested[..nested.len() - 1]), 1);
    }

    #[test]
    fn many_open_rings_are_read() {
        let rings: String = (0..20_000).map(|n| format!("C%({n})")).collect();
        let closed = format!("{rings}{}", rings.replace('C', "N"));
        assert_eq!(check(&closed), Ok(()));
        assert_eq!(refused_at(&rings), 1);
    }
}
