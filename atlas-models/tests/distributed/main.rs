//! `atlas` in several processes: over MPI, and in jobs of Slurm.
//!
//! What a test lacks (an MPI launcher, a running Slurm, the right to mount) it says, and is skipped.

mod faults;
mod mpi;
mod slurm;
// What the tests of the command line alone use is unused here.
#[allow(dead_code)]
#[path = "../cli/support.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Output, Scene};

const ATLAS: &str = env!("CARGO_BIN_EXE_atlas");

/// Whether a program answers; if not, the test that needs it says so.
fn is_there(program: &str) -> bool {
    let answers = Command::new(program).arg("--version").output();
    let is_there = answers.is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("skipped: there is no `{program}` on this machine");
    }
    is_there
}

/// The arguments of `mpirun` for so many processes on however few processors.
fn mpirun(processes: usize) -> String {
    format!(
        "--allow-run-as-root --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 -n {processes}"
    )
}

/// `atlas` in so many processes; in one, without a launcher.
fn atlas_in(scene: &Scene, processes: usize, arguments: &str) -> Output {
    if processes == 1 {
        return scene.atlas(arguments);
    }
    let arguments = format!("{} {ATLAS} {arguments}", mpirun(processes));
    scene.run(Path::new("mpirun"), &arguments, "")
}

/// Training with everything that draws numbers, in 18 steps of 8 shards, with a checkpoint after
/// every step.
fn training(out: &str) -> String {
    let tiny = Scene::TINY.replace("--epochs 2", "--epochs 6");
    format!(
        "train {tiny} --set writer.dropout=0.2 --train-set annealing.weights=[\"kl\"] \
         --train-set shards=8 --checkpoint-minutes 0 --out {out} --json"
    )
}

/// The digest of the bundle that a run ended with.
fn digest(output: Output) -> String {
    let summary: Value = output.json();
    summary["digest"].as_str().unwrap().to_owned()
}

/// The steps that are measured so far.
fn steps(scene: &Scene, run: &str) -> usize {
    let path = scene.path(format!("{run}.run/metrics.jsonl"));
    let written = std::fs::read_to_string(path).unwrap_or_default();
    written
        .lines()
        .filter(|line| line.contains("\"step\""))
        .count()
}

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(300), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
