//! The inside of a bracket atom.
//!
//! ```text
//! bracket = '[' isotope? symbol chirality? hydrogens? charge? class? ']'
//! ```
//!
//! as in the OpenSMILES specification, section 3.1, with these bounds: isotopes
//! to 999, charges to ±99, classes to 9999, no leading zeros (RDKit reads none),
//! and neither chirality nor hydrogens on a hydrogen. `[te]` and `[si]` are
//! aromatic atoms besides those of the specification, because RDKit writes them.

use super::error::{Error, Result};
use super::lexer::found_in;

/// The parts of a bracket atom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BracketAtom<'a> {
    pub isotope: Option<u32>,
    /// An element, an aromatic symbol, or `*`.
    pub symbol: &'a str,
    /// `@`, `@@`, a class such as `@TB12`, or empty.
    pub chirality: &'a str,
    pub hydrogens: u32,
    pub charge: i32,
    /// Bytes from `[` to `]`, both counted.
    pub length: usize,
}

/// Reads the bracket atom that starts `rest`, which starts with `[` and stands
/// at `offset` of the whole string.
///
/// # Errors
///
/// If the inside breaks the grammar above, at the byte where it does.
pub(super) fn read(rest: &str, offset: usize) -> Result<BracketAtom<'_>> {
    let mut cursor = Cursor {
        rest,
        offset,
        position: 1,
    };
    let isotope = cursor.number(
        3,
        "an isotope of at most three digits without a leading zero",
    )?;
    let symbol = cursor.symbol()?;
    let chirality = cursor.chirality(symbol)?;
    let hydrogens = cursor.hydrogens(symbol)?;
    let charge = cursor.charge()?;
    cursor.class()?;
    if !cursor.eat(b']') {
        return cursor.refuse("`]` or a later part of a bracket atom");
    }
    Ok(BracketAtom {
        isotope,
        symbol,
        chirality,
        hydrogens,
        charge,
        length: cursor.position,
    })
}

struct Cursor<'a> {
    rest: &'a str,
    offset: usize,
    position: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().get(self.position).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn refuse<T>(&self, expected: &'static str) -> Result<T> {
        let found = found_in(&self.rest[self.position..], "a bracket atom");
        Err(Error::syntax(self.offset + self.position, found, expected))
    }

    /// A number of at most `max_digits` digits, if there is one here.
    fn number(&mut self, max_digits: usize, expected: &'static str) -> Result<Option<u32>> {
        let here = &self.rest[self.position..];
        let digits = here.bytes().take_while(u8::is_ascii_digit).count();
        if digits > max_digits || (digits > 1 && here.starts_with('0')) {
            return self.refuse(expected);
        }
        self.position += digits;
        Ok(here[..digits].parse().ok())
    }

    fn symbol(&mut self) -> Result<&'a str> {
        let here = &self.rest[self.position..];
        // The longest symbol wins: `Sc` is scandium, not sulfur and carbon.
        for length in [2, 1] {
            // `get` is also what keeps a two-byte prefix off the middle of a
            // multi-byte character.
            let Some(symbol) = here.get(..length) else {
                continue;
            };
            if is_symbol(symbol) {
                self.position += length;
                return Ok(symbol);
            }
        }
        self.refuse("an element symbol, an aromatic symbol or `*`")
    }

    fn chirality(&mut self, symbol: &str) -> Result<&'a str> {
        if symbol == "H" && self.peek() == Some(b'@') {
            return self.refuse("no chirality on a hydrogen");
        }
        let start = self.position;
        if self.eat(b'@') && !self.eat(b'@') {
            self.chirality_class()?;
        }
        Ok(&self.rest[start..self.position])
    }

    /// The class and its number after the first `@`, if they are there.
    fn chirality_class(&mut self) -> Result<()> {
        let here = &self.rest[self.position..];
        let class = CHIRALITY_CLASSES
            .iter()
            .find(|(name, _, _)| here.starts_with(name));
        let Some(&(name, permutations, expected)) = class else {
            return Ok(());
        };
        self.position += name.len();
        let at_number = self.position;
        match self.number(2, expected)? {
            Some(number) if (1..=permutations).contains(&number) => Ok(()),
            _ => {
                self.position = at_number;
                self.refuse(expected)
            }
        }
    }

    fn hydrogens(&mut self, symbol: &str) -> Result<u32> {
        if symbol == "H" && self.peek() == Some(b'H') {
            return self.refuse("no hydrogen count on a hydrogen");
        }
        if !self.eat(b'H') {
            return Ok(0);
        }
        let count = self.number(1, "a hydrogen count of one digit")?;
        Ok(count.unwrap_or(1))
    }

    fn charge(&mut self) -> Result<i32> {
        for (sign, unit) in [(b'+', 1), (b'-', -1)] {
            if !self.eat(sign) {
                continue;
            }
            // `++` and `--` are the specification's deprecated `+2` and `-2`.
            if self.eat(sign) {
                return Ok(2 * unit);
            }
            let size = self.number(2, "a charge of at most two digits without a leading zero")?;
            return Ok(unit * size.unwrap_or(1) as i32);
        }
        Ok(0)
    }

    fn class(&mut self) -> Result<()> {
        const CLASS: &str = "an atom class of one to four digits without a leading zero";
        if self.eat(b':') && self.number(4, CLASS)?.is_none() {
            return self.refuse(CLASS);
        }
        Ok(())
    }
}

