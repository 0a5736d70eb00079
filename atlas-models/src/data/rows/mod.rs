//! Files of molecules, row by row.

mod columns;
mod sdf;
mod skipped;
mod text;

use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use atlas_core::{Error, Result};

use serde::{Deserialize, Serialize};

use super::source::{Progress, Source};
use crate::chem::{Smiles, Standardise};
use columns::Wanted;

pub use columns::Column;
pub use skipped::{SkippedRow, SkippedRows};

/// Bytes by which the layout of a file is known.
const SAMPLE: u64 = 1 << 18;
/// Rows between two calls of what watches the reading.
const WATCHED: usize = 1 << 12;
/// Endings of names that say how a file is compressed, and nothing of its layout.
const COMPRESSED: [&str; 3] = ["gz", "zst", "zstd"];

/// One molecule of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The line in the file, from 1; the first of them where a row has several.
    pub line: usize,
    /// The place among the file's rows, from 1. Rows that are left out count, a header and empty
    /// lines do not.
    pub row: usize,
    /// The molecule.
    pub smiles: Smiles,
    /// What it is called.
    pub name: Option<String>,
    /// How much it counts in training, where a column says so; above zero.
    pub weight: Option<f64>,
}

/// How a file of molecules is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RowOptions {
    /// The column of SMILES. Without it one that is called `smiles` is read or, where there is no
    /// header, the only one in which every cell is SMILES; the first, of rows without a delimiter.
    /// Of an SDF, a data field in place of the structure.
    pub smiles_column: Option<Column>,
    /// The column of names. Without it one that is called `name`, `id` or `title` is read; of rows
    /// without a delimiter and a header, what follows the SMILES; of an SDF the title.
    pub name_column: Option<Column>,
    /// The column that says how much each row counts in training.
    pub weight_column: Option<Column>,
    /// What is done to each molecule.
    pub standardise: Standardise,
    /// Keeps every row that is left out with its reason, not the first thousand alone.
    #[serde(skip)]
    pub keep_skipped: bool,
}

/// A file of molecules that is read row by row, from its beginning to its end: pipes are read as
/// files are.
///
/// | layout | known by |
/// |---|---|
/// | rows of SMILES, optionally followed by white space and a name | anything that is none of the others |
/// | a table, its cells separated by `,`, `;` or tabs, quoted where necessary | the extension `.csv`, `.tsv` or `.tab`, a header with a column of SMILES, a delimiter in the first word |
/// | an SDF, V2000 or V3000 | the extension `.sdf`, `.sd` or `.mol`, its fourth line |
///
/// Each may be compressed by gzip or zstd, whatever its name. Lines end in `\n`, `\r\n` or `\r`;
/// empty ones count as lines and hold nothing.
///
/// Gives each row as a molecule or as the reason why it is none; an error is one of reading.
pub struct Rows {
    layout: Layout,
    source: String,
    options: RowOptions,
    progress: Progress,
    rows: usize,
    watch: Option<Watch>,
    remarks: Vec<String>,
    checks: Checks,
}

enum Layout {
    Text(text::Lines),
    Sdf(sdf::Records),
}

/// What is called now and then while rows are read.
type Watch = Box<dyn FnMut(&Progress, usize) -> Result<()>>;

/// A row as it is in its file.
#[derive(Debug, Default)]
pub(super) struct RawRow {
    pub line: usize,
    pub row: usize,
    /// What should be SMILES.
    pub text: String,
    pub name: Option<String>,
    pub weight: Option<String>,
    /// Whether ChemAxon's extension of SMILES follows, which is not read.
    pub has_extension: bool,
    /// Why there is no molecule, if the layout already says so.
    pub why: Option<String>,
}

/// A molecule, or a row that is none.
pub(super) type Row = std::result::Result<Record, SkippedRow>;

/// What else rows hold than SMILES and names.
#[derive(Debug, Default)]
struct Checks {
    /// Rows with ChemAxon's extension.
    extensions: usize,
    /// Names that follow SMILES without a delimiter; those that are SMILES themselves, and the
    /// first of them.
    names: usize,
    smiles: usize,
    first: Option<(usize, String)>,
}

