//! Molecules to train on, which need not fit into memory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use atlas_core::{Error, Objective, Result};

use super::examples::{Examples, size};
use super::rows::{Row, Rows, Skipped};
use super::shuffle::permutation;
use super::spool::Spool;
use crate::chem::{self, Smiles, Tokens, Vocabulary};

/// Bad rows that are kept with their reasons; further ones are counted.
const KEPT: usize = 1000;

/// Memory that a [`Corpus`] takes for texts, and a [`TokenStore`] for tokens, before they go to a
/// temporary file.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The most bytes that are held in memory.
    pub most: usize,
    /// The folder of temporary files.
    pub folder: PathBuf,
}

impl Default for Memory {
    /// 512 MiB, and the system's folder of temporary files.
    fn default() -> Self {
        Self {
            most: 512 << 20,
            folder: std::env::temp_dir(),
        }
    }
}

/// The molecules of a file: checked and counted once, and read again when they are needed.
///
/// It takes 12 bytes a molecule in memory, and [`Memory::most`] for texts.
pub struct Corpus {
    source: String,
    texts: Spool,
    lines: Vec<u32>,
    skipped: SkippedRows,
    tokens: BTreeSet<Box<str>>,
    memory: Memory,
}

/// The rows that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedRows {
    /// The first thousand of them.
    pub first: Vec<Skipped>,
    /// How many there are.
    pub count: usize,
}

impl SkippedRows {
    fn push(&mut self, row: Skipped) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(row);
        }
    }
}

impl Corpus {
    /// Reads a SMILES file, as [`Rows`] does; `-` is standard input. Rows that are not SMILES are
    /// [left out](Corpus::skipped).
    ///
    /// # Errors
    /// If the file cannot be read, holds no row at all or more than a `u32` can number, or the
    /// temporary file cannot be written.
    pub fn read(path: &Path, memory: Memory) -> Result<Self> {
        let rows = Rows::open(path)?;
        let source = rows.source().to_owned();
        Self::collect(source, rows, memory)
    }

