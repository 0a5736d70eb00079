//! A file that is digested while it is read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};

/// A file that is read once, from its beginning.
pub(super) struct DigestedFile {
    path: PathBuf,
    file: File,
    /// The bytes of the file.
    pub(super) size: u64,
    /// The bytes that have been read.
    bytes: u64,
    hasher: blake3::Hasher,
}

/// What the provenance says of a file.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FileDigest {
    bytes: u64,
    blake3: String,
}

impl DigestedFile {
    /// Opens a file, which is no pipe that never ends.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::io("open", path, error);
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::import(path, "it is not a plain file"));
        }
        let file = File::open(path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            size: file.metadata().map_err(failed)?.len(),
            file,
            bytes: 0,
            hasher: blake3::Hasher::new(),
        })
    }

    /// The digest of the whole file, what has not been read included.
    pub(super) fn digest_rest(mut self) -> Result<FileDigest> {
        let read = io::copy(&mut self, &mut io::sink());
        read.map_err(|error| Error::io("read", &self.path, error))?;
        Ok(FileDigest {
            bytes: self.bytes,
            blake3: self.hasher.finalize().to_hex().to_string(),
        })
    }
}

impl Read for DigestedFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.hasher.update(&into[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}
