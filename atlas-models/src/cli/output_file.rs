//! Output files: written under a temporary name, renamed when they are complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use atlas_core::Error;
use tempfile::TempPath;

use crate::cli::failure::{Failure, Result};
use crate::cli::terminal::interrupt;
use crate::data::{LatentFormat, LatentWriter};

/// What a command writes to: standard output, or a file that takes its place when it is complete.
///
/// Until then it stands beside its place. Dropped, it is removed, and what was in the place stays.
pub struct OutputFile {
    /// `None` for standard output.
    path: Option<PathBuf>,
    file: BufWriter<File>,
    /// Where the file is until it is complete; `None` for standard output and for a path that
    /// leads to no plain file, such as a device.
    temporary: Option<TempPath>,
}

impl OutputFile {
    /// Creates the file; `-` is standard output.
    ///
    /// # Errors
    /// If there can be no file at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            let output = io::stdout().as_fd().try_clone_to_owned();
            let file = output.map_err(Failure::StandardOutput)?;
            return Ok(Self::new(None, file.into(), None));
        }
        let failed = |error| Error::io("write", path, error);
        let refused =
            |why: &str| Failure::new(format_args!("cannot write {}: {why}", path.display()));
        let found = fs::metadata(path).ok();
        if found.as_ref().is_some_and(|found| found.is_dir()) {
            return Err(refused("it is a folder"));
        }
        let name = path.file_name();
        let name = name.ok_or_else(|| refused("the path does not end in a name"))?;
        if found.is_some_and(|found| !found.is_file()) {
            let file = OpenOptions::new().read(true).write(true).open(path);
            return Ok(Self::new(Some(path), file.map_err(failed)?, None));
        }
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let temporary = tempfile::Builder::new()
            .prefix(&format!(".{}.partial-", name.to_string_lossy()))
            // Not created by `tempfile`, whose files only their owner can read.
            .make_in(folder.unwrap_or(Path::new(".")), |path| {
                File::create_new(path)
            });
        let (file, temporary) = temporary.map_err(failed)?.into_parts();
        Ok(Self::new(Some(path), file, Some(temporary)))
    }

    fn new(path: Option<&Path>, file: File, temporary: Option<TempPath>) -> Self {
        Self {
            path: path.map(Path::to_owned),
            file: BufWriter::new(file),
            temporary,
        }
    }

    /// A writer of latents of `width` dimensions to the file.
    pub fn latents(&self, format: LatentFormat, width: usize) -> Result<LatentWriter<'static>> {
        let file = self.file.get_ref().try_clone();
        file.and_then(|file| LatentWriter::file(file, format, width))
            .map_err(|error| self.failure(error))
    }

    /// Writes a line.
    pub fn line(&mut self, line: &str) -> Result {
        writeln!(self.file, "{line}").map_err(|error| self.failure(error))
    }

    /// Passes on the lines that are held back.
    pub fn flush(&mut self) -> Result {
        self.file.flush().map_err(|error| self.failure(error))
    }

    /// Puts the complete file in its place.
    pub fn finish(mut self) -> Result {
        self.flush()?;
        let persisted = match (&self.path, self.temporary.take()) {
            (Some(path), Some(temporary)) => temporary.persist(path),
            _ => Ok(()),
        };
        persisted.map_err(|error| self.failure(error.error))
    }

    /// What a failure to write is: somebody may have closed standard output.
    pub fn failure(&self, error: io::Error) -> Failure {
        match &self.path {
            None => Failure::StandardOutput(error),
            Some(path) => Error::io("write", path, error).into(),
        }
    }

    /// From here on a signal to end is for [`check_interrupt`](Self::check_interrupt) to find, so that
    /// nothing is left of a file. Standard output is left to the usual end of the process.
    pub fn watch_interrupts(&self) -> Result {
        if self.path.is_some() {
            interrupt::watch("stopping after this batch, leaving no file")?;
        }
        Ok(())
    }

    /// # Errors
    /// If there was a signal to end.
    pub fn check_interrupt(&self) -> Result {
        match &self.path {
            Some(path) if interrupt::is_requested() => Err(Failure::Interrupted(format!(
                "interrupted; {} is as it was",
                path.display()
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The names in a folder.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_takes_its_place_when_it_is_finished_and_can_be_read_like_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.smi"), folder.path().join("other"));
        fs::write(&path, "as it was").unwrap();
        fs::write(&other, "").unwrap();
        let mut output = OutputFile::create(&path).unwrap();
        output.line("CCO").unwrap();
        output.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");
        output.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "CCO\n");
        assert_eq!(names(folder.path()).len(), 2);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
    }

    #[test]
    fn a_file_that_is_dropped_leaves_nothing_and_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.smi");
        fs::write(&path, "as it was").unwrap();
        let mut output = OutputFile::create(&path).unwrap();
        output.line("CCO").unwrap();
        drop(output);
        assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");
        assert_eq!(names(folder.path()), ["a.smi"]);
    }

    #[test]
    fn a_device_is_written_to_and_a_folder_is_not() {
        let mut output = OutputFile::create(Path::new("/dev/null")).unwrap();
        output.line("CCO").unwrap();
        output.finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let Err(Failure::Error(error)) = OutputFile::create(folder.path()) else {
            panic!("a folder is written to");
        };
        let expected = format!("cannot write {}: it is a folder", folder.path().display());
        assert_eq!(error.to_string(), expected);
    }
}
