//! Where a bundle is to be: what a save may replace there, and what killed saves left beside it.
//!
//! Beside a bundle `mlp` three kinds of hidden things can lie. `.mlp.atlas-lock` is the lock of a
//! commit under way. `.mlp.atlas-staging-…` is a save under way, which holds the folder's lock, or
//! what a killed save left behind. `.mlp.atlas-replaced` exists only where the file system cannot
//! exchange two folders in one step: it is the old bundle while the new one takes its place.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Bundle;
use super::files;
use super::folder::Folder;
use super::manifest::MANIFEST;
use super::save_lock::SaveLock;
use crate::error::{Error, Result};

/// Longer names are replaced by their digest in the names of hidden files and folders.
const LONGEST_NAME: usize = 100;

/// The most links that lead from a path to a folder.
const MOST_LINKS: usize = 40;

/// How long a save waits for others, whose commits take milliseconds.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Where a bundle is to be.
pub(super) struct SaveTarget {
    /// The folder itself, no link to it.
    path: PathBuf,
    parent: PathBuf,
    /// What hidden files and folders of the bundle begin with.
    hidden: String,
}

impl SaveTarget {
    /// The folder at `path`, or where a link at `path` leads.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let path = resolved(path);
        let name = path
            .file_name()
            .ok_or_else(|| Error::refused(&path, "the path does not end in a name"))?;
        let name = match name.to_str() {
            Some(name) if name.len() <= LONGEST_NAME => name.to_owned(),
            _ => blake3::hash(name.as_encoded_bytes()).to_hex()[..16].to_owned(),
        };
        Ok(Self {
            parent: folder_above(&path).to_owned(),
            hidden: format!(".{name}.atlas-"),
            path,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder above the bundle.
    pub(super) fn parent(&self) -> &Path {
        &self.parent
    }

    /// Where the bundle is while another takes its place.
    pub(super) fn replaced(&self) -> PathBuf {
        self.parent.join(format!("{}replaced", self.hidden))
    }

    /// What the names of staging folders begin with.
    pub(super) fn staging_prefix(&self) -> String {
        format!("{}staging-", self.hidden)
    }

    fn lock_path(&self) -> PathBuf {
        self.parent.join(format!("{}lock", self.hidden))
    }

    /// Waits for other saves and keeps them out. Goes on without a lock where files cannot be
    /// locked.
    ///
    /// # Errors
    /// If another process does not let go of the lock.
    pub(super) fn lock(&self) -> Result<SaveLock> {
        self.lock_within(LONGEST_WAIT)
    }

    fn lock_within(&self, longest: Duration) -> Result<SaveLock> {
        let path = self.lock_path();
        SaveLock::wait(&path, longest)?.ok_or_else(|| {
            let why = format!(
                "another process holds the lock {} and has not let go of it for {} seconds; end that \
                 process, or wait until its save has ended",
                path.display(),
                longest.as_secs()
            );
            Error::refused(&self.path, why)
        })
    }

    /// Makes the place ready: what killed saves left behind is taken away, and the folder that is
    /// to hold the bundle exists.
    ///
    /// # Errors
    /// If there is something that a save must not replace.
    pub(super) fn prepare(&self) -> Result<()> {
        if self.is_replacement_open() {
            let _lock = self.lock()?;
            self.finish_replacement()?;
        }
        self.tidy();
        self.check_replaceable()?;
        self.create_parent()
    }

    /// Takes away what killed saves left behind. Waits for nobody, and what cannot be changed
    /// stays.
    pub(super) fn tidy(&self) {
        let abandoned = self.staging_folders();
        let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
        let lock_path = self.lock_path();
        if abandoned.is_empty() && !is_there(&lock_path) && !self.is_replacement_open() {
            return;
        }
        // A commit puts the old bundle, which nobody has locked, where its staging folder was, and
        // looks at it there. While one is at it nothing may be removed; a later save will.
        let Ok(Some(lock)) = SaveLock::attempt(&lock_path) else {
            return;
        };
        if !lock.is_locked() {
            return;
        }
        let _ = self.finish_replacement();
        for path in abandoned {
            if let Ok(folder) = Folder::open_itself(&path)
                && folder.try_lock().unwrap_or(false)
                && folder.is_in_place()
            {
                let _ = self.retire(&path);
            }
        }
    }

    /// The bundle that a save would replace; `None` if there is nothing, or an empty folder.
    ///
    /// # Errors
    /// If there is anything else.
    pub(super) fn check_replaceable(&self) -> Result<Option<Bundle>> {
        let target = self.path.as_path();
        loop {
            let metadata = match fs::symlink_metadata(target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::io("look at", target, error)),
                Ok(metadata) => metadata,
            };
            if metadata.is_symlink() {
                return Err(Error::refused(
                    target,
                    "it is a symbolic link that leads to no folder",
                ));
            }
            if !metadata.is_dir() {
                return Err(Error::refused(
                    target,
                    "it is a file, and a bundle is a folder",
                ));
            }
            let folder = match Folder::open(target) {
                Err(error) if error.is_not_found() => continue,
                folder => folder?,
            };
            let bundle = self.bundle_in(&folder);
            // Another save may have put its bundle there meanwhile.
            if bundle.is_ok() || folder.is_in_place() {
                return bundle;
            }
        }
    }

    /// An error unless what was taken from the place was a bundle, or empty, and holds nothing of
    /// one's own under a name of the `new` bundle's files.
    pub(super) fn check_replaced(&self, path: &Path, new: &[OsString]) -> Result<()> {
        let Some(bundle) = self.bundle_in(&Folder::open(path)?)? else {
            return Ok(());
        };
        let mut foreign = bundle.foreign_names()?.into_iter();
        match foreign.find(|name| new.contains(name)) {
            None => Ok(()),
            Some(foreign) => {
                let foreign = foreign.display();
                let why = format!("`{foreign}` in it is not part of the bundle and would be lost");
                Err(Error::refused(&self.path, why))
            }
        }
    }

    /// The bundle in a folder; `None` if it is empty.
    fn bundle_in(&self, folder: &Folder) -> Result<Option<Bundle>> {
        let names = folder.names()?;
        if names.is_empty() {
            return Ok(None);
        }
        let refuse = |why: String| Err(Error::refused(&self.path, why));
        if !names.iter().any(|name| name == MANIFEST) {
            return refuse("the folder is not empty and not a bundle".to_owned());
        }
        match Bundle::in_folder(folder.clone()) {
            Ok(bundle) => Ok(Some(bundle)),
            Err(error) => refuse(format!(
                "what is there looks like a bundle, but cannot be read as one ({error})"
            )),
        }
    }

    /// Creates the folders above the bundle, each on the disk before what is in it.
    fn create_parent(&self) -> Result<()> {
        let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let missing: Vec<&Path> = self.parent.ancestors().take_while(is_missing).collect();
        for folder in missing.into_iter().rev() {
            files::create_folder(folder)?;
            files::sync_folder(&Folder::open(folder_above(folder))?)?;
        }
        Ok(())
    }

    /// Whether a replacement of two renames is under way, or was interrupted.
    fn is_replacement_open(&self) -> bool {
        fs::symlink_metadata(self.replaced()).is_ok()
    }

    /// Ends a replacement of two renames that was interrupted. The caller has the lock, so that
    /// none is under way.
    fn finish_replacement(&self) -> Result<()> {
        let replaced = self.replaced();
        if !self.is_replacement_open() {
            return Ok(());
        }
        // What is at the target itself: a link could lead to a bundle that is elsewhere, and where
        // it leads nowhere the old bundle is the only one.
        let is_absent = match fs::symlink_metadata(&self.path) {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(_) => false,
        };
        if is_absent {
            files::rename(&replaced, &self.path)?;
        } else if Folder::open_itself(&self.path)
            .and_then(Bundle::in_folder)
            .is_ok()
        {
            self.retire(&replaced)?;
        }
        Ok(())
    }

    /// What lies beside the bundle under the names of staging folders.
    fn staging_folders(&self) -> Vec<PathBuf> {
        let prefix = self.staging_prefix();
        let entries = fs::read_dir(&self.parent).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path())
            .collect()
    }

