//! SMILES files, row by row.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::Path;

use atlas_models::chem::Smiles;
use atlas_models::data::{Invalid, Molecules, Skipped};
use atlas_models::models::MoleculeAutoencoder;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::text::count;

/// Bad rows that are named; further ones are counted.
const NAMED: usize = 20;

/// The name of what `path` leads to, for messages.
pub fn source_name(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// Reads all molecules of a file. Rows that are not SMILES are skipped or, named one by one, an
/// error.
pub fn read(path: &Path, skip_invalid: bool) -> Outcome<Molecules> {
    warn_of_terminal(path);
    // A file of nothing but bad rows is an error either way; this one names them.
    let invalid = if skip_invalid {
        Invalid::Skip
    } else {
        Invalid::Refuse
    };
    let molecules = match Molecules::read(path, Invalid::Skip) {
        Err(_) if path != Path::new("-") => Molecules::read(path, invalid)?,
        molecules => molecules?,
    };
    refuse_skipped(&molecules, skip_invalid)?;
    Ok(molecules)
}

/// Skips the molecules that a model cannot represent or, unless they are to be skipped, makes
/// them an error.
pub fn keep_known(
    molecules: &mut Molecules,
    model: &dyn MoleculeAutoencoder,
    skip_invalid: bool,
) -> Outcome {
    let mut skipped = Vec::new();
    molecules
        .rows
        .retain(|row| match model.prepare(&row.smiles) {
            Ok(_) => true,
            Err(error) => {
                skipped.push(Skipped {
                    line: row.line,
                    why: error.to_string(),
                });
                false
            }
        });
    if skipped.is_empty() {
        return Ok(());
    }
    molecules.skipped.extend(skipped);
    molecules.skipped.sort_by_key(|row| row.line);
    refuse_skipped(molecules, skip_invalid)?;
    if molecules.is_empty() {
        let message = format!(
            "{} holds no molecule that the model knows the tokens of",
            molecules.source
        );
        return Err(Failure::new(message));
    }
    Ok(())
}

fn refuse_skipped(molecules: &Molecules, skip_invalid: bool) -> Outcome {
    match skip_invalid {
        true => Ok(()),
        false => refuse(&molecules.source, &molecules.skipped),
    }
}

/// An error that names each bad row, if there is one.
pub fn refuse(source: &str, rows: &[Skipped]) -> Outcome {
    if rows.is_empty() {
        return Ok(());
    }
    let mut problems: Vec<String> = rows
        .iter()
        .take(NAMED)
        .map(|row| format!("{source}:{}: {}", row.line, row.why))
        .collect();
    if rows.len() > NAMED {
        problems.push(format!("and {} more", rows.len() - NAMED));
    }
    let problems = problems.join("\n  ");
    match rows.len() {
        1 => Err(Failure::new(format_args!(
            "{problems}\n(--skip-invalid leaves such rows out)"
        ))),
        bad => Err(Failure::new(format_args!(
            "{source}: {}\n  {problems}\n(--skip-invalid leaves such rows out)",
            count(bad, "bad row")
        ))),
    }
}

/// Says which rows were left out.
pub fn report_skipped(source: &str, rows: &[Skipped]) {
    for row in rows.iter().take(NAMED) {
        output::say(&format_args!("skipped {source}:{}: {}", row.line, row.why));
    }
    if !rows.is_empty() {
        output::say(&format_args!(
            "skipped {} of {source}",
            count(rows.len(), "row")
        ));
    }
}

/// Nothing seems to happen while a command waits for somebody to type.
pub fn warn_of_terminal(path: &Path) {
    if path == Path::new("-") && io::stdin().is_terminal() {
        output::say(&"reading from the terminal; Ctrl-D ends the input");
    }
}

/// A SMILES file that is read some rows at a time.
pub struct Rows {
    from: Box<dyn BufRead>,
    source: String,
    line: usize,
}

/// A molecule and its line, or why the row is none.
pub type Row = Result<(usize, Smiles), Skipped>;

impl Rows {
    /// Opens a file; `-` is standard input.
    pub fn open(path: &Path) -> Outcome<Self> {
        warn_of_terminal(path);
        let source = source_name(path);
        let from: Box<dyn BufRead> = match path == Path::new("-") {
            true => Box::new(io::stdin().lock()),
            false => {
                let file = File::open(path);
                Box::new(BufReader::new(file.map_err(|error| {
                    Failure::new(format_args!("cannot open {source}: {error}"))
                })?))
            }
        };
        Ok(Self {
            from,
            source,
            line: 0,
        })
    }

    /// What messages call the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// At most `most` further rows; none at the end. Empty lines are no rows.
    pub fn read(&mut self, most: usize) -> Outcome<Vec<Row>> {
        let mut rows = Vec::new();
        let mut bytes = Vec::new();
        while rows.len() < most {
            bytes.clear();
            let read = self.from.read_until(b'\n', &mut bytes);
            if read.map_err(|error| {
                Failure::new(format_args!("cannot read {}: {error}", self.source))
            })? == 0
            {
                break;
            }
            self.line += 1;
            rows.extend(parse(self.line, &bytes));
        }
        Ok(rows)
    }
}

fn parse(line: usize, bytes: &[u8]) -> Option<Row> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            return Some(Err(Skipped {
                line,
                why: format!("byte {}: not UTF-8", error.valid_up_to()),
            }));
        }
    };
    let text = text
        .strip_prefix('\u{feff}')
        .filter(|_| line == 1)
        .unwrap_or(text);
    let smiles = text.split_ascii_whitespace().next()?;
    Some(match Smiles::parse(smiles) {
        Ok(parsed) => Ok((line, parsed)),
        Err(error) => Err(Skipped {
            line,
            why: format!("`{}`: {error}", shorten(smiles)),
        }),
    })
}

/// A text that fits on a line of a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
