//! Whatever stops a save, the old bundle or the new one is there, whole.
//!
//! A child process, this test program itself, saves and is killed before the nth of its changes
//! to the file system, for every n, or at a random time. `ATLAS_KILLS=1000 cargo test -p
//! atlas-core durability` kills at least that many.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use candle_core::Tensor;
use candle_nn::VarBuilder;
use tempfile::TempDir;

use super::files::seam::{self, Fault};
use crate::prelude::*;
use crate::{Error, GoldenInputs, Result};

/// A model that its parameter tells from others.
#[derive(AtlasModel)]
#[atlas(golden)]
struct Numbered {
    #[param]
    number: u64,
    #[network(with = build)]
    first: Tensor,
    #[network(with = build)]
    second: Tensor,
}

fn build(params: &NumberedParams, vb: VarBuilder) -> candle_core::Result<Tensor> {
    vb.get(params.number as usize + 1, "weight")
}

impl Golden for Numbered {
    fn golden_inputs(&self) -> Result<GoldenInputs> {
        Ok(GoldenInputs::texts(["text"]))
    }

    fn golden_outputs(&self, _: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        Ok(vec![(
            "sum".to_owned(),
            (self.first.sum_all()? + self.second.sum_all()?)?,
        )])
    }
}

fn numbered(number: u64) -> Model<Numbered> {
    Numbered::create_with(NumberedParams { number }, CreateOptions::new().seed(number)).unwrap()
}

/// The number of the whole model at `path`; `None` if there is none. Anything else is a failure.
fn found(path: &Path) -> Option<u64> {
    match Numbered::load(path) {
        Ok(model) => {
            let expected = numbered(model.number).digest().unwrap();
            assert_eq!(model.digest().unwrap(), expected);
            Some(model.number)
        }
        Err(error) if error.is_not_found() => None,
        Err(error) => panic!("{error}"),
    }
}

/// Whether two folders change places in one step, or by two renames.
const COMMITS: [bool; 2] = [true, false];

const OLD: u64 = 1;
const NEW: u64 = 2;
const NEXT: u64 = 3;

fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    (folder, path)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What the child is told: where, which model, how it commits, and when it is killed; it saves
/// again and again if never.
const JOB: &str = "ATLAS_DURABILITY_JOB";

fn child(path: &Path, number: u64, exchange: bool, killed_after: Option<u64>) -> Child {
    let after = killed_after.map_or("never".to_owned(), |after| after.to_string());
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "bundle::durability::the_child_of_the_other_tests",
            "--nocapture",
        ])
        .env(
            JOB,
            format!("{number} {exchange} {after} {}", path.display()),
        )
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn the_child_of_the_other_tests() {
    let Ok(job) = std::env::var(JOB) else {
        return;
    };
    let [number, exchange, after, path] = job.splitn(4, ' ').collect::<Vec<_>>()[..] else {
        panic!("{job}");
    };
    let mut number = number.parse().unwrap();
    seam::can_exchange(exchange == "true");
    match after.parse() {
        Ok(after) => {
            seam::after(after, Fault::Kill);
            numbered(number).save(path).unwrap();
        }
        Err(_) => loop {
            numbered(number).save(path).unwrap();
            number = if number == OLD { NEW } else { OLD };
        },
    }
}

/// Kills a save before its nth change for every n; `prepare` makes the place, and the number that
/// it gives back is that of the model there. Gives back the number of kills.
fn kill_at_every_step(exchange: bool, prepare: impl Fn(&Path) -> Option<u64>) -> u64 {
    for step in 0.. {
        let (folder, path) = place();
        let old = prepare(&path);
        let status = child(&path, NEW, exchange, Some(step)).wait().unwrap();
        let is_done = status.success();
        assert!(
            is_done || status.signal().is_some(),
            "the save failed: {status}"
        );
        let now = found(&path);
        if is_done {
            assert_eq!(now, Some(NEW));
            return step;
        }
        assert!(
            now == old || now == Some(NEW),
            "killed before change {step}: {old:?} became {now:?}"
        );
        seam::can_exchange(exchange);
        numbered(NEXT).save(&path).unwrap();
        assert_eq!(found(&path), Some(NEXT));
        assert_eq!(
            names(folder.path()),
            ["model"],
            "killed before change {step}"
        );
    }
    unreachable!("a save has an end")
}

