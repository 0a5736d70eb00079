//! SMILES files.

use std::fmt::Write as _;
use std::io::BufRead;
use std::path::Path;

use atlas_core::{Error, Result};

use super::rows::{Row, Rows, Skipped};
use super::shuffle::permutation;
use crate::chem::{self, Smiles, Vocabulary};

/// Rows that are named in an error; further ones are counted.
const NAMED_ROWS: usize = 20;

/// The molecules of a file, in its order.
#[derive(Clone, Debug)]
pub struct Molecules {
    /// What messages call them: the file's name, or `built-in`.
    pub source: String,
    /// The molecules, each with its line.
    pub rows: Vec<Row>,
    /// The rows that were left out.
    pub skipped: Vec<Skipped>,
}

/// What is done about a row that is not SMILES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// It is an error.
    Refuse,
    /// It is left out and counted.
    Skip,
}

impl Molecules {
    /// The built-in molecules ([`chem::Library`]), the line of each being its index from 1.
    pub fn built_in() -> Self {
        let rows = chem::molecules().enumerate();
        let rows = rows
            .map(|(index, smiles)| Row {
                line: index + 1,
                smiles,
                name: None,
            })
            .collect();
        Self {
            source: "built-in".to_owned(),
            rows,
            skipped: Vec::new(),
        }
    }

    /// Reads a SMILES file: one molecule a line, optionally followed by white space and a name;
    /// empty lines count as lines and hold nothing. `-` is standard input.
    ///
    /// # Errors
    /// If the file cannot be read, holds no molecule, or, unless they are to be skipped, has rows
    /// that are not SMILES; the message names each row's line and byte.
    pub fn read(path: &Path, invalid: Invalid) -> Result<Self> {
        Self::collect(Rows::open(path)?, invalid)
    }

    /// Reads molecules from text, as [`Molecules::read`] does; messages call it `source`.
    ///
    /// # Errors
    /// As [`Molecules::read`].
    pub fn parse(reader: impl BufRead + 'static, source: &str, invalid: Invalid) -> Result<Self> {
        Self::collect(Rows::new(reader, source), invalid)
    }

    fn collect(rows: Rows, invalid: Invalid) -> Result<Self> {
        let mut molecules = Self {
            source: rows.source().to_owned(),
            rows: Vec::new(),
            skipped: Vec::new(),
        };
        for row in rows {
            match row? {
                Ok(row) => molecules.rows.push(row),
                Err(skipped) => molecules.skipped.push(skipped),
            }
        }
        if invalid == Invalid::Refuse && !molecules.skipped.is_empty() {
            return Err(Error::new(molecules.refusal()));
        }
        if molecules.rows.is_empty() {
            let skipped = match molecules.skipped.len() {
                0 => String::new(),
                count => format!(" ({count} rows are not SMILES)"),
            };
            let source = &molecules.source;
            return Err(Error::new(format_args!(
                "{source} holds no molecule{skipped}"
            )));
        }
        Ok(molecules)
    }

    fn refusal(&self) -> String {
        let count = self.skipped.len();
        let rows = if count == 1 {
            "1 row is".to_owned()
        } else {
            format!("{count} rows are")
        };
        let mut message = format!("{}: {rows} not SMILES", self.source);
        for row in self.skipped.iter().take(NAMED_ROWS) {
            // Writing into a string cannot fail.
            let _ = write!(message, "\n  line {}: {}", row.line, row.why);
        }
        if count > NAMED_ROWS {
            let _ = write!(message, "\n  and {} more", count - NAMED_ROWS);
        }
        message
    }

    /// The number of molecules.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no molecule.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The molecules, in order.
    pub fn smiles(&self) -> impl ExactSizeIterator<Item = &Smiles> {
        self.rows.iter().map(|row| &row.smiles)
    }

    /// Every token that occurs, as the `vocabulary` parameter of a model wants it.
    ///
    /// # Errors
    /// If there are more distinct tokens than a vocabulary can hold.
    pub fn vocabulary(&self) -> Result<Vec<String>> {
        let vocabulary = Vocabulary::build(self.smiles())
            .map_err(|error| Error::new(error).within(&self.source))?;
        Ok(vocabulary.tokens().to_vec())
    }

