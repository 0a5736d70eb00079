//! What can be wrong with a SMILES string or a vocabulary.

use std::fmt;

/// The result of everything in this module that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a SMILES string, a vocabulary, or one in the light of the
/// other.
///
/// The message stands on its own and says what was found, where, and what was
/// expected; it does not repeat the string, which a caller names by file and row.
///
/// ```
/// use atlas_models::chem::Smiles;
///
/// let error = Smiles::parse("CC(=)N").unwrap_err();
/// assert_eq!(error.offset(), Some(4));
/// assert_eq!(
///     error.to_string(),
///     "byte 4: `)` closes a branch that ends in a bond; expected an atom"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Kind>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Kind {
    #[error("byte {offset}: {found}; expected {expected}")]
    Syntax {
        offset: usize,
        found: String,
        expected: &'static str,
    },
    #[error("byte {offset}: `{token}` is not in the vocabulary of {size} tokens")]
    UnknownToken {
        offset: usize,
        token: Box<str>,
        size: usize,
    },
    #[error("token id {id} is out of range for a vocabulary of {size} tokens")]
    UnknownId { id: u32, size: usize },
    #[error("not a vocabulary: {}", Listed(.0))]
    Vocabulary(Vec<String>),
    #[error("not a molecule: {0}")]
    Chemistry(String),
    #[error("byte {offset}: {reason}")]
    Selfies { offset: usize, reason: String },
}

impl Error {
    /// `found` is a clause such as "`Q` is not a SMILES token"; `expected` is a
    /// noun phrase that can follow "expected".
    pub(super) fn syntax(offset: usize, found: impl Into<String>, expected: &'static str) -> Self {
        let found = found.into();
        Self(Box::new(Kind::Syntax {
            offset,
            found,
            expected,
        }))
    }

    pub(super) fn unknown_token(offset: usize, token: &str, size: usize) -> Self {
        let token = token.into();
        Self(Box::new(Kind::UnknownToken {
            offset,
            token,
            size,
        }))
    }

    pub(super) fn unknown_id(id: u32, size: usize) -> Self {
        Self(Box::new(Kind::UnknownId { id, size }))
    }

    pub(super) fn vocabulary(problems: Vec<String>) -> Self {
        Self(Box::new(Kind::Vocabulary(problems)))
    }

    pub(super) fn chemistry(reason: impl Into<String>) -> Self {
        Self(Box::new(Kind::Chemistry(reason.into())))
    }

    /// What is wrong with a SELFIES string, or what SELFIES cannot write.
    pub(super) fn selfies(offset: usize, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self(Box::new(Kind::Selfies { offset, reason }))
    }

    /// Where in the string the problem is, in bytes from its start.
    ///
    /// `None` for a problem that has no place in a string: a vocabulary, a token
    /// id, or a well-formed string that describes no possible molecule.
    pub fn offset(&self) -> Option<usize> {
        match &*self.0 {
            Kind::Syntax { offset, .. }
            | Kind::UnknownToken { offset, .. }
            | Kind::Selfies { offset, .. } => Some(*offset),
            Kind::UnknownId { .. } | Kind::Vocabulary(_) | Kind::Chemistry(_) => None,
        }
    }

    /// The token that the vocabulary lacks, if that is the problem.
    pub fn unknown_token_text(&self) -> Option<&str> {
        match &*self.0 {
            Kind::UnknownToken { token, .. } => Some(token),
            _ => None,
        }
    }

    /// Whether the string is not SMILES.
    pub fn is_syntax(&self) -> bool {
        matches!(*self.0, Kind::Syntax { .. })
    }

    /// Whether the string is SMILES but describes no possible molecule: a
    /// valence is exceeded, or an aromatic system has no Kekulé structure.
    pub fn is_chemistry(&self) -> bool {
        matches!(*self.0, Kind::Chemistry(_))
    }
}

/// Shows several problems one a line, and a single one on the same line.
struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [only] => f.write_str(only),
            several => {
                write!(f, "{} problems", several.len())?;
                several
                    .iter()
                    .try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_can_cross_threads_and_be_boxed() {
        fn check<T: std::error::Error + Send + Sync + 'static>() {}
        check::<Error>();
    }

    #[test]
    fn several_vocabulary_problems_take_a_line_each() {
        let one = Error::vocabulary(vec!["a".into()]);
        assert_eq!(one.to_string(), "not a vocabulary: a");
        let two = Error::vocabulary(vec!["a".into(), "b".into()]);
        assert_eq!(two.to_string(), "not a vocabulary: 2 problems\n  a\n  b");
    }

    #[test]
    fn only_a_problem_inside_a_string_has_an_offset() {
        assert_eq!(Error::syntax(3, "x", "y").offset(), Some(3));
        assert_eq!(Error::unknown_token(2, "Br", 9).offset(), Some(2));
        assert_eq!(Error::unknown_id(9, 9).offset(), None);
        assert_eq!(Error::chemistry("x").offset(), None);
    }
}
