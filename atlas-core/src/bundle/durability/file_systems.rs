//! Tests: a file system that fails, at each step by fault injection, and real ones that are full or
//! read-only.

use super::super::save_target::SaveTarget;
use super::super::staging::Staging;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::Bundle;

/// `ENOSPC`, which every Unix numbers so.
const DISK_FULL: i32 = 28;

#[test]
fn a_disk_that_is_full_at_any_step_leaves_the_old_bundle_and_no_rest() {
    for (exchange, old) in COMMITS
        .into_iter()
        .flat_map(|exchange| [(exchange, None), (exchange, Some(OLD))])
    {
        seam::can_exchange(exchange);
        for step in 0.. {
            let (folder, path) = place();
            if let Some(old) = old {
                numbered(old).save(&path).unwrap();
            }
            seam::after(step, Fault::Refuse(DISK_FULL, false));
            let result = numbered(NEW).save(&path);
            if seam::never() {
                assert_eq!(found(&path), Some(NEW));
                break;
            }
            match result {
                Err(error) => {
                    assert!(error.is_io(), "{error}");
                    assert!(
                        error
                            .to_string()
                            .contains(&folder.path().display().to_string()),
                        "{error}"
                    );
                    // Before anything looks that could tidy up.
                    let names = names(folder.path());
                    let whole: &[&str] = if old.is_some() { &["model"] } else { &[] };
                    assert_eq!(names, whole, "at change {step}: {error}");
                    assert_eq!(found(&path), old, "at change {step}: {error}");
                }
                // What is removed after the commit may stay.
                Ok(()) => assert_eq!(found(&path), Some(NEW)),
            }
        }
    }
}

#[test]
fn a_disk_that_fails_from_any_step_on_leaves_a_whole_bundle() {
    for exchange in COMMITS {
        for step in 0.. {
            let (folder, path) = place();
            numbered(OLD).save(&path).unwrap();
            seam::can_exchange(exchange);
            seam::after(step, Fault::Refuse(DISK_FULL, true));
            let result = numbered(NEW).save(&path);
            if seam::never() && result.is_ok() && names(folder.path()) == ["model"] {
                break;
            }
            let now = found(&path);
            assert!(matches!(now, Some(OLD | NEW)), "at change {step}: {now:?}");
            // A child process that another test is starting holds a copy of every lock for a moment,
            // and what is locked is not taken for abandoned: a later save takes it away.
            let is_tidy = (0..100).any(|_| {
                numbered(NEXT).save(&path).unwrap();
                names(folder.path()) == ["model"]
            });
            assert!(is_tidy, "{:?}", names(folder.path()));
        }
    }
}

#[test]
fn what_took_the_bundles_place_during_the_save_is_put_back() {
    for exchange in COMMITS {
        let (folder, path) = place();
        numbered(OLD).save(&path).unwrap();
        seam::can_exchange(exchange);
        let target = SaveTarget::of(&path).unwrap();
        target.prepare().unwrap();
        let staging = Staging::create(&target).unwrap();
        fs::write(staging.path().join("mine.safetensors"), "new").unwrap();
        fs::write(path.join("mine.safetensors"), "mine").unwrap();
        let error: Error = staging.commit().unwrap_err();
        assert!(error.is_refused(), "{error}");
        assert!(
            error
                .to_string()
                .ends_with("`mine.safetensors` in it is not part of the bundle and would be lost")
        );
        assert_eq!(fs::read(path.join("mine.safetensors")).unwrap(), b"mine");
        assert_eq!(found(&path), Some(OLD));
        assert_eq!(names(folder.path()), ["model"]);
    }
}

/// The system takes the exchange and then refuses everything, the exchange back too.
#[test]
fn what_cannot_be_put_back_is_not_deleted() {
    for step in 0.. {
        let (folder, path) = place();
        numbered(OLD).save(&path).unwrap();
        seam::after(step, Fault::Refuse(DISK_FULL, true));
        let result = numbered(NEW).save(&path);
        seam::never();
        let error = result.unwrap_err();
        let at = error.to_string();
        let Some((_, at)) = at.split_once("the new bundle is there, the old one at ") else {
            continue;
        };
        let (kept, _) = at.split_once(": ").unwrap();
        let (kept, name) = (Path::new(kept), kept.rsplit('/').next().unwrap());
        assert_eq!(names(folder.path()), [".model.atlas-lock", name, "model"]);
        // Seen without its type: a load would tidy up.
        let number = |path: &Path| Bundle::open(path).unwrap().params()["number"].clone();
        assert_eq!((number(&path), number(kept)), (NEW.into(), OLD.into()));
        return;
    }
}

