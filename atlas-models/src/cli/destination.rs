//! Whether a bundle can be saved somewhere, known before there is one.

use std::fs;
use std::io;
use std::path::Path;
use std::process;

use atlas_core::Bundle;

/// What a save will find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or an empty folder.
    Nothing,
    /// A bundle that it will replace.
    ABundle,
}

/// Looks at the place, and tries that folders can be created beside it.
pub fn look(target: &Path) -> Result<Found, String> {
    let found =
        occupant(target).map_err(|why| format!("cannot save to {}: {why}", target.display()))?;
    probe(target).map_err(|(place, error)| {
        format!("cannot save to {}: {place}: {error}", target.display())
    })?;
    Ok(found)
}

fn occupant(target: &Path) -> Result<Found, String> {
    if target.file_name().is_none() {
        return Err("the path does not end in a name".to_owned());
    }
    let metadata = match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error.to_string()),
        Ok(metadata) => metadata,
    };
    if metadata.is_symlink() {
        return Err("it is a symbolic link; name the folder itself".to_owned());
    }
    if !metadata.is_dir() {
        return Err("it is a file, and a bundle is a folder".to_owned());
    }
    let entries = fs::read_dir(target).map_err(|error| error.to_string())?;
    let names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    if names.is_empty() {
        return Ok(Found::Nothing);
    }
    let bundle = Bundle::open(target).map_err(|error| match error.is_not_found() {
        true => "the folder is not empty and not a bundle".to_owned(),
        false => format!("what is there cannot be read as a bundle ({error})"),
    })?;
    let own = bundle.file_names();
    match names.iter().find(|name| !own.contains(*name)) {
        Some(foreign) => Err(format!(
            "`{foreign}` in it is not part of the bundle and would be lost"
        )),
        None => Ok(Found::ABundle),
    }
}

/// Creates a folder in the nearest folder above that exists, and removes it.
fn probe(target: &Path) -> Result<(), (String, io::Error)> {
    let above = |path: &Path| !path.as_os_str().is_empty() && path.exists();
    let folder = target
        .ancestors()
        .skip(1)
        .find(|path| above(path))
        .unwrap_or(Path::new("."));
    let probe = folder.join(format!(".atlas-probe-{}", process::id()));
    fs::create_dir(&probe)
        .and_then(|()| fs::remove_dir(&probe))
        .map_err(|error| (folder.display().to_string(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_does_not_exist_will_do_and_stays_absent() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look(&folder.path().join("a/b/c")), Ok(Found::Nothing));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_checkpoint_is_replaced_and_what_is_not_of_it_stays() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../atlas-core/tests/fixtures/format-1-checkpoint");
        assert_eq!(look(&fixture), Ok(Found::ABundle));
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixture).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        fs::write(folder.path().join("mine.safetensors"), "").unwrap();
        let why = look(folder.path()).unwrap_err();
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
            look(&file)
                .unwrap_err()
                .ends_with("it is a file, and a bundle is a folder")
        );
        assert!(
            look(folder.path())
                .unwrap_err()
                .ends_with("the folder is not empty and not a bundle")
        );
        assert!(look(&file.join("below")).is_err());
    }
}
