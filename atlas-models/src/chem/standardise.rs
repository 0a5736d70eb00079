//! Ways to draw molecules alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::Result;
use super::lexer::{Lexer, Token, TokenKind};
use super::smiles::Smiles;
use super::validity::canonical;

/// One way to draw molecules alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standardisation {
    /// One spelling for tokens that mean the same: `[Fe++]` is `[Fe+2]`, `[*]` is `*`, `[CH1-1]` is
    /// `[CH-]`, `%01` is `1`.
    Spelling,
    /// The largest fragment alone, which leaves out salts and solvents; in canonical form.
    LargestFragment,
    /// No stereochemistry; in canonical form.
    NoStereo,
    /// No numbers that map atoms, such as `[CH3:1]`; in canonical form.
    NoAtomMaps,
    /// The form that [`canonical`](super::canonical) writes.
    Canonical,
}

impl Standardisation {
    /// Every way, in the order in which they are gone.
    pub const ALL: [Self; 5] = [
        Self::Spelling,
        Self::LargestFragment,
        Self::NoStereo,
        Self::NoAtomMaps,
        Self::Canonical,
    ];

    /// The name, such as `largest-fragment`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spelling => "spelling",
            Self::LargestFragment => "largest-fragment",
            Self::NoStereo => "no-stereo",
            Self::NoAtomMaps => "no-atom-maps",
            Self::Canonical => "canonical",
        }
    }
}

impl fmt::Display for Standardisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Standardisation {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|way| way.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("expected none, or some of {names}")
        })
    }
}

/// How molecules are drawn alike before they are used: in every way of a list, or in none.
///
/// ```
/// use atlas_models::chem::{Smiles, Standardisation, Standardise};
///
/// let standardise = Standardise::from_iter([
///     Standardisation::LargestFragment,
///     Standardisation::NoStereo,
/// ]);
/// let salt = Smiles::parse("[Na+].C[C@H](N)C(=O)[O-]")?;
/// assert_eq!(standardise.apply(salt)?.as_str(), "CC(N)C(=O)[O-]");
/// # Ok::<(), atlas_models::chem::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Standardise(Vec<Standardisation>);

impl FromIterator<Standardisation> for Standardise {
    fn from_iter<I: IntoIterator<Item = Standardisation>>(ways: I) -> Self {
        let mut ways: Vec<_> = ways.into_iter().collect();
        ways.sort_unstable();
        ways.dedup();
        Self(ways)
    }
}

impl FromStr for Standardise {
    type Err = String;

    /// Names that commas separate, or `none`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "none" {
            return Ok(Self::default());
        }
        text.split(',').map(|name| name.trim().parse()).collect()
    }
}

impl fmt::Display for Standardise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.pad("none");
        }
        let names: Vec<&str> = self.0.iter().map(|way| way.name()).collect();
        f.pad(&names.join(", "))
    }
}

impl Standardise {
    /// Whether molecules stay as they are.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The molecule as it is to be drawn.
    ///
    /// # Errors
    /// If its graph is to be changed and it is no possible molecule, or the canonical form is not
    /// SMILES, as that of some metal complexes is not.
    pub fn apply(&self, smiles: Smiles) -> Result<Smiles> {
        let asks_for = |way| self.0.contains(&way);
        if self.is_empty() {
            return Ok(smiles);
        }
        let text: String = Lexer::new(smiles.as_str())
            .map_while(|token| token.ok())
            .map(|token| {
                let mut text = token.text.to_owned();
                if asks_for(Standardisation::NoStereo) {
                    text = without_stereo(&token, text);
                }
                if asks_for(Standardisation::NoAtomMaps) {
                    text = without_class(text);
                }
                if asks_for(Standardisation::Spelling) {
                    text = spelt(&token, text);
                }
                text
            })
            .collect();
        if self.0 == [Standardisation::Spelling] {
            return Smiles::parse(&text);
        }
        let mut form = canonical(&text)?;
        if asks_for(Standardisation::LargestFragment) {
            // No canonical form bonds atoms across a dot.
            let largest = form.split('.').max_by_key(|part| heavy_atoms(part));
            form = canonical(largest.unwrap_or(&form))?;
        }
        Smiles::parse(&form)
    }
}

fn heavy_atoms(smiles: &str) -> usize {
    let atoms = Lexer::new(smiles).map_while(|token| token.ok());
    let is_heavy = |token: &Token| match token.kind {
        TokenKind::Atom => true,
        // The symbol follows the isotope; no other symbol that begins so is this short.
        TokenKind::BracketAtom => {
            let inside = token
                .text
                .trim_start_matches(|c: char| c == '[' || c.is_ascii_digit());
            !inside.starts_with('H') || inside[1..].starts_with(|c: char| c.is_ascii_lowercase())
        }
        _ => false,
    };
    atoms.filter(is_heavy).count()
}

/// A token without what it says of stereochemistry.
fn without_stereo(token: &Token<'_>, text: String) -> String {
    match token.kind {
        // Written, since between aromatic atoms a bond that is not is aromatic.
        TokenKind::Bond if text == "/" || text == "\\" => "-".to_owned(),
        TokenKind::BracketAtom => {
            let Some((before, after)) = text.split_once('@') else {
                return text;
            };
            let after = after.trim_start_matches('@');
            // A class such as `TH1`; a hydrogen count has no second letter.
            let class = after.get(..2).filter(|class| {
                class.bytes().all(|byte| byte.is_ascii_uppercase()) && !class.starts_with('H')
            });
            let rest = class.map_or(after, |_| {
                after[2..].trim_start_matches(|c: char| c.is_ascii_digit())
            });
            format!("{before}{rest}")
        }
        _ => text,
    }
}

