//! SMILES tokens.
//!
//! The alphabet is that of the OpenSMILES specification (version 1.0), which
//! follows D. Weininger, "SMILES, a chemical language and information system",
//! *J. Chem. Inf. Comput. Sci.* 28 (1988). Ring closures also come as `%(nnn)`,
//! the extension that RDKit and ChemAxon read and write.
//!
//! The lexer is lossless: the texts of the tokens, one after the other, are the
//! string, byte for byte. It knows what a token is and nothing about which token
//! may follow which: that is the module `grammar`.

use super::bracket;
use super::error::{Error, Result};

/// One token of a SMILES string, and where it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token<'a> {
    /// What the token is.
    pub kind: TokenKind,
    /// The token as written. Always ASCII, never empty.
    pub text: &'a str,
    /// Bytes from the start of the string to the start of the token.
    pub offset: usize,
}

/// The kinds of SMILES tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// An atom without brackets: `B C N O P S F Cl Br I`, aromatic
    /// `b c n o p s`, or `*`.
    Atom,
    /// A whole bracket atom, such as `[nH]`, `[C@@H]` or `[13CH3-]`.
    BracketAtom,
    /// A bond: `-`, `=`, `#`, `$`, `:`, `/` or `\`.
    Bond,
    /// `(`
    BranchOpen,
    /// `)`
    BranchClose,
    /// `.`, which separates parts that are not bonded.
    Dot,
    /// A ring closure: a digit, `%nn` or `%(nnn)`.
    RingClosure,
}

impl Token<'_> {
    /// The number of a ring closure; `None` for every other token.
    ///
    /// `1` and `%(1)` are the same number.
    pub fn ring_number(&self) -> Option<u32> {
        match self.kind {
            TokenKind::RingClosure => self
                .text
                .trim_start_matches(['%', '('])
                .trim_end_matches(')')
                .parse()
                .ok(),
            _ => None,
        }
    }
}

/// Reads a string as SMILES tokens, in order.
///
/// Yields an error for the first byte that no token can start or continue with,
/// and nothing after it. Takes time and no memory proportional to the string.
///
/// ```
/// use atlas_models::chem::Lexer;
///
/// let texts: Result<Vec<_>, _> = Lexer::new("C[C@@H](Cl)c1ccc[nH]1")
///     .map(|token| token.map(|token| token.text))
///     .collect();
/// assert_eq!(
///     texts?,
///     ["C", "[C@@H]", "(", "Cl", ")", "c", "1", "c", "c", "c", "[nH]", "1"]
/// );
/// # Ok::<(), atlas_models::chem::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, offset: 0 }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Result<Token<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        // Tokens are ASCII, so `offset` is always on a character boundary.
        let rest = &self.text[self.offset..];
        if rest.is_empty() {
            return None;
        }
        let offset = self.offset;
        match scan(rest, offset) {
            Ok((kind, len)) => {
                self.offset += len;
                let text = &rest[..len];
                Some(Ok(Token { kind, text, offset }))
            }
            Err(error) => {
                self.offset = self.text.len();
                Some(Err(error))
            }
        }
    }
}

/// Checks that `text` is exactly one SMILES token.
///
/// # Errors
///
/// If `text` is empty, is no token, or goes on after its first token; the
/// offset says where.
pub(super) fn check_single_token(text: &str) -> Result<()> {
    let mut lexer = Lexer::new(text);
    match lexer.next() {
        None => return Err(Error::syntax(0, "the token is empty", TOKEN)),
        Some(token) => token?,
    };
    if lexer.offset < text.len() {
        let found = format!("{} starts another token", quoted(&text[lexer.offset..]));
        return Err(Error::syntax(lexer.offset, found, "a single token"));
    }
    Ok(())
}

/// Whether `text` is exactly one SMILES token.
pub(crate) fn is_single_token(text: &str) -> bool {
    check_single_token(text).is_ok()
}

const TOKEN: &str = "an atom, a bond, a branch, `.` or a ring closure";