    /// Removes a bundle that another has replaced, or what a save that did not end wrote of one.
    /// What others left in it first goes to the bundle that is in place. Best effort: what cannot
    /// be removed stays, and harms nothing.
    ///
    /// # Errors
    /// If something of others cannot be moved. It stays, and the folder with it.
    pub(super) fn retire(&self, old: &Path) -> Result<()> {
        let Ok(folder) = Folder::open_itself(old) else {
            return Ok(());
        };
        let names = folder.names()?;
        let (mut own, foreign): (Vec<_>, Vec<_>) = match Bundle::in_folder(folder) {
            Ok(bundle) => {
                let foreign = bundle.foreign_names()?;
                names.into_iter().partition(|name| !foreign.contains(name))
            }
            Err(_) => names.into_iter().partition(|name| is_written(name)),
        };
        if !foreign.is_empty() {
            let bundle = Folder::open_itself(&self.path)?;
            Bundle::in_folder(bundle.clone())?;
            for name in &foreign {
                let from = old.join(name);
                if !files::move_to(&from, &self.path.join(name))? {
                    let exists = io::Error::from(io::ErrorKind::AlreadyExists);
                    return Err(Error::io("move to the new bundle", &from, exists));
                }
            }
            files::sync_folder(&bundle)?;
        }
        // The manifest goes last: it tells which files are the bundle's.
        own.sort_by_key(|name| name == MANIFEST);
        for name in own {
            let _ = files::remove_file(&old.join(name));
        }
        let _ = files::remove_folder(old);
        Ok(())
    }
}

/// Whether a save writes files of that name.
fn is_written(name: &OsStr) -> bool {
    name == MANIFEST || Path::new(name).extension() == Some(OsStr::new("safetensors"))
}

/// The path without a slash at its end, or where the link that it is leads.
fn resolved(path: &Path) -> PathBuf {
    let mut path: PathBuf = path.components().collect();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        path = folder_above(&path).join(target).components().collect();
    }
    path
}

fn folder_above(path: &Path) -> &Path {
    let parent = path.parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_another_process_holds_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let target = SaveTarget::of(&folder.path().join("model")).unwrap();
        let held = target.lock().unwrap();
        let error = target.lock_within(Duration::ZERO).err().unwrap();
        let lock = folder.path().join(".model.atlas-lock");
        let expected = format!("another process holds the lock {} and", lock.display());
        assert!(error.to_string().contains(&expected), "{error}");
        drop(held);
        target.lock_within(Duration::ZERO).unwrap();
    }
}