/// Half of a replacement by two renames, and a link to nowhere where the bundle was.
#[test]
fn the_only_copy_is_not_removed_for_a_link_that_leads_nowhere() {
    let (folder, path) = place();
    let replaced = folder.path().join(".model.atlas-replaced");
    numbered(OLD).save(&replaced).unwrap();
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &path).unwrap();
    numbered(NEW).save(&path).unwrap();
    assert_eq!((found(&path), found(&replaced)), (Some(NEW), Some(OLD)));
    assert_eq!(
        names(folder.path()),
        [".model.atlas-replaced", "model", "nowhere"]
    );
}

/// A place with a bundle and what two killed saves left: a staging folder, and the bundle that
/// another replaced.
fn littered() -> (TempDir, PathBuf) {
    let (folder, path) = place();
    numbered(OLD).save(&path).unwrap();
    for rest in ["staging-0123456789abcdef", "replaced"] {
        let rest = folder.path().join(format!(".model.atlas-{rest}"));
        numbered(NEXT).save(rest).unwrap();
    }
    (folder, path)
}

#[test]
fn a_load_removes_what_killed_saves_left_and_opening_changes_nothing() {
    let (folder, path) = littered();
    let before = names(folder.path());
    assert_eq!(before.len(), 3);
    Bundle::open(&path).unwrap().verify().unwrap();
    assert_eq!(names(folder.path()), before);
    assert_eq!(found(&path), Some(OLD));
    assert_eq!(names(folder.path()), ["model"]);
}

#[test]
fn a_load_that_cannot_remove_what_was_left_goes_on() {
    let (folder, path) = littered();
    let before = names(folder.path());
    const READ_ONLY: i32 = 30;
    seam::after(0, Fault::Refuse(READ_ONLY, true));
    let loaded = Numbered::load(&path).unwrap();
    seam::never();
    assert_eq!(loaded.number, OLD);
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_load_does_not_wait_for_a_save() {
    let (folder, path) = littered();
    let _lock = SaveTarget::of(&path).unwrap().lock().unwrap();
    let before = names(folder.path());
    assert_eq!(found(&path), Some(OLD));
    assert_eq!(names(folder.path()), before);
}

/// As `flock runs atlas train` has it.
#[test]
fn a_folder_above_that_is_locked_holds_up_no_save() {
    for exchange in COMMITS {
        let (folder, path) = place();
        let parent = fs::File::open(folder.path()).unwrap();
        parent.lock().unwrap();
        seam::can_exchange(exchange);
        for number in [OLD, NEW] {
            Bundle::check_save_target(&path).unwrap();
            numbered(number).save(&path).unwrap();
            assert_eq!(found(&path), Some(number));
        }
        assert_eq!(names(folder.path()), ["model"]);
    }
}

#[test]
fn what_others_left_in_a_bundle_stays_where_it_is() {
    for exchange in COMMITS {
        let (folder, path) = place();
        numbered(OLD).save(&path).unwrap();
        leave_notes(&path);
        seam::can_exchange(exchange);
        for number in [NEW, NEXT] {
            assert!(Bundle::check_save_target(&path).unwrap());
            numbered(number).save(&path).unwrap();
            assert_notes(&path);
            assert_eq!(found(&path), Some(number));
        }
        assert_eq!(names(folder.path()), ["model"]);
    }
}

/// A model that needs more than a few hundred KiB.
const LARGE: u64 = 100_000;

/// Runs this test alone in another process, started by `command`; that process runs `test`.
fn elsewhere(name: &str, mut command: Command, test: impl FnOnce()) {
    const ELSEWHERE: &str = "ATLAS_DURABILITY_ELSEWHERE";
    if std::env::var_os(ELSEWHERE).is_some() {
        return test();
    }
    let name = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    let output = command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(ELSEWHERE, "")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
    assert!(said.contains("1 passed"), "{said}");
    eprint!("{failed}");
}

/// Starts commands where they can mount file systems that nobody else sees; `None` where the
/// system does not allow that.
fn with_mounts() -> Option<Command> {
    let namespace = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount"]);
        command
    };
    let probe = namespace()
        .args(["mount", "-t", "tmpfs", "tmpfs", "/tmp"])
        .output();
    if probe.is_ok_and(|probe| probe.status.success()) {
        Some(namespace())
    } else {
        eprintln!("skipped: this user may not mount file systems, not even unseen ones");
        None
    }
}

