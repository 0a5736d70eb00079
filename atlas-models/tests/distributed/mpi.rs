//! Training over MPI.

use serde_json::Value;

use crate::support::Scene;
use crate::{ATLAS, atlas_in, digest, is_there, mpirun, training};

#[test]
fn one_two_four_and_eight_processes_train_the_same_model() {
    if !is_there("mpirun") {
        return;
    }
    let scene = Scene::new();
    let alone = digest(scene.atlas(&training("of-1")));
    for processes in [2, 4, 8] {
        let run = format!("of-{processes}");
        let output = atlas_in(&scene, processes, &training(&run));
        assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
        // One process speaks.
        assert_eq!(output.stderr.matches("epoch 6/6").count(), 1, "{output:?}");
        assert_eq!(digest(output), alone, "{processes} processes");
        assert_eq!(scene.metrics(&run), scene.metrics("of-1"));
    }
}

#[test]
fn a_run_that_says_no_shards_gets_one_for_each_process() {
    if !is_there("mpirun") {
        return;
    }
    let scene = Scene::new();
    let shards = |run: &str| {
        let bundle = scene.atlas(&format!("inspect {run} --json")).json();
        bundle["provenance"]["notes"]["training"]["settings"]["train"]["shards"].clone()
    };
    let tiny = Scene::TINY;
    let of_two = digest(atlas_in(
        &scene,
        2,
        &format!("train {tiny} --out of-2 --json"),
    ));
    let alone = format!("train {tiny} --out alone --json");
    assert_ne!(digest(scene.atlas(&alone)), of_two);
    let alone = format!("train {tiny} --out of-1 --train-set shards=2 --json");
    assert_eq!(digest(scene.atlas(&alone)), of_two);
    assert_eq!(
        [shards("of-2"), shards("alone")],
        [Value::from(2), Value::from(1)]
    );
}

#[test]
fn one_process_alone_reads_the_molecules() {
    if !is_there("mpirun") {
        return;
    }
    let scene = Scene::new();
    std::fs::create_dir(scene.path("elsewhere")).unwrap();
    let whole = digest(scene.atlas(&training("whole")));
    // The others have no file of this name.
    let out = scene.path("run");
    let train = training(out.to_str().unwrap());
    let arguments = format!(
        "{} {ATLAS} {train} : -n 3 --wdir elsewhere {ATLAS} {train}",
        mpirun(1)
    );
    assert_eq!(
        digest(scene.run(std::path::Path::new("mpirun"), &arguments, "")),
        whole
    );
    // `mpirun` passes standard input to the first.
    let train = training("of-input").replace("--data tiny.smi", "--data -");
    let arguments = format!("{} {ATLAS} {train}", mpirun(2));
    let input = String::from_utf8(scene.read("tiny.smi")).unwrap();
    assert_eq!(
        digest(scene.run(std::path::Path::new("mpirun"), &arguments, &input)),
        whole
    );
    let left = std::fs::read_dir(scene.path("run.run")).unwrap();
    let mut left = left.map(|entry| entry.unwrap().file_name());
    assert!(left.all(|name| name != "shared-molecules"));
}

#[test]
fn processes_that_cannot_train_together_are_refused_with_one_message() {
    if !is_there("mpirun") {
        return;
    }
    let scene = Scene::new();
    let tiny = Scene::TINY;
    for (processes, arguments, expected) in [
        (3, format!("train {tiny} --out b"), "a power of two"),
        (
            4,
            format!("train {tiny} --out b --train-set shards=2"),
            "4 processes cannot share the 2 shards of a batch",
        ),
        (
            2,
            format!("train {tiny} --out b --train-set shards=6"),
            "`shards` = 6",
        ),
    ] {
        let output = atlas_in(&scene, processes, &arguments);
        assert_ne!(output.code, Some(0), "{output:?}");
        assert!(output.stderr.contains(expected), "{output:?}");
        assert_eq!(output.stderr.matches("error: ").count(), 1, "{output:?}");
        assert!(!output.stderr.contains("panicked"), "{output:?}");
        assert!(!scene.path("b.run").exists());
    }
}

#[test]
fn another_build_of_atlas_and_other_arguments_are_told() {
    if !is_there("mpirun") {
        return;
    }
    let scene = Scene::new();
    // What follows the sections of a program is not run, and another program all the same.
    let program = std::fs::read(ATLAS).unwrap();
    scene.write("other", [program, b"other".to_vec()].concat());
    let status = std::process::Command::new("chmod")
        .arg("+x")
        .arg(scene.path("other"))
        .status();
    assert!(status.unwrap().success());
    let train = training("b");
    let other = format!("{} {ATLAS} {train} : -n 1 ./other {train}", mpirun(1));
    let more = format!(
        "{} {ATLAS} {train} : -n 1 {ATLAS} {train} --seed 3",
        mpirun(1)
    );
    for (arguments, expected) in [
        (other, "differ in the program: "),
        (more, "differ in the arguments of the command"),
    ] {
        let output = scene.run(std::path::Path::new("mpirun"), &arguments, "");
        assert_ne!(output.code, Some(0), "{output:?}");
        let expected = format!("the processes 0 and 1 {expected}");
        assert_eq!(output.stderr.matches(&expected).count(), 1, "{output:?}");
        assert!(!scene.path("b.run").exists());
    }
}