impl Rows {
    /// The rows of the file at `path`; `-` is standard input.
    ///
    /// # Errors
    /// If the file cannot be opened, is not text, or its columns are not clear.
    pub fn open(path: &Path, options: RowOptions) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // What comes before the first dot is no ending.
        let (_, endings) = name.split_once('.').unwrap_or_default();
        let mut endings = endings.rsplit('.').map(str::to_ascii_lowercase);
        let ending = endings.find(|ending| !COMPRESSED.contains(&ending.as_str()));
        Self::of(Source::open(path)?, &ending.unwrap_or_default(), options)
    }

    /// The rows of a text that messages call `source`.
    ///
    /// # Errors
    /// Where [`open`](Rows::open) fails.
    pub fn new(from: impl Read + 'static, source: &str, options: RowOptions) -> Result<Self> {
        Self::of(Source::new(from, source, None)?, "", options)
    }

    fn of(source: Source, ending: &str, options: RowOptions) -> Result<Self> {
        let Source {
            name,
            mut from,
            progress,
        } = source;
        let mut sample = Vec::new();
        let read = from.by_ref().take(SAMPLE).read_to_end(&mut sample);
        read.map_err(|error| Error::io("read", &name, error))?;
        let text = String::from_utf8_lossy(&sample).into_owned();
        let from: Box<dyn BufRead> = Box::new(BufReader::new(Cursor::new(sample).chain(from)));
        let wanted = Wanted {
            smiles: options.smiles_column.clone(),
            name: options.name_column.clone(),
            weight: options.weight_column.clone(),
        };
        let wrong = |why: String| Error::new(why).within(&name);
        let mut remarks = Vec::new();
        let layout = if is_sdf(&text, ending) {
            Layout::Sdf(sdf::Records::new(from, &name, &wanted).map_err(wrong)?)
        } else {
            let is_whole = (text.len() as u64) < SAMPLE;
            let shape = text::Shape::of(&text, ending);
            let sampled = shape.sample(&text, is_whole);
            let columns = shape.columns(&sampled, &wanted).map_err(wrong)?;
            remarks.extend(columns.remark.clone());
            Layout::Text(text::Lines::new(from, &name, shape, columns))
        };
        Ok(Self {
            layout,
            source: name,
            options,
            progress,
            rows: 0,
            watch: None,
            remarks,
            checks: Checks::default(),
        })
    }

    /// What messages call the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Calls `watch` now and then, with how much was read and the number of rows. An error of it
    /// ends the reading.
    #[must_use]
    pub fn watched_by(
        mut self,
        watch: impl FnMut(&Progress, usize) -> Result<()> + 'static,
    ) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    /// What is done to each molecule.
    pub fn standardise(&self) -> &Standardise {
        &self.options.standardise
    }

    pub(super) fn keeps_skipped(&self) -> bool {
        self.options.keep_skipped
    }

    /// What a user should know of how the file was read, once it was.
    ///
    /// # Errors
    /// If most of the names are SMILES: they are then molecules that would be lost.
    pub fn remarks(&self) -> Result<Vec<String>> {
        let mut remarks = self.remarks.clone();
        if let Layout::Text(lines) = &self.layout {
            remarks.extend(lines.remark());
        }
        if let Some((line, name)) = &self.checks.first {
            let (smiles, names) = (self.checks.smiles, self.checks.names);
            let what =
                format!("{smiles} of {names} names are SMILES, such as `{name}` in line {line}");
            if smiles > 1 && smiles * 2 > names {
                return Err(Error::new(format_args!(
                    "{}: {what}: rows of several molecules; name the one to read by \
                     --smiles-column, 1 for the first",
                    self.source
                )));
            }
            remarks.push(format!("{what}; the first column alone is read"));
        }
        if self.checks.extensions > 0 {
            remarks.push(format!(
                "the extensions (`|…|`) of {} SMILES are not read",
                self.checks.extensions
            ));
        }
        Ok(remarks)
    }

    /// The next row, not yet understood.
    pub(super) fn next_raw(&mut self) -> Result<Option<RawRow>> {
        if let Some(watch) = self
            .watch
            .as_mut()
            .filter(|_| self.rows.is_multiple_of(WATCHED))
        {
            watch(&self.progress, self.rows)?;
        }
        let row = match &mut self.layout {
            Layout::Text(lines) => lines.next()?,
            Layout::Sdf(records) => records.next()?,
        };
        Ok(row.map(|mut row| {
            self.rows += 1;
            row.row = self.rows;
            self.check(&row);
            row
        }))
    }

    fn check(&mut self, row: &RawRow) {
        self.checks.extensions += usize::from(row.has_extension);
        let is_rest = match &self.layout {
            Layout::Text(lines) => lines.rest_is_name() && self.options.smiles_column.is_none(),
            Layout::Sdf(_) => false,
        };
        if let Some(name) = row.name.as_ref().filter(|_| is_rest && row.why.is_none()) {
            self.checks.names += 1;
            let word = name.split_ascii_whitespace().next().unwrap_or_default();
            if Smiles::parse(word).is_ok() {
                self.checks.smiles += 1;
                self.checks
                    .first
                    .get_or_insert_with(|| (row.line, shorten(word)));
            }
        }
    }
}

impl RawRow {
    /// The molecule, or why there is none.
    pub(super) fn read(self, standardise: &Standardise) -> Row {
        let (line, row) = (self.line, self.row);
        let skipped = |text: String, why: String| SkippedRow {
            line,
            row,
            text: shorten(&text),
            why,
        };
        if let Some(why) = self.why {
            return Err(skipped(self.text, why));
        }
        let parsed = Smiles::parse(&self.text)
            .and_then(|smiles| standardise.apply(smiles))
            .map_err(|error| format!("`{}`: {error}", shorten(&self.text)));
        let smiles = match parsed {
            Ok(smiles) => smiles,
            Err(why) => return Err(skipped(self.text, why)),
        };
        let weight = match self.weight.as_deref().map(weight).transpose() {
            Ok(weight) => weight,
            Err(why) => return Err(skipped(self.text, why)),
        };
        let name = self.name.map(|name| one_line(&name));
        Ok(Record {
            line,
            row,
            smiles,
            name: name.filter(|name| !name.is_empty()),
            weight,
        })
    }
}

fn weight(text: &str) -> std::result::Result<f64, String> {
    // As it is kept.
    let weight = text.trim().parse::<f32>().ok();
    weight
        .filter(|weight| *weight > 0.0 && weight.is_finite())
        .map(f64::from)
        .ok_or_else(|| {
            let text = shorten(text);
            format!("the weight `{text}` is not a finite number above zero")
        })
}

impl Iterator for Rows {
    type Item = Result<std::result::Result<Record, SkippedRow>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next_raw().transpose()?;
        Some(row.map(|row| row.read(&self.options.standardise)))
    }
}

fn is_sdf(sample: &str, ending: &str) -> bool {
    let is_ending = ["sdf", "sd", "mol", "mdl"].contains(&ending);
    let counts = sample.lines().nth(3).unwrap_or_default().trim_end();
    is_ending || counts.ends_with("V2000") || counts.ends_with("V3000")
}

/// A name on one line, as lists of molecules need it.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ").trim().to_owned()
}

/// A text that fits on a line of a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