fn mount(arguments: &[&str], folder: &Path) {
    let mut mount = Command::new("mount");
    assert!(
        mount
            .args(arguments)
            .arg(folder)
            .status()
            .unwrap()
            .success()
    );
}

/// A save of that model fails with `why`; the old bundle loads and nothing else is there.
#[track_caller]
fn assert_fails(number: u64, path: &Path, why: &str) {
    let error = numbered(number).save(path).unwrap_err();
    assert!(error.is_io(), "{error}");
    let message = error.to_string();
    assert!(
        message.contains(&path.parent().unwrap().display().to_string()),
        "{message}"
    );
    assert!(message.ends_with(why), "{message}");
    eprintln!("{message}");
    assert_eq!(found(path), Some(OLD));
    assert!(
        !names(path.parent().unwrap())
            .iter()
            .any(|name| name.starts_with('.'))
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_really_full_is_an_error_and_the_old_bundle_stays() {
    let Some(command) = with_mounts() else {
        return;
    };
    let name = "a_disk_that_is_really_full_is_an_error_and_the_old_bundle_stays";
    elsewhere(name, command, || {
        let (folder, path) = place();
        mount(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"], folder.path());
        numbered(OLD).save(&path).unwrap();
        let why = "No space left on device (os error 28)";
        assert_fails(LARGE, &path, why);
        // What did not fit has been given back.
        let filler = folder.path().join("filler");
        fs::write(&filler, [1; 1 << 17]).unwrap();
        fs::write(folder.path().join("rest"), [1; 1 << 20]).unwrap_err();
        assert_fails(NEXT, &path, why);
        fs::remove_file(&filler).unwrap();
        numbered(NEXT).save(&path).unwrap();
        assert_eq!(found(&path), Some(NEXT));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_really_read_only_is_an_error_and_the_old_bundle_stays() {
    let Some(command) = with_mounts() else {
        return;
    };
    let name = "a_disk_that_is_really_read_only_is_an_error_and_the_old_bundle_stays";
    elsewhere(name, command, || {
        let (folder, path) = place();
        mount(&["-t", "tmpfs", "tmpfs"], folder.path());
        numbered(OLD).save(&path).unwrap();
        mount(&["-o", "remount,ro"], folder.path());
        let error = Bundle::check_save_target(&path).unwrap_err();
        assert!(error.is_io(), "{error}");
        assert_fails(NEW, &path, "Read-only file system (os error 30)");
    });
}

/// The system takes some bytes of a tensor and refuses the rest.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_cut_short_is_an_error_and_the_old_bundle_stays() {
    let mut command = Command::new("sh");
    // Without the trap the process would be killed, as in other tests.
    command.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""]);
    let name = "a_file_that_is_cut_short_is_an_error_and_the_old_bundle_stays";
    elsewhere(name, command, || {
        let (_folder, path) = place();
        numbered(OLD).save(&path).unwrap();
        assert_fails(LARGE, &path, "File too large (os error 27)");
        numbered(NEXT).save(&path).unwrap();
        assert_eq!(found(&path), Some(NEXT));
    });
}

/// A volume of a container, empty at first, and then with a bundle that was copied there.
#[cfg(target_os = "linux")]
#[test]
fn a_mount_point_is_refused_before_anything_is_computed() {
    let Some(command) = with_mounts() else {
        return;
    };
    let name = "a_mount_point_is_refused_before_anything_is_computed";
    elsewhere(name, command, || {
        let (folder, path) = place();
        fs::create_dir(&path).unwrap();
        mount(&["-t", "tmpfs", "tmpfs"], &path);
        let refused = || {
            let error = Bundle::check_save_target(&path).unwrap_err();
            assert!(error.is_refused(), "{error}");
            assert!(error.to_string().contains("it is a mount point"), "{error}");
            assert!(numbered(NEW).save(&path).is_err());
            assert_eq!(names(folder.path()), ["model"]);
        };
        refused();
        numbered(OLD).save(path.join("inside")).unwrap();
        for name in names(&path.join("inside")) {
            fs::rename(path.join("inside").join(&name), path.join(name)).unwrap();
        }
        refused();
        assert_eq!(found(&path), Some(OLD));
    });
}

/// A bundle in an image of a container.
#[cfg(target_os = "linux")]
#[test]
fn a_bundle_in_a_lower_layer_is_refused_before_anything_is_computed() {
    let Some(command) = with_mounts() else {
        return;
    };
    let name = "a_bundle_in_a_lower_layer_is_refused_before_anything_is_computed";
    elsewhere(name, command, || {
        // Without extended attributes the upper layer's own folders cannot be renamed either.
        for attributes in ["userxattr,", ""] {
            let (folder, _) = place();
            mount(&["-t", "tmpfs", "tmpfs"], folder.path());
            let layer = |name: &str| folder.path().join(name);
            for name in ["lower", "upper", "work", "merged", "lower/empty"] {
                fs::create_dir(layer(name)).unwrap();
            }
            numbered(OLD).save(layer("lower/model")).unwrap();
            let layers = ["lower", "upper", "work"].map(|name| layer(name).display().to_string());
            let [lower, upper, work] = layers;
            let options = format!("{attributes}lowerdir={lower},upperdir={upper},workdir={work}");
            let merged = layer("merged");
            mount(&["-t", "overlay", "overlay", "-o", &options], &merged);

            let path = merged.join("model");
            let error = Bundle::check_save_target(&path).unwrap_err();
            assert!(error.is_refused(), "{error}");
            assert!(error.to_string().contains("an overlay"), "{error}");
            assert!(numbered(NEW).save(&path).is_err());
            assert_eq!(found(&path), Some(OLD));
            for name in ["empty", "new"] {
                let path = merged.join(name);
                let can_save = Bundle::check_save_target(&path).is_ok();
                assert_eq!(can_save, !attributes.is_empty());
                assert_eq!(numbered(NEW).save(&path).is_ok(), can_save);
                assert_eq!(Bundle::check_save_target(&path).is_ok(), can_save);
                assert_eq!(numbered(NEXT).save(&path).is_ok(), can_save);
            }
            let names = names(&merged);
            assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
        }
    });
}

/// `/tmp` is such a folder.
#[cfg(target_os = "linux")]
#[test]
fn another_users_bundle_in_a_sticky_folder_is_an_error_before_anything_is_computed() {
    const PLACE: &str = "ATLAS_DURABILITY_PLACE";
    let nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command
    };
    let is_elsewhere = std::env::var_os(PLACE).is_some();
    let program = std::env::current_exe().unwrap();
    let probe = nobody().arg(program).arg("--list").output();
    if !is_elsewhere && !probe.is_ok_and(|probe| probe.status.success()) {
        eprintln!("skipped: this user may not become another");
        return;
    }
    let (folder, path) = place();
    numbered(OLD).save(&path).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let mut command = nobody();
    command.env(PLACE, &path);
    let name = "another_users_bundle_in_a_sticky_folder_is_an_error_before_anything_is_computed";
    elsewhere(name, command, || {
        let path = PathBuf::from(std::env::var_os(PLACE).unwrap());
        let error = Bundle::check_save_target(&path).unwrap_err();
        assert!(error.is_io(), "{error}");
        let expected = format!("cannot rename {}: ", path.display());
        assert!(error.to_string().contains(&expected), "{error}");
        assert!(!Bundle::check_save_target(path.with_file_name("new")).unwrap());
        assert_eq!(names(path.parent().unwrap()), ["model"]);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_no_place_for_a_bundle() {
    let error = numbered(NEW).save("/dev/full").unwrap_err();
    assert!(error.is_refused(), "{error}");
    assert_eq!(
        error.to_string(),
        "refused to save to /dev/full: it is a file, and a bundle is a folder"
    );
}