/// The kind and length of the token that starts `rest`, which is not empty.
fn scan(rest: &str, offset: usize) -> Result<(TokenKind, usize)> {
    let bytes = rest.as_bytes();
    let scanned = match bytes[0] {
        b'C' if bytes.get(1) == Some(&b'l') => (TokenKind::Atom, 2),
        b'B' if bytes.get(1) == Some(&b'r') => (TokenKind::Atom, 2),
        b'B' | b'C' | b'N' | b'O' | b'P' | b'S' | b'F' | b'I' => (TokenKind::Atom, 1),
        b'b' | b'c' | b'n' | b'o' | b'p' | b's' | b'*' => (TokenKind::Atom, 1),
        b'[' => (TokenKind::BracketAtom, bracket::read(rest, offset)?.length),
        b'-' | b'=' | b'#' | b'$' | b':' | b'/' | b'\\' => (TokenKind::Bond, 1),
        b'(' => (TokenKind::BranchOpen, 1),
        b')' => (TokenKind::BranchClose, 1),
        b'.' => (TokenKind::Dot, 1),
        b'0'..=b'9' => (TokenKind::RingClosure, 1),
        b'%' => (TokenKind::RingClosure, percent_length(rest, offset)?),
        _ => {
            let found = format!("{} is not a SMILES token", quoted(rest));
            return Err(Error::syntax(offset, found, TOKEN));
        }
    };
    Ok(scanned)
}

/// The length of the `%nn` or `%(nnn)` that starts `rest`.
///
/// A number has no leading zero, as in RDKit, so that there is one way less to
/// write the same ring.
fn percent_length(rest: &str, offset: usize) -> Result<usize> {
    const TWO_DIGITS: &str = "two digits without a leading zero, or `(`";
    const FIVE_DIGITS: &str = "one to five digits without a leading zero, then `)`";
    let bytes = rest.as_bytes();
    let refused = |at: usize, expected| {
        let found = found_in(&rest[at..], "a ring closure");
        Err(Error::syntax(offset + at, found, expected))
    };
    let digits_from = |start: usize| {
        let digits = bytes[start..].iter().take_while(|b| b.is_ascii_digit());
        digits.count()
    };
    if bytes.get(1) == Some(&b'(') {
        let digits = digits_from(2);
        let leading_zero = digits > 1 && bytes[2] == b'0';
        return match digits {
            _ if leading_zero => refused(2, FIVE_DIGITS),
            1..=5 if bytes.get(2 + digits) == Some(&b')') => Ok(digits + 3),
            _ => refused(2 + digits.min(5), FIVE_DIGITS),
        };
    }
    match digits_from(1) {
        0 => refused(1, TWO_DIGITS),
        _ if bytes[1] == b'0' => refused(1, TWO_DIGITS),
        1 => refused(2, TWO_DIGITS),
        _ => Ok(3),
    }
}

/// Says what `rest`, which starts inside `place`, goes on with.
pub(super) fn found_in(rest: &str, place: &str) -> String {
    match rest {
        "" => format!("the string ends in {place}"),
        _ => format!("{} stands in {place}", quoted(rest)),
    }
}

