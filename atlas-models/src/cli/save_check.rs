//! Checks, before any work is done, that a bundle can be saved at a path.

use std::fs;
use std::path::Path;
use std::process;

use atlas_core::{Bundle, Error, Result};

/// Whether there is a bundle at `target` that a save will replace.
///
/// # Errors
/// If a save may not replace what is at `target`, or no folder can be created beside it.
pub fn check(target: &Path) -> Result<bool> {
    Bundle::check_save_target(target)?;
    try_create_beside(target)
        .map_err(|error| error.within(format_args!("cannot save to {}", target.display())))?;
    // What a save may replace and is not empty is a bundle.
    Ok(fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some()))
}

/// Creates a folder in the nearest folder above that exists, and removes it.
fn try_create_beside(target: &Path) -> Result<()> {
    let exists = |path: &&Path| !path.as_os_str().is_empty() && path.exists();
    let folder = target.ancestors().skip(1).find(exists);
    let folder = folder.unwrap_or(Path::new("."));
    let probe = folder.join(format!(".atlas-probe-{}", process::id()));
    fs::create_dir(&probe)
        .and_then(|()| fs::remove_dir(&probe))
        .map_err(|error| Error::io("write to", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_does_not_exist_will_do_and_stays_absent() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!check(&folder.path().join("a/b/c")).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_checkpoint_is_replaced_and_what_is_not_of_it_stays() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../atlas-core/tests/fixtures/format-1-checkpoint");
        assert!(check(&fixture).unwrap());
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixture).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        fs::write(folder.path().join("mine.safetensors"), "").unwrap();
        let why = check(folder.path()).unwrap_err().to_string();
        assert!(
            why.contains("`mine.safetensors` in it is not part"),
            "{why}"
        );
    }

    #[test]
    fn what_is_no_bundle_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(
            check(&file)
                .unwrap_err()
                .to_string()
                .ends_with("it is a file, and a bundle is a folder")
        );
        assert!(
            check(folder.path())
                .unwrap_err()
                .to_string()
                .ends_with("the folder is not empty and not a bundle")
        );
        assert!(check(&file.join("below")).is_err());
    }
}
