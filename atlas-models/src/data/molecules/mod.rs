//! [`Molecules`]: all molecules of a file, checked, counted and split. The dataset that models
//! train on.

pub(super) mod reading;
mod shared;

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, OnceLock};

use atlas_core::random::permutation;
use atlas_core::train::Dataset;
use atlas_core::{Error, Objective, Result};
use rayon::prelude::*;

use super::InputFile;
use super::known::{KnownMolecules, MoleculeKey};
use super::rows::{Record, SkippedRow, SkippedRows};
use super::text_store::TextStore;
use crate::chem::{Notation, Smiles, Spelling, Standardise, Vocabulary};

pub use shared::SharedMolecules;

/// Rows that are understood together, on every processor.
const CHUNK: usize = 1 << 13;
/// Random spellings of each molecule that are looked through for tokens.
const RANDOM_SPELLINGS: u64 = 2;
/// What the built-in molecules are called.
pub const BUILT_IN: &str = "built-in";
/// What those are called that are made of building blocks which these lack.
pub const HELD_OUT_BLOCKS: &str = "built-in, of held-out building blocks";

/// The molecules of a file, or some of them, in an order.
///
/// They are checked and counted once, and read again when they are needed: their texts are held
/// compactly, and beyond a [`MemoryLimit`](super::MemoryLimit) in a temporary file. Beside the texts a molecule takes 28
/// bytes of memory, four more where rows have weights, eight more where they are of several files or
/// of a shard, and some more while they are split. Copies and [parts](Molecules::split) share the
/// texts.
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
    /// The files, each with the number of molecules before it.
    files: Vec<(usize, Arc<InputFile>)>,
    /// The line and the row of each.
    places: Vec<[u32; 2]>,
    /// The first byte of each in its file, where that is what a row is known by.
    offsets: Option<Vec<u64>>,
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

/// What a model must have to represent molecules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokensInUse {
    /// Every token that occurs, as the `vocabulary` parameter of a model wants it.
    pub vocabulary: Vec<String>,
    /// The number of tokens of the longest molecule.
    pub longest: usize,
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

impl Molecules {
    /// Whether rows are known by their file and their first byte there, and not by their number.
    pub fn is_located(&self) -> bool {
        self.file.offsets.is_some()
    }

    /// The number of molecules.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no molecule.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// What messages call the file: its name, or `built-in`.
    pub fn source(&self) -> &str {
        &self.file.source
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

    /// The molecules, each with its line, row and name; with its first byte in the file where they
    /// are [known](Molecules::is_located) by it.
    pub fn records(&self) -> impl Iterator<Item = Result<Record>> {
        let mut bytes = Vec::new();
        self.indices
            .iter()
            .map(move |&index| self.file.record(index, &mut bytes))
    }

    /// The tokens that the molecules have in a notation and these spellings. Of
    /// [`Spelling::Random`] some are drawn; it can have further ones. Molecules that cannot be
    /// written so count for nothing.
    ///
    /// # Errors
    /// If there are more distinct tokens than a vocabulary can hold, or the temporary file cannot be
    /// read.
    pub fn tokens(&self, notation: Notation, spellings: &[Spelling]) -> Result<TokensInUse> {
        let is_as_read = notation == Notation::Atoms
            && spellings
                .iter()
                .all(|spelling| *spelling == Spelling::AsGiven);
        let (tokens, longest) = if is_as_read {
            let tokens = self.file.tokens.iter().map(|token| token.to_string());
            (tokens.collect(), self.file.longest)
        } else {
            self.tokens_of_texts(notation, spellings)?
        };
        let vocabulary = Vocabulary::of_tokens(notation, tokens)
            .map_err(|error| Error::other(error).within(self.source()))?;
        Ok(TokensInUse {
            vocabulary: vocabulary.tokens().to_vec(),
            longest,
        })
    }

    /// Every token, and the most of a molecule.
    fn tokens_of_texts(
        &self,
        notation: Notation,
        spellings: &[Spelling],
    ) -> Result<(BTreeSet<String>, usize)> {
        let is_random = spellings.contains(&Spelling::Random);
        let of_text = |text: &String| {
            let (mut tokens, mut longest) = (BTreeSet::new(), 0);
            let Ok(smiles) = Smiles::parse(text) else {
                return (tokens, longest);
            };
            let seeds = 0..RANDOM_SPELLINGS;
            let spellings = spellings.iter().flat_map(|spelling| match spelling {
                Spelling::Random => seeds.clone().map(|seed| (*spelling, seed)).collect(),
                _ => vec![(*spelling, 0)],
            });
            if notation == Notation::Atoms && is_random {
                tokens.extend(Spelling::Random.tokens(&smiles).unwrap_or_default());
            }
            for spelt in spellings.filter_map(|(how, seed)| how.spell(&smiles, seed).ok()) {
                let mut length = 0;
                let counted = notation.for_each(&spelt, |_, token| {
                    length += 1;
                    if !tokens.contains(token) {
                        tokens.insert(token.to_owned());
                    }
                    Ok(())
                });
                longest = longest.max(counted.map_or(0, |()| length));
            }
            (tokens, longest)
        };
        let (mut tokens, mut longest) = (BTreeSet::new(), 0);
        let mut bytes = Vec::new();
        for chunk in self.indices.chunks(CHUNK) {
            let texts = chunk.iter().map(|&index| {
                let (text, _) = self.file.text(index, &mut bytes)?;
                Ok(text.to_owned())
            });
            let texts = texts.collect::<Result<Vec<String>>>()?;
            let found: Vec<_> = texts.par_iter().map(of_text).collect();
            for (more, length) in found {
                tokens.extend(more);
                longest = longest.max(length);
            }
        }
        Ok((tokens, longest))
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

impl MoleculeFile {
    fn file(&self, index: u32) -> &Arc<InputFile> {
        let after = self
            .files
            .partition_point(|(before, _)| *before <= index as usize);
        &self.files[after.saturating_sub(1)].1
    }

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
        let offsets = self.offsets.as_ref();
        Ok(Record {
            file: Arc::clone(self.file(index)),
            offset: offsets.map_or(0, |offsets| offsets[index as usize]),
            line: line as usize,
            row: row as usize,
            smiles: Smiles::parse(smiles).map_err(Error::other)?,
            name: name.map(str::to_owned),
            weight: weights.map(|weights| f64::from(weights[index as usize])),
        })
    }
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
        let [line, _] = self.file.places[index as usize];
        match &self.file.offsets {
            Some(offsets) => {
                let file = self.file.file(index);
                file.place(line as usize, offsets[index as usize])
            }
            None => line.to_string(),
        }
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
mod tests;
