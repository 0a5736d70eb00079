//! [`Molecules`]: all molecules of a file, checked, counted and split. The dataset that models
//! train on.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use atlas_core::random::permutation;
use atlas_core::train::Dataset;
use atlas_core::{Error, Objective, Result};
use rayon::prelude::*;

use super::known::{KnownMolecules, MoleculeKey};
use super::rows::{RawRow, Record, Row, RowOptions, Rows, SkippedRow, SkippedRows};
use super::text_store::{MemoryLimit, TextStore, TextWriter};
use crate::chem::{self, Smiles, Standardise, Vocabulary};

/// Rows that are named in an error; further ones are counted.
const NAMED_ROWS: usize = 20;
/// Rows that are understood together, on every processor.
const CHUNK: usize = 1 << 13;
/// What the built-in molecules are called.
pub const BUILT_IN: &str = "built-in";
/// What those are called that are made of building blocks which these lack.
pub const HELD_OUT_BLOCKS: &str = "built-in, of held-out building blocks";

/// The molecules of a file, or some of them, in an order.
///
/// They are checked and counted once, and read again when they are needed: their texts are held
/// compactly, and beyond a [`MemoryLimit`] in a temporary file. Beside the texts a molecule takes 28
/// bytes of memory, four more where rows have weights, and some more while they are split. Copies
/// and [parts](Molecules::split) share the texts.
///
/// Training draws its batches from them: they are a [`Dataset`].
#[derive(Clone)]
pub struct Molecules {
    file: Arc<MoleculeFile>,
    /// The molecules that count, in their order, as indices into the file's.
    indices: Vec<u32>,
    /// The size of each that a model has measured.
    sizes: Option<Vec<u32>>,
    skipped: SkippedRows,
}

/// Everything that was read.
struct MoleculeFile {
    source: String,
    /// SMILES and, after a blank, the name.
    texts: TextStore,
    /// The line and the row of each.
    places: Vec<[u32; 2]>,
    /// How much each counts, where a column says so.
    weights: Option<Vec<f32>>,
    tokens: BTreeSet<Box<str>>,
    standardise: Standardise,
    /// What tells the molecules from each other, once that was asked for.
    keys: OnceLock<Vec<MoleculeKey>>,
    /// Molecules that cannot exist.
    impossible: SkippedRows,
    remarks: Vec<String>,
    /// The tokens of the longest molecule.
    longest: usize,
}

/// Molecules to train on, and molecules that training does not see.
pub struct Split {
    /// What is trained on, in an order of its own.
    pub training: Molecules,
    /// What is put aside.
    pub held_out: Molecules,
    /// Rows of molecules that are held out already: they are in neither part.
    pub repeated: usize,
    /// The molecules that are trained on, as a set.
    pub trained_on: KnownMolecules,
}

/// What is known of a row when it was understood.
struct Understood {
    row: Row,
    /// Why its molecule cannot exist.
    impossible: Option<String>,
}

impl Molecules {
    /// Reads a file as [`Rows`] does; `-` is standard input. Rows that are not SMILES are
    /// [left out](Molecules::skipped).
    ///
    /// # Errors
    /// If the file cannot be read, holds no molecule or more lines than a `u32` can number, or the
    /// temporary file cannot be written. A file of which no row is SMILES names them.
    pub fn read(path: &Path, options: RowOptions, limit: MemoryLimit) -> Result<Self> {
        Self::from_rows(Rows::open(path, options)?, limit)
    }

    /// Reads all rows, as [`read`](Molecules::read) does.
    ///
    /// # Errors
    /// Where [`read`](Molecules::read) fails.
    pub fn from_rows(mut rows: Rows, limit: MemoryLimit) -> Result<Self> {
        let standardise = rows.standardise().clone();
        let mut reading = Reading::new(rows.source(), &standardise, limit);
        if rows.keeps_skipped() {
            reading.skipped = SkippedRows::of_all();
        }
        let mut chunk = Vec::new();
        loop {
            while chunk.len() < CHUNK
                && let Some(row) = rows.next_raw()?
            {
                chunk.push(row);
            }
            if chunk.is_empty() {
                break;
            }
            let understand = |row| Understood::new(row, &standardise);
            let understood: Vec<_> = chunk.par_drain(..).map(understand).collect();
            reading.add(understood)?;
        }
        reading.remarks = rows.remarks()?;
        reading.finish()
    }

