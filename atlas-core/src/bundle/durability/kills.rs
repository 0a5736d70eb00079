//! Saves killed before each of their changes to the file system, and at any time.

use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use super::*;
use crate::Bundle;

/// A folder under test has what it should beside the bundle, now or after a few more loads. What
/// cleans up waits for no lock, and a process that another test starts holds this one's until it
/// runs its own program.
fn assert_tidy(path: &Path, expected: &[&str]) {
    let folder = path.parent().unwrap();
    for _ in 0..1000 {
        if names(folder) == expected {
            return;
        }
        found(path);
        thread::yield_now();
    }
    assert_eq!(names(folder), expected);
}

/// Kills a save before its nth change for every n; `prepare` makes the place, and the number that
/// it gives back is that of the model there. Gives back the number of kills.
fn kill_at_every_step(exchange: bool, prepare: impl Fn(&Path) -> Option<u64>) -> u64 {
    for step in 0.. {
        let (_folder, path) = place();
        let old = prepare(&path);
        let has_notes = path.join("README.md").exists();
        let status = child(&path, NEW, exchange, Job::KilledAfter(step))
            .status()
            .unwrap();
        let is_done = status.success();
        // Opening says what there is and changes nothing; the load then takes away what was left.
        let is_there = Bundle::open(&path).is_ok();
        assert!(
            is_done || status.signal().is_some(),
            "the save failed: {status}"
        );
        let now = found(&path);
        if is_done {
            assert_eq!(now, Some(NEW));
            if has_notes {
                assert_notes(&path);
            }
            return step;
        }
        assert!(
            now == old || now == Some(NEW),
            "killed before change {step}: {old:?} became {now:?}"
        );
        let whole: &[&str] = if is_there { &["model"] } else { &[] };
        assert_tidy(&path, whole);
        if has_notes {
            assert_notes(&path);
        }
        seam::can_exchange(exchange);
        numbered(NEXT).save(&path).unwrap();
        assert_eq!(found(&path), Some(NEXT));
        assert_tidy(&path, &["model"]);
    }
    unreachable!("a save has an end")
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
        let of_annotated = kill_at_every_step(exchange, |path| {
            numbered(OLD).save(path).unwrap();
            leave_notes(path);
            Some(OLD)
        });
        assert!(of_annotated > of_replaced, "{of_annotated} steps");
        kills += of_new + of_replaced + of_annotated;
    }
    eprintln!("{kills} kills, one at each step");
}

/// What the first kill leaves behind, the second finds.
#[test]
fn a_save_killed_while_it_cleans_up_after_a_killed_one_leaves_a_whole_bundle() {
    // Without being asked, the few steps around the commit.
    let steps = if asked_for().is_some() { 0..40 } else { 18..22 };
    let kill = |exchange, step| {
        1 + kill_at_every_step(exchange, |path| {
            numbered(OLD).save(path).unwrap();
            child(path, NEXT, exchange, Job::KilledAfter(step))
                .status()
                .unwrap();
            // A load would clean up after the first kill.
            let bundle = Bundle::open(path).unwrap();
            bundle.params()["number"].as_u64()
        })
    };
    // At once, since each mostly waits for the disk.
    let kills: u64 = thread::scope(|scope| {
        let threads = steps
            .flat_map(|step| COMMITS.map(|exchange| scope.spawn(move || kill(exchange, step))));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|kills| kills.join().unwrap()).sum()
    });
    eprintln!("{kills} kills, two in a row");
}

#[test]
fn a_save_killed_at_any_time_leaves_the_old_bundle_or_the_new() {
    let kills = asked_for().unwrap_or(200);
    let (_folder, path) = place();
    for exchange in COMMITS {
        numbered(OLD).save(&path).unwrap();
        for kill in 0..kills / 2 {
            let mut child = child(&path, NEW, exchange, Job::Saves(u64::MAX))
                .spawn()
                .unwrap();
            // The start of the process takes a while; after it, saves follow one another.
            thread::sleep(Duration::from_micros(5_000 + kill * 7_919 % 20_000));
            child.kill().unwrap();
            child.wait().unwrap();
            let now = found(&path);
            assert!(matches!(now, Some(OLD | NEW)), "{now:?}");
            assert_tidy(&path, &["model"]);
        }
    }
    numbered(NEXT).save(&path).unwrap();
    assert_tidy(&path, &["model"]);
    eprintln!("{kills} kills at any time");
}
