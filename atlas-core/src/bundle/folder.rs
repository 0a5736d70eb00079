//! The folder of a bundle, held open: what is read comes from one bundle, also while a save puts
//! another in its place.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// A folder that stays the same one whatever happens to its path.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    handle: Arc<File>,
}

impl Folder {
    /// Opens the folder at `path`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, true)
    }

    /// Opens the folder at `path`, which is no link to one.
    pub(super) fn open_itself(path: &Path) -> Result<Self> {
        Self::open_with(path, false)
    }

    fn open_with(path: &Path, follow: bool) -> Result<Self> {
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::not_a_bundle(path, "there is no such folder"),
            io::ErrorKind::NotADirectory => Error::not_a_bundle(path, "it is not a folder"),
            _ => Error::io("open", path, error),
        };
        let handle = platform::open_folder(path, follow).map_err(refused)?;
        Ok(Self {
            path: path.to_owned(),
            handle: Arc::new(handle),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to this folder.
    pub(super) fn is_in_place(&self) -> bool {
        self.is_at(&self.path)
    }

    /// Whether that path leads to this folder.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        platform::is_same(&self.handle, path)
    }

    /// Opens a file of the folder for reading, or one that a link in the folder leads to. It is a
    /// file, and no pipe that never ends.
    pub(super) fn file(&self, name: &str) -> Result<File> {
        let path = self.path.join(name);
        let file = platform::open_file(&self.handle, name)
            .map_err(|error| Error::io("open", &path, error))?;
        match file {
            Some(file) => Ok(file),
            None => Err(Error::corrupt(&path, "it is not a plain file")),
        }
    }

    /// The bytes of a file of the folder, of which there must be no more than `most`.
    pub(super) fn read(&self, name: &str, most: u64) -> Result<Vec<u8>> {
        let path = self.path.join(name);
        let failed = |error| Error::io("read", &path, error);
        let file = self.file(name)?;
        let mut bytes = Vec::new();
        let mut size = file.metadata().map_err(failed)?.len();
        if size <= most {
            // The file may grow meanwhile.
            file.take(most + 1)
                .read_to_end(&mut bytes)
                .map_err(failed)?;
            size = bytes.len() as u64;
        }
        if size > most {
            let why = format!("it is larger than {most} bytes");
            return Err(Error::corrupt(&path, why));
        }
        Ok(bytes)
    }

    /// The names of everything in the folder.
    pub(super) fn names(&self) -> Result<Vec<OsString>> {
        platform::names(&self.handle)
            .map_err(|error| Error::io("read the folder", &self.path, error))
    }

    /// Locks the folder; `false` if another process has.
    ///
    /// # Errors
    /// If folders cannot be locked, as on some network file systems.
    pub(super) fn try_lock(&self) -> io::Result<bool> {
        match self.handle.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits until what was written to the folder is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

/// Whether a path leads to an open file or folder.
pub(super) fn is_same(file: &File, path: &Path) -> bool {
    platform::is_same(file, path)
}

#[cfg(unix)]
mod platform {
    use std::ffi::{OsStr, OsString};
    use std::fs::{self, File};
    use std::io;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use rustix::fs::{CWD, Dir, Mode, OFlags, openat};
    use rustix::io::Errno;

    pub(super) fn open_folder(path: &Path, follow: bool) -> io::Result<File> {
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, !follow);
        Ok(openat(CWD, path, flags, Mode::empty())?.into())
    }

    pub(super) fn is_same(folder: &File, path: &Path) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match (folder.metadata(), fs::metadata(path)) {
            (Ok(folder), Ok(found)) => identity(folder) == identity(found),
            _ => false,
        }
    }

    /// `None` for what is not a plain file.
    pub(super) fn open_file(folder: &File, name: &str) -> io::Result<Option<File>> {
        // Opening a pipe would wait for somebody to write to it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(folder, name, flags, Mode::empty()) {
            Ok(file) => {
                let file = File::from(file);
                Ok(file.metadata()?.is_file().then_some(file))
            }
            // A socket.
            Err(Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn names(folder: &File) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

#[cfg(not(unix))]
compile_error!(
    "bundles are committed by renaming folders over folders, which needs a Unix file system"
);
