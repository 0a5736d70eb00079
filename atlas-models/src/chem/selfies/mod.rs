//! SELFIES: strings of symbols of which every sequence spells a molecule.
//!
//! Version 2 of the notation, as in M. Krenn et al., "Self-referencing embedded
//! strings (SELFIES): A 100% robust molecular string representation", *Machine
//! Learning: Science and Technology* 1 (2020), and A. Lo et al., "Recent advances
//! in the self-referencing embedded strings (SELFIES) library", *Digital
//! Discovery* 2 (2023), with the default constraints on bonds.
//!
//! # Agreement with the Python package
//!
//! Measured against `selfies` 2.1.1: of the 249,572 molecules of ZINC, MUV and
//! QM9 each is written as the package writes it, read back as it reads it, and the
//! same molecule then.
//!
//! The specification leaves open which Kekulé structure is written; the choice is
//! the package's. What differs: every symbol is examined, also where it stands for
//! a number or after the molecule has ended; the hundredth ring of a molecule is
//! `%(100)`, where the package writes `%100`, which SMILES reads otherwise; and a
//! ring or a branch that SELFIES cannot count is refused.

mod decode;
mod encode;
mod graph;
mod kekulise;
mod smiles;

pub use decode::decode;
pub use encode::encode;

use super::error::{Error, Result};

/// The symbols that stand for the digits 0 to 15 after a branch or ring symbol.
const INDEX_SYMBOLS: [&str; 16] = [
    "[C]",
    "[Ring1]",
    "[Ring2]",
    "[Branch1]",
    "[=Branch1]",
    "[#Branch1]",
    "[Branch2]",
    "[=Branch2]",
    "[#Branch2]",
    "[O]",
    "[N]",
    "[=N]",
    "[=C]",
    "[#C]",
    "[S]",
    "[P]",
];

/// The symbols of a SELFIES string, in order: together they are the whole string.
/// A dot is one of them.
///
/// ```
/// use atlas_models::chem::selfies;
///
/// let symbols: Result<Vec<_>, _> = selfies::symbols("[C][=C][F].[C]").collect();
/// assert_eq!(symbols?, ["[C]", "[=C]", "[F]", ".", "[C]"]);
/// # Ok::<(), atlas_models::chem::Error>(())
/// ```
///
/// # Errors
///
/// At its byte, what starts no symbol, or a bracket that is not closed; nothing
/// follows it. Whether SELFIES has the symbol is not examined.
pub fn symbols(selfies: &str) -> impl Iterator<Item = Result<&str>> {
    let mut rest = selfies;
    std::iter::from_fn(move || {
        let offset = selfies.len() - rest.len();
        let length = match rest.chars().next()? {
            '.' => Ok(1),
            '[' => match rest[1..].find(['[', ']', '.']) {
                Some(end) if rest[1 + end..].starts_with(']') => Ok(end + 2),
                _ => Err("`[` is not closed".to_owned()),
            },
            other => Err(format!("`{}` starts no symbol", other.escape_debug())),
        };
        match length {
            Ok(length) => {
                let (symbol, after) = rest.split_at(length);
                rest = after;
                Some(Ok(symbol))
            }
            Err(reason) => {
                rest = "";
                Some(Err(Error::selfies(offset, reason)))
            }
        }
    })
}

#[cfg(test)]
mod tests;