/// The number of kills that the tests are asked for, for which they go through everything.
fn asked_for() -> Option<u64> {
    std::env::var("ATLAS_KILLS")
        .ok()
        .map(|kills| kills.parse().unwrap())
}

#[test]
fn a_save_killed_at_any_step_leaves_the_old_bundle_or_the_new() {
    let mut kills = 0;
    for exchange in COMMITS {
        let of_new = kill_at_every_step(exchange, |_| None);
        let of_replaced = kill_at_every_step(exchange, |path| {
            numbered(OLD).save(path).unwrap();
            Some(OLD)
        });
        assert!(
            of_new >= 15 && of_replaced > of_new,
            "{of_new} and {of_replaced} steps"
        );
        kills += of_new + of_replaced;
    }
    eprintln!("{kills} kills, one at each step");
}

/// What the first kill leaves behind, the second finds.
#[test]
fn a_save_killed_while_it_cleans_up_after_a_killed_one_leaves_a_whole_bundle() {
    let mut kills = 0;
    // Without being asked, the few steps around the commit.
    let steps = if asked_for().is_some() { 0..40 } else { 18..22 };
    for (exchange, step) in COMMITS
        .into_iter()
        .flat_map(|exchange| steps.clone().map(move |step| (exchange, step)))
    {
        kills += 1 + kill_at_every_step(exchange, |path| {
            numbered(OLD).save(path).unwrap();
            child(path, NEXT, exchange, Some(step)).wait().unwrap();
            found(path)
        });
    }
    eprintln!("{kills} kills, two in a row");
}

#[test]
fn a_save_killed_at_any_time_leaves_the_old_bundle_or_the_new() {
    let kills = asked_for().unwrap_or(40);
    let (folder, path) = place();
    for exchange in COMMITS {
        numbered(OLD).save(&path).unwrap();
        for kill in 0..kills / 2 {
            let mut child = child(&path, NEW, exchange, None);
            // The start of the process takes a while; after it, saves follow one another.
            thread::sleep(Duration::from_micros(5_000 + kill * 7_919 % 20_000));
            child.kill().unwrap();
            child.wait().unwrap();
            let now = found(&path);
            assert!(matches!(now, Some(OLD | NEW)), "{now:?}");
        }
    }
    numbered(NEXT).save(&path).unwrap();
    assert_eq!(names(folder.path()), ["model"]);
    eprintln!("{kills} kills at any time");
}

/// Runs a function also when a thread panics, so that the others need not wait for it.
struct OnDrop<F: Fn() -> usize>(F);

impl<F: Fn() -> usize> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn of_saves_at_once_one_wins_whole_and_readers_see_one_of_them() {
    for exchange in COMMITS {
        let (folder, path) = place();
        numbered(OLD).save(&path).unwrap();
        let saving = AtomicUsize::new(3);
        thread::scope(|scope| {
            for saver in 0..3 {
                let (path, saving) = (&path, &saving);
                scope.spawn(move || {
                    let _ended = OnDrop(|| saving.fetch_sub(1, Ordering::SeqCst));
                    seam::can_exchange(exchange);
                    for save in 0..40 {
                        numbered(1 + (saver + save) % 3).save(path).unwrap();
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    while saving.load(Ordering::SeqCst) > 0 {
                        assert!(matches!(found(&path), Some(1..=3)));
                    }
                });
            }
        });
        assert_eq!(names(folder.path()), ["model"]);
    }
}

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
                    // After the commit the folder above is synced; until then what was replaced
                    // is kept.
                    let is_late = found(&path) == Some(NEW);
                    assert!(found(&path) == old || is_late, "at change {step}: {error}");
                    let is_rest = |name: &String| {
                        name != "model" && !(is_late && name == ".model.atlas-replaced")
                    };
                    let names = names(folder.path());
                    assert!(!names.iter().any(is_rest), "at change {step}: {names:?}");
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
            numbered(NEXT).save(&path).unwrap();
            assert_eq!(names(folder.path()), ["model"]);
        }
    }
}

#[test]
fn what_took_the_bundles_place_during_the_save_is_put_back() {
    for exchange in COMMITS {
        let (folder, path) = place();
        numbered(OLD).save(&path).unwrap();
        seam::can_exchange(exchange);
        let place = super::staging::Place::of(&path).unwrap();
        place.prepare().unwrap();
        let staging = super::staging::Staging::create(&place).unwrap();
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
