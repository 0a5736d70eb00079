//! Ctrl-C.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

use crate::support::Scene;

fn interrupt(child: &Child) {
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// Training that would go on for days, and the lines that it says.
fn endless(scene: &Scene) -> (Child, impl Iterator<Item = String>) {
    let arguments = format!(
        "train {} --out b",
        Scene::TINY.replace("--epochs 2", "--epochs 100000000")
    );
    let mut child = scene.command(&arguments).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    (child, lines)
}

#[test]
fn the_last_saved_bundle_stays_whole() {
    let scene = Scene::new();
    let (child, mut lines) = endless(&scene);
    assert!(lines.any(|line| line.starts_with("epoch         3/100000000")));
    interrupt(&child);
    let last = lines.last().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(130), b"".as_slice())
    );
    let words: Vec<&str> = last.split(' ').collect();
    assert!(last.starts_with("interrupted in epoch "), "{last}");
    assert!(last.contains("; b is whole and holds epoch "), "{last}");
    assert!(
        last.contains(" held-out molecules reconstructed exactly"),
        "{last}"
    );

    scene.atlas("verify b").success();
    let note = scene.atlas("inspect b --json").json()["provenance"]["notes"]["training"].clone();
    let saved =
        words[words.iter().position(|word| *word == "holds").unwrap() + 2].trim_end_matches(',');
    assert_eq!(note["epochs"].to_string(), saved);
    assert_eq!(note["finished"], false);
}
