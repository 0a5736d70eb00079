//! The run folder: what training keeps beside the bundle.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use atlas_core::{Bundle, Error, Result};

use atlas_core::train::CheckpointSummary;

/// The folder `BUNDLE.run` beside a bundle: the checkpoint, `metrics.jsonl`, `curves.svg`, event
/// files.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Locked as long as the run goes on. The folder itself is locked by saves to it.
    _lock: File,
}

impl RunFolder {
    /// The path of a bundle's run folder.
    pub fn beside(bundle: &Path) -> PathBuf {
        let mut name = bundle
            .file_name()
            .map_or_else(OsString::new, OsString::from);
        name.push(".run");
        bundle.with_file_name(name)
    }

    /// The path of the checkpoint in a run folder.
    pub fn checkpoint_in(folder: &Path) -> PathBuf {
        folder.join("checkpoint")
    }

    /// The path of the molecules to train on, for the other processes of a run.
    pub fn shared_molecules_in(folder: &Path) -> PathBuf {
        folder.join("shared-molecules")
    }

    /// The path of the set of training molecules in the run folder of a bundle.
    pub fn training_molecules(bundle: &Path) -> PathBuf {
        Self::beside(bundle).join("training-molecules")
    }

    /// Opens the folder, created if there is none, and keeps other runs out of it.
    ///
    /// # Errors
    /// If the folder cannot be written to, no checkpoint can be saved in it, or another run is at
    /// work in it.
    pub fn open(path: PathBuf) -> Result<Self> {
        let failed = |error| Error::io("use", &path, error);
        fs::create_dir_all(&path).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let lock_path = path.join("lock");
        let lock = options.open(&lock_path).map_err(failed)?;
        // Some network file systems have no locks: an error of another kind is no obstacle.
        if let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
            let lock_path = lock_path.display();
            let why =
                format!("another `atlas train` is at work there, which holds the lock {lock_path}");
            return Err(unusable(&path, &why));
        }
        Bundle::check_save_target(Self::checkpoint_in(&path))?;
        Ok(Self { path, _lock: lock })
    }

    /// An error if a new run would overwrite something that no run left in `folder`, or a run that
    /// has not ended, unless `restart` is asked for.
    pub fn check_free(folder: &Path, restart: bool) -> Result<()> {
        match fs::metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("use", folder, error)),
            Ok(metadata) if !metadata.is_dir() => return Err(unusable(folder, "it is a file")),
            Ok(_) => {}
        }
        match checkpoint_summary(folder) {
            // A run that has not taken a step has nothing to lose.
            Ok(Some(run)) if run.steps > 0 && run.stopped.is_none() && !restart => Err(unusable(
                folder,
                &format!(
                    "it holds a run that has not ended, which is at step {} in epoch {}; --resume \
                     goes on with it, --restart starts anew and loses it",
                    run.steps, run.epoch
                ),
            )),
            Ok(None) if has_measurements(folder) => Err(unusable(
                folder,
                "its `metrics.jsonl` is of no run of Atlas and would be lost",
            )),
            Err(error) if !restart => Err(unusable(
                folder,
                &format!(
                    "its checkpoint cannot be read ({error}); --restart starts anew and loses it"
                ),
            )),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the bundle from which the run can go on.
    pub fn checkpoint(&self) -> PathBuf {
        Self::checkpoint_in(&self.path)
    }

    /// The path of the measurements of every step and epoch, a JSON object a line.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The path of the drawing of the measurements.
    pub fn curves(&self) -> PathBuf {
        self.path.join("curves.svg")
    }
}

fn unusable(folder: &Path, why: &str) -> Error {
    Error::new(format_args!("cannot use {}: {why}", folder.display()))
}

/// How far the run is whose checkpoint `folder` holds, if it holds one.
fn checkpoint_summary(folder: &Path) -> Result<Option<CheckpointSummary>> {
    let checkpoint = match Bundle::open(RunFolder::checkpoint_in(folder)) {
        Err(error) if error.is_not_found() => return Ok(None),
        bundle => bundle?.checkpoint()?,
    };
    checkpoint.as_ref().map(CheckpointSummary::of).transpose()
}

/// Whether something was measured. A run that was killed before its first checkpoint may have left
/// an empty file.
fn has_measurements(folder: &Path) -> bool {
    fs::metadata(folder.join("metrics.jsonl")).is_ok_and(|metadata| metadata.len() > 0)
}