    /// BLAKE3 of the molecules, one a line, in 64 hexadecimal digits: what tells a data set from
    /// another. Names and layout do not count.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for smiles in self.smiles() {
            hasher.update(smiles.as_str().as_bytes());
            hasher.update(b"\n");
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The indices of the molecules to train on and of `held_out` molecules that are kept apart,
    /// drawn by `seed`.
    ///
    /// # Errors
    /// If nothing would be left to train on.
    pub fn split(&self, held_out: usize, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
        if held_out >= self.len() {
            return Err(Error::new(format_args!(
                "{} holds {} molecules: {held_out} cannot be held out and leave any to train on",
                self.source,
                self.len()
            )));
        }
        let mut order = permutation(self.len(), seed);
        let training = order.split_off(held_out);
        Ok((training, order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str, invalid: Invalid) -> Result<Molecules> {
        Molecules::parse(text.as_bytes(), "test.smi", invalid)
    }

    #[test]
    fn a_row_is_a_smiles_and_an_optional_name() {
        let molecules = parse(
            "\u{feff}CCO ethanol of grain\r\n\n  c1ccccc1\tbenzene\n",
            Invalid::Refuse,
        )
        .unwrap();
        let rows: Vec<_> = molecules
            .rows
            .iter()
            .map(|row| (row.line, row.smiles.as_str(), row.name.as_deref()))
            .collect();
        assert_eq!(
            rows,
            [
                (1, "CCO", Some("ethanol of grain")),
                (3, "c1ccccc1", Some("benzene"))
            ]
        );
    }

    #[test]
    fn every_bad_row_is_named_by_line_and_byte() {
        let error = parse("CCO\nCC(=\nCQ\n", Invalid::Refuse)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("test.smi: 2 rows are not SMILES\n  line 2: `CC(=`: byte"),
            "{error}"
        );
        assert!(error.contains("\n  line 3: `CQ`: byte 1:"), "{error}");
    }

    #[test]
    fn skipped_rows_are_kept_with_their_reason() {
        let molecules = parse("CCO\nCQ\n", Invalid::Skip).unwrap();
        assert_eq!(
            (
                molecules.len(),
                molecules.skipped.len(),
                molecules.skipped[0].line
            ),
            (1, 1, 2)
        );
    }

    #[test]
    fn a_file_without_molecules_is_refused() {
        assert_eq!(
            parse("", Invalid::Refuse).unwrap_err().to_string(),
            "test.smi holds no molecule"
        );
        let error = parse("CQ\n", Invalid::Skip).unwrap_err().to_string();
        assert_eq!(error, "test.smi holds no molecule (1 rows are not SMILES)");
    }

    #[test]
    fn a_split_keeps_every_molecule_once_and_depends_on_the_seed_alone() {
        let molecules = {
            let text = std::io::Cursor::new("CCO\n".repeat(50));
            Molecules::parse(text, "test.smi", Invalid::Refuse).unwrap()
        };
        let (training, held_out) = molecules.split(10, 7).unwrap();
        let mut all: Vec<_> = training.iter().chain(&held_out).copied().collect();
        all.sort_unstable();
        assert_eq!(
            (training.len(), held_out.len(), all),
            (40, 10, (0..50).collect::<Vec<_>>())
        );
        assert_eq!(molecules.split(10, 7).unwrap().1, held_out);
        assert_ne!(molecules.split(10, 8).unwrap().1, held_out);
        assert!(molecules.split(50, 7).is_err());
    }

    #[test]
    fn the_digest_is_of_the_molecules_alone() {
        let plain = parse("CCO\nC\n", Invalid::Refuse).unwrap();
        let named = parse("CCO x\n\nC y\n", Invalid::Refuse).unwrap();
        assert_eq!(plain.digest(), named.digest());
        assert_ne!(
            plain.digest(),
            parse("C\nCCO\n", Invalid::Refuse).unwrap().digest()
        );
    }
}
