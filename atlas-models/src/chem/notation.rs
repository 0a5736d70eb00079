//! [`Notation`]: into which tokens a molecule is taken apart.

use atlas_core::Choice;

use super::error::Result;
use super::lexer::{self, Lexer};
use super::selfies;
use super::smiles::Smiles;

/// What the tokens of a molecule are.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// SMILES by its own tokens: an atom, a bond, a ring number, a parenthesis.
    Atoms,
    /// SMILES by its characters.
    Characters,
    /// The symbols of SELFIES (Krenn et al. 2020), of which every sequence is a molecule. It has no
    /// attachment points.
    Selfies,
}

impl Notation {
    /// Calls `each` with every token of a molecule and the byte of its text where the token stands.
    ///
    /// # Errors
    ///
    /// If SELFIES cannot write the molecule, or `each` fails.
    pub(crate) fn for_each(
        self,
        smiles: &Smiles,
        mut each: impl FnMut(usize, &str) -> Result<()>,
    ) -> Result<()> {
        let text = smiles.as_str();
        match self {
            Self::Atoms => Lexer::new(text).try_for_each(|token| {
                let token = token?;
                each(token.offset, token.text)
            }),
            // SMILES is ASCII.
            Self::Characters => (0..text.len()).try_for_each(|at| each(at, &text[at..at + 1])),
            Self::Selfies => {
                let text = selfies::encode(smiles)?;
                let mut offset = 0;
                selfies::symbols(&text).try_for_each(|symbol| {
                    let symbol = symbol?;
                    offset += symbol.len();
                    each(offset - symbol.len(), symbol)
                })
            }
        }
    }

    /// The molecule that tokens in a row spell: SMILES, unless they spell none.
    ///
    /// # Errors
    ///
    /// If the text is no SELFIES.
    pub(super) fn smiles(self, text: String) -> Result<String> {
        match self {
            Self::Atoms | Self::Characters => Ok(text),
            Self::Selfies => selfies::decode(&text),
        }
    }

    /// Refuses what cannot be a token.
    pub(super) fn check_token(self, token: &str) -> std::result::Result<(), String> {
        match self {
            Self::Atoms => lexer::check_single_token(token)
                .map_err(|error| format!("is not one SMILES token: {error}")),
            Self::Characters if token.len() == 1 && token.contains(is_character) => Ok(()),
            Self::Characters => Err("is not one character of SMILES".to_owned()),
            Self::Selfies => {
                let mut symbols = selfies::symbols(token);
                let is_one = matches!(symbols.next(), Some(Ok(symbol)) if symbol == token);
                // Every symbol by itself is a molecule, or nothing.
                selfies::decode(token)
                    .map_err(|error| format!("is not one SELFIES symbol: {error}"))
                    .and_then(|_| {
                        if is_one {
                            Ok(())
                        } else {
                            Err("is not one SELFIES symbol".to_owned())
                        }
                    })
            }
        }
    }
}

/// Whether SMILES has the character.
fn is_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || r"#$%()*+-./:=@[\]".contains(character)
}