    /// The built-in molecules ([`chem::Library::molecules`]), the line of each being its index from 1.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn built_in(limit: MemoryLimit) -> Result<Self> {
        Self::of_library(BUILT_IN, chem::Library::new().molecules(), limit)
    }

    /// The built-in molecules that are made of building blocks which those to train on lack
    /// ([`chem::Library::of_held_out_blocks`]).
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn of_held_out_blocks(limit: MemoryLimit) -> Result<Self> {
        let library = chem::Library::new();
        Self::of_library(HELD_OUT_BLOCKS, library.of_held_out_blocks(), limit)
    }

    fn of_library(source: &str, molecules: &[Smiles], limit: MemoryLimit) -> Result<Self> {
        let mut reading = Reading::new(source, &Standardise::default(), limit);
        let rows = molecules
            .iter()
            .enumerate()
            .map(|(index, smiles)| Understood {
                row: Ok(Record {
                    line: index + 1,
                    row: index + 1,
                    smiles: smiles.clone(),
                    name: None,
                    weight: None,
                }),
                impossible: None,
            });
        reading.add(rows)?;
        reading.finish()
    }

    /// What messages call the file: its name, or `built-in`.
    pub fn source(&self) -> &str {
        &self.file.source
    }

    /// The number of molecules.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no molecule.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The rows that are not SMILES, and those that a model [cannot
    /// represent](Molecules::keep_representable).
    pub fn skipped(&self) -> &SkippedRows {
        &self.skipped
    }

    /// The rows of the file whose molecules are SMILES and cannot exist, because a valence is
    /// impossible or an aromatic ring has no Kekulé structure. They are not left out.
    pub fn impossible(&self) -> &SkippedRows {
        &self.file.impossible
    }

    /// What a user should know of how the file was read.
    pub fn remarks(&self) -> &[String] {
        &self.file.remarks
    }

    /// What was done to each molecule when it was read.
    pub fn standardise(&self) -> &Standardise {
        &self.file.standardise
    }

    /// The molecules, each with its line, row and name.
    pub fn records(&self) -> impl Iterator<Item = Result<Record>> {
        let mut bytes = Vec::new();
        self.indices
            .iter()
            .map(move |&index| self.file.record(index, &mut bytes))
    }

    /// Every token that occurs in the file, as the `vocabulary` parameter of a model wants it.
    ///
    /// # Errors
    /// If there are more distinct tokens than a vocabulary can hold.
    pub fn vocabulary(&self) -> Result<Vec<String>> {
        let tokens = self.file.tokens.iter().map(|token| &**token);
        let vocabulary = Vocabulary::of_tokens(tokens)
            .map_err(|error| Error::other(error).within(self.source()))?;
        Ok(vocabulary.tokens().to_vec())
    }

    /// The number of tokens of the file's longest molecule.
    pub fn longest(&self) -> usize {
        self.file.longest
    }

    /// Leaves out the molecules that a model cannot represent, and notes the sizes of the others.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn keep_representable<M>(&mut self, model: &M) -> Result<()>
    where
        M: ?Sized + Objective<Input = Smiles> + Sync,
    {
        let (mut indices, mut sizes) = (Vec::new(), Vec::new());
        let mut unknown = Vec::new();
        let mut bytes = Vec::new();
        for chunk in self.indices.chunks(CHUNK) {
            let mut texts = Vec::with_capacity(chunk.len());
            for &index in chunk {
                texts.push(self.file.text(index, &mut bytes)?.0.to_owned());
            }
            let measured: Vec<Result<usize>> = texts
                .par_iter()
                .map(|text| model.size(&Smiles::parse(text).map_err(Error::other)?))
                .collect();
            for (&index, size) in chunk.iter().zip(measured) {
                match size {
                    Ok(size) => {
                        indices.push(index);
                        sizes.push(u32::try_from(size).unwrap_or(u32::MAX));
                    }
                    Err(error) => {
                        let record = self.file.record(index, &mut bytes)?;
                        unknown.push(SkippedRow::of(&record, error.to_string()));
                    }
                }
            }
        }
        self.skipped.extend(unknown);
        self.indices = indices;
        self.sizes = Some(sizes);
        Ok(())
    }

    /// BLAKE3 of the molecules, one a line, in 64 hexadecimal digits: what tells a data set from
    /// another. Names and layout do not count.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn digest(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = Vec::new();
        for &index in &self.indices {
            let (smiles, _) = self.file.text(index, &mut bytes)?;
            hasher.update(smiles.as_bytes());
            hasher.update(b"\n");
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Puts `held_out` molecules aside, drawn by `seed`. A molecule that several rows hold, in
    /// whatever spelling, is in one part alone: rows that repeat one that is held out are in
    /// neither.
    ///
    /// # Errors
    /// If nothing would be left to train on, or the temporary file cannot be read.
    pub fn split(&self, held_out: usize, seed: u64) -> Result<Split> {
        let keys = self.keys()?;
        let (mut training, mut aside) = (Vec::with_capacity(self.len()), Vec::new());
        let mut held_out_keys = HashSet::new();
        for place in permutation(self.len(), seed) {
            if aside.len() < held_out && held_out_keys.insert(keys[place]) {
                aside.push(place);
            } else {
                training.push(place);
            }
        }
        training.retain(|&place| !held_out_keys.contains(&keys[place]));
        if training.is_empty() || aside.len() < held_out {
            return Err(Error::new(format_args!(
                "{} holds {} molecules, {} of them distinct: {held_out} cannot be held out and \
                 leave any to train on",
                self.source(),
                self.len(),
                KnownMolecules::new(keys).len()
            )));
        }
        let repeated = self.len() - training.len() - aside.len();
        Ok(Split {
            training: self.part(&training),
            held_out: self.part(&aside),
            repeated,
            trained_on: KnownMolecules::new(training.iter().map(|&place| keys[place]).collect()),
        })
    }

    /// The number of distinct molecules.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn distinct(&self) -> Result<usize> {
        Ok(KnownMolecules::new(self.keys()?).len())
    }

    /// At most `count` molecules, drawn by `seed`.
    #[must_use]
    pub fn sample(&self, count: usize, seed: u64) -> Self {
        let order = permutation(self.len(), seed);
        self.part(&order[..count.min(order.len())])
    }

    /// The first molecules, at most `count`.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let places: Vec<usize> = (0..self.len().min(count)).collect();
        self.part(&places)
    }

    /// What tells each molecule from others, however it is spelt.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn keys(&self) -> Result<Vec<MoleculeKey>> {
        if let Some(keys) = self.file.keys.get() {
            let of = |&index: &u32| keys[index as usize];
            return Ok(self.indices.iter().map(of).collect());
        }
        let all: Vec<u32> = (0..self.file.places.len() as u32).collect();
        let mut keys = Vec::with_capacity(all.len());
        let mut bytes = Vec::new();
        for indices in all.chunks(CHUNK) {
            let mut texts = Vec::with_capacity(indices.len());
            for &index in indices {
                texts.push(self.file.text(index, &mut bytes)?.0.to_owned());
            }
            keys.par_extend(texts.par_iter().map(|text| MoleculeKey::of(text)));
        }
        let of = |&index: &u32| keys[index as usize];
        let own = self.indices.iter().map(of).collect();
        // Another thread may have been first, with the same.
        let _ = self.file.keys.set(keys);
        Ok(own)
    }

    fn part(&self, places: &[usize]) -> Self {
        let of = |all: &Vec<u32>| places.iter().map(|&place| all[place]).collect();
        Self {
            file: Arc::clone(&self.file),
            indices: of(&self.indices),
            sizes: self.sizes.as_ref().map(of),
            skipped: self.skipped.clone(),
        }
    }
}

