//! Output files: written under a temporary name, renamed when they are complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use atlas_core::Error;
use tempfile::TempPath;

use crate::cli::failure::{Failure, Result, usage};
use crate::cli::terminal::interrupt;
use crate::cli::terminal::text::escaped;
use crate::data::{LatentFormat, LatentLayout, LatentWriter};

/// What a command writes to: standard output, or a file that takes its place when it is complete.
///
/// Until then it stands beside its place. Dropped, it is removed, and what was in the place stays.
/// A link stays, and what it leads to is replaced; the new file has the mode of the old one. What
/// cannot be replaced, such as a file in a folder that one may not write to, gets the complete
/// file's content.
pub struct OutputFile {
    /// `None` for standard output.
    path: Option<PathBuf>,
    file: BufWriter<File>,
    place: Place,
    /// The table of the rows whose latents are in the file.
    table: Option<Box<OutputFile>>,
    /// Keeps other outputs of this command out of the file.
    claim: Option<Claim>,
}

/// The files that this command writes to.
static CLAIMED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The files that this command reads.
static READ: Mutex<Vec<FileId>> = Mutex::new(Vec::new());

/// The device and the inode of a file.
type FileId = (u64, u64);

/// Notes that this command reads a file, so that no output replaces it; `-` is standard input.
///
/// # Errors
/// If an output of this command would replace it.
pub fn note_input(path: &Path) -> Result {
    let is_standard = path == Path::new("-");
    let found = fs::metadata(if is_standard {
        Path::new("/dev/stdin")
    } else {
        path
    });
    // What is no file stays; what cannot be read is said by who reads it.
    let Some(input) = found.ok().and_then(|found| file_id(&found)) else {
        return Ok(());
    };
    let claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut targets = claimed
        .iter()
        .filter_map(|target| fs::metadata(target).ok());
    if targets.any(|target| file_id(&target) == Some(input)) {
        let input = if is_standard {
            "the file on standard input".to_owned()
        } else {
            path.display().to_string()
        };
        return Err(Failure::new(format_args!(
            "cannot read {input}: an output of this command would replace it"
        )));
    }
    READ.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(input);
    Ok(())
}

/// `None` of what is no file.
fn file_id(found: &fs::Metadata) -> Option<FileId> {
    found.is_file().then(|| (found.dev(), found.ino()))
}

/// A file that no other output of this command may write to while this exists.
struct Claim(PathBuf);

impl Claim {
    /// `None` if another output has the file.
    fn of(target: &Path) -> Option<Self> {
        let folder = target.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new(".")).canonicalize();
        let name = target.file_name().unwrap_or_default();
        let target = folder.map_or_else(|_| target.to_owned(), |folder| folder.join(name));
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.contains(&target) {
            return None;
        }
        claimed.push(target.clone());
        Some(Self(target))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.retain(|path| *path != self.0);
    }
}

/// Where what is written ends up.
enum Place {
    /// Where it is written to: standard output, a device, a pipe.
    Here,
    /// At `target`, by renaming.
    Renamed {
        temporary: TempPath,
        target: PathBuf,
    },
    /// In this file, as a copy.
    Copied(File),
}

