//! A list of texts that moves into a temporary file when it outgrows memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use atlas_core::{Error, Result};

/// Bytes that are written to the file at a time.
const BLOCK: usize = 1 << 20;

/// How much memory the texts of [`Molecules`](super::Molecules) may take, and where they go beyond
/// that.
#[derive(Clone, Debug)]
pub struct MemoryLimit {
    /// The most bytes that are held in memory. With more, all go to a temporary file.
    pub max_bytes: usize,
    /// The folder of the temporary file. The file has no name: nothing is left behind, however the
    /// program ends.
    pub folder: PathBuf,
}

impl Default for MemoryLimit {
    /// 512 MiB, and the system's folder of temporary files.
    fn default() -> Self {
        Self {
            max_bytes: 512 << 20,
            folder: std::env::temp_dir(),
        }
    }
}

/// Texts that are being added.
pub(super) struct TextWriter {
    ends: Vec<u64>,
    texts: Written,
    limit: MemoryLimit,
}

enum Written {
    ToMemory(Vec<u8>),
    ToFile(BufWriter<File>),
}

impl TextWriter {
    pub(super) fn new(limit: MemoryLimit) -> Self {
        Self {
            ends: Vec::new(),
            texts: Written::ToMemory(Vec::new()),
            limit,
        }
    }

    /// Adds a text.
    pub(super) fn push(&mut self, text: &str) -> Result<()> {
        let begin = self.ends.last().copied().unwrap_or(0);
        self.write(text.as_bytes())
            .map_err(|error| Error::io("write a temporary file in", &self.limit.folder, error))?;
        self.ends.push(begin + text.len() as u64);
        Ok(())
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if let Written::ToMemory(bytes) = &self.texts
            && bytes.len() + text.len() > self.limit.max_bytes
        {
            let file = tempfile::tempfile_in(&self.limit.folder)?;
            let mut file = BufWriter::with_capacity(BLOCK, file);
            file.write_all(bytes)?;
            self.texts = Written::ToFile(file);
        }
        match &mut self.texts {
            Written::ToMemory(bytes) => bytes.extend_from_slice(text),
            Written::ToFile(file) => file.write_all(text)?,
        }
        Ok(())
    }

    /// Makes all texts readable.
    pub(super) fn finish(mut self) -> Result<TextStore> {
        let folder = self.limit.folder;
        let texts = match self.texts {
            Written::ToMemory(bytes) => Stored::InMemory(bytes),
            Written::ToFile(file) => Stored::InFile(file.into_inner().map_err(|error| {
                Error::io("write a temporary file in", &folder, error.into_error())
            })?),
        };
        self.ends.shrink_to_fit();
        Ok(TextStore {
            ends: self.ends,
            texts,
            folder,
        })
    }
}

/// Texts by their index, in memory or in a temporary file. Beside the texts it takes eight bytes
/// for each.
pub(super) struct TextStore {
    /// Where each text ends.
    ends: Vec<u64>,
    texts: Stored,
    folder: PathBuf,
}

enum Stored {
    InMemory(Vec<u8>),
    InFile(File),
}

impl TextStore {
    /// The texts that a file at `path` begins with.
    pub(super) fn in_file(file: File, ends: Vec<u64>, path: &Path) -> Self {
        Self {
            ends,
            texts: Stored::InFile(file),
            folder: path.to_owned(),
        }
    }

    /// The text at `index`, which is read into `bytes`.
    pub(super) fn read<'a>(&self, index: usize, bytes: &'a mut Vec<u8>) -> Result<&'a str> {
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        let length = (self.ends[index] - begin) as usize;
        bytes.clear();
        match &self.texts {
            Stored::InMemory(texts) => {
                bytes.extend_from_slice(&texts[begin as usize..][..length]);
            }
            Stored::InFile(file) => {
                bytes.resize(length, 0);
                file.read_exact_at(bytes, begin)
                    .map_err(|error| Error::io("read a temporary file in", &self.folder, error))?;
            }
        }
        std::str::from_utf8(bytes).map_err(Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(max_bytes: usize, folder: &Path) -> TextStore {
        let mut writer = TextWriter::new(MemoryLimit {
            max_bytes,
            folder: folder.to_owned(),
        });
        for index in 0..100 {
            writer.push(&text(index)).unwrap();
        }
        writer.finish().unwrap()
    }

    fn text(index: usize) -> String {
        index.to_string().repeat(index % 7)
    }

    #[test]
    fn texts_are_the_same_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        for max_bytes in [0, 50, 10_000] {
            let store = store(max_bytes, folder.path());
            let in_memory = matches!(store.texts, Stored::InMemory(_));
            assert_eq!(in_memory, max_bytes == 10_000);
            let mut bytes = vec![9; 9];
            for index in (0..100).rev() {
                assert_eq!(store.read(index, &mut bytes).unwrap(), text(index));
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named() {
        let mut writer = TextWriter::new(MemoryLimit {
            max_bytes: 0,
            folder: PathBuf::from("/does/not/exist"),
        });
        let error = writer.push("C").unwrap_err().to_string();
        assert!(
            error.starts_with("cannot write a temporary file in /does/not/exist: "),
            "{error}"
        );
    }
}