/// A bracket atom without its class, `:1`.
fn without_class(text: String) -> String {
    match text.split_once(':') {
        Some((before, after)) if after.ends_with(']') => format!("{before}]"),
        _ => text,
    }
}

/// A token in the spelling that is usual.
fn spelt(token: &Token<'_>, text: String) -> String {
    match token.kind {
        TokenKind::RingClosure => match token.ring_number() {
            Some(number @ 0..=9) => number.to_string(),
            Some(number @ 10..=99) => format!("%{number}"),
            _ => text,
        },
        TokenKind::BracketAtom if text == "[*]" => "*".to_owned(),
        TokenKind::BracketAtom => {
            let inside = text.trim_start_matches('[').trim_end_matches(']');
            let (atom, class) = match inside.split_once(':') {
                Some((atom, class)) if class != "0" => (atom, format!(":{class}")),
                Some((atom, _)) => (atom, String::new()),
                None => (inside, String::new()),
            };
            let end = atom.find(['+', '-']).unwrap_or(atom.len());
            let (atom, charge) = atom.split_at(end);
            let charge = match charge {
                "+1" => "+",
                "-1" => "-",
                "++" => "+2",
                "--" => "-2",
                "+0" | "-0" => "",
                charge => charge,
            };
            // `[H]` is an atom, `[CH1]` and `[CH0]` have counts.
            let atom = match atom.strip_suffix("H1") {
                Some(before) if !before.is_empty() => format!("{before}H"),
                _ => atom.strip_suffix("H0").unwrap_or(atom).to_owned(),
            };
            format!("[{atom}{charge}{class}]")
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(ways: &[Standardisation], text: &str) -> String {
        let standardise: Standardise = ways.iter().copied().collect();
        let smiles = Smiles::parse(text).unwrap();
        standardise.apply(smiles).unwrap().to_string()
    }

    #[test]
    fn without_a_way_a_molecule_stays_as_it_is() {
        assert_eq!(apply(&[], "OCC.[Na+]"), "OCC.[Na+]");
    }

    #[test]
    fn tokens_that_mean_the_same_are_spelt_the_same() {
        for (text, expected) in [
            ("[Fe++]", "[Fe+2]"),
            ("[Fe+2]", "[Fe+2]"),
            ("[*]CC*", "*CC*"),
            ("[CH1-1]", "[CH-]"),
            ("[NH0+1](C)(C)(C)C", "[N+](C)(C)(C)C"),
            ("[O--]", "[O-2]"),
            ("[CH3:0]C", "[CH3]C"),
            ("[13CH3:7]C", "[13CH3:7]C"),
            ("C%01CC%(1)", "C1CC1"),
            ("C%12CC%(12)", "C%12CC%12"),
            ("[H][H]", "[H][H]"),
            ("[H+1]", "[H+]"),
        ] {
            // The lexer decides what can be written; a spelling that it refuses never gets here.
            if Smiles::parse(text).is_ok() {
                assert_eq!(apply(&[Standardisation::Spelling], text), expected);
            }
        }
    }

    #[test]
    fn the_largest_fragment_has_the_most_heavy_atoms() {
        let way = [Standardisation::LargestFragment];
        assert_eq!(apply(&way, "[Na+].OC(=O)[C@@H](N)C"), "C[C@H](N)C(=O)O");
        assert_eq!(apply(&way, "Cl.CCN"), "CCN");
        assert_eq!(apply(&way, "[2H]O[2H].ClC"), "CCl");
        // Rings may be closed across a dot.
        assert_eq!(apply(&way, "C1.C1C"), "CCC");
    }

    #[test]
    fn stereochemistry_and_maps_are_left_out_and_brackets_with_them() {
        assert_eq!(
            apply(&[Standardisation::NoStereo], "C[C@@H](N)C(=O)O"),
            "CC(N)C(=O)O"
        );
        assert_eq!(apply(&[Standardisation::NoStereo], r"F/C=C\F"), "FC=CF");
        assert_eq!(
            apply(&[Standardisation::NoStereo], "F[C@TH1](Cl)(Br)I"),
            "FC(Cl)(Br)I"
        );
        assert_eq!(apply(&[Standardisation::NoAtomMaps], "[CH3:1][OH:2]"), "CO");
        assert_eq!(
            apply(&Standardisation::ALL, "[Na+].[CH3:1][C@H:2](F)Cl"),
            "CC(F)Cl"
        );
    }

    #[test]
    fn what_is_no_molecule_cannot_be_drawn_otherwise() {
        let canonical: Standardise = [Standardisation::Canonical].into_iter().collect();
        let error = canonical
            .apply(Smiles::parse("c1cccc1").unwrap())
            .unwrap_err();
        assert!(error.is_chemistry());
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for way in Standardisation::ALL {
            assert_eq!(way.name().parse(), Ok(way));
            assert_eq!(serde_json::to_value(way).unwrap(), way.name());
        }
        assert!("Canonical".parse::<Standardisation>().is_err());
        let read: Standardise = "no-stereo, canonical".parse().unwrap();
        assert_eq!(read.to_string(), "no-stereo, canonical");
        assert!("none".parse::<Standardise>().unwrap().is_empty());
    }
}