impl Understood {
    fn new(row: RawRow, standardise: &Standardise) -> Self {
        let row = row.read(standardise);
        let smiles = row.as_ref().map(|record| &record.smiles).ok();
        let impossible = smiles.and_then(|smiles| chem::check_possible(smiles).err());
        Self {
            impossible: impossible.map(|error| error.to_string()),
            row,
        }
    }
}

/// Molecules that are being read.
struct Reading {
    source: String,
    standardise: Standardise,
    texts: TextWriter,
    places: Vec<[u32; 2]>,
    weights: Vec<f32>,
    tokens: BTreeSet<Box<str>>,
    longest: usize,
    skipped: SkippedRows,
    impossible: SkippedRows,
    remarks: Vec<String>,
}

impl Reading {
    fn new(source: &str, standardise: &Standardise, limit: MemoryLimit) -> Self {
        Self {
            source: source.to_owned(),
            standardise: standardise.clone(),
            texts: TextWriter::new(limit),
            places: Vec::new(),
            weights: Vec::new(),
            tokens: BTreeSet::new(),
            longest: 0,
            skipped: SkippedRows::default(),
            impossible: SkippedRows::default(),
            remarks: Vec::new(),
        }
    }

    fn add(&mut self, rows: impl IntoIterator<Item = Understood>) -> Result<()> {
        for Understood { row, impossible } in rows {
            let record = match row {
                Ok(record) => record,
                Err(row) => {
                    self.skipped.push(row);
                    continue;
                }
            };
            let line = u32::try_from(record.line).map_err(|_| {
                Error::new(format_args!(
                    "{} has more than {} lines",
                    self.source,
                    u32::MAX
                ))
            })?;
            // There are no more rows than lines.
            self.places.push([line, record.row as u32]);
            self.weights
                .extend(record.weight.map(|weight| weight as f32));
            let mut length = 0;
            for token in record.smiles.tokens() {
                length += 1;
                if !self.tokens.contains(token) {
                    self.tokens.insert(token.into());
                }
            }
            self.longest = self.longest.max(length);
            self.texts.push(&text_of(&record))?;
            if let Some(why) = impossible {
                self.impossible.push(SkippedRow::of(&record, why));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Molecules> {
        if self.places.is_empty() {
            return Err(no_molecule(&self.source, &self.skipped));
        }
        self.places.shrink_to_fit();
        Ok(Molecules {
            indices: (0..self.places.len() as u32).collect(),
            file: Arc::new(MoleculeFile {
                source: self.source,
                texts: self.texts.finish()?,
                weights: (!self.weights.is_empty()).then_some(self.weights),
                places: self.places,
                tokens: self.tokens,
                longest: self.longest,
                standardise: self.standardise,
                keys: OnceLock::new(),
                impossible: self.impossible,
                remarks: self.remarks,
            }),
            sizes: None,
            skipped: self.skipped,
        })
    }
}

impl MoleculeFile {
    /// A molecule's SMILES and name.
    fn text<'a>(&self, index: u32, bytes: &'a mut Vec<u8>) -> Result<(&'a str, Option<&'a str>)> {
        let text = self.texts.read(index as usize, bytes)?;
        Ok(match text.split_once(' ') {
            Some((smiles, name)) => (smiles, Some(name)),
            None => (text, None),
        })
    }

    fn record(&self, index: u32, bytes: &mut Vec<u8>) -> Result<Record> {
        let (smiles, name) = self.text(index, bytes)?;
        let [line, row] = self.places[index as usize];
        let weights = self.weights.as_ref();
        Ok(Record {
            line: line as usize,
            row: row as usize,
            smiles: Smiles::parse(smiles).map_err(Error::other)?,
            name: name.map(str::to_owned),
            weight: weights.map(|weights| f64::from(weights[index as usize])),
        })
    }
}

fn text_of(record: &Record) -> String {
    let smiles = record.smiles.as_str();
    match &record.name {
        Some(name) => format!("{smiles} {name}"),
        None => smiles.to_owned(),
    }
}

fn no_molecule(source: &str, skipped: &SkippedRows) -> Error {
    let mut message = format!("{source} holds no molecule");
    if skipped.count > 0 {
        let rows = if skipped.count == 1 {
            "row is"
        } else {
            "rows are"
        };
        // Writing into a string cannot fail.
        let _ = write!(message, "; {} {rows} not SMILES:", skipped.count);
    }
    for row in skipped.first.iter().take(NAMED_ROWS) {
        let _ = write!(message, "\n  line {}: {}", row.line, row.why);
    }
    if skipped.count > NAMED_ROWS {
        let _ = write!(message, "\n  and {} more", skipped.count - NAMED_ROWS);
    }
    Error::new(message)
}

impl Dataset<Smiles> for Molecules {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn read(&self, indices: &[u32]) -> Result<Vec<Smiles>> {
        let mut bytes = Vec::new();
        let smiles = |&place: &u32| {
            let index = self.indices[place as usize];
            Ok(self.file.record(index, &mut bytes)?.smiles)
        };
        indices.iter().map(smiles).collect()
    }

    fn name(&self, index: u32) -> String {
        let index = self.indices[index as usize];
        self.file.places[index as usize][0].to_string()
    }

    /// Those of the column of weights, if there is one.
    fn weights(&self) -> Result<Option<Vec<f64>>> {
        let weights = self.file.weights.as_ref().map(|weights| {
            let of = |&index: &u32| f64::from(weights[index as usize]);
            self.indices.iter().map(of).collect()
        });
        Ok(weights)
    }

    /// The sizes that [`Molecules::keep_representable`] noted, or those that `size` measures.
    fn sizes(&self, size: &dyn Fn(&Smiles) -> Result<usize>) -> Result<Vec<usize>> {
        if let Some(sizes) = &self.sizes {
            return Ok(sizes.iter().map(|&size| size as usize).collect());
        }
        let sizes = self.records().zip(0..).map(|(record, index)| {
            size(&record?.smiles).map_err(|error| error.within(self.name(index)))
        });
        sizes.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use atlas_core::prelude::*;

    use super::*;
    use crate::models::{GruVae, GruVaeParams};

    const TEXT: &str = "CCO ethanol\nbad(\nc1ccccc1\n\nC[N+](C)(C)C\nClCCBr\nCCN\n";

    fn limit(max_bytes: usize) -> MemoryLimit {
        MemoryLimit {
            max_bytes,
            ..Default::default()
        }
    }

    fn parse(text: &str) -> Result<Molecules> {
        let text = Cursor::new(text.to_owned());
        let rows = Rows::new(text, "test.smi", RowOptions::default())?;
        Molecules::from_rows(rows, limit(1 << 20))
    }

    fn smiles(molecules: &Molecules) -> Vec<Smiles> {
        let records = molecules.records().map(|record| record.unwrap().smiles);
        records.collect()
    }

    fn model(vocabulary: Vec<String>) -> Model<GruVae> {
        let params = GruVaeParams::from_overrides(&serde_json::json!({
            "vocabulary": vocabulary, "encoder_hidden_size": 4, "decoder_hidden_size": 4,
            "decoder_layers": 1, "latent_size": 2,
        }));
        GruVae::create(params.unwrap()).unwrap()
    }

    #[test]
    fn a_row_is_a_smiles_and_an_optional_name() {
        let molecules =
            parse("\u{feff}CCO ethanol of grain\r\n\n  c1ccccc1\tbenzene\n \nCC\n").unwrap();
        let records: Vec<Record> = molecules.records().map(Result::unwrap).collect();
        let records: Vec<_> = records
            .iter()
            .map(|record| (record.line, record.smiles.as_str(), record.name.as_deref()))
            .collect();
        assert_eq!(
            records,
            [
                (1, "CCO", Some("ethanol of grain")),
                (3, "c1ccccc1", Some("benzene")),
                (5, "CC", None),
            ]
        );
        assert_eq!(molecules.skipped().count, 0);
    }

    #[test]
    fn every_bad_row_is_named_by_line_and_byte() {
        let error = parse("\nCC(=\nCQ\n").err().unwrap().to_string();
        assert!(
            error.starts_with(
                "test.smi holds no molecule; 2 rows are not SMILES:\n  line 2: `CC(=`: byte"
            ),
            "{error}"
        );
        assert!(error.contains("\n  line 3: `CQ`: byte 1:"), "{error}");
        let error = parse(&"Q\n".repeat(25)).err().unwrap().to_string();
        assert!(error.ends_with("\n  and 5 more"), "{error}");
    }

    #[test]
    fn skipped_rows_are_kept_with_their_reason() {
        let molecules = parse("CCO\nCQ\n").unwrap();
        let skipped = molecules.skipped();
        assert_eq!(
            (molecules.len(), skipped.count, skipped.first[0].line),
            (1, 1, 2)
        );
        let why = &skipped.first[0].why;
        assert!(why.starts_with("`CQ`: byte 1: "), "{why}");
    }

    #[test]
    fn a_file_without_molecules_is_refused() {
        for text in ["", "\n\n"] {
            let error = parse(text).err().unwrap();
            assert_eq!(error.to_string(), "test.smi holds no molecule");
        }
        let error = parse("CQ\n").err().unwrap().to_string();
        assert!(
            error.starts_with("test.smi holds no molecule; 1 row is not SMILES:\n  line 1: `CQ`"),
            "{error}"
        );
    }

    #[test]
    fn they_are_the_same_in_memory_and_in_a_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.smi");
        fs::write(&path, TEXT).unwrap();
        let all = parse(TEXT).unwrap();
        let texts = ["CCO", "c1ccccc1", "C[N+](C)(C)C", "ClCCBr", "CCN"];
        assert_eq!(smiles(&all), texts.map(|text| Smiles::parse(text).unwrap()));
        for max_bytes in [0, 20, 1 << 20] {
            let read = Molecules::read(&path, RowOptions::default(), limit(max_bytes)).unwrap();
            assert_eq!(read.source(), path.display().to_string());
            assert_eq!(read.vocabulary().unwrap(), all.vocabulary().unwrap());
            assert_eq!(read.skipped(), all.skipped());
            assert_eq!(read.digest().unwrap(), all.digest().unwrap());
            for (read, expected) in read.records().zip(all.records()) {
                assert_eq!(read.unwrap(), expected.unwrap());
            }
        }
    }

    #[test]
    fn what_training_reads_are_the_molecules_of_its_part() {
        let mut all = parse(TEXT).unwrap();
        let model = model(all.vocabulary().unwrap());
        all.keep_representable(&model).unwrap();
        let training = all.split(2, 7).unwrap().training;
        let expected = smiles(&training);
        assert_eq!(training.read(&[0, 1, 2]).unwrap(), expected);
        assert_eq!(training.read(&[2]).unwrap(), expected[2..]);
        let lines: Vec<_> = training.records().map(|row| row.unwrap().line).collect();
        assert_eq!(training.name(1), lines[1].to_string());
        let lengths: Vec<usize> = expected.iter().map(|s| s.tokens().count()).collect();
        assert_eq!(training.sizes(&|_| Ok(0)).unwrap(), lengths);
        // Without a model that has measured them, they are measured.
        let unmeasured = parse(TEXT).unwrap();
        assert_eq!(unmeasured.sizes(&|_| Ok(7)).unwrap(), [7; 5]);
        let refused = unmeasured.sizes(&|_| Err(Error::new("no"))).unwrap_err();
        assert_eq!(refused.to_string(), "1: no");
    }

    #[test]
    fn what_the_model_cannot_represent_is_left_out() {
        let mut molecules = parse("CC\nCO\nCQ\nCCC\n").unwrap();
        let whole = molecules.digest().unwrap();
        let model = model(
            ["<pad>", "<start>", "<end>", "C"]
                .map(str::to_owned)
                .to_vec(),
        );
        molecules.keep_representable(&model).unwrap();
        assert_eq!(molecules.len(), 2);
        let lines = molecules.skipped().first.iter().map(|row| row.line);
        assert_eq!(lines.collect::<Vec<_>>(), [2, 3]);
        let why = &molecules.skipped().first[0].why;
        assert!(why.contains("`O` is not in the vocabulary"), "{why}");
        assert_ne!(molecules.digest().unwrap(), whole);
        let known = parse("CC\nCCC\n").unwrap().digest().unwrap();
        assert_eq!(molecules.digest().unwrap(), known);
        assert_eq!(molecules.split(0, 0).unwrap().training.len(), 2);
        assert!(molecules.split(2, 0).is_err());
    }

    #[test]
    fn a_split_keeps_every_molecule_once_and_depends_on_the_seed_alone() {
        let rows = (1..=50).map(|length| format!("{}\n", "C".repeat(length)));
        let molecules = parse(&rows.collect::<String>()).unwrap();
        let lines = |molecules: &Molecules| -> Vec<usize> {
            let records = molecules.records().map(|record| record.unwrap().line);
            records.collect()
        };
        let Split {
            training, held_out, ..
        } = molecules.split(10, 7).unwrap();
        let mut all = [lines(&training), lines(&held_out)].concat();
        all.sort_unstable();
        assert_eq!(
            (training.len(), held_out.len(), all),
            (40, 10, (1..=50).collect::<Vec<_>>())
        );
        let again = |seed| lines(&molecules.split(10, seed).unwrap().held_out);
        assert_eq!(again(7), lines(&held_out));
        assert_ne!(again(8), lines(&held_out));
        assert!(molecules.split(50, 7).is_err());
        assert_eq!(lines(&held_out.first(3)), lines(&held_out)[..3]);
        assert_eq!(held_out.first(99).len(), 10);
    }

    #[test]
    fn a_molecule_is_in_one_part_alone_however_often_and_in_whatever_spelling_it_comes() {
        let chains = (1..=20).map(|length| "C".repeat(length));
        let rows = chains.map(|chain| format!("{chain}O\n{chain}O\nO{chain}\n"));
        let molecules = parse(&rows.collect::<String>()).unwrap();
        for seed in 0..5 {
            let split = molecules.split(5, seed).unwrap();
            let keys = |part: &Molecules| part.keys().unwrap();
            let held_out = KnownMolecules::new(keys(&split.held_out));
            assert_eq!((split.held_out.len(), held_out.len()), (5, 5));
            assert_eq!((split.training.len(), split.repeated), (45, 10));
            let trained_on = keys(&split.training);
            assert!(!trained_on.iter().any(|key| held_out.contains(*key)));
            assert_eq!(split.trained_on, KnownMolecules::new(trained_on));
        }
        let error = molecules.split(20, 0).err().unwrap().to_string();
        assert!(
            error.contains("60 molecules, 20 of them distinct"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_exist_is_counted_and_kept() {
        let molecules = parse("CCO\nCC(C)(C)(C)C five\nc1cccc1\n").unwrap();
        let impossible = molecules.impossible();
        assert_eq!((molecules.len(), impossible.count), (3, 2));
        assert_eq!(impossible.first[0].line, 2);
        assert!(
            impossible.first[0].why.contains("valence"),
            "{impossible:?}"
        );
    }

    #[test]
    fn the_digest_is_of_the_molecules_alone() {
        let digest = |text| parse(text).unwrap().digest().unwrap();
        assert_eq!(digest("CCO\nC\n"), digest("CCO x\n\nC y\n"));
        assert_ne!(digest("CCO\nC\n"), digest("C\nCCO\n"));
        assert_eq!(
            digest("CCO\nC\n"),
            blake3::hash(b"CCO\nC\n").to_hex().as_str()
        );
    }
}