    /// The built-in molecules ([`chem::Library`]), the line of each being its index from 1.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn built_in(memory: Memory) -> Result<Self> {
        let rows = chem::molecules().enumerate().map(|(index, smiles)| {
            Ok(Ok(Row {
                line: index + 1,
                smiles,
                name: None,
            }))
        });
        Self::collect("built-in".to_owned(), rows, memory)
    }

    fn collect(
        source: String,
        rows: impl Iterator<Item = Result<std::result::Result<Row, Skipped>>>,
        memory: Memory,
    ) -> Result<Self> {
        let mut corpus = Self {
            texts: Spool::new(memory.most, &memory.folder),
            lines: Vec::new(),
            skipped: SkippedRows::default(),
            tokens: BTreeSet::new(),
            source,
            memory,
        };
        for row in rows {
            match row? {
                Err(row) => corpus.skipped.push(row),
                Ok(row) => corpus.add(&row)?,
            }
        }
        if corpus.is_empty() && corpus.skipped.count == 0 {
            let source = &corpus.source;
            return Err(Error::new(format_args!("{source} holds no molecule")));
        }
        corpus.texts.finish()?;
        corpus.lines.shrink_to_fit();
        Ok(corpus)
    }

    fn add(&mut self, row: &Row) -> Result<()> {
        let line = u32::try_from(row.line).map_err(|_| {
            let source = &self.source;
            Error::new(format_args!("{source} has more than {} lines", u32::MAX))
        })?;
        let text = row.smiles.as_str();
        for token in row.smiles.tokens() {
            if !self.tokens.contains(token) {
                self.tokens.insert(token.into());
            }
        }
        self.lines.push(line);
        self.texts.push(text.as_bytes())
    }

    /// What messages call it: the file's name, or `built-in`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The number of molecules.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no molecule.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The rows that are not SMILES.
    pub fn skipped(&self) -> &SkippedRows {
        &self.skipped
    }

    /// As [`Molecules::vocabulary`](super::Molecules::vocabulary).
    ///
    /// # Errors
    /// If there are more distinct tokens than a vocabulary can hold.
    pub fn vocabulary(&self) -> Result<Vec<String>> {
        let tokens = self.tokens.iter().map(|token| &**token);
        let vocabulary = Vocabulary::of_tokens(tokens)
            .map_err(|error| Error::new(error).within(&self.source))?;
        Ok(vocabulary.tokens().to_vec())
    }

    /// Tokenizes every molecule once and puts `held_out` of them, drawn by `seed`, aside. Rows
    /// that the model cannot represent are left out first.
    ///
    /// # Errors
    /// If nothing would be left to train on, or the temporary files cannot be used.
    pub fn split<M>(&self, model: &M, held_out: usize, seed: u64) -> Result<Split>
    where
        M: ?Sized + Objective<Input = Smiles, Example = Tokens>,
    {
        let mut all = TokenStore::new(&self.memory);
        let mut skipped = SkippedRows::default();
        let mut known = Vec::new();
        let mut hasher = blake3::Hasher::new();
        for index in 0..self.len() {
            let smiles = self.smiles(index)?;
            match model.prepare(&smiles) {
                Ok(tokens) => {
                    all.push(&tokens, model.size(&tokens), self.lines[index])?;
                    known.push(index as u32);
                    hasher.update(smiles.as_str().as_bytes());
                    hasher.update(b"\n");
                }
                Err(error) => skipped.push(Skipped {
                    line: self.lines[index] as usize,
                    why: error.to_string(),
                }),
            }
        }
        all.tokens.finish()?;
        if held_out >= known.len() {
            return Err(Error::new(format_args!(
                "{} holds {} molecules: {held_out} cannot be held out and leave any to train on",
                self.source,
                known.len()
            )));
        }
        let mut order = permutation(known.len(), seed);
        let training = order.split_off(held_out);
        let held_out = order
            .iter()
            .map(|&index| self.smiles(known[index] as usize));
        Ok(Split {
            held_out: held_out.collect::<Result<_>>()?,
            training: all.keep(&training),
            molecules: known.len(),
            digest: hasher.finalize().to_hex().to_string(),
            skipped,
        })
    }

    fn smiles(&self, index: usize) -> Result<Smiles> {
        let mut text = Vec::new();
        self.texts.read(index, &mut text)?;
        let text = String::from_utf8(text).map_err(Error::new)?;
        Smiles::parse(&text).map_err(Error::new)
    }
}

/// A [`Corpus`] as training uses it.
pub struct Split {
    /// What is trained on.
    pub training: TokenStore,
    /// What is put aside.
    pub held_out: Vec<Smiles>,
    /// Molecules in all, those that the model cannot represent not counted.
    pub molecules: usize,
    /// What [`Molecules::digest`](super::Molecules::digest) is of them.
    pub digest: String,
    /// The rows that the model cannot represent.
    pub skipped: SkippedRows,
}

/// Molecules as tokens: two bytes a token, in memory or beyond [`Memory::most`] in a temporary
/// file, and 20 bytes a molecule in memory.
pub struct TokenStore {
    tokens: Spool,
    lines: Vec<u32>,
    sizes: Vec<u32>,
    /// Those of the stored molecules that count, in their order.
    kept: Vec<u32>,
}

impl TokenStore {
    fn new(memory: &Memory) -> Self {
        Self {
            tokens: Spool::new(memory.most, &memory.folder),
            lines: Vec::new(),
            sizes: Vec::new(),
            kept: Vec::new(),
        }
    }

    fn push(&mut self, tokens: &Tokens, length: usize, line: u32) -> Result<()> {
        let bytes: Vec<u8> = tokens.iter().flat_map(|id| id.to_le_bytes()).collect();
        self.kept.push(self.tokens.len() as u32);
        self.lines.push(line);
        self.sizes.push(size(length));
        self.tokens.push(&bytes)
    }

    /// The same store of these molecules alone.
    fn keep(mut self, indices: &[usize]) -> Self {
        self.kept = indices.iter().map(|&index| self.kept[index]).collect();
        self
    }
}

impl Examples<Tokens> for TokenStore {
    fn len(&self) -> usize {
        self.kept.len()
    }

