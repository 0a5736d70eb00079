//! Damage by accident: a bad disk, a half copy.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use atlas_core::Bundle;
use atlas_core::prelude::*;

use super::tiny::{
    CHECKPOINT_FILES, FILES, Tiny, refusal, saved, saved_checkpoint, untyped_refusal,
};

#[test]
fn a_file_truncated_at_any_length_is_refused() {
    for file in FILES {
        let (_folder, path) = saved();
        let whole = fs::read(path.join(file)).unwrap();
        for length in 0..whole.len() {
            fs::write(path.join(file), &whole[..length]).unwrap();
            let error = refusal(&path);
            assert!(error.is_corrupt(), "{file} of {length} bytes: {error}");
        }
    }
}

#[test]
fn a_file_with_a_byte_more_is_refused() {
    for file in FILES {
        let (_folder, path) = saved();
        fs::File::options()
            .append(true)
            .open(path.join(file))
            .unwrap()
            .write_all(b"\n")
            .unwrap();
        assert!(refusal(&path).is_corrupt(), "{file}");
    }
}

/// Every byte in turn has one of its bits turned, then all of them.
#[test]
fn no_byte_of_any_file_can_be_changed() {
    for file in FILES {
        let (_folder, path) = saved();
        let whole = fs::read(path.join(file)).unwrap();
        for index in 0..whole.len() {
            for value in [whole[index] ^ (1 << (index % 8)), !whole[index]] {
                let mut changed = whole.clone();
                changed[index] = value;
                fs::write(path.join(file), &changed).unwrap();
                let error = refusal(&path);
                assert!(
                    error.is_corrupt(),
                    "{file}, byte {index} = {value}: {error}"
                );
            }
        }
    }
}

/// A load of the model leaves the state of training alone; the check of the bundle does not.
#[test]
fn no_byte_of_any_file_of_a_checkpoint_can_be_changed() {
    for file in CHECKPOINT_FILES {
        let (_folder, path) = saved_checkpoint();
        untyped_is_whole(&path);
        let whole = fs::read(path.join(file)).unwrap();
        for index in 0..whole.len() {
            for value in [whole[index] ^ (1 << (index % 8)), !whole[index]] {
                let mut changed = whole.clone();
                changed[index] = value;
                fs::write(path.join(file), &changed).unwrap();
                let error = untyped_refusal(&path);
                assert!(
                    error.is_corrupt(),
                    "{file}, byte {index} = {value}: {error}"
                );
            }
        }
    }
}

#[test]
fn a_file_of_a_checkpoint_truncated_at_any_length_is_refused() {
    for file in CHECKPOINT_FILES {
        let (_folder, path) = saved_checkpoint();
        let whole = fs::read(path.join(file)).unwrap();
        for length in 0..whole.len() {
            fs::write(path.join(file), &whole[..length]).unwrap();
            let error = untyped_refusal(&path);
            assert!(error.is_corrupt(), "{file} of {length} bytes: {error}");
        }
    }
}

fn untyped_is_whole(path: &Path) {
    let bundle = Bundle::open(path).unwrap();
    assert!(bundle.findings().is_empty() && bundle.has_checkpoint());
    assert_eq!(Tiny::load(path).unwrap().width, 1);
}

#[test]
fn a_missing_file_is_refused() {
    for file in FILES {
        let (_folder, path) = saved();
        fs::remove_file(path.join(file)).unwrap();
        let message = refusal(&path).to_string();
        assert!(message.contains(file), "{message}");
    }
}

/// As in the hub's cache, in a ConfigMap of Kubernetes, and where dvc links to its cache.
#[test]
fn files_that_are_links_are_read_and_checked() {
    let (folder, path) = saved();
    let blobs = folder.path().join("blobs");
    fs::create_dir(&blobs).unwrap();
    for file in FILES {
        fs::rename(path.join(file), blobs.join(file)).unwrap();
        symlink(Path::new("../blobs").join(file), path.join(file)).unwrap();
    }
    let bundle = Bundle::open(&path).unwrap();
    bundle.verify().unwrap();
    assert_eq!(bundle.foreign_names().unwrap(), [""; 0]);
    assert_eq!(Tiny::load(&path).unwrap().width, 1);
    for file in FILES {
        let blob = blobs.join(file);
        let bytes = fs::read(&blob).unwrap();
        fs::write(&blob, &bytes[1..]).unwrap();
        assert!(refusal(&path).is_corrupt());
        fs::remove_file(&blob).unwrap();
        let message = refusal(&path).to_string();
        assert!(message.contains(file), "{message}");
        fs::write(&blob, bytes).unwrap();
    }
}

/// As a ConfigMap of Kubernetes has it: files lead through the link `..data`, which is replaced.
#[test]
fn a_bundle_whose_links_lead_elsewhere_meanwhile_is_read_again() {
    let (folder, path) = saved();
    let mount = folder.path().join("mount");
    fs::create_dir(&mount).unwrap();
    fs::rename(&path, mount.join("..first")).unwrap();
    let mut second = Bundle::open(mount.join("..first"))
        .unwrap()
        .snapshot()
        .unwrap();
    second.golden = None;
    second.save(mount.join("..second")).unwrap();
    symlink("..first", mount.join("..data")).unwrap();
    for file in FILES {
        symlink(Path::new("..data").join(file), mount.join(file)).unwrap();
    }
    let mut reads = 0;
    let digest = Bundle::read(&mount, |bundle| {
        reads += 1;
        if reads == 1 {
            fs::remove_file(mount.join("..data")).unwrap();
            symlink("..second", mount.join("..data")).unwrap();
        }
        bundle.verify()?;
        Ok::<_, Error>(bundle.digest().to_owned())
    });
    assert_eq!((digest.unwrap(), reads), (second.digest().unwrap(), 2));
}

#[test]
fn a_save_over_a_bundle_of_links_replaces_the_links_and_leaves_what_they_lead_to() {
    let (folder, path) = saved();
    let blobs = folder.path().join("blobs");
    fs::create_dir(&blobs).unwrap();
    for file in FILES {
        fs::rename(path.join(file), blobs.join(file)).unwrap();
        symlink(blobs.join(file), path.join(file)).unwrap();
    }
    let bytes = FILES.map(|file| fs::read(blobs.join(file)).unwrap());
    assert!(Bundle::check_save_target(&path).unwrap());
    Tiny::load(&path).unwrap().save(&path).unwrap();
    for file in FILES.into_iter().filter(|file| path.join(file).exists()) {
        let metadata = fs::symlink_metadata(path.join(file)).unwrap();
        assert!(metadata.is_file(), "{file}");
    }
    assert_eq!(FILES.map(|file| fs::read(blobs.join(file)).unwrap()), bytes);
    Bundle::open(&path).unwrap().verify().unwrap();
}

#[test]
fn files_that_are_folders_or_pipes_are_refused() {
    for file in FILES {
        let (_folder, path) = saved();
        fs::remove_file(path.join(file)).unwrap();
        fs::create_dir(path.join(file)).unwrap();
        assert!(
            refusal(&path)
                .to_string()
                .ends_with("it is not a plain file")
        );
        fs::remove_dir(path.join(file)).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(path.join(file))
            .status()
            .unwrap();
        assert!(made.success());
        assert!(
            refusal(&path)
                .to_string()
                .ends_with("it is not a plain file")
        );
    }
}
