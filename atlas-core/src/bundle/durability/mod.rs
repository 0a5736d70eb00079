//! Tests: whatever stops a save, the old bundle or the new one is there, whole.
//!
//! Child processes are this test program itself. `ATLAS_KILLS=1000 cargo test -p atlas-core
//! durability -- --nocapture` kills 1,000 saves or more and has as many run at the same time.

mod at_once;
mod file_systems;
mod kills;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use candle_core::Tensor;
use candle_nn::VarBuilder;
use tempfile::TempDir;

use super::files::seam::{self, Fault};
use crate::prelude::*;

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

/// Leaves in a bundle what is no part of it: a file, and a folder.
fn leave_notes(bundle: &Path) {
    fs::write(bundle.join("README.md"), "mine").unwrap();
    fs::create_dir(bundle.join(".cache")).unwrap();
    fs::write(bundle.join(".cache/x"), "theirs").unwrap();
}

/// What [`leave_notes`] left is in the bundle.
#[track_caller]
fn assert_notes(bundle: &Path) {
    assert_eq!(fs::read(bundle.join("README.md")).unwrap(), b"mine");
    assert_eq!(fs::read(bundle.join(".cache/x")).unwrap(), b"theirs");
}

/// The number of kills that the tests are asked for, for which they go through everything.
fn asked_for() -> Option<u64> {
    std::env::var("ATLAS_KILLS")
        .ok()
        .map(|kills| kills.parse().unwrap())
}

/// What a child process does.
#[derive(Clone, Copy)]
enum Job {
    /// One save, killed before the change of that number.
    KilledAfter(u64),
    /// So many saves, of the model and another in turn.
    Saves(u64),
}

/// What the child is told: what to do, which model, how it commits, and where.
const JOB: &str = "ATLAS_DURABILITY_JOB";

/// A child process, to be started, that saves the model of that number to `path`.
fn child(path: &Path, number: u64, exchange: bool, job: Job) -> Command {
    let job = match job {
        Job::KilledAfter(changes) => format!("killed-after {changes}"),
        Job::Saves(saves) => format!("saves {saves}"),
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "bundle::durability::the_child_of_the_other_tests",
            "--nocapture",
        ])
        .env(JOB, format!("{job} {number} {exchange} {}", path.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
fn the_child_of_the_other_tests() {
    let Ok(job) = std::env::var(JOB) else {
        return;
    };
    let [job, count, number, exchange, path] = job.splitn(5, ' ').collect::<Vec<_>>()[..] else {
        panic!("{job}");
    };
    let (count, mut number): (u64, u64) = (count.parse().unwrap(), number.parse().unwrap());
    seam::can_exchange(exchange == "true");
    if job == "killed-after" {
        seam::after(count, Fault::Kill);
        return numbered(number).save(path).unwrap();
    }
    for _ in 0..count {
        numbered(number).save(path).unwrap();
        number = if number == OLD { NEW } else { OLD };
    }
}
