//! The part of a shard: a Parquet file in the folder that all shards write to, which says what it was
//! made of.

use std::fs;
use std::path::{Path, PathBuf};

use atlas_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::failure::{Failure, Result};
use crate::cli::problems::Problems;
use crate::cli::terminal::output;
use crate::cli::terminal::values::{flatten, show};
use crate::data::{Input, LatentFile, LatentType, RowOptions, Shard};

/// What a part was made of, and what it holds: the note of its file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartNote {
    /// What all parts of a folder have in common.
    pub run: RunNote,
    /// The shard, from 0.
    pub shard: u64,
    /// Its bytes, of all files laid end to end.
    pub range: [u64; 2],
    /// BLAKE3 of the bytes of its rows.
    pub blake3: String,
    /// The rows that it has, and those that were left out.
    pub rows: u64,
    pub skipped: u64,
}

/// What all parts of a folder are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunNote {
    /// The digest of the bundle.
    pub bundle: String,
    /// The files: how many there are, their bytes, BLAKE3 of their names and lengths.
    pub files: usize,
    pub bytes: u64,
    pub names_and_lengths: String,
    /// How many shards there are.
    pub shards: u64,
    pub dtype: String,
    pub skip_invalid: bool,
    /// How rows are read.
    pub rows: RowOptions,
}

impl PartNote {
    /// The note of a shard that is yet to be read.
    pub fn new(
        input: &Input,
        shard: Shard,
        bundle: String,
        dtype: LatentType,
        skip_invalid: bool,
        rows: RowOptions,
    ) -> Result<Self> {
        let range = shard.range(input.bytes());
        Ok(Self {
            run: RunNote {
                bundle,
                files: input.files().len(),
                bytes: input.bytes(),
                names_and_lengths: input.digest(),
                shards: shard.count,
                dtype: dtype.name().to_owned(),
                skip_invalid,
                rows,
            },
            shard: shard.index,
            range: [range.start, range.end],
            blake3: input.digest_of_bytes()?,
            rows: 0,
            skipped: 0,
        })
    }

    /// The name of its file.
    pub fn file_name(&self) -> String {
        file_name(self.shard, self.run.shards)
    }

    /// What differs in another part of the same folder: what, there, here.
    pub fn differences(&self, other: &Self) -> Vec<(String, String, String)> {
        let mut differences = differences(&self.run, &other.run);
        if self.shard == other.shard && differences.is_empty() && self.blake3 != other.blake3 {
            let (there, here) = (other.blake3.clone(), self.blake3.clone());
            differences.push(("blake3".to_owned(), there, here));
        }
        differences
    }
}

fn differences(here: &RunNote, there: &RunNote) -> Vec<(String, String, String)> {
    let values = |note| flatten(&serde_json::to_value(note).unwrap_or_default());
    let (here, there) = (values(here), values(there));
    let of = |values: &[(String, Value)], key: &str| {
        let found = values.iter().find(|(name, _)| name == key);
        found.map_or("nothing".to_owned(), |(_, value)| show(value))
    };
    let mut keys: Vec<&String> = here.iter().chain(&there).map(|(key, _)| key).collect();
    keys.dedup();
    let mut found = Vec::new();
    for key in keys {
        let (there, here) = (of(&there, key), of(&here, key));
        let is_known = found.iter().any(|(known, _, _)| known == key);
        if there != here && !is_known {
            found.push((key.clone(), there, here));
        }
    }
    found
}

/// The name of the file of a shard.
pub fn file_name(shard: u64, shards: u64) -> String {
    format!("part-{shard:05}-of-{shards:05}.parquet")
}

/// The shard, and the number of shards, that the name of a file says.
pub fn shard_of(name: &str) -> Option<(u64, u64)> {
    let numbers = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    let (shard, shards) = numbers.split_once("-of-")?;
    let found = (shard.parse().ok()?, shards.parse().ok()?);
    (file_name(found.0, found.1) == name && found.0 < found.1).then_some(found)
}

/// The names of the files in a folder of parts, sorted; those of files that are being written are
/// left out.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |error| Error::io("read", folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') {
            names.push(name.into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A part, and what it says of itself.
///
/// # Errors
/// If it is no whole part.
pub fn open(path: &Path) -> atlas_core::Result<(LatentFile, PartNote)> {
    let file = LatentFile::open(path)?;
    let note = file.note.as_deref().map(serde_json::from_str::<PartNote>);
    match note {
        Some(Ok(note)) if note.rows == file.rows => Ok((file, note)),
        Some(Ok(note)) => Err(Error::new(format_args!(
            "{}: it has {} rows, and says that it has {}",
            path.display(),
            file.rows,
            note.rows
        ))),
        _ => Err(Error::new(format_args!(
            "{}: it does not say of what shard it is",
            path.display()
        ))),
    }
}

/// Where the part of a shard is to be written; `None` if it is there already.
///
/// # Errors
/// If there are parts of something else in the folder. All that differs is named.
pub fn place(folder: &Path, note: &PartNote) -> Result<Option<PathBuf>> {
    fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
    let (own, shards) = (note.file_name(), note.run.shards);
    let names = names(folder)?;
    let others = names.iter().filter(|name| **name != own);
    let of_run = |name: &&String| shard_of(name).is_some_and(|(_, of)| of == shards);
    let of_other_run = |name: &&String| shard_of(name).is_some_and(|(_, of)| of != shards);
    let read = |name: &String| open(&folder.join(name)).ok().map(|(_, note)| note);
    let mut problems = Problems::default();
    let path = folder.join(&own);
    let mut is_there = false;
    if names.contains(&own) {
        match open(&path).and_then(|(mut file, found)| file.check().map(|()| found)) {
            Ok(found) => {
                is_there = true;
                note_differences(&mut problems, folder, note, &found);
            }
            Err(error) => output::say(&format_args!("{error}; it is written again")),
        }
    }
    // Each was compared with one that was there, so that one tells of all.
    if problems.is_empty()
        && let Some(other) = others.clone().filter(of_run).find_map(read)
    {
        note_differences(&mut problems, folder, note, &other);
    }
    if let Some(name) = others.clone().find(of_other_run) {
        match read(name) {
            Some(other) => note_differences(&mut problems, folder, note, &other),
            None => problems.fail(format_args!(
                "{}: it is none of {shards} shards",
                folder.join(name).display()
            )),
        }
    }
    problems.into_result("the shard is not encoded", Some(()))?;
    Ok((!is_there).then_some(path))
}

/// Notes everything in which another part of the folder differs.
fn note_differences(problems: &mut Problems, folder: &Path, note: &PartNote, other: &PartNote) {
    for (what, there, here) in note.differences(other) {
        problems.fail(format_args!(
            "{}: {what}: {there}, and here {here}",
            folder.join(other.file_name()).display()
        ));
    }
}

/// An error unless `-o` can be a folder.
pub fn check_folder(path: &Path) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Err(Failure::new(
            "--shard writes a file into a folder, which -o names",
        ));
    }
    if path.exists() && !path.is_dir() {
        return Err(Failure::new(format_args!(
            "cannot write into {}: --shard writes a file into a folder, and this is none",
            path.display()
        )));
    }
    Ok(())
}
