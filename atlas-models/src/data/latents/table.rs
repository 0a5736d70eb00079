//! The table of the rows of an array: `z.rows.csv` beside `z.npy`.

use std::fs::File;
use std::path::{Path, PathBuf};

use atlas_core::{Error, Result};
use csv::StringRecord;

use super::{LatentRows, is_name, is_smiles};

/// The table of an array's rows, read as the array is.
pub(super) struct Table {
    from: csv::Reader<File>,
    path: PathBuf,
    name: Option<usize>,
    smiles: Option<usize>,
    done: usize,
}

impl Table {
    /// The path of the table of an array.
    pub(super) fn beside(array: &Path) -> PathBuf {
        array.with_extension("rows.csv")
    }

    /// Opens the table of an array, if it has one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn open(array: &Path) -> Result<Option<Self>> {
        let path = Self::beside(array);
        if !path.is_file() {
            return Ok(None);
        }
        let file = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        let mut from = csv::Reader::from_reader(file);
        let header = from.headers().map_err(|error| failed(&path, error))?;
        let place = |is_it: fn(&str) -> bool| header.iter().position(|name| is_it(name.trim()));
        Ok(Some(Self {
            name: place(is_name),
            smiles: place(is_smiles),
            from,
            path,
            done: 0,
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills in what the table says of the rows of `batch`, of which none are left after the last.
    ///
    /// # Errors
    /// If it has more or fewer rows than the array, or cannot be read.
    pub(super) fn read(&mut self, batch: &mut LatentRows) -> Result<()> {
        let mut record = StringRecord::new();
        for row in 0..batch.len() {
            let read = self.from.read_record(&mut record);
            if !read.map_err(|error| failed(&self.path, error))? {
                return Err(self.wrong("fewer"));
            }
            let cell = |place: Option<usize>| {
                let cell = place.and_then(|place| record.get(place));
                cell.filter(|cell| !cell.is_empty()).map(str::to_owned)
            };
            batch.names[row] = cell(self.name);
            batch.smiles[row] = cell(self.smiles);
            self.done += 1;
        }
        let is_over = batch.is_empty();
        let read = is_over
            && self
                .from
                .read_record(&mut record)
                .map_err(|error| failed(&self.path, error))?;
        if read {
            Err(self.wrong("more"))
        } else {
            Ok(())
        }
    }

    fn wrong(&self, how: &str) -> Error {
        Error::new(format_args!(
            "{} has {how} rows than the array that it is beside: it is of another; remove or rename it",
            self.path.display()
        ))
    }
}

fn failed(path: &Path, error: csv::Error) -> Error {
    let text = format!("{}: {error}", path.display());
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::io("read", path, error),
        _ => Error::new(text),
    }
}
