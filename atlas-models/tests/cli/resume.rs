//! Runs that are killed and go on.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Scene;

/// Training with everything that draws numbers, and a checkpoint after every step.
fn command(out: &str) -> String {
    let annealed = "--set writer.dropout=0.2 --train-set annealing.weights=[\"kl\"]";
    let tiny = Scene::TINY.replace("--epochs 2", "--epochs 6");
    format!("train {tiny} {annealed} --checkpoint-minutes 0 --out {out} --json")
}

fn digest(stdout: &str) -> String {
    let summary: Value = serde_json::from_str(stdout).unwrap();
    summary["digest"].as_str().unwrap().to_owned()
}

/// Waits until the run has taken so many steps, or has ended.
fn wait_for_steps(scene: &Scene, run: &str, steps: usize, is_over: &mut dyn FnMut() -> bool) {
    let path = scene.path(format!("{run}.run/metrics.jsonl"));
    let begun = Instant::now();
    loop {
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        if written.lines().count() >= steps || is_over() {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "no step {steps}"
        );
        thread::yield_now();
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been() {
    let scene = Scene::new();
    let whole = digest(&scene.atlas(&command("whole")).success());
    let mut kills = 0;
    let mut last = None;
    // Each life is some steps longer than what the last one left.
    for steps in (1..).step_by(4) {
        let mut child = scene
            .command(&format!("{} --resume=or-start", command("killed")))
            .env("RAYON_NUM_THREADS", if steps % 8 == 1 { "1" } else { "2" })
            .spawn()
            .unwrap();
        wait_for_steps(&scene, "killed", steps, &mut || {
            child.try_wait().unwrap().is_some()
        });
        let is_over = child.try_wait().unwrap().is_some();
        if !is_over {
            child.kill().unwrap();
            kills += 1;
        }
        let output = child.wait_with_output().unwrap();
        if is_over {
            last = Some(String::from_utf8(output.stdout).unwrap());
            break;
        }
    }
    assert!(kills >= 5, "{kills} kills");
    assert_eq!(digest(&last.unwrap()), whole);
    assert_eq!(scene.metrics("killed"), scene.metrics("whole"));
    scene.atlas("diff whole killed").success();

    // There is nothing left to do, and all of it is said again.
    let again = scene.atlas("train --resume --out killed --json");
    assert_eq!(digest(&again.success()), whole);
}

#[test]
fn ctrl_c_leaves_a_checkpoint_to_go_on_from() {
    let scene = Scene::new();
    let whole = digest(&scene.atlas(&command("whole")).success());
    let mut child = scene
        .command_that_heeds_signals(&command("stopped"))
        .spawn()
        .unwrap();
    wait_for_steps(&scene, "stopped", 3, &mut || false);
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(sent.unwrap().success());
    child.wait().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("--resume goes on from this step"), "{said}");

    // The flags may be left out.
    let resumed = scene.atlas("train --resume --out stopped --json");
    assert_eq!(digest(&resumed.success()), whole);
}

#[test]
fn a_resumed_run_is_the_one_that_was_begun() {
    let scene = Scene::new();
    scene.atlas(&command("run")).success();
    let error = scene
        .atlas(
            "train --resume --out run --batch 4 --seed 3 --set latent.size=7 \
             --train-set clip_norm=2 --model gru-vae",
        )
        .wrong_usage();
    for part in [
        "--batch 4: the run was begun with 8",
        "--seed 3: the run was begun with 0",
        "`latent.size` = 7: the run was begun with 6",
        "--train-set: the run was begun with other values",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    scene.write("tiny.smi", "CCO\nCCN\nCCC\nCCCC\nCCCCC\nCCCCCC\n");
    let error = scene.atlas("train --resume --out run").failure();
    assert!(
        error.starts_with("tiny.smi does not hold the molecules that the run was begun with"),
        "{error}"
    );
}

#[test]
fn without_a_checkpoint_a_run_begins_only_on_request() {
    let scene = Scene::new();
    let error = scene.atlas("train --resume --out typo").failure();
    assert_eq!(
        error,
        "there is no typo.run/checkpoint to resume from; --resume=or-start begins a run where \
         there is none"
    );
    assert!(!scene.path("typo.run").exists());
    let output = scene.atlas(&format!("{} --resume=or-start", command("new")));
    assert!(
        output
            .stderr
            .contains("there is no new.run/checkpoint to resume from: training from the beginning"),
        "{}",
        output.stderr
    );
    let begun = digest(&output.success());
    let again = scene.atlas(&format!("{} --resume=or-start", command("new")));
    assert!(again.stderr.contains("has ended"), "{}", again.stderr);
    assert_eq!(digest(&again.success()), begun);
    // What follows `--resume` is no value of it.
    assert_eq!(scene.atlas("train --resume or-start").code, Some(2));
    assert_eq!(scene.atlas("train --resume=start").code, Some(2));
}

/// The epochs whose ends `metrics.jsonl` tells, and the learning rate of the last step.
fn epochs(scene: &Scene, run: &str) -> (Vec<u64>, f64) {
    let lines = scene.metrics(run);
    let of_kind = |kind: &'static str| lines.iter().filter(move |line| line["kind"] == kind);
    let epochs = of_kind("epoch").map(|line| line["epoch"].as_u64().unwrap());
    let rate = of_kind("step").next_back().unwrap()["learning_rate"].as_f64();
    (epochs.collect(), rate.unwrap())
}

#[test]
fn a_run_goes_on_to_more_epochs_whether_it_has_ended_or_not() {
    let scene = Scene::new();
    scene.atlas(&command("run")).success();
    let (_, rate) = epochs(&scene, "run");
    // Files are not compared: both flags say the same.
    for (epochs_flag, last) in [("--epochs 8", 8), ("--train-set epochs=9", 9)] {
        let output = scene.atlas(&format!("train --resume --out run {epochs_flag} --json"));
        assert!(output.stderr.contains("going on from"), "{}", output.stderr);
        assert_eq!(output.json()["epochs"], last);
    }
    let (done, longer_rate) = epochs(&scene, "run");
    assert_eq!(done, (1..=9).collect::<Vec<_>>());
    assert!(longer_rate > rate);
    let inspected = scene.atlas("inspect run --json").json();
    let settings = &inspected["provenance"]["notes"]["training"]["settings"];
    assert_eq!(settings["train"]["epochs"], 9);
    assert_eq!(
        settings["extended"],
        serde_json::json!([
            { "step": 18, "epochs": 6, "max_minutes": null },
            { "step": 24, "epochs": 8, "max_minutes": null },
        ])
    );
    // The longer run is the one that is resumed from here on.
    let whole = digest(&scene.atlas("train --resume --out run --json").success());
    let again = scene.atlas("train --resume --out run --epochs 9 --json");
    assert_eq!(digest(&again.success()), whole);

    killed(&scene, "killed");
    let output = scene.atlas("train --resume --out killed --epochs 7 --json");
    assert_eq!(output.json()["epochs"], 7);
}

#[test]
fn a_run_does_not_go_back_to_limits_that_it_has_reached() {
    let scene = Scene::new();
    scene.atlas(&command("run")).success();
    let error = scene
        .atlas("train --resume --out run --epochs 4 --max-minutes 1e-9 --batch 4")
        .wrong_usage();
    for part in [
        "--batch 4: the run was begun with 8",
        "--epochs: `epochs` = 4: expected at least 7, as the run has done 6",
        "--max-minutes: `max_time` = ",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_run_whose_time_was_up_goes_on_for_more_minutes() {
    let scene = Scene::new();
    let begun = scene.atlas(&format!("{} --max-minutes 1e-6", command("run")));
    assert_eq!(begun.json()["stopped"], "time-up");
    let error = scene
        .atlas("train --resume --out run --epochs 9")
        .wrong_usage();
    assert!(error.contains("--max-minutes: `max_time` = "), "{error}");
    let output = scene.atlas("train --resume --out run --max-minutes 60 --json");
    let summary = output.json();
    assert_eq!(
        (&summary["stopped"], &summary["epochs"]),
        (&"finished".into(), &6.into())
    );
}

#[test]
fn what_no_run_left_is_not_written_over() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("run.run")).unwrap();
    scene.write("run.run/metrics.jsonl", "mine\n");
    let error = scene.atlas(&command("run")).failure();
    assert_eq!(
        error,
        "cannot use run.run: its `metrics.jsonl` is of no run of Atlas and would be lost"
    );
    assert_eq!(scene.read("run.run/metrics.jsonl"), b"mine\n");
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let scene = Scene::new();
    scene.atlas(&command("run")).success();
    let lock = std::fs::File::open(scene.path("run.run/lock")).unwrap();
    lock.lock().unwrap();
    let error = scene.atlas(&command("run")).failure();
    assert_eq!(
        error,
        "cannot use run.run: another `atlas train` is at work there, which holds the lock \
         run.run/lock"
    );
}

#[test]
fn a_file_that_outgrows_memory_trains_the_same_model() {
    let scene = Scene::new();
    let whole = digest(&scene.atlas(&command("whole")).success());
    let spooled = scene.atlas(&format!("{} --memory 0", command("spooled")));
    assert_eq!(digest(&spooled.success()), whole);
}

#[test]
fn a_start_that_failed_does_not_keep_the_corrected_command_out() {
    let scene = Scene::new();
    let frozen = "--freeze encoder --freeze decoder";
    let error = scene
        .atlas(&format!("{} {frozen}", command("run")))
        .failure();
    assert!(error.contains("every network is frozen"), "{error}");
    scene.atlas(&command("run")).success();

    // What a run leaves that is killed before its first checkpoint.
    for (name, resume) in [("killed", ""), ("again", "--resume=or-start")] {
        std::fs::create_dir(scene.path(format!("{name}.run"))).unwrap();
        scene.write(&format!("{name}.run/metrics.jsonl"), "");
        scene
            .atlas(&format!("{} {resume}", command(name)))
            .success();
    }
}

/// Kills a run in the middle of its six epochs; the step and the epoch of its checkpoint.
fn killed(scene: &Scene, run: &str) -> (u64, u64) {
    let mut child = scene.command(&command(run)).spawn().unwrap();
    wait_for_steps(scene, run, 5, &mut || false);
    child.kill().unwrap();
    child.wait().unwrap();
    let manifest = scene.read(&format!("{run}.run/checkpoint/atlas.json"));
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let course = &manifest["checkpoint"]["values"]["training"]["course"];
    assert_eq!(course["stopped"], Value::Null);
    (
        course["steps"].as_u64().unwrap(),
        course["epoch"].as_u64().unwrap(),
    )
}

#[test]
fn a_run_that_has_not_ended_is_lost_only_on_request() {
    let scene = Scene::new();
    let whole = digest(&scene.atlas(&command("whole")).success());
    let (step, epoch) = killed(&scene, "run");
    let measured = scene.read("run.run/metrics.jsonl");
    let error = scene.atlas(&command("run")).failure();
    assert_eq!(
        error,
        format!(
            "cannot use run.run: it holds a run that has not ended, which is at step {step} in \
             epoch {epoch}; --resume goes on with it, --restart starts anew and loses it"
        )
    );
    assert_eq!(scene.read("run.run/metrics.jsonl"), measured);
    let output = scene.atlas(&format!("{} --restart --seed 1", command("run")));
    assert_ne!(digest(&output.success()), whole);
    // It has ended and can be replaced.
    assert_eq!(digest(&scene.atlas(&command("run")).success()), whole);
    assert_eq!(scene.metrics("run"), scene.metrics("whole"));
    assert_eq!(scene.atlas("train --restart --resume").code, Some(2));
}

#[test]
fn a_checkpoint_that_a_killed_save_has_put_aside_is_gone_on_from() {
    let scene = Scene::new();
    let whole = digest(&scene.atlas(&command("whole")).success());
    killed(&scene, "run");
    let (checkpoint, aside) = (
        scene.path("run.run/checkpoint"),
        scene.path("run.run/.checkpoint.atlas-replaced"),
    );
    std::fs::rename(checkpoint, aside).unwrap();
    let error = scene.atlas(&command("run")).failure();
    assert!(error.contains("a run that has not ended"), "{error}");
    let output = scene.atlas("train --resume --out run --json");
    assert!(output.stderr.contains("going on from"), "{}", output.stderr);
    assert_eq!(digest(&output.success()), whole);
}

#[test]
fn a_checkpoint_is_read_only_while_no_other_run_can_replace_it() {
    let scene = Scene::new();
    scene.atlas(&command("run")).success();
    let lock = std::fs::File::open(scene.path("run.run/lock")).unwrap();
    lock.lock().unwrap();
    scene.write("run.run/checkpoint/checkpoint.safetensors", "half");
    let resume = || scene.atlas("train --resume --out run").failure();
    assert_eq!(
        resume(),
        "cannot use run.run: another `atlas train` is at work there, which holds the lock \
         run.run/lock"
    );
    drop(lock);
    assert!(resume().contains("checkpoint.safetensors"));
    let error = scene.atlas(&command("run")).failure();
    assert!(
        error.starts_with("cannot use run.run: its checkpoint cannot be read ("),
        "{error}"
    );
    scene
        .atlas(&format!("{} --restart", command("run")))
        .success();
}