/// Name, number of permutations, and what to expect, of each chirality class.
const CHIRALITY_CLASSES: [(&str, u32, &str); 5] = [
    ("TH", 2, "1 or 2 after `@TH`"),
    ("AL", 2, "1 or 2 after `@AL`"),
    ("SP", 3, "1 to 3 after `@SP`"),
    ("TB", 20, "1 to 20 after `@TB`"),
    ("OH", 30, "1 to 30 after `@OH`"),
];

fn is_symbol(symbol: &str) -> bool {
    let mut table = SYMBOLS.split_ascii_whitespace();
    match symbol {
        // By far the most frequent symbols in molecules that people make.
        "C" | "N" | "n" | "O" | "S" => true,
        _ => table.any(|entry| entry == symbol),
    }
}

const SYMBOLS: &str = "\
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn \
    Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce \
    Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn \
    Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl \
    Mc Lv Ts Og b c n o p s se as te si *";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_at(atom: &str) -> usize {
        let error = read(atom, 10).expect_err(atom);
        error.offset().expect("a syntax error has an offset") - 10
    }

    #[test]
    fn the_table_holds_the_118_elements() {
        let elements = SYMBOLS
            .split_ascii_whitespace()
            .filter(|symbol| symbol.starts_with(|c: char| c.is_ascii_uppercase()));
        assert_eq!(elements.count(), 118);
    }

    #[test]
    fn every_part_of_a_bracket_atom_is_read() {
        for atom in [
            "[C]",
            "[H]",
            "[2H]",
            "[H+]",
            "[0C]",
            "[999C]",
            "[*]",
            "[13*H2]",
            "[se]",
            "[te]",
            "[si]",
            "[as]",
            "[nH]",
            "[n+]",
            "[CH0]",
            "[CH9]",
            "[C@]",
            "[C@@]",
            "[C@H]",
            "[C@@H]",
            "[C@TH1]",
            "[C@AL2H]",
            "[C@SP3]",
            "[C@TB20]",
            "[C@OH30]",
            "[C-]",
            "[C--]",
            "[C++]",
            "[C-0]",
            "[Fe+3]",
            "[Fe+15]",
            "[Fe-15]",
            "[CH3:0]",
            "[CH3:9999]",
            "[13C@@H2-2:7]",
            "[Og]",
            "[Sc]",
            "[Cn]",
        ] {
            assert_eq!(read(atom, 0).unwrap().length, atom.len(), "{atom}");
            let followed = format!("{atom}C]");
            assert_eq!(read(&followed, 0).unwrap().length, atom.len(), "{atom}");
        }
    }

    #[test]
    fn the_parts_are_what_is_written() {
        let parts = |atom: &'static str| {
            let read = read(atom, 0).unwrap();
            let BracketAtom {
                isotope,
                symbol,
                chirality,
                hydrogens,
                charge,
                ..
            } = read;
            (isotope, symbol, chirality, hydrogens, charge)
        };
        assert_eq!(parts("[13C@@H2-2:7]"), (Some(13), "C", "@@", 2, -2));
        assert_eq!(parts("[nH]"), (None, "n", "", 1, 0));
        assert_eq!(parts("[C@TB12H0++]"), (None, "C", "@TB12", 0, 2));
        assert_eq!(parts("[0Fe-]"), (Some(0), "Fe", "", 0, -1));
        assert_eq!(parts("[C@+15]"), (None, "C", "@", 0, 15));
    }

    #[test]
    fn what_breaks_the_grammar_is_refused_where_it_does() {
        for (atom, position) in [
            ("[", 1),
            ("[]", 1),
            ("[C", 2),
            ("[13]", 3),
            ("[013C]", 1),
            ("[1000C]", 1),
            ("[Q]", 1),
            ("[Xx]", 1),
            ("[cl]", 2),
            ("[CL]", 2),
            ("[D]", 1),
            ("[ C]", 1),
            ("[C ]", 2),
            ("[[C]]", 1),
            ("[C@@@]", 4),
            ("[C@T]", 3),
            ("[C@TH]", 5),
            ("[C@TH0]", 5),
            ("[C@TH3]", 5),
            ("[C@SP4]", 5),
            ("[C@TB21]", 5),
            ("[C@OH31]", 5),
            ("[C@OH01]", 5),
            ("[CH@]", 3),
            ("[CH12]", 3),
            ("[HH]", 2),
            ("[H@]", 2),
            ("[C+++]", 4),
            ("[C+-]", 3),
            ("[C-+]", 3),
            ("[C++-]", 4),
            ("[C++2]", 4),
            ("[Fe+02]", 4),
            ("[Fe+100]", 4),
            ("[C+H]", 3),
            ("[C:]", 3),
            ("[C:01]", 3),
            ("[C:10000]", 3),
            ("[C:1", 4),
            ("[#6]", 1),
            ("[é]", 1),
            ("[Cé]", 2),
            ("[C\u{0}]", 2),
        ] {
            assert_eq!(refused_at(atom), position, "{atom}");
        }
    }

    #[test]
    fn the_message_names_what_was_found_and_expected() {
        assert_eq!(
            read("[C@TH3]", 4).unwrap_err().to_string(),
            "byte 9: `3` stands in a bracket atom; expected 1 or 2 after `@TH`"
        );
        assert_eq!(
            read("[C", 4).unwrap_err().to_string(),
            "byte 6: the string ends in a bracket atom; \
             expected `]` or a later part of a bracket atom"
        );
    }
}
