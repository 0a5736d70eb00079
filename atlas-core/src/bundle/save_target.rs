//! The folder that a save fills beside its destination, locked, and then exchanges with it in one
//! step.
//!
//! Beside a bundle `mlp` two kinds of hidden folders can lie. `.mlp.atlas-staging-…` is a save
//! under way, which holds the folder's lock, or what a killed save left behind.
//! `.mlp.atlas-replaced` exists only where the file system cannot exchange two folders in one
//! step: it is the old bundle while the new one takes its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Bundle;
use super::files;
use super::folder::Folder;
use super::manifest::MANIFEST;
use crate::error::{Error, Result};

/// Longer names are replaced by their digest in the names of hidden folders.
const LONGEST_NAME: usize = 100;

/// Where a bundle is to be.
pub(super) struct SaveTarget<'a> {
    path: &'a Path,
    parent: &'a Path,
    /// What hidden folders of the bundle begin with.
    hidden: String,
}

impl<'a> SaveTarget<'a> {
    pub(super) fn of(path: &'a Path) -> Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| Error::refused(path, "the path does not end in a name"))?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let name = match name.to_str() {
            Some(name) if name.len() <= LONGEST_NAME => name.to_owned(),
            _ => blake3::hash(name.as_encoded_bytes()).to_hex()[..16].to_owned(),
        };
        Ok(Self {
            path,
            parent,
            hidden: format!(".{name}.atlas-"),
        })
    }

    /// Where the bundle is while another takes its place.
    pub(super) fn replaced(&self) -> PathBuf {
        self.parent.join(format!("{}replaced", self.hidden))
    }

    /// Makes the place ready: what killed saves left behind is taken away, and the folder that is
    /// to hold the bundle exists.
    ///
    /// # Errors
    /// If there is something that a save must not replace.
    pub(super) fn prepare(&self) -> Result<()> {
        if self.parent.is_dir() {
            if self.is_replacement_open() {
                let parent = Folder::open(self.parent)?;
                parent.lock();
                self.finish_replacement()?;
            }
            self.remove_abandoned();
        }
        self.check_replaceable()?;
        self.create_parent()
    }

    /// Takes away what killed saves left behind, as [`SaveTarget::prepare`] does, but for a reader:
    /// waits for nobody, and what cannot be changed stays.
    pub(super) fn tidy(&self) {
        if self.is_replacement_open()
            && let Ok(parent) = Folder::open(self.parent)
            && parent.try_lock()
        {
            let _ = self.finish_replacement();
        }
        self.remove_abandoned();
    }

    /// An error unless a save would replace nothing, an empty folder, or a bundle and nothing but
    /// a bundle.
    pub(super) fn check_replaceable(&self) -> Result<()> {
        let target = self.path;
        loop {
            let metadata = match fs::symlink_metadata(target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(Error::io("look at", target, error)),
                Ok(metadata) => metadata,
            };
            if metadata.is_symlink() {
                return Err(Error::refused(
                    target,
                    "it is a symbolic link; name the folder itself",
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
            let refusal = self.check_folder(&folder);
            // Another save may have put its bundle there meanwhile.
            if refusal.is_ok() || folder.is_in_place() {
                return refusal;
            }
        }
    }

    /// An error unless what was taken from the place was a bundle and nothing but a bundle.
    fn check_replaced(&self, path: &Path) -> Result<()> {
        self.check_folder(&Folder::open(path)?)
    }

    fn check_folder(&self, folder: &Folder) -> Result<()> {
        let names = folder.names()?;
        if names.is_empty() {
            return Ok(());
        }
        let refuse = |why: String| Err(Error::refused(self.path, why));
        if !names.iter().any(|name| name == MANIFEST) {
            return refuse("the folder is not empty and not a bundle".to_owned());
        }
        let own = match Bundle::in_folder(folder.clone()) {
            Ok(bundle) => bundle.file_names(),
            Err(error) => {
                return refuse(format!(
                    "what is there looks like a bundle, but cannot be read as one ({error})"
                ));
            }
        };
        match names.iter().find(|name| !own.contains(name.as_str())) {
            None => Ok(()),
            Some(foreign) => refuse(format!(
                "`{foreign}` in it is not part of the bundle and would be lost"
            )),
        }
    }

    /// Creates the folders above the bundle, each on the disk before what is in it.
    fn create_parent(&self) -> Result<()> {
        let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let missing: Vec<&Path> = self.parent.ancestors().take_while(is_missing).collect();
        for folder in missing.into_iter().rev() {
            files::create_folder(folder)?;
            let above = folder
                .parent()
                .filter(|above| !above.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            files::sync_folder(&Folder::open(above)?)?;
        }
        Ok(())
    }

    /// Whether a replacement of two renames is under way, or was interrupted.
    fn is_replacement_open(&self) -> bool {
        fs::symlink_metadata(self.replaced()).is_ok()
    }

    /// Ends a replacement of two renames that was interrupted. The caller has locked the folder
    /// above, so that none is under way.
    fn finish_replacement(&self) -> Result<()> {
        let replaced = self.replaced();
        if !self.is_replacement_open() {
            return Ok(());
        }
        // What is at the target itself: a link could lead to a bundle that is elsewhere, and where
        // it leads nowhere the old bundle is the only one.
        let is_absent = match fs::symlink_metadata(self.path) {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(_) => false,
        };
        if is_absent {
            files::rename(&replaced, self.path)?;
        } else if Folder::open_itself(self.path)
            .and_then(Bundle::in_folder)
            .is_ok()
        {
            remove_bundle(&replaced);
        }
        Ok(())
    }

    /// Removes what saves of this bundle left behind when they were killed. Best effort.
    fn remove_abandoned(&self) {
        let abandoned = self.staging_folders();
        if abandoned.is_empty() {
            return;
        }
        // A commit puts the old bundle, which nobody has locked, where its staging folder was, and
        // looks at it there. While one is at it nothing may be removed; a later save will.
        let Ok(parent) = Folder::open(self.parent) else {
            return;
        };
        if !parent.try_lock() {
            return;
        }
        for path in abandoned {
            if let Ok(folder) = Folder::open_itself(&path)
                && folder.try_lock()
                && folder.is_in_place()
            {
                remove_bundle(&path);
            }
        }
    }

    /// What lies beside the bundle under the names of staging folders.
    fn staging_folders(&self) -> Vec<PathBuf> {
        let prefix = format!("{}staging-", self.hidden);
        let entries = fs::read_dir(self.parent).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path())
            .collect()
    }
}

/// A folder that is being filled; locked for as long as it is, removed unless committed.
pub(super) struct Staging<'a> {
    target: &'a SaveTarget<'a>,
    path: PathBuf,
    /// Holds the lock that tells a save under way from one that was killed.
    folder: Folder,
    parent: Folder,
    /// Whether what is at `path` was taken from the target and could not be put back.
    is_kept: bool,
}

impl<'a> Staging<'a> {
    pub(super) fn create(target: &'a SaveTarget<'a>) -> Result<Self> {
        let parent = Folder::open(target.parent)?;
        loop {
            let mut suffix = [0; 8];
            getrandom::fill(&mut suffix)
                .map_err(|error| Error::new(format_args!("cannot draw a name: {error}")))?;
            let path = target.parent.join(format!(
                "{}staging-{:016x}",
                target.hidden,
                u64::from_le_bytes(suffix)
            ));
            if !files::create_folder(&path)? {
                continue;
            }
            // Another save can find the folder before it is locked, and take it for abandoned.
            let folder = match Folder::open_itself(&path) {
                Err(error) if error.is_not_found() => continue,
                folder => folder?,
            };
            folder.lock();
            if folder.is_in_place() {
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

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the folder in its place, in one step where the system has such a step. After an error
    /// what was there is there again, or, where the system refuses that too, still exists.
    pub(super) fn commit(mut self) -> Result<()> {
        files::sync_folder(&self.folder)?;
        // Other saves wait, so that none comes between two renames.
        self.parent.lock();
        let target = self.target.path;
        self.put_in_place()
            .map_err(|error| error.within(target.display()))
    }

    fn put_in_place(&mut self) -> Result<()> {
        let target = self.target.path;
        if files::rename(&self.path, target)? {
            return files::sync_folder(&self.parent).inspect_err(|_| {
                // Nobody relies on a bundle of which an error says that it was not saved. If it
                // stays, it is whole.
                let _ = files::rename(target, &self.path);
            });
        }
        if !files::exchange(&self.path, target)? {
            return self.replace();
        }
        // What was there when the save began may no longer be what was there at the end.
        let settled = self.target.check_replaced(&self.path);
        let settled = settled.and_then(|()| files::sync_folder(&self.parent));
        settled.map_err(|error| match files::exchange(&self.path, target) {
            Ok(true) => error,
            _ => {
                self.is_kept = true;
                error.within(format_args!(
                    "the new bundle is there, the old one at {}",
                    self.path.display()
                ))
            }
        })
    }

    /// Two renames: between them the target is absent and the old bundle beside it, where a load
    /// finds it.
    fn replace(&self) -> Result<()> {
        let (staging, target) = (self.path.as_path(), self.target.path);
        let replaced = self.target.replaced();
        self.target.check_replaceable()?;
        // Left by a save that was killed after its second rename.
        remove_bundle(&replaced);
        if !files::rename(target, &replaced)? {
            let why = format!("{} is in the way", replaced.display());
            return Err(Error::refused(target, why));
        }
        let renamed = match self.target.check_replaced(&replaced) {
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
            Ok(()) => remove_bundle(&replaced),
            // Where it cannot be put back, a load finds it where it is.
            Err(_) => drop(files::rename(&replaced, target)),
        }
        settled
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // After a commit this is the replaced bundle, or nothing.
        if !self.is_kept {
            remove_bundle(&self.path);
        }
    }
}

/// Removes the files that Atlas writes from a folder, and the folder if it is then empty. Best
/// effort: what cannot be removed stays, and harms nothing.
fn remove_bundle(folder: &Path) {
    let Ok(names) = Folder::open_itself(folder).and_then(|folder| folder.names()) else {
        return;
    };
    for name in names
        .iter()
        .filter(|name| *name == MANIFEST || name.ends_with(".safetensors"))
    {
        let _ = files::remove_file(&folder.join(name));
    }
    let _ = files::remove_folder(folder);
}