/// The first character of `rest` for a message; control characters escaped.
fn quoted(rest: &str) -> String {
    let first = rest.chars().take(1).flat_map(char::escape_debug);
    format!("`{}`", first.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(smiles: &str) -> Vec<&str> {
        Lexer::new(smiles)
            .map(|token| token.expect("the string is made of tokens").text)
            .collect()
    }

    fn failure(smiles: &str) -> (usize, String) {
        let error = Lexer::new(smiles)
            .find_map(Result::err)
            .expect("the string is not made of tokens");
        let offset = error.offset().expect("a syntax error has an offset");
        (offset, error.to_string())
    }

    #[test]
    fn two_letter_atoms_are_one_token() {
        assert_eq!(texts("ClCBrB"), ["Cl", "C", "Br", "B"]);
        assert_eq!(
            texts("Sc1ccccc1"),
            ["S", "c", "1", "c", "c", "c", "c", "c", "1"]
        );
    }

    #[test]
    fn every_atom_of_the_organic_subset_is_a_token() {
        for atom in "B C N O P S F Cl Br I b c n o p s *".split(' ') {
            let token = Lexer::new(atom).next().unwrap().unwrap();
            assert_eq!((token.kind, token.text), (TokenKind::Atom, atom));
        }
    }

    #[test]
    fn a_bracket_atom_is_one_token() {
        for atom in [
            "[C@@H]",
            "[nH]",
            "[13CH3-]",
            "[Na+]",
            "[Fe++]",
            "[C@TB12H2+2:4]",
        ] {
            let token = Lexer::new(atom).next().unwrap().unwrap();
            assert_eq!((token.kind, token.text), (TokenKind::BracketAtom, atom));
        }
    }

    #[test]
    fn a_ring_closure_is_one_token_and_has_its_number() {
        let rings: Vec<_> = Lexer::new("01%10%99%(7)%(123)%(99999)")
            .map(|token| {
                let token = token.unwrap();
                (token.text, token.ring_number().unwrap())
            })
            .collect();
        assert_eq!(
            rings,
            [
                ("0", 0),
                ("1", 1),
                ("%10", 10),
                ("%99", 99),
                ("%(7)", 7),
                ("%(123)", 123),
                ("%(99999)", 99_999)
            ]
        );
    }

    #[test]
    fn a_third_digit_after_percent_is_a_ring_closure_of_its_own() {
        assert_eq!(texts("%123"), ["%12", "3"]);
    }

    #[test]
    fn only_ring_closures_have_a_ring_number() {
        for text in ["C", "[13C]", "=", "(", ")", "."] {
            assert_eq!(
                Lexer::new(text).next().unwrap().unwrap().ring_number(),
                None
            );
        }
    }

    #[test]
    fn the_tokens_concatenate_to_the_string_and_know_their_offsets() {
        let smiles = r"F/C=C\[N+](=O)[O-].[Na+].C%11CC%11$C:C#N-*";
        let mut end = 0;
        for token in Lexer::new(smiles) {
            let token = token.unwrap();
            assert_eq!(token.offset, end);
            assert_eq!(&smiles[end..end + token.text.len()], token.text);
            end += token.text.len();
        }
        assert_eq!(end, smiles.len());
    }

    #[test]
    fn a_character_outside_the_alphabet_is_named_with_its_offset() {
        let (offset, message) = failure("CCQ");
        assert_eq!(offset, 2);
        assert_eq!(
            message,
            "byte 2: `Q` is not a SMILES token; \
             expected an atom, a bond, a branch, `.` or a ring closure"
        );
        for outside in " \t\n\0\u{7f}é\u{1F600}~>k".chars() {
            assert_eq!(failure(&format!("CC{outside}C")).0, 2, "{outside:?}");
        }
        assert!(failure("C\n").1.starts_with(r"byte 1: `\n` is not"));
    }

    #[test]
    fn a_malformed_percent_is_refused_where_it_goes_wrong() {
        for (smiles, offset) in [
            ("C%", 2),
            ("C%1", 3),
            ("C%1C", 3),
            ("C%01", 2),
            ("C%00", 2),
            ("C%()", 3),
            ("C%(1", 4),
            ("C%(01)", 3),
            ("C%(123456)", 8),
            ("C%(1a)", 4),
        ] {
            assert_eq!(failure(smiles).0, offset, "{smiles}");
        }
    }

    #[test]
    fn nothing_follows_an_error() {
        let mut lexer = Lexer::new("C!C");
        assert!(lexer.next().unwrap().is_ok());
        assert!(lexer.next().unwrap().is_err());
        assert_eq!(lexer.next(), None);
    }

    #[test]
    fn a_single_token_is_told_from_none_and_from_several() {
        assert_eq!(check_single_token("[nH]"), Ok(()));
        assert_eq!(check_single_token("").unwrap_err().offset(), Some(0));
        assert_eq!(check_single_token("CC").unwrap_err().offset(), Some(1));
        assert_eq!(check_single_token("<pad>").unwrap_err().offset(), Some(0));
    }
}
