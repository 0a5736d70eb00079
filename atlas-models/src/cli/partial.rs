//! Files that are there when they are complete.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use crate::cli::failure::{Failure, Outcome};

/// A file that is being written beside the place it will take. Dropped, it is removed, and what
/// was in the place stays.
pub struct Partial {
    target: PathBuf,
    /// `None` once it is in its place, or if the target is no plain file, such as a device.
    temporary: Option<PathBuf>,
}

impl Partial {
    /// Creates the file; an error says why `target` could not be written.
    pub fn create(target: &Path) -> Outcome<(Self, File)> {
        let failed = |why: &dyn std::fmt::Display| {
            Failure::new(format_args!("cannot write {}: {why}", target.display()))
        };
        let metadata = fs::metadata(target).ok();
        if metadata.as_ref().is_some_and(|metadata| metadata.is_dir()) {
            return Err(failed(&"it is a folder"));
        }
        let name = target
            .file_name()
            .ok_or_else(|| failed(&"the path does not end in a name"))?;
        let partial = |temporary| Self {
            target: target.to_owned(),
            temporary,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        if metadata.is_some_and(|metadata| !metadata.is_file()) {
            let file = options.open(target).map_err(|error| failed(&error))?;
            return Ok((partial(None), file));
        }
        let temporary = target.with_file_name(format!(
            ".{}.partial-{}",
            name.to_string_lossy(),
            process::id()
        ));
        let file = options
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(|error| failed(&error))?;
        Ok((partial(Some(temporary)), file))
    }

    /// What to say if it cannot be written to.
    pub fn failed(&self, error: io::Error) -> Failure {
        Failure::new(format_args!(
            "cannot write {}: {error}",
            self.target.display()
        ))
    }

    /// Puts the complete file in its place.
    pub fn commit(mut self) -> Outcome {
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.target).map_err(|error| self.failed(error))?;
        }
        self.temporary = None;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing more can be done about one that cannot be removed.
            let _ = fs::remove_file(temporary);
        }
    }
}
