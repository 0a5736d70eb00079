//! Tests: several processes save to one path at the same time, while others read it.

use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::Bundle;

/// Runs a function also when a thread panics, so that the others need not wait for it.
struct OnDrop<F: Fn() -> usize>(F);

impl<F: Fn() -> usize> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What is wrong with a bundle.
#[derive(Debug)]
struct Findings(#[expect(dead_code, reason = "a failed test shows it")] Vec<Error>);

impl From<Error> for Findings {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

fn findings(bundle: &Bundle) -> Result<(), Findings> {
    let findings = bundle.findings();
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Findings(findings))
    }
}

#[test]
fn of_saves_at_once_one_wins_whole_and_readers_see_one_of_them() {
    let saves = asked_for().unwrap_or(40);
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
                    for save in 0..saves {
                        numbered(1 + (saver + save) % 3).save(path).unwrap();
                    }
                });
            }
            scope.spawn(|| {
                while saving.load(Ordering::SeqCst) > 0 {
                    assert!(matches!(found(&path), Some(1..=3)));
                }
            });
            scope.spawn(|| {
                while saving.load(Ordering::SeqCst) > 0 {
                    let findings = Bundle::read(&path, findings).err();
                    assert!(findings.is_none(), "{findings:?}");
                }
            });
        });
        assert_eq!(names(folder.path()), ["model"]);
    }
}

#[test]
fn of_processes_saving_at_once_one_wins_whole_and_readers_see_one_of_them() {
    let saves = asked_for().unwrap_or(40);
    for exchange in COMMITS {
        let (folder, path) = place();
        numbered(OLD).save(&path).unwrap();
        let saver = |number| child(&path, number, exchange, Job::Saves(saves)).spawn();
        let mut savers = [OLD, NEW].map(|number| saver(number).unwrap());
        let is_saving = |saver: &mut Child| saver.try_wait().unwrap().is_none();
        let mut loads = 0;
        while savers.iter_mut().any(is_saving) {
            assert!(matches!(found(&path), Some(OLD | NEW)));
            loads += 1;
        }
        for saver in &mut savers {
            assert!(saver.wait().unwrap().success());
        }
        assert_eq!(names(folder.path()), ["model"]);
        eprintln!("{loads} loads during {saves} saves of each of two processes");
    }
}
