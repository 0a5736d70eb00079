//! An owned SMILES string.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use super::error::{Error, Result};
use super::grammar;
use super::lexer::Lexer;

/// A string that holds to the grammar of SMILES.
///
/// The text is kept as it was written: two `Smiles` are equal if they are the
/// same text, not if they are the same molecule (compare [`canonical`] forms for
/// that). That the grammar holds does not make a possible molecule: see
/// [`is_valid`].
///
/// The grammar is that of the OpenSMILES specification (version 1.0), after
/// D. Weininger, "SMILES, a chemical language and information system",
/// *J. Chem. Inf. Comput. Sci.* 28 (1988).
///
/// ```
/// use atlas_models::chem::Smiles;
///
/// let aspirin: Smiles = "CC(=O)Oc1ccccc1C(=O)O".parse()?;
/// assert_eq!(aspirin.tokens().take(4).collect::<Vec<_>>(), ["C", "C", "(", "="]);
/// # Ok::<(), atlas_models::chem::Error>(())
/// ```
///
/// [`canonical`]: super::canonical
/// [`is_valid`]: super::is_valid
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Smiles(Box<str>);

impl Smiles {
    /// Checks `text` and copies it.
    ///
    /// # Errors
    ///
    /// If `text` is not SMILES: the byte where it stops being so, what stands
    /// there, and what was expected. White space is not SMILES: trim it, or split
    /// a name off, first.
    pub fn parse(text: &str) -> Result<Self> {
        grammar::check(text)?;
        Ok(Self(text.into()))
    }

    /// Wraps what is known to hold to the grammar.
    pub(super) fn from_checked(text: String) -> Self {
        debug_assert_eq!(grammar::check(&text), Ok(()), "{text}");
        Self(text.into())
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The texts of the tokens, in order; together they are the whole string.
    ///
    /// For kinds and offsets run a [`Lexer`] over [`as_str`](Self::as_str).
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        Lexer::new(&self.0).map_while(|token| token.ok().map(|token| token.text))
    }
}

impl FromStr for Smiles {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Smiles {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        grammar::check(&text)?;
        Ok(Self(text.into()))
    }
}

impl From<Smiles> for String {
    fn from(smiles: Smiles) -> Self {
        smiles.0.into()
    }
}

impl AsRef<str> for Smiles {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Smiles {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Smiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Smiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Smiles").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_text_is_kept_as_it_was_written() {
        let text = r"C%10/C=C\[C@@H]%10[nH]";
        assert_eq!(Smiles::parse(text).unwrap().as_str(), text);
        assert_eq!(Smiles::parse(text).unwrap().to_string(), text);
        assert_eq!(String::from(Smiles::parse(text).unwrap()), text);
    }

    #[test]
    fn the_tokens_concatenate_to_the_text() {
        let smiles = Smiles::parse("Clc1c[nH]c2ccc(Br)cc12").unwrap();
        assert_eq!(smiles.tokens().collect::<String>(), smiles.as_str());
        assert_eq!(smiles.tokens().count(), 17);
    }

    #[test]
    fn what_is_not_smiles_is_refused_by_every_way_in() {
        let expected = Smiles::parse("C(").unwrap_err();
        assert_eq!("C(".parse::<Smiles>(), Err(expected.clone()));
        assert_eq!(Smiles::try_from("C(".to_owned()), Err(expected));
    }

    #[test]
    fn a_set_of_smiles_is_searched_by_text() {
        let set: HashSet<Smiles> = ["CC", "CO"].map(|s| s.parse().unwrap()).into();
        assert!(set.contains("CO"));
        assert!(!set.contains("OC"));
    }

    #[test]
    fn smiles_are_ordered_as_their_texts() {
        let mut smiles = ["O", "C", "CC"].map(|s| Smiles::parse(s).unwrap());
        smiles.sort();
        assert_eq!(smiles.map(String::from), ["C", "CC", "O"]);
    }
}
