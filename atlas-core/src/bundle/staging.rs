//! The folder that a save fills beside its destination, locked, and then exchanges with it in one
//! step.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Bundle;
use super::files::{self, NewFile};
use super::folder::Folder;
use super::manifest::MANIFEST;
use super::save_target::SaveTarget;
use crate::error::{Error, Result};

/// A folder that is being filled; locked for as long as it is, removed unless committed.
pub(super) struct Staging<'a> {
    target: &'a SaveTarget,
    path: PathBuf,
    /// Holds the lock that tells a save under way from one that was killed.
    folder: Folder,
    parent: Folder,
    /// Whether what is at `path` was taken from the target and has to stay.
    is_kept: bool,
}

impl<'a> Staging<'a> {
    /// Creates the folder beside the target.
    pub(super) fn create(target: &'a SaveTarget) -> Result<Self> {
        Self::create_in(target, target.parent())
    }

    fn create_in(target: &'a SaveTarget, parent: &Path) -> Result<Self> {
        let parent = Folder::open(parent)?;
        loop {
            let mut suffix = [0; 8];
            getrandom::fill(&mut suffix)
                .map_err(|error| Error::new(format_args!("cannot draw a name: {error}")))?;
            let suffix = u64::from_le_bytes(suffix);
            let name = format!("{}{suffix:016x}", target.staging_prefix());
            let path = parent.path().join(name);
            if !files::create_folder(&path)? {
                continue;
            }
            // Another save can find the folder before it is locked, and take it for abandoned.
            let folder = match Folder::open_itself(&path) {
                Err(error) if error.is_not_found() => continue,
                folder => folder?,
            };
            // Where folders cannot be locked, what killed saves leave behind is never removed.
            if folder.try_lock().unwrap_or(true) && folder.is_in_place() {
                return Ok(Self {
                    target,
                    path,
                    folder,
                    parent,
                    is_kept: false,
                });
            }
        }
    }

    /// An error unless a commit to the target, where that `bundle` is, can do what it has to. Nothing
    /// of the target is moved.
    pub(super) fn try_commit(target: &'a SaveTarget, bundle: Option<&Bundle>) -> Result<()> {
        let exists = |folder: &&Path| !folder.as_os_str().is_empty() && folder.exists();
        let parent = target.parent().ancestors().find(exists);
        let mut staging = Self::create_in(target, parent.unwrap_or(Path::new(".")))?;
        let path = target.path();
        let failed = |error| cannot_replace(path, error);
        let Some(bundle) = bundle else {
            // In the place of nothing, or of an empty folder, an empty folder does no harm.
            let place = if path.exists() {
                path.to_owned()
            } else {
                staging.path.with_extension("renamed")
            };
            fs::rename(&staging.path, &place).map_err(failed)?;
            if place != path {
                staging.path = place;
            }
            return Ok(());
        };
        // Nothing can take the place of a folder that is not empty: the system first checks
        // everything that a renaming needs, and then refuses.
        NewFile::create(&staging.path.join(MANIFEST))?;
        files::try_move(path, &staging.path).map_err(failed)?;
        for name in bundle.foreign_names()? {
            let path = path.join(name);
            files::try_move(&path, &staging.path).map_err(|error| {
                let error = Error::io("move", &path, error);
                error.within("what is no part of the bundle has to go to the new one")
            })?;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the folder in its place, in one step where the system has such a step. What is in the
    /// old bundle and no part of it goes to the new one. After an error what was there is there
    /// again, or, where the system refuses that too, still exists.
    pub(super) fn commit(mut self) -> Result<()> {
        files::sync_folder(&self.folder)?;
        let new = self.folder.names()?;
        // Other saves wait, so that none comes between two renames.
        let _lock = self.target.lock()?;
        self.put_in_place(&new)
            .map_err(|error| error.within(self.target.path().display()))
    }

    fn put_in_place(&mut self, new: &[OsString]) -> Result<()> {
        let target = self.target.path();
        if files::rename(&self.path, target)? {
            return files::sync_folder(&self.parent).inspect_err(|_| {
                // Nobody relies on a bundle of which an error says that it was not saved. If it
                // stays, it is whole.
                let _ = files::rename(target, &self.path);
            });
        }
        if !files::exchange(&self.path, target)? {
            return self.replace(new);
        }
        // What was there when the save began may no longer be what was there at the end.
        let settled = self.target.check_replaced(&self.path, new);
        let settled = settled.and_then(|()| files::sync_folder(&self.parent));
        if let Err(error) = settled {
            return match files::exchange(&self.path, target) {
                Ok(true) => Err(error),
                _ => {
                    self.is_kept = true;
                    Err(error.within(format_args!(
                        "the new bundle is there, the old one at {}",
                        self.path.display()
                    )))
                }
            };
        }
        self.retire(&self.path).inspect_err(|_| self.is_kept = true)
    }

    /// Removes the bundle that was replaced, and says what becomes of what is no part of it.
    fn retire(&self, old: &Path) -> Result<()> {
        let retired = self.target.retire(old);
        retired.map_err(|error| error.within("the new bundle is there"))
    }

    /// Two renames: between them the target is absent and the old bundle beside it, where a load
    /// finds it.
    fn replace(&self, new: &[OsString]) -> Result<()> {
        let (staging, target) = (self.path.as_path(), self.target.path());
        let replaced = self.target.replaced();
        self.target.check_replaceable()?;
        // Left by a save that was killed after its second rename.
        self.target.retire(&replaced)?;
        if !files::rename(target, &replaced)? {
            let why = format!("{} is in the way", replaced.display());
            return Err(Error::refused(target, why));
        }
        let renamed = match self.target.check_replaced(&replaced, new) {
            Ok(()) => files::rename(staging, target),
            Err(refusal) => Err(refusal),
        };
        let settled = match renamed {
            Ok(true) => files::sync_folder(&self.parent).inspect_err(|_| {
                let _ = files::rename(target, staging);
            }),
            Ok(false) => {
                // Not Atlas's doing: whoever put something there did not wait.
                let why = format!(
                    "something else is there; the bundle is at {}",
                    replaced.display()
                );
                return Err(Error::refused(target, why));
            }
            Err(error) => Err(error),
        };
        match settled {
            Ok(()) => self.retire(&replaced),
            Err(error) => {
                // Where it cannot be put back, a load finds it where it is.
                let _ = files::rename(&replaced, target);
                Err(error)
            }
        }
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // After a commit there is nothing.
        if !self.is_kept {
            let _ = self.target.retire(&self.path);
        }
    }
}

/// Why a bundle cannot take the place of what is at `path`.
fn cannot_replace(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ResourceBusy => Error::refused(
            path,
            "it is a mount point, and a save exchanges the folder; name a folder in it",
        ),
        io::ErrorKind::CrossesDevices => Error::refused(
            path,
            "the file system cannot rename the folder, as an overlay one of a lower layer; name a \
             folder elsewhere, or replace this one by a copy of it",
        ),
        _ => Error::io("rename", path, error),
    }
}