impl OutputFile {
    /// Creates the file; `-` is standard output.
    ///
    /// # Errors
    /// If there can be no file at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        if [Path::new("-"), Path::new("/dev/stdout")].contains(&path) {
            let output = io::stdout().as_fd().try_clone_to_owned();
            let file = output.map_err(Failure::StandardOutput)?;
            return Ok(Self::new(None, file.into(), Place::Here));
        }
        let failed = |error| Error::io("write", path, error);
        let refused =
            |why: &str| Failure::new(format_args!("cannot write {}: {why}", path.display()));
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            found => Some(found.map_err(failed)?),
        };
        if found.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(refused("it is a folder"));
        }
        if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(refused("the path does not end in a name"));
        }
        if is_descriptor(path) || found.as_ref().is_some_and(|found| !found.is_file()) {
            // What is there stays, as with the shell's `>>`.
            let file = OpenOptions::new().append(true).open(path);
            return Ok(Self::new(Some(path), file.map_err(failed)?, Place::Here));
        }
        let read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        if found
            .as_ref()
            .and_then(file_id)
            .is_some_and(|id| read.contains(&id))
        {
            return Err(refused("this command reads it"));
        }
        drop(read);
        let target = target(path).map_err(failed)?;
        let claim = Claim::of(&target)
            .ok_or_else(|| refused("another output of this command goes there"))?;
        // One may have to write to the file that is there, and may not want it replaced otherwise.
        let old = found.map(|_| OpenOptions::new().write(true).open(&target));
        let old = old.transpose().map_err(failed)?;
        let (file, place) = match (create_beside(&target), old) {
            (Ok((file, temporary)), old) => {
                if let Some(old) = old {
                    let mode = old.metadata().map(|metadata| metadata.permissions());
                    mode.and_then(|mode| file.set_permissions(mode))
                        .map_err(failed)?;
                }
                (file, Place::Renamed { temporary, target })
            }
            (Err(_), Some(old)) => (tempfile::tempfile().map_err(failed)?, Place::Copied(old)),
            (Err(error), None) => return Err(failed(error).into()),
        };
        let mut output = Self::new(Some(path), file, place);
        output.claim = Some(claim);
        Ok(output)
    }

    /// Creates an SVG.
    ///
    /// # Errors
    /// If the name says that it is something else, or there can be no file at `path`.
    pub fn of_svg(path: &Path) -> Result<Self> {
        match path.extension() {
            Some(other) if !other.eq_ignore_ascii_case("svg") => Err(usage(Failure::new(
                format_args!("{}: what is drawn is an SVG; name it .svg", path.display()),
            ))),
            _ => Self::create(path),
        }
    }

    /// Creates a file of latents. An array has a table of its rows beside it, `z.rows.csv` of `z.npy`,
    /// unless it goes into a pipe.
    ///
    /// # Errors
    /// If there can be no such files.
    pub fn of_latents(path: &Path, format: LatentFormat) -> Result<Self> {
        let mut output = Self::create(path)?;
        if format != LatentFormat::Npy {
            return Ok(output);
        }
        if let Place::Here = output.place {
            // The first bytes of an array are known at its end.
            let spool = tempfile::tempfile().map_err(|error| output.failure(error))?;
            let here = std::mem::replace(&mut output.file, BufWriter::new(spool));
            let here = here.into_inner().map_err(io::IntoInnerError::into_error);
            output.place = Place::Copied(here.map_err(|error| output.failure(error))?);
            return Ok(output);
        }
        let table = path.with_extension("rows.csv");
        if is_same(&table, path) {
            let (table, path) = (table.display(), path.display());
            return Err(Failure::new(format_args!(
                "cannot write {table}, the table of the rows of {path}: it is the same file"
            )));
        }
        output.table = Some(Box::new(Self::create(&table)?));
        Ok(output)
    }

    fn new(path: Option<&Path>, file: File, place: Place) -> Self {
        Self {
            path: path.map(Path::to_owned),
            file: BufWriter::new(file),
            place,
            table: None,
            claim: None,
        }
    }

    /// A writer of latents to the file; a note goes into Parquet alone.
    pub fn latents(
        &self,
        format: LatentFormat,
        layout: LatentLayout,
        note: Option<String>,
    ) -> Result<LatentWriter<'static>> {
        let file = self.file.get_ref().try_clone();
        let writer = file
            .and_then(|file| match note {
                Some(note) => LatentWriter::with_note(file, layout, note),
                None => LatentWriter::file(file, format, layout),
            })
            .map_err(|error| self.failure(error))?;
        let Some(table) = &self.table else {
            return Ok(writer);
        };
        let file = table.file.get_ref().try_clone();
        file.and_then(|file| writer.with_table(file))
            .map_err(|error| table.failure(error))
    }

    /// Writes a line. What a terminal would obey is [`escaped`] there, and nowhere else.
    pub fn line(&mut self, line: &str) -> Result {
        let line = if self.path.is_none() && io::stdout().is_terminal() {
            escaped(line)
        } else {
            line.into()
        };
        writeln!(self.file, "{line}").map_err(|error| self.failure(error))
    }

    /// Writes a row of a CSV table.
    pub fn row<T: AsRef<[u8]>>(&mut self, cells: impl IntoIterator<Item = T>) -> Result {
        let mut row = csv::Writer::from_writer(&mut self.file);
        let written = row.write_record(cells).map_err(io::Error::other);
        let written = written.and_then(|()| row.flush());
        drop(row);
        written.map_err(|error| self.failure(error))
    }

    /// Passes on the lines that are held back.
    pub fn flush(&mut self) -> Result {
        self.file.flush().map_err(|error| self.failure(error))
    }

    /// Puts the complete file in its place.
    pub fn finish(mut self) -> Result {
        self.flush()?;
        if let Some(table) = self.table.take() {
            table.finish()?;
        }
        let place = std::mem::replace(&mut self.place, Place::Here);
        let finished = match place {
            Place::Here => Ok(()),
            Place::Copied(to) => self.copy_into(to),
            Place::Renamed { temporary, target } => match temporary.persist(&target) {
                Ok(()) => Ok(()),
                // A file that is mounted there cannot be replaced.
                Err(failed) => match OpenOptions::new().write(true).open(&target) {
                    Ok(to) => self.copy_into(to),
                    Err(_) => Err(failed.error),
                },
            },
        };
        finished.map_err(|error| self.failure(error))
    }

    /// Makes the complete content that of another file.
    fn copy_into(&mut self, mut to: File) -> io::Result<()> {
        let from = self.file.get_mut();
        from.rewind()?;
        if to.metadata()?.is_file() {
            to.set_len(0)?;
        }
        io::copy(from, &mut to).map(drop)
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
        match self.place {
            Place::Here => interrupt::watch_for_bars(),
            _ => interrupt::watch("stopping after this batch, leaving no file"),
        }
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

/// Whether two paths lead to one file, or would.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => target(one).ok() == target(other).ok(),
    }
}

/// Whether a path is a descriptor that is open already, whatever it leads to.
fn is_descriptor(path: &Path) -> bool {
    ["/dev/fd", "/dev/stderr", "/proc/self/fd"]
        .iter()
        .any(|name| path.starts_with(name))
}

/// What a path leads to through links, the last of which may lead to nothing.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        match fs::read_link(&target) {
            Ok(link) => target = target.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("it is a link that leads in a circle"))
}

/// Creates a file of a random name in the folder of `target`.
fn create_beside(target: &Path) -> io::Result<(File, TempPath)> {
    let folder = target.parent().filter(|folder| *folder != Path::new(""));
    let created = tempfile::Builder::new()
        .prefix(".atlas-")
        .suffix(".partial")
        // Not created by `tempfile`, whose files only their owner can read.
        .make_in(folder.unwrap_or(Path::new(".")), |path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).open(path)
        });
    let (file, temporary) = created?.into_parts();
    interrupt::remember_unfinished(&temporary);
    Ok((file, temporary))
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
