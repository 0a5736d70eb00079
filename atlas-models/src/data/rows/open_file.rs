//! [`OpenFile`]: one file whose rows are read, or a shard's share of it.

use std::io::{BufRead, BufReader, Cursor, Read};
use std::sync::Arc;

use atlas_core::{Error, Result};

use super::columns::Wanted;
use super::{RawRow, RowOptions, sdf, shorten, text};
use crate::chem::Smiles;
use crate::data::input::{InputFile, Piece};
use crate::data::line_starts::LineStarts;
use crate::data::shard::Cut;
use crate::data::source::{Progress, Source};

/// Bytes by which the layout of a file is known.
pub(in crate::data) const SAMPLE: u64 = 1 << 18;
/// Endings of names that say how a file is compressed, and nothing of its layout.
const COMPRESSED: [&str; 3] = ["gz", "zst", "zstd"];

/// One file whose rows are read.
pub struct OpenFile {
    layout: Layout,
    file: Arc<InputFile>,
    /// Whether the rest of a line is its name, in which molecules could be lost.
    checks_names: bool,
    remarks: Vec<String>,
    checks: Checks,
}

enum Layout {
    Text(text::Lines),
    Sdf(sdf::Records),
}

/// What else rows hold than SMILES and names.
#[derive(Debug, Default)]
struct Checks {
    /// Rows with ChemAxon's extension.
    extensions: usize,
    /// Names that follow SMILES without a delimiter; those that are SMILES themselves, and the
    /// first of them.
    names: usize,
    smiles: usize,
    first: Option<(String, String)>,
}

/// Reads lines, and knows where they are.
pub struct RowReader {
    from: Box<dyn BufRead>,
    file: Arc<InputFile>,
    starts: LineStarts,
    /// Whether it reads from the beginning of the file.
    pub counts_lines: bool,
    /// The lines that were read.
    pub line: usize,
    /// The bytes of text that were read.
    pub place: u64,
}

impl RowReader {
    fn new(from: Box<dyn BufRead>, file: &Arc<InputFile>, starts: LineStarts) -> Self {
        Self {
            from,
            file: Arc::clone(file),
            starts,
            counts_lines: true,
            line: 0,
            place: 0,
        }
    }

    /// Reads a line, or `longest` bytes of it; the number of bytes.
    pub fn read_line(&mut self, to: &mut Vec<u8>, longest: u64) -> Result<u64> {
        let read = self.from.by_ref().take(longest).read_until(b'\n', to);
        let read = read.map_err(|error| self.failed(error))? as u64;
        self.line += usize::from(read > 0);
        self.place += read;
        Ok(read)
    }

    /// The row that begins at `place` of the text, in that line of it.
    pub fn row(&self, line: usize, place: u64) -> RawRow {
        RawRow {
            file: Arc::clone(&self.file),
            offset: self.starts.find(place),
            line: if self.counts_lines { line } else { 0 },
            row: 0,
            text: String::new(),
            name: None,
            weight: None,
            has_extension: false,
            why: None,
        }
    }

    /// How many empty lines there are from `place` of the text on.
    pub fn empty_lines(&self, place: u64) -> u64 {
        self.starts.empty_lines(place)
    }

    pub fn label(&self) -> &str {
        self.file.label()
    }

    pub fn failed(&self, error: std::io::Error) -> Error {
        Error::io("read", self.file.label(), error)
    }
}

impl Read for RowReader {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        self.from.read(to)
    }
}

impl OpenFile {
    /// Opens what is read of a file. What its beginning says of its layout holds for all of it.
    pub fn of_piece(piece: Piece, options: &RowOptions, progress: &Progress) -> Result<Self> {
        let Piece { file, range } = piece;
        let ending = ending(&file);
        let Some(range) = range else {
            return Self::new(Source::open(&file, progress)?, &ending, options);
        };
        let beginning = Source::open(&file, &Progress::default())?;
        let mut opened = Self::new(beginning, &ending, options)?;
        let is_beginning = range.start == 0;
        let start = range.start;
        let Source { from, starts, .. } = Source::open_range(&file, range, progress)?;
        let reader = RowReader {
            counts_lines: is_beginning,
            ..RowReader::new(from, &file, starts)
        };
        opened.layout = match opened.layout {
            Layout::Text(lines) => Layout::Text(lines.continued(reader, start)?),
            Layout::Sdf(records) => Layout::Sdf(records.continued(reader)),
        };
        Ok(opened)
    }

