//! Signals: Ctrl-C, SIGTERM and SIGHUP.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::thread;

use crate::support::Scene;

fn send(signal: &str, child: &Child) {
    assert!(
        Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// Starts training that would go on for days; also gives the lines that it says.
fn start(mut command: Command) -> (Child, impl Iterator<Item = String>) {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    (child, lines)
}

fn endless_arguments() -> String {
    let tiny = Scene::TINY.replace("--epochs 2", "--epochs 100000000");
    format!("train {tiny} --out b")
}

fn endless(scene: &Scene) -> Command {
    scene.command_that_heeds_signals(&endless_arguments())
}

#[test]
fn the_last_saved_bundle_stays_whole() {
    let scene = Scene::new();
    let (child, mut lines) = start(endless(&scene));
    assert!(lines.any(|line| line.starts_with("epoch         3/100000000")));
    send("INT", &child);
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

#[test]
fn every_signal_to_end_leaves_a_checkpoint_and_has_its_exit_code() {
    for (signal, code) in [("TERM", 143), ("HUP", 129)] {
        let scene = Scene::new();
        let (mut child, mut lines) = start(endless(&scene));
        assert!(lines.any(|line| line.starts_with("epoch ")));
        send(signal, &child);
        let mut said: Vec<String> = lines.collect();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let last = said.pop().unwrap();
        let step = last
            .split_once(" at step ")
            .and_then(|(_, rest)| rest.split_once(';'));
        let step = step.unwrap_or_else(|| panic!("{last}")).0.replace(',', "");
        let request = format!("stopping after this step; SIG{signal} again stops at once");
        assert!(said.contains(&request), "{said:?}");
        let manifest = String::from_utf8(scene.read("b.run/checkpoint/atlas.json")).unwrap();
        assert!(
            manifest.contains(&format!("\"steps\": {step},")),
            "{manifest}"
        );
    }
}

#[test]
fn a_checkpoint_that_is_asked_for_is_made_and_training_goes_on() {
    let scene = Scene::new();
    let (mut child, mut lines) = start(endless(&scene));
    for _ in 0..2 {
        assert!(lines.any(|line| line.starts_with("epoch ")));
        send("USR1", &child);
        let said = lines.find(|line| line.starts_with("SIGUSR1: ")).unwrap();
        let (_, step) = said.split_once("b.run/checkpoint holds step ").unwrap();
        let step: u64 = step.replace(',', "").parse().unwrap();
        assert!(step > 0);
    }
    assert!(lines.any(|line| line.starts_with("epoch ")));
    send("TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[cfg(not(feature = "mpi"))]
#[test]
fn processes_that_cannot_be_connected_do_not_each_train_alone() {
    let scene = Scene::new();
    for name in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"] {
        let mut command = scene.command(&endless_arguments());
        let output = command.env(name, "4").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("4 processes were started"), "{said}");
        assert!(said.contains("--features mpi"), "{said}");
        assert!(!scene.path("b.run").exists());
    }
}

#[test]
fn a_signal_ends_the_fit_of_the_prior_and_leaves_the_bundle() {
    let scene = Scene::new();
    let molecules = scene.atlas("molecules").success();
    let few: Vec<&str> = molecules.lines().take(3000).collect();
    scene.write("few.smi", few.join("\n"));
    let tiny = Scene::TINY.replace("tiny.smi", "few.smi");
    let tiny = tiny.replace("--epochs 2", "--epochs 1");
    let tiny = tiny.replace("longest=20", "longest=100");
    let command = format!("train {tiny} --out b");
    let (mut child, mut lines) = start(scene.command_that_heeds_signals(&command));
    assert!(lines.any(|line| line.starts_with("fitting the prior; a signal ends that")));
    send("TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    scene.atlas("verify b").success();
    let components =
        scene.atlas("inspect b --json").json()["parameters"]["prior_components"].clone();
    assert_eq!(components, 0);
    // The run has ended; what is left of it is done again.
    let resumed = scene.atlas("train --resume --out b --json");
    assert!(
        resumed.stderr.contains("the prior is fitted to"),
        "{}",
        resumed.stderr
    );
}

/// TensorBoard reads the file while the run goes on.
#[test]
fn an_event_file_holds_every_epoch_that_has_ended_while_training_goes_on() {
    let scene = Scene::new();
    let mut command = endless(&scene);
    command.arg("--tensorboard");
    let (mut child, mut lines) = start(command);
    assert!(lines.any(|line| line.starts_with("epoch ")));
    let entries = fs::read_dir(scene.path("b.run")).unwrap();
    let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let name = names.find(|name| name.contains("tfevents")).unwrap();
    let written = scene.read(&format!("b.run/{name}"));
    send("TERM", &child);
    child.wait().unwrap();
    for text in [
        "_hparams_/session_start_info",
        "model.latent.size",
        "training.train.epochs",
        "loss/epoch",
        "held_out/loss",
        "held_out/kl",
        "held_out/exact",
    ] {
        let text = text.as_bytes();
        assert!(
            written.windows(text.len()).any(|window| window == text),
            "{}",
            text.escape_ascii()
        );
    }
}

#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    let scene = Scene::new();
    let mut command = Command::new("sh");
    let atlas = scene.command(&endless_arguments());
    // As `nohup` and a shell that starts a job in the background do.
    command
        .args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\""])
        .arg(atlas.get_program())
        .args(atlas.get_args())
        .current_dir(scene.path(""))
        .stderr(std::process::Stdio::piped());
    let (mut child, mut lines) = start(command);
    assert!(lines.any(|line| line.starts_with("epoch ")));
    send("HUP", &child);
    send("INT", &child);
    for _ in 0..3 {
        let line = lines.next().unwrap();
        assert!(line.starts_with("epoch "), "{line}");
    }
    send("TERM", &child);
    assert!(lines.last().unwrap().starts_with("interrupted in epoch "));
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_command_that_writes_a_file_leaves_none_and_has_the_exit_code_of_the_signal() {
    let scene = Scene::trained();
    fs::create_dir(scene.path("out")).unwrap();
    let names = || {
        let entries = fs::read_dir(scene.path("out")).unwrap();
        entries.map(Result::unwrap).collect::<Vec<_>>()
    };
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let mut command =
            scene.command_that_heeds_signals("sample bundle -n 100000000 -o out/new.smi");
        let mut child = command.spawn().unwrap();
        let is_writing = || {
            let mut entries = names().into_iter();
            entries.any(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() > 0))
        };
        while !is_writing() {
            assert_eq!(child.try_wait().unwrap(), None);
            thread::yield_now();
        }
        send(signal, &child);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(names().len(), 0);
    }
}
