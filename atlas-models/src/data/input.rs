//! [`Input`]: the files that are read one after another, or a shard's share of them.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atlas_core::{Error, Result};

use super::molecules::BUILT_IN;
use super::rows::{SAMPLE, cut_of};
use super::shard::{Cut, Shard, row_start};

/// A file of molecules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    path: PathBuf,
    label: String,
    name: String,
}

impl InputFile {
    /// The file at `path`; `-` is standard input.
    pub fn new(path: &Path) -> Self {
        let mut label = path.display().to_string();
        if path == Path::new("-") {
            label = "standard input".to_owned();
        } else if label == BUILT_IN {
            // A bundle that was trained on such a file would seem to know the built-in molecules.
            label = format!("./{label}");
        }
        Self {
            name: label.clone(),
            path: path.to_owned(),
            label,
        }
    }

    /// What is no file: messages call it `label`.
    pub(super) fn of_text(label: &str) -> Self {
        Self {
            path: PathBuf::new(),
            label: label.to_owned(),
            name: label.to_owned(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What messages call it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its path from the folder that holds all files of the input.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What messages call a row: by its line, or where that is 0, which is not known, by its first
    /// byte.
    pub fn place(&self, line: usize, offset: u64) -> String {
        match line {
            0 => format!("{}, byte {offset}", self.label),
            line => format!("{}:{line}", self.label),
        }
    }
}

/// Files of molecules that are read one after another, or a [shard's](Shard) share of them.
///
/// A share is cut by bytes: the files are laid end to end, and what belongs to others is not read
/// but for the beginning of each file, which says how it is laid out. Text is cut between lines, an
/// SDF between records. A compressed file is not cut: all of it belongs to the share in which its
/// first byte lies.
#[derive(Clone, Debug)]
pub struct Input {
    name: String,
    files: Vec<(Arc<InputFile>, u64)>,
    pieces: Vec<Piece>,
    shard: Option<Shard>,
}

/// What is read of a file.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) file: Arc<InputFile>,
    /// The bytes that are read; all of them where the file is not cut.
    pub(super) range: Option<Range<u64>>,
}

impl Input {
    /// The file at `path`; `-` is standard input.
    pub fn file(path: &Path) -> Self {
        Self::of(path.display().to_string(), vec![path.to_owned()])
    }

    /// The file at `path` or, where there is none, the files whose paths match it as a pattern with
    /// `*`, `?` and `[…]`, sorted; `-` is standard input.
    ///
    /// # Errors
    /// If no file matches the pattern, or a folder cannot be read.
    pub fn find(pattern: &Path) -> Result<Self> {
        let text = pattern.to_string_lossy();
        if !text.contains(['*', '?', '[']) || fs::symlink_metadata(pattern).is_ok() {
            return Ok(Self::file(pattern));
        }
        let wrong = |why: &dyn std::fmt::Display| Error::new(format_args!("{text}: {why}"));
        let mut paths = Vec::new();
        // As in a shell, `*` leaves out files that are hidden, such as unfinished ones.
        let options = glob::MatchOptions {
            require_literal_leading_dot: true,
            ..Default::default()
        };
        for path in glob::glob_with(&text, options).map_err(|error| wrong(&error))? {
            let path = path.map_err(|error| wrong(&error))?;
            if !path.is_dir() {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Err(wrong(&"no file matches"));
        }
        paths.sort();
        Ok(Self::of(text.into_owned(), paths))
    }

    fn of(name: String, paths: Vec<PathBuf>) -> Self {
        let mut files: Vec<InputFile> = paths.iter().map(|path| InputFile::new(path)).collect();
        let folder = common_folder(&paths);
        for file in &mut files {
            if let Ok(name) = file.path.strip_prefix(&folder)
                && file.path != Path::new("-")
            {
                file.name = name.display().to_string();
            }
        }
        let name = match &files[..] {
            [file] => file.label.clone(),
            _ => name,
        };
        let files: Vec<_> = files
            .into_iter()
            .map(|file| {
                let found = fs::metadata(&file.path).ok();
                let length = found.filter(fs::Metadata::is_file);
                (Arc::new(file), length.map_or(0, |found| found.len()))
            })
            .collect();
        let whole = |(file, _): &(Arc<InputFile>, u64)| Piece {
            file: Arc::clone(file),
            range: None,
        };
        Self {
            name,
            pieces: files.iter().map(whole).collect(),
            files,
            shard: None,
        }
    }

    /// The share of a shard.
    ///
    /// # Errors
    /// If an input is no file, such as a pipe, or a file cannot be read. All of those are named.
    pub fn shard(mut self, shard: Shard) -> Result<Self> {
        let mut problems = Vec::new();
        for (file, _) in &self.files {
            match fs::metadata(&file.path) {
                Ok(found) if found.is_file() => {}
                Err(error) if file.path != Path::new("-") => {
                    problems.push(Error::io("open", &file.path, error).to_string());
                }
                _ => problems.push(format!(
                    "{}: only files can be cut into shards, which this is not",
                    file.label
                )),
            }
        }
        if !problems.is_empty() {
            return Err(Error::new(problems.join("\n")));
        }
        let range = shard.range(self.bytes());
        let Shard { index, count } = shard;
        self.name = format!("{} (shard {index} of {count})", self.name);
        self.shard = Some(shard);
        self.pieces.clear();
        let mut begin = 0;
        for (file, length) in &self.files {
            let end = begin + length;
            let own = range.start.clamp(begin, end) - begin..range.end.clamp(begin, end) - begin;
            begin = end;
            if own.is_empty() {
                continue;
            }
            let piece = own_rows(file, *length, own).map_err(|error| error.within(&file.label))?;
            self.pieces.extend(piece);
        }
        Ok(self)
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files, sorted; also those of which a shard has no share.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &InputFile> {
        self.files.iter().map(|(file, _)| &**file)
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, length)| length).sum()
    }

    /// The shard, if this is a share.
    pub fn of_shard(&self) -> Option<Shard> {
        self.shard
    }

    /// Whether a row is known by its file and its first byte there, and not by its number: there are
    /// several files, or this is a share.
    pub fn is_located(&self) -> bool {
        self.shard.is_some() || self.files.len() > 1
    }

    pub(super) fn pieces(&self) -> Vec<Piece> {
        self.pieces.clone()
    }

    /// The bytes that are read, where that is known.
    pub(super) fn length(&self) -> Option<u64> {
        let length = |piece: &Piece| match &piece.range {
            Some(range) => range.end - range.start,
            None => self.length_of(&piece.file),
        };
        let length = self.pieces.iter().map(length).sum();
        (length > 0).then_some(length)
    }

    fn length_of(&self, file: &Arc<InputFile>) -> u64 {
        let found = self
            .files
            .iter()
            .find(|(other, _)| Arc::ptr_eq(other, file));
        found.map_or(0, |(_, length)| *length)
    }

    /// BLAKE3 of the names and the lengths of all files, in 64 hexadecimal digits: what tells an
    /// input from another without reading it.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (file, length) in &self.files {
            hasher.update(file.name.as_bytes());
            hasher.update(&[0]);
            hasher.update(&length.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// BLAKE3 of the bytes that are read, and of what each file begins with, which says how its rows
    /// are read; in 64 hexadecimal digits.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn digest_of_bytes(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        for piece in &self.pieces {
            let path = &piece.file.path;
            let begins_later = piece.range.as_ref().is_some_and(|range| range.start > 0);
            let beginning = begins_later.then_some(Some(0..SAMPLE));
            for range in beginning.into_iter().chain([piece.range.clone()]) {
                let hashed = open_at(path, range)
                    .and_then(|mut from| hasher.update_reader(&mut from).map(drop));
                hashed.map_err(|error| Error::io("read", path, error))?;
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

/// A file, or some bytes of it.
pub(super) fn open_at(path: &Path, range: Option<Range<u64>>) -> io::Result<io::Take<File>> {
    let mut file = File::open(path)?;
    let Some(range) = range else {
        return Ok(file.take(u64::MAX));
    };
    file.seek(SeekFrom::Start(range.start))?;
    Ok(file.take(range.end - range.start))
}

/// The rows that begin in `own`, bytes of a file of `length`; `None` if none does.
fn own_rows(file: &Arc<InputFile>, length: u64, own: Range<u64>) -> Result<Option<Piece>> {
    let piece = |range| {
        Some(Piece {
            file: Arc::clone(file),
            range,
        })
    };
    let is_all = own == (0..length);
    let cut = if is_all { Cut::Nowhere } else { cut_of(file)? };
    if cut == Cut::Nowhere {
        return Ok(piece(None).filter(|_| own.start == 0));
    }
    let start_of = |from: u64| {
        let start = File::open(&file.path).and_then(|opened| row_start(&opened, length, from, cut));
        start.map_err(|error| Error::io("read", &file.path, error))
    };
    let start = start_of(own.start)?;
    if start >= own.end {
        return Ok(None);
    }
    let end = start_of(own.end)?;
    let range = start..end;
    Ok(piece(Some(range).filter(|range| *range != (0..length))))
}

/// The deepest folder that holds all of the files.
fn common_folder(paths: &[PathBuf]) -> PathBuf {
    let folder_of = |path: &PathBuf| path.parent().unwrap_or(Path::new("")).to_owned();
    let folders = paths.iter().map(folder_of);
    let common = folders.reduce(|one, other| {
        let parts = one.components().zip(other.components());
        parts
            .take_while(|(one, other)| one == other)
            .map(|(part, _)| part)
            .collect()
    });
    common.unwrap_or_default()
}

#[cfg(test)]
mod tests;
