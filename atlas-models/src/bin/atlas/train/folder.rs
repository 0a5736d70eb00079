//! The run folder: what training keeps beside the bundle.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use atlas_core::Bundle;
use atlas_core::train::CheckpointSummary;

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
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let lock = options.open(path.join("lock"));
        let lock = lock.map_err(|error| failed(&error))?;
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

    /// An error if a new run would write over something that no run left in `folder`, or over a
    /// run that has not ended unless `restart` is asked for.
    pub fn check_free(folder: &Path, restart: bool) -> Result<(), String> {
        let refuse = |why: &str| Err(format!("cannot use {}: {why}", folder.display()));
        match fs::metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return refuse(&error.to_string()),
            Ok(metadata) if !metadata.is_dir() => return refuse("it is a file"),
            Ok(_) => {}
        }
        match Self::reached(folder) {
            // Steps are what a run is about: before the first there is nothing to lose.
            Ok(Some(run)) if run.steps == 0 || run.stopped.is_some() || restart => Ok(()),
            Ok(Some(run)) => refuse(&format!(
                "it holds a run that has not ended, which is at step {} in epoch {}; --resume goes \
                 on with it, --restart starts anew and loses it",
                run.steps, run.epoch
            )),
            Ok(None) if Self::has_measurements(folder) => {
                refuse("its `metrics.jsonl` is of no run of Atlas and would be lost")
            }
            Err(error) if !restart => refuse(&format!(
                "its checkpoint cannot be read ({error}); --restart starts anew and loses it"
            )),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// How far the run is whose checkpoint `folder` holds, if it holds one.
    fn reached(folder: &Path) -> atlas_core::Result<Option<CheckpointSummary>> {
        let checkpoint = match Bundle::open(Self::checkpoint_in(folder)) {
            Err(error) if error.is_not_found() => return Ok(None),
            bundle => bundle?.checkpoint()?,
        };
        checkpoint
            .map(|checkpoint| CheckpointSummary::of(&checkpoint))
            .transpose()
    }

    /// Whether something was measured. A run that was killed before its first checkpoint may have
    /// left an empty file.
    fn has_measurements(folder: &Path) -> bool {
        fs::metadata(folder.join("metrics.jsonl")).is_ok_and(|metadata| metadata.len() > 0)
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
