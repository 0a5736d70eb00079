//! What each token of a vocabulary can be bonded to.
//!
//! Nothing here is a table of valences: the judge of the module `validity` is
//! asked about small molecules with the atom in them, so that the guide and the
//! judge agree.

use crate::chem::bracket;
use crate::chem::lexer::{Lexer, Token, TokenKind};
use crate::chem::smiles::Smiles;
use crate::chem::validity::{check_possible, is_valid};

/// Bonds beyond which the judge is not asked: no valence is as large.
const MOST_BONDS: usize = 10;

/// What a token is.
#[derive(Debug, Clone)]
pub(super) struct TokenFacts {
    pub text: String,
    pub kind: TokenKind,
    /// What kind of atom it is, if it is one.
    pub atom: Option<AtomFacts>,
}

/// What an atom can be bonded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AtomFacts {
    /// The bonds that it can have besides the hydrogens in its brackets, each
    /// counted by its order, aromatic ones as single.
    pub room: usize,
    /// For an aromatic atom, its part in a Kekulé structure by its double bonds
    /// (none, one) and its other bonds (two, three).
    pub roles: Option<[[Role; 2]; 2]>,
}

/// Whether an aromatic atom has a double bond of its aromatic system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Role {
    pub can_take: bool,
    pub can_spare: bool,
}

impl Role {
    pub(super) const UNKNOWN: Self = Self {
        can_take: true,
        can_spare: true,
    };

    pub(super) const NONE: Self = Self {
        can_take: false,
        can_spare: false,
    };

    pub(super) fn or(self, other: Self) -> Self {
        Self {
            can_take: self.can_take || other.can_take,
            can_spare: self.can_spare || other.can_spare,
        }
    }

    pub(super) fn is_possible(self) -> bool {
        self.can_take || self.can_spare
    }
}

impl AtomFacts {
    pub(super) fn is_aromatic(&self) -> bool {
        self.roles.is_some()
    }

    /// The role of an aromatic atom with so many double and other bonds; unknown
    /// where it cannot be said, and for every other atom.
    pub(super) fn role(&self, double: usize, other: usize) -> Role {
        let row = self.roles.as_ref().and_then(|roles| roles.get(double));
        let role = row.and_then(|row| row.get(other.checked_sub(2)?));
        role.copied().unwrap_or(Role::UNKNOWN)
    }
}

impl TokenFacts {
    /// The facts of `text`; `None` for what is no token of SMILES.
    pub(super) fn new(text: &str) -> Option<Self> {
        let token = Lexer::new(text).next()?.ok()?;
        let is_atom = matches!(token.kind, TokenKind::Atom | TokenKind::BracketAtom);
        Some(Self {
            text: text.to_owned(),
            kind: token.kind,
            atom: is_atom.then(|| atom_facts(&token)),
        })
    }

    pub(super) fn token(&self) -> Token<'_> {
        Token {
            kind: self.kind,
            text: &self.text,
            offset: 0,
        }
    }
}

fn atom_facts(token: &Token<'_>) -> AtomFacts {
    let symbol = match token.kind {
        TokenKind::BracketAtom => bracket::read(token.text, 0).map_or("", |atom| atom.symbol),
        _ => token.text,
    };
    let is_aromatic = symbol.starts_with(|first: char| first.is_ascii_lowercase());
    // The same atom outside an aromatic system.
    let mut capital = symbol.to_owned();
    if let Some(first) = capital.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let aliphatic = token.text.replacen(symbol, &capital, 1);
    let bonded = |bonds: &usize| {
        let smiles = format!("{aliphatic}{}", "(C)".repeat(*bonds));
        Smiles::parse(&smiles).is_ok_and(|smiles| check_possible(&smiles).is_ok())
    };
    let role = |bonds: &str| Role {
        can_take: is_valid(&format!("{}1{bonds}ccccc1", token.text)),
        can_spare: is_valid(&format!("{}1{bonds}cccc1", token.text)),
    };
    AtomFacts {
        room: (0..=MOST_BONDS).rev().find(bonded).unwrap_or(0),
        roles: is_aromatic.then(|| [["", "(C)"].map(role), ["(=O)", "(=O)(C)"].map(role)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(atom: &str) -> usize {
        TokenFacts::new(atom).unwrap().atom.unwrap().room
    }

    #[test]
    fn the_room_of_an_atom_is_what_its_valence_leaves() {
        for (atom, expected) in [
            ("C", 4),
            ("N", 3),
            ("O", 2),
            ("S", 6),
            ("P", 5),
            ("B", 3),
            ("F", 1),
            ("I", 5),
            ("c", 4),
            ("n", 3),
            ("o", 2),
            ("*", MOST_BONDS),
            ("[C@@H]", 3),
            ("[C@]", 4),
            ("[NH4+]", 0),
            ("[N+]", 4),
            ("[O-]", 1),
            ("[nH]", 2),
            ("[n+]", 4),
            ("[Fe]", MOST_BONDS),
        ] {
            assert_eq!(room(atom), expected, "{atom}");
        }
    }

    #[test]
    fn an_aromatic_atom_takes_or_spares_a_double_bond() {
        let role = |atom, double, other| {
            let role = TokenFacts::new(atom)
                .unwrap()
                .atom
                .unwrap()
                .role(double, other);
            (role.can_take, role.can_spare)
        };
        assert_eq!(role("c", 0, 2), (true, false));
        assert_eq!(role("c", 0, 3), (true, false));
        assert_eq!(role("c", 1, 2), (false, true));
        assert_eq!(role("n", 0, 2), (true, false));
        assert_eq!(role("n", 0, 3), (false, true));
        assert_eq!(role("[nH]", 0, 2), (false, true));
        assert_eq!(role("[nH]", 0, 3), (false, false));
        assert_eq!(role("o", 0, 2), (false, true));
        assert_eq!(role("s", 0, 2), (false, true));
        assert_eq!(role("[n+]", 0, 3), (true, false));
    }
}
