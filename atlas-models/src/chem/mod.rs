//! Molecules as text: SMILES strings, their tokens and vocabularies, whether a
//! string is a possible molecule, and a built-in set of molecules.
//!
//! ```
//! use atlas_models::chem::{Smiles, Vocabulary, canonical, is_valid};
//!
//! let corpus = ["CCO", "c1cc[nH]c1"].map(|text| Smiles::parse(text).unwrap());
//! let vocabulary = Vocabulary::build(&corpus)?;
//! let tokens = vocabulary.encode(&corpus[1])?;
//! assert_eq!(tokens.len(), 7);
//! assert_eq!(vocabulary.decode(&tokens)?, "c1cc[nH]c1");
//!
//! assert!(is_valid("C1=CC=CN1") && !is_valid("C(C)(C)(C)(C)C"));
//! assert_eq!(canonical("C1=CC=CN1")?, "c1cc[nH]c1");
//! # Ok::<(), atlas_models::chem::Error>(())
//! ```

mod bracket;
mod error;
mod grammar;
mod guide;
mod lexer;
mod library;
pub mod selfies;
mod smiles;
mod spelling;
mod standardise;
mod validity;
mod vocabulary;

pub use error::{Error, Result};
pub use guide::SmilesGuide;
pub(crate) use lexer::is_single_token;
pub use lexer::{Lexer, Token, TokenKind};
pub use library::{Library, molecules};
pub use smiles::Smiles;
pub use spelling::Spelling;
pub use standardise::{Standardisation, Standardise};
pub use validity::{MAX_LENGTH, canonical, is_valid, similarity};
pub(crate) use validity::{canonical_of, check_possible, is_same};
pub use vocabulary::{END, PADDING, START, Tokens, Vocabulary};
