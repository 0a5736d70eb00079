//! The calls of the file system that change something.
//!
//! A save makes them here and nowhere else, so that a test can stop it before each of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::folder::Folder;
use crate::error::{Error, Result};

/// Creates a folder; `false` if there already is something.
pub(super) fn create_folder(path: &Path) -> Result<bool> {
    change("create the folder", path, || match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    })
}

pub(super) fn sync_folder(folder: &Folder) -> Result<()> {
    change("sync the folder", folder.path(), || folder.sync())
}

pub(super) fn remove_file(path: &Path) -> Result<()> {
    change("remove", path, || fs::remove_file(path))
}

pub(super) fn remove_folder(path: &Path) -> Result<()> {
    change("remove the folder", path, || fs::remove_dir(path))
}

/// Puts a folder where there is none, or an empty one; `false` if there is another.
pub(super) fn rename(from: &Path, to: &Path) -> Result<bool> {
    change("rename", from, || match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    })
}

/// Puts two folders in each other's place in one step; `false` where the system has no such step.
pub(super) fn exchange(one: &Path, other: &Path) -> Result<bool> {
    change("exchange", one, || {
        match seam::exchange().and_then(|()| rename_if(Condition::Exchange, one, other)) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
            Err(error) => Err(error.into()),
        }
    })
}

/// Moves a file or a folder to where there is nothing; `false` if there is something.
pub(super) fn move_to(from: &Path, to: &Path) -> Result<bool> {
    change("move", from, || {
        match rename_if(Condition::Free, from, to) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // The system cannot look and move in one step.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match fs::symlink_metadata(to) {
                Ok(_) => Ok(false),
                Err(_) => fs::rename(from, to).map(|()| true),
            },
            Err(error) => Err(error.into()),
        }
    })
}

/// What a renaming does where there already is something.
enum Condition {
    /// It fails.
    Free,
    /// What is there takes the other's place.
    Exchange,
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_if(condition: Condition, from: &Path, to: &Path) -> rustix::io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};
    let flags = match condition {
        Condition::Free => RenameFlags::NOREPLACE,
        Condition::Exchange => RenameFlags::EXCHANGE,
    };
    renameat_with(CWD, from, CWD, to, flags)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_if(_: Condition, _: &Path, _: &Path) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

/// Whether the system would let `from` be moved, which it does not do: `occupied` is a folder that
/// is not empty, and nothing can take its place.
pub(super) fn try_move(from: &Path, occupied: &Path) -> io::Result<()> {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory};
    match fs::rename(from, occupied) {
        // A file system that does not follow the rule.
        Ok(()) => fs::rename(occupied, from),
        Err(error)
            if matches!(
                error.kind(),
                AlreadyExists | DirectoryNotEmpty | IsADirectory
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Opens a file to lock it, created if there is none. It is no link.
pub(super) fn open_lock(path: &Path) -> Result<File> {
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let open = |flags| openat(CWD, path, flags, Mode::from_raw_mode(0o666));
    change("lock", path, || {
        // Another user's, which a killed save left behind, may only be readable.
        let file = match open(flags | OFlags::RDWR | OFlags::CREATE) {
            Err(Errno::ACCESS) => open(flags | OFlags::RDONLY)?,
            file => file?,
        };
        Ok(file.into())
    })
}

/// A file that is being written for the first time.
pub(super) struct NewFile<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> NewFile<'a> {
    /// Creates the file; there must be none.
    pub(super) fn create(path: &'a Path) -> Result<Self> {
        change("create", path, || File::create_new(path)).map(|file| Self { path, file })
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(self) -> Result<()> {
        change("sync", self.path, || self.file.sync_all())
    }
}

impl Write for NewFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        seam::before()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn change<T>(
    action: &'static str,
    path: &Path,
    change: impl FnOnce() -> io::Result<T>,
) -> Result<T> {
    seam::before()
        .and_then(|()| change())
        .map_err(|error| Error::io(action, path, error))
}

/// Where the tests come in; nothing at all outside them.
#[cfg(not(test))]
mod seam {
    pub(super) fn before() -> std::io::Result<()> {
        Ok(())
    }

    pub(super) fn exchange() -> rustix::io::Result<()> {
        Ok(())
    }
}

/// What a test has happen to the changes of its thread.
#[cfg(test)]
pub(super) mod seam {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        /// What happens before a change, counted down.
        static FAULT: Cell<Option<(u64, Fault)>> = const { Cell::new(None) };
        static CAN_EXCHANGE: Cell<bool> = const { Cell::new(true) };
    }

    /// What happens instead of a change.
    #[derive(Clone, Copy)]
    pub(in crate::bundle) enum Fault {
        /// The process ends at once, as by `kill -9`: nothing is flushed, dropped or unwound.
        Kill,
        /// The system refuses, with this error number; later changes too if `true`.
        Refuse(i32, bool),
    }

    /// Lets `changes` changes happen, then the fault.
    pub(in crate::bundle) fn after(changes: u64, fault: Fault) {
        FAULT.set(Some((changes, fault)));
    }

    /// Lets all changes happen; whether the fault was still to come.
    pub(in crate::bundle) fn never() -> bool {
        FAULT.take().is_some()
    }

    /// Whether the file system can exchange folders.
    pub(in crate::bundle) fn can_exchange(can: bool) {
        CAN_EXCHANGE.set(can);
    }

    pub(super) fn before() -> io::Result<()> {
        match FAULT.get() {
            None => Ok(()),
            Some((0, Fault::Kill)) => std::process::abort(),
            Some((0, Fault::Refuse(errno, again))) => {
                FAULT.set(again.then_some((0, Fault::Refuse(errno, true))));
                Err(io::Error::from_raw_os_error(errno))
            }
            Some((more, fault)) => {
                FAULT.set(Some((more - 1, fault)));
                Ok(())
            }
        }
    }

    pub(super) fn exchange() -> rustix::io::Result<()> {
        if CAN_EXCHANGE.get() {
            Ok(())
        } else {
            Err(rustix::io::Errno::INVAL)
        }
    }
}
