//! The run folder: what training keeps beside the bundle.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use atlas_core::Bundle;

use crate::failure::{Failure, Outcome};

/// The folder `BUNDLE.run` beside a bundle: the checkpoint, `metrics.jsonl`, event files.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Locked as long as the run goes on. The folder itself is locked by saves to it.
    _lock: File,
}

impl RunFolder {
    /// Where the run folder of a bundle is.
    pub fn beside(bundle: &Path) -> PathBuf {
        let mut name = bundle
            .file_name()
            .map_or_else(OsString::new, OsString::from);
        name.push(".run");
        bundle.with_file_name(name)
    }

    /// Where a run folder has its checkpoint.
    pub fn checkpoint_in(folder: &Path) -> PathBuf {
        folder.join("checkpoint")
    }

    /// Opens the folder, created if there is none, and keeps other runs out of it.
    pub fn open(path: PathBuf) -> Outcome<Self> {
        let failed = |why: &dyn std::fmt::Display| {
            Failure::new(format_args!("cannot use {}: {why}", path.display()))
        };
        fs::create_dir_all(&path).map_err(|error| failed(&error))?;
        let lock = File::create(path.join("lock")).map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(failed(&"another `atlas train` is at work there"));
            }
            // Some network file systems have no locks.
            Err(fs::TryLockError::Error(_)) => {}
        }
        Ok(Self { path, _lock: lock })
    }

    /// An error if a new run would write over something that no run left in `folder`.
    pub fn check_free(folder: &Path) -> Result<(), String> {
        let refuse = |why: &str| Err(format!("cannot use {}: {why}", folder.display()));
        match fs::metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return refuse(&error.to_string()),
            Ok(metadata) if !metadata.is_dir() => return refuse("it is a file"),
            Ok(_) => {}
        }
        let checkpoint = Self::checkpoint_in(folder);
        let is_run = Bundle::open(&checkpoint).is_ok_and(|bundle| bundle.has_checkpoint());
        match !is_run && folder.join("metrics.jsonl").exists() {
            true => refuse("its `metrics.jsonl` is of no run of Atlas and would be lost"),
            false => Ok(()),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bundle from which the run can go on.
    pub fn checkpoint(&self) -> PathBuf {
        Self::checkpoint_in(&self.path)
    }

    /// The measurements of every step and epoch, a JSON object a line.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }
}
