//! Records that outgrow memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use atlas_core::{Error, Result};

/// Bytes that are written to the file at a time.
const BLOCK: usize = 1 << 20;

/// Records of bytes by their index: in memory as long as they are few, then in a temporary file
/// that nothing can leave behind, as it has no name.
///
/// Beside the records it takes eight bytes for each.
pub(super) struct Spool {
    /// Where each record ends.
    ends: Vec<u64>,
    records: Records,
    most: usize,
    folder: PathBuf,
}

enum Records {
    InMemory(Vec<u8>),
    BeingWritten(BufWriter<File>),
    Written(File),
}

impl Spool {
    /// No records, of which at most `most` bytes will be held in memory and more go to a file in
    /// `folder`.
    pub(super) fn new(most: usize, folder: &Path) -> Self {
        Self {
            ends: Vec::new(),
            records: Records::InMemory(Vec::new()),
            most,
            folder: folder.to_owned(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &[u8]) -> Result<()> {
        let begin = self.ends.last().copied().unwrap_or(0);
        if let Records::InMemory(bytes) = &self.records
            && bytes.len() + record.len() > self.most
        {
            let file = tempfile::tempfile_in(&self.folder);
            let mut file = BufWriter::with_capacity(BLOCK, file.map_err(|e| self.failed(e))?);
            file.write_all(bytes).map_err(|error| self.failed(error))?;
            self.records = Records::BeingWritten(file);
        }
        match &mut self.records {
            Records::InMemory(bytes) => bytes.extend_from_slice(record),
            Records::BeingWritten(file) => {
                let written = file.write_all(record);
                written.map_err(|error| self.failed(error))?;
            }
            Records::Written(_) => {
                return Err(Error::new("no record can be added to finished ones"));
            }
        }
        self.ends.push(begin + record.len() as u64);
        Ok(())
    }

    /// Makes all records readable; none can be added from then on.
    pub(super) fn finish(&mut self) -> Result<()> {
        let records = std::mem::replace(&mut self.records, Records::InMemory(Vec::new()));
        self.records = match records {
            Records::BeingWritten(file) => {
                let file = file.into_inner();
                Records::Written(file.map_err(|error| self.failed(error.into_error()))?)
            }
            records => records,
        };
        self.ends.shrink_to_fit();
        Ok(())
    }

    /// The record at `index`, in `record`.
    pub(super) fn read(&self, index: usize, record: &mut Vec<u8>) -> Result<()> {
        let begin = match index.checked_sub(1) {
            Some(before) => self.ends[before],
            None => 0,
        };
        let length = (self.ends[index] - begin) as usize;
        record.clear();
        match &self.records {
            Records::InMemory(bytes) => {
                record.extend_from_slice(&bytes[begin as usize..][..length]);
                Ok(())
            }
            Records::Written(file) => {
                record.resize(length, 0);
                let read = file.read_exact_at(record, begin);
                read.map_err(|error| self.failed(error))
            }
            Records::BeingWritten(_) => Err(Error::new("records are read before all are written")),
        }
    }

    fn failed(&self, error: std::io::Error) -> Error {
        let folder = self.folder.display();
        Error::new(format_args!("a temporary file in {folder}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(most: usize, folder: &Path) -> Spool {
        let mut spool = Spool::new(most, folder);
        for index in 0..100_u8 {
            spool.push(&vec![index; usize::from(index % 7)]).unwrap();
        }
        spool.finish().unwrap();
        spool
    }

    #[test]
    fn records_are_the_same_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        for most in [0, 50, 10_000] {
            let spool = spool(most, folder.path());
            let in_memory = matches!(spool.records, Records::InMemory(_));
            assert_eq!(in_memory, most == 10_000);
            let mut record = vec![9; 9];
            for index in (0..100).rev() {
                spool.read(index, &mut record).unwrap();
                assert_eq!(record, vec![index as u8; index % 7]);
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named() {
        let mut spool = Spool::new(0, Path::new("/does/not/exist"));
        let error = spool.push(b"C").unwrap_err().to_string();
        assert!(
            error.starts_with("a temporary file in /does/not/exist: "),
            "{error}"
        );
    }
}