    /// A file of that ending.
    pub fn new(source: Source, ending: &str, options: &RowOptions) -> Result<Self> {
        let Source {
            file,
            mut from,
            starts,
            ..
        } = source;
        let wanted = Wanted {
            smiles: options.smiles_column.clone(),
            name: options.name_column.clone(),
            weight: options.weight_column.clone(),
        };
        let text = sample(&file, &mut from)?;
        let sampled = Cursor::new(text.clone());
        let from: Box<dyn BufRead> = Box::new(BufReader::new(sampled.chain(from)));
        let from = RowReader::new(from, &file, starts);
        let wrong = |why: String| Error::new(why).within(file.label());
        let text = String::from_utf8_lossy(&text);
        let mut remarks = Vec::new();
        let layout = if is_sdf(&text, ending) {
            Layout::Sdf(sdf::Records::new(from, &wanted).map_err(wrong)?)
        } else {
            let is_whole = (text.len() as u64) < SAMPLE;
            let shape = text::Shape::of(&text, ending);
            let sampled = shape.sample(&text, is_whole);
            let columns = shape.columns(&sampled, &wanted).map_err(wrong)?;
            remarks.extend(columns.remark.clone());
            Layout::Text(text::Lines::new(from, shape, columns))
        };
        Ok(Self {
            checks_names: match &layout {
                Layout::Text(lines) => lines.rest_is_name() && options.smiles_column.is_none(),
                Layout::Sdf(_) => false,
            },
            layout,
            file,
            remarks,
            checks: Checks::default(),
        })
    }

    pub fn label(&self) -> &str {
        self.file.label()
    }

    /// What a user should know of how the file was read, once it was.
    pub fn remarks(&self) -> Result<Vec<String>> {
        let mut remarks = self.remarks.clone();
        if let Layout::Text(lines) = &self.layout {
            remarks.extend(lines.remark());
        }
        if let Some((place, name)) = &self.checks.first {
            let (smiles, names) = (self.checks.smiles, self.checks.names);
            let what = format!("{smiles} of {names} names are SMILES, such as `{name}` in {place}");
            if smiles > 1 && smiles * 2 > names {
                return Err(Error::new(format_args!(
                    "{}: {what}: rows of several molecules; name the one to read by \
                     --smiles-column, 1 for the first",
                    self.label()
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

    /// The next row.
    pub fn next(&mut self) -> Result<Option<RawRow>> {
        let row = match &mut self.layout {
            Layout::Text(lines) => lines.next()?,
            Layout::Sdf(records) => records.next()?,
        };
        if let Some(row) = &row {
            self.check(row);
        }
        Ok(row)
    }

    fn check(&mut self, row: &RawRow) {
        self.checks.extensions += usize::from(row.has_extension);
        let is_checked = self.checks_names && row.why.is_none();
        if let Some(name) = row.name.as_ref().filter(|_| is_checked) {
            self.checks.names += 1;
            let word = name.split_ascii_whitespace().next().unwrap_or_default();
            if Smiles::parse(word).is_ok() {
                self.checks.smiles += 1;
                self.checks.first.get_or_insert_with(|| {
                    let place = match row.line {
                        0 => format!("byte {}", row.offset),
                        line => format!("line {line}"),
                    };
                    (place, shorten(word))
                });
            }
        }
    }
}

/// Where a file may be cut, by what it begins with.
pub fn cut_of(file: &Arc<InputFile>) -> Result<Cut> {
    let mut source = Source::open(file, &Progress::default())?;
    if source.is_compressed {
        return Ok(Cut::Nowhere);
    }
    let text = sample(file, &mut source.from)?;
    let is_sdf = is_sdf(&String::from_utf8_lossy(&text), &ending(file));
    Ok(if is_sdf { Cut::Records } else { Cut::Lines })
}

/// The bytes by which the layout of a file is known.
fn sample(file: &InputFile, from: &mut Box<dyn BufRead>) -> Result<Vec<u8>> {
    let mut sample = Vec::new();
    let read = from.by_ref().take(SAMPLE).read_to_end(&mut sample);
    read.map_err(|error| Error::io("read", file.label(), error))?;
    Ok(sample)
}

/// What the name of a file says of its layout.
fn ending(file: &InputFile) -> String {
    let name = file.path().file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    // What comes before the first dot is no ending.
    let (_, endings) = name.split_once('.').unwrap_or_default();
    let mut endings = endings.rsplit('.').map(str::to_ascii_lowercase);
    let ending = endings.find(|ending| !COMPRESSED.contains(&ending.as_str()));
    ending.unwrap_or_default()
}

fn is_sdf(sample: &str, ending: &str) -> bool {
    let is_ending = ["sdf", "sd", "mol", "mdl"].contains(&ending);
    let counts = sample.lines().nth(3).unwrap_or_default().trim_end();
    is_ending || counts.ends_with("V2000") || counts.ends_with("V3000")
}