    fn sizes(&self, _: &dyn Fn(&Tokens) -> usize) -> Result<Vec<u32>> {
        let size = |&index: &u32| self.sizes[index as usize];
        Ok(self.kept.iter().map(size).collect())
    }

    fn read(&self, indices: &[u32]) -> Result<Vec<Tokens>> {
        let mut bytes = Vec::new();
        let tokens = |&index: &u32| {
            let stored = self.kept[index as usize] as usize;
            self.tokens.read(stored, &mut bytes)?;
            let ids = bytes
                .chunks_exact(2)
                .map(|id| u16::from_le_bytes([id[0], id[1]]));
            Ok(ids.collect())
        };
        indices.iter().map(tokens).collect()
    }

    fn name(&self, index: u32) -> String {
        let stored = self.kept[index as usize] as usize;
        self.lines[stored].to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use atlas_core::prelude::*;

    use super::*;
    use crate::data::{Invalid, Molecules};
    use crate::models::{GruVae, GruVaeParams};

    const TEXT: &str = "CCO ethanol\nbad(\nc1ccccc1\n\nC[N+](C)(C)C\nClCCBr\nCCN\n";

    fn read(text: &str, most: usize) -> Result<Corpus> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.smi");
        fs::write(&path, text).unwrap();
        let folder = std::env::temp_dir();
        Corpus::read(&path, Memory { most, folder })
    }

    fn model(vocabulary: Vec<String>) -> Model<GruVae> {
        let params = GruVaeParams::from_overrides(&serde_json::json!({
            "vocabulary": vocabulary, "encoder_hidden_size": 4, "decoder_hidden_size": 4,
            "decoder_layers": 1, "latent_size": 2,
        }));
        GruVae::create(params.unwrap()).unwrap()
    }

    #[test]
    fn it_is_what_reading_all_at_once_gives() {
        let all = Molecules::parse(TEXT.as_bytes(), "some.smi", Invalid::Skip).unwrap();
        for most in [0, 1 << 20] {
            let corpus = read(TEXT, most).unwrap();
            assert_eq!(corpus.vocabulary().unwrap(), all.vocabulary().unwrap());
            assert_eq!(corpus.len(), all.len());
            assert_eq!(corpus.skipped().first, all.skipped);
            let model = model(all.vocabulary().unwrap());
            let split = corpus.split(&model, 2, 7).unwrap();
            assert_eq!(split.digest, all.digest());
            let (training, held_out) = all.split(2, 7).unwrap();
            let smiles = |&index: &usize| all.rows[index].smiles.clone();
            assert_eq!(
                split.held_out,
                held_out.iter().map(smiles).collect::<Vec<_>>()
            );
            let expected: Vec<Tokens> = training
                .iter()
                .map(|index| model.prepare(&smiles(index)).unwrap())
                .collect();
            assert_eq!(split.training.read(&[0, 1, 2]).unwrap(), expected);
            assert_eq!(
                split.training.name(1),
                all.rows[training[1]].line.to_string()
            );
            let lengths: Vec<u32> = expected.iter().map(|tokens| size(tokens.len())).collect();
            assert_eq!(split.training.sizes(&|_| 0).unwrap(), lengths);
        }
    }

    #[test]
    fn what_the_model_cannot_represent_is_left_out() {
        let corpus = read("CC\nCO\nCCC\n", 1 << 20).unwrap();
        let model = model(
            ["<pad>", "<start>", "<end>", "C"]
                .map(str::to_owned)
                .to_vec(),
        );
        let split = corpus.split(&model, 0, 0).unwrap();
        assert_eq!(
            (split.training.len(), split.molecules, split.skipped.count),
            (2, 2, 1)
        );
        assert_eq!(split.skipped.first[0].line, 2);
        assert!(corpus.split(&model, 2, 0).is_err());
    }

    #[test]
    fn a_file_without_rows_is_refused() {
        let error = read("\n\n", 0).err().unwrap().to_string();
        assert!(error.ends_with("some.smi holds no molecule"), "{error}");
    }
}
