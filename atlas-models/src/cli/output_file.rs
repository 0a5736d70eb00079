//! Files that take their place when they are complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::cli::failure::{Failure, Result, disk_error};
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
        let refused =
            |why: &str| Failure::new(format_args!("cannot write {}: {why}", path.display()));
        let name = path.file_name();
        let (file, temporary) = match (fs::metadata(path), name) {
            (Ok(found), _) if found.is_dir() => return Err(refused("it is a folder")),
            (_, None) => return Err(refused("the path does not end in a name")),
            (Ok(found), _) if !found.is_file() => {
                let file = OpenOptions::new().read(true).write(true).open(path);
                (
                    file.map_err(|error| disk_error("write", path, error))?,
                    None,
                )
            }
            (_, Some(name)) => {
                let folder = path.parent().filter(|folder| *folder != Path::new(""));
                // Created here and not by `tempfile`, whose files are their owner's alone.
                let created = tempfile::Builder::new()
                    .prefix(&format!(".{}.partial-", name.to_string_lossy()))
                    .make_in(folder.unwrap_or(Path::new(".")), |path| {
                        File::create_new(path)
                    });
                let created = created.map_err(|error| disk_error("write", path, error))?;
                let (file, temporary) = created.into_parts();
                (file, Some(temporary))
            }
        };
        Ok(Self::new(Some(path.to_owned()), file, temporary))
    }

    fn new(path: Option<PathBuf>, file: File, temporary: Option<TempPath>) -> Self {
        Self {
            path,
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
            Some(path) => disk_error("write", path, error).into(),
        }
    }

    /// From here on Ctrl-C is for [`check_interrupt`](Self::check_interrupt) to find, so that
    /// nothing is left of a file. Standard output is left to the usual end of the process.
    pub fn watch_interrupts(&self) -> Result {
        if self.path.is_some() {
            interrupt::watch("stopping after this batch, leaving no file")?;
        }
        Ok(())
    }

    /// # Errors
    /// If there was a Ctrl-C.
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
