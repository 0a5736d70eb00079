//! The lock that the saves of one bundle take in turn: a hidden file beside the bundle.
//!
//! Nobody but Atlas has a reason to lock it. The folder above the bundle is no such thing:
//! `flock runs atlas train` holds a lock on it for as long as the program runs.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::files;
use super::folder;
use crate::error::Result;

/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(2);

/// The lock, held until it is dropped. Its file then goes.
pub(super) struct SaveLock {
    path: PathBuf,
    file: File,
    is_locked: bool,
}

impl SaveLock {
    /// Waits for the lock; `None` if others held it all the time.
    ///
    /// # Errors
    /// If its file can be neither created nor opened.
    pub(super) fn wait(path: &Path, longest: Duration) -> Result<Option<Self>> {
        let begun = Instant::now();
        loop {
            let lock = Self::attempt(path)?;
            if lock.is_some() || begun.elapsed() >= longest {
                return Ok(lock);
            }
            thread::sleep(PAUSE);
        }
    }

    /// The lock; `None` if another process has it, or had it a moment ago.
    ///
    /// # Errors
    /// If its file can be neither created nor opened.
    pub(super) fn attempt(path: &Path) -> Result<Option<Self>> {
        let file = files::open_lock(path)?;
        let is_locked = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Some network file systems have no locks.
            Err(TryLockError::Error(_)) => false,
        };
        // Whoever had the lock before may have removed its file meanwhile.
        Ok(folder::is_same(&file, path).then(|| Self {
            path: path.to_owned(),
            file,
            is_locked,
        }))
    }

    /// Whether others are kept out; `false` where files cannot be locked.
    pub(super) fn is_locked(&self) -> bool {
        self.is_locked
    }
}

impl Drop for SaveLock {
    fn drop(&mut self) {
        // Removed while it is locked, so that others find out that they have locked what is gone.
        if folder::is_same(&self.file, &self.path) {
            let _ = files::remove_file(&self.path);
        }
        // A child process that is being started has a copy of the file, and of its lock.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_at_a_time_has_the_lock_and_nothing_is_left_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = SaveLock::attempt(&path).unwrap().unwrap();
        assert!(held.is_locked());
        assert!(SaveLock::attempt(&path).unwrap().is_none());
        let longest = Duration::from_millis(5);
        assert!(SaveLock::wait(&path, longest).unwrap().is_none());
        drop(held);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(SaveLock::wait(&path, longest).unwrap().unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_lock_whose_file_was_removed_is_not_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = SaveLock::attempt(&path).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        let second = SaveLock::attempt(&path).unwrap().unwrap();
        drop(first);
        assert!(SaveLock::attempt(&path).unwrap().is_none());
        drop(second);
    }

    #[test]
    fn a_link_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (folder.path().join("lock"), folder.path().join("elsewhere"));
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(SaveLock::attempt(&path).is_err());
        assert!(!elsewhere.exists());
    }
}
