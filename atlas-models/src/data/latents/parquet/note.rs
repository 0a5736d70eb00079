//! [`LatentFile`]: what a Parquet file of latents says of itself, and whether it is whole.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ::parquet::file::metadata::FileMetaData;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use atlas_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::read_error;

/// The key of what the writer of the file has to say.
pub(super) const NOTE: &str = "atlas";
/// The key of the [`Content`], as JSON.
pub(super) const CONTENT: &str = "atlas.content";

/// What all row groups of a file are in bytes.
#[derive(Serialize, Deserialize)]
pub(super) struct Content {
    /// The bytes from the beginning of the file to the end of the last row group.
    pub bytes: u64,
    /// BLAKE3 of them, in 64 hexadecimal digits.
    pub blake3: String,
}

/// What a Parquet file of latents says of itself.
pub struct LatentFile {
    path: PathBuf,
    file: File,
    content: Option<Content>,
    /// The number of rows.
    pub rows: u64,
    /// What [`LatentWriter::with_note`](crate::data::LatentWriter::with_note) added.
    pub note: Option<String>,
}

impl LatentFile {
    /// Reads the end of a file, in which it describes itself.
    ///
    /// # Errors
    /// If it cannot be read, or is no Parquet.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let open = || File::open(path).map_err(|error| Error::io("open", path, error));
        let from = SerializedFileReader::new(open()?)
            .map_err(|error| read_error(&name, "not a whole table of Parquet: ", error))?;
        let metadata = from.metadata().file_metadata();
        let content = value(metadata, CONTENT).and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self {
            path: path.to_owned(),
            file: open()?,
            content,
            rows: u64::try_from(metadata.num_rows()).unwrap_or(0),
            note: value(metadata, NOTE),
        })
    }

    /// Reads all of the file.
    ///
    /// # Errors
    /// If its bytes are not those that were written.
    pub fn check(&mut self) -> Result<()> {
        let path = self.path.display();
        let Some(content) = &self.content else {
            return Err(Error::new(format_args!(
                "{path}: it does not say what its bytes were, so that they cannot be checked"
            )));
        };
        let mut hasher = blake3::Hasher::new();
        let hashed = hasher.update_reader((&mut self.file).take(content.bytes));
        hashed.map_err(|error| Error::io("read", &self.path, error))?;
        if hasher.finalize().to_hex().as_str() == content.blake3 {
            return Ok(());
        }
        Err(Error::new(format_args!(
            "{path}: damaged: its bytes are not those that were written"
        )))
    }
}

fn value(metadata: &FileMetaData, key: &str) -> Option<String> {
    let values = metadata.key_value_metadata()?;
    let found = values.iter().find(|value| value.key == key);
    found?.value.clone()
}
