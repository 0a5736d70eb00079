//! Training from the command line.

use serde_json::Value;

use crate::support::{MOLECULES, Scene};

#[test]
fn the_last_line_is_the_bundle_and_how_much_it_reconstructs() {
    let scene = Scene::new();
    let output = scene.atlas(&format!("train {} --out runs/a/b", Scene::TINY));
    let epochs: Vec<&str> = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("epoch "))
        .collect();
    assert_eq!(epochs.len(), 2, "{}", output.stderr);
    for part in [
        "epoch 1/2  loss ",
        "  reconstruction ",
        "  kl ",
        " molecules/s  held-out loss ",
        "  exact ",
        " of 4 held out  ",
    ] {
        assert!(epochs[0].contains(part), "{}", epochs[0]);
    }
    let stdout = output.success();
    assert_eq!(stdout.lines().count(), 1);
    assert!(
        stdout.starts_with("runs/a/b: ")
            && stdout.contains(" % of 4 held-out molecules reconstructed exactly"),
        "{stdout}"
    );
    scene.atlas("verify runs/a/b").success();
}

#[test]
fn the_summary_can_be_json_on_one_line() {
    let scene = Scene::new();
    let stdout = scene
        .atlas(&format!("train {} --out b --json", Scene::TINY))
        .success();
    assert_eq!(stdout.lines().count(), 1);
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&summary["bundle"], &summary["model"]),
        (&Value::from("b"), &Value::from("gru-vae"))
    );
    assert_eq!(
        (&summary["stopped"], &summary["epochs"]),
        (&Value::from("finished"), &Value::from(2))
    );
    assert_eq!(summary["data"]["source"], "tiny.smi");
    assert_eq!(summary["held_out"]["molecules"], 4);
    assert!(summary["held_out"]["exact_share"].is_f64() && summary["loss"].is_f64());
    let inspected = scene.atlas("inspect b --json").json();
    let settings = &inspected["provenance"]["notes"]["training"]["settings"];
    assert!(settings["weights"]["kl"].is_f64(), "{settings}");
    assert_eq!(summary["digest"], inspected["digest"]);
}

#[test]
fn the_loss_of_held_out_molecules_is_measured_after_every_epoch() {
    let scene = Scene::trained();
    let metrics = String::from_utf8(scene.read("bundle.run/metrics.jsonl")).unwrap();
    let lines = metrics
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let epochs: Vec<Value> = lines
        .filter(|line: &Value| line["kind"] == "epoch")
        .collect();
    let note =
        scene.atlas("inspect bundle --json").json()["provenance"]["notes"]["training"].clone();
    assert_eq!(epochs.len(), 2);
    for (epoch, point) in epochs.iter().zip(note["curve"].as_array().unwrap()) {
        let held_out = &epoch["held_out"];
        assert!(held_out["loss"].as_f64().unwrap() > 0.0, "{epoch}");
        assert!(held_out["parts"]["kl"].is_f64(), "{epoch}");
        assert_eq!(point["held_out_loss"], held_out["loss"]);
    }
}

/// As another program has it that is run by `flock`.
#[test]
fn a_folder_that_is_locked_by_another_program_holds_nothing_up() {
    let scene = Scene::new();
    let folder = std::fs::File::open(scene.path("")).unwrap();
    folder.lock().unwrap();
    for _ in 0..2 {
        scene
            .atlas(&format!("train {} --out b", Scene::TINY))
            .success();
    }
}

#[test]
fn a_checkpoint_that_could_not_be_replaced_is_refused_before_training() {
    let scene = Scene::trained();
    let mine = scene.path("bundle.run/checkpoint");
    std::fs::remove_dir_all(&mine).unwrap();
    std::fs::remove_file(scene.path("bundle.run/metrics.jsonl")).unwrap();
    std::fs::write(&mine, "mine").unwrap();
    let train = format!("train {} --out bundle --restart", Scene::TINY);
    let output = scene.atlas(&train);
    assert!(!output.stderr.contains("weights"), "{}", output.stderr);
    let error = output.failure();
    assert!(
        error.ends_with("bundle.run/checkpoint: it is a file, and a bundle is a folder"),
        "{error}"
    );
}

#[test]
fn equal_commands_give_equal_models() {
    let scene = Scene::trained();
    scene
        .atlas(&format!("train {} --out again", Scene::TINY))
        .success();
    assert!(
        scene
            .atlas("diff bundle again")
            .success()
            .starts_with("the same model: ")
    );
    scene
        .atlas(&format!("train {} --out other --seed 1", Scene::TINY))
        .success();
    assert_eq!(scene.atlas("diff bundle other").code, Some(1));
}

#[test]
fn a_bundle_says_how_it_was_trained() {
    let scene = Scene::new();
    scene
        .atlas(&format!(
            "train {} --out b --seed 9 --lr 0.02 --weight kl=0.2 --freeze encoder/embedding",
            Scene::TINY
        ))
        .success();
    let note = scene.atlas("inspect b --json").json()["provenance"]["notes"]["training"].clone();
    assert_eq!(note["data"]["source"], "tiny.smi");
    assert_eq!(note["data"]["molecules"], MOLECULES.len());
    assert_eq!(note["data"]["digest"].as_str().unwrap().len(), 64);
    assert_eq!(
        note["held_out"],
        serde_json::json!({ "molecules": 4, "seed": 0 })
    );
    assert_eq!(
        (
            &note["settings"]["seed"],
            &note["settings"]["train"]["learning_rate"]
        ),
        (&9.into(), &0.02.into())
    );
    assert_eq!(
        note["settings"]["weights"],
        serde_json::json!({ "kl": 0.2, "noise": 1.0 })
    );
    assert_eq!(
        note["settings"]["frozen"],
        serde_json::json!(["encoder/embedding"])
    );
    // Defaults are recorded, too: another version may have others.
    assert_eq!(note["settings"]["train"]["adamw"]["beta2"], 0.999);
    assert_eq!(
        (&note["epochs"], &note["steps"], &note["finished"]),
        (&2.into(), &6.into(), &true.into())
    );
    assert_eq!(note["curve"].as_array().unwrap().len(), 2);
    assert_eq!(note["metrics"]["molecules"], 4);
}

#[test]
fn a_frozen_network_stays_as_it_was_created() {
    let scene = Scene::new();
    let train = |out: &str, more: &str| {
        scene
            .atlas(&format!("train {} --out {out} {more}", Scene::TINY))
            .success()
    };
    train("one", "--freeze encoder");
    train("two", "--freeze encoder --lr 0.05");
    train("three", "--lr 0.05");
    let differing = |a: &str, b: &str| {
        let output = scene.atlas(&format!("diff {a} {b} --json"));
        let json: Value = serde_json::from_str(&output.stdout).unwrap();
        let tensors = json["tensors"].as_array().unwrap().clone();
        tensors
            .iter()
            .any(|tensor| tensor["name"] == "encoder/mean.weight")
    };
    assert!(!differing("one", "two"));
    assert!(differing("two", "three"));
}

#[test]
fn parameters_come_from_the_file_and_then_from_the_command_line() {
    let scene = Scene::new();
    scene.write(
        "p.json",
        r#"{ "latent": { "size": 5 }, "writer": { "dropout": 0.25, "layers": 2 } }"#,
    );
    scene
        .atlas("train --data tiny.smi --epochs 1 --out b --params p.json --set latent.size=7")
        .success();
    let parameters = scene.atlas("inspect b --json").json()["parameters"].clone();
    assert_eq!(
        (
            &parameters["latent"]["size"],
            &parameters["writer"]["dropout"]
        ),
        (&7.into(), &0.25.into())
    );
    assert_eq!(
        (
            &parameters["writer"]["layers"],
            &parameters["writer"]["hidden_size"]
        ),
        (&2.into(), &512.into())
    );
    // The tokens of the data, after the special ones.
    assert_eq!(parameters["vocabulary"][3], "#");
}

#[test]
fn bad_rows_can_be_skipped_and_are_counted() {
    let scene = Scene::new();
    scene.write("some.smi", format!("{}\nCQ\nCC(\n", MOLECULES.join("\n")));
    let output = scene.atlas(&format!(
        "train {} --out b --skip-invalid",
        Scene::TINY.replace("tiny.smi", "some.smi")
    ));
    assert!(
        output
            .stderr
            .contains("skipped some.smi:25: `CQ`: byte 1: "),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("skipped 2 rows of some.smi\n"),
        "{}",
        output.stderr
    );
    output.success();
    let note = scene.atlas("inspect b --json").json()["provenance"]["notes"]["training"].clone();
    assert_eq!(
        (&note["data"]["molecules"], &note["data"]["skipped"]),
        (&24.into(), &2.into())
    );
}

#[test]
fn a_bundle_that_is_there_is_replaced_and_only_the_run_is_left_beside_it() {
    let scene = Scene::trained();
    let output = scene.atlas(&format!("train {} --out bundle --seed 5", Scene::TINY));
    assert!(
        output
            .stderr
            .contains("the bundle in bundle will be replaced after the first epoch"),
        "{}",
        output.stderr
    );
    output.success();
    assert_eq!(
        scene.atlas("inspect bundle --json").json()["provenance"]["seed"],
        5
    );
    let mut names: Vec<_> = std::fs::read_dir(scene.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["bundle", "bundle.run", "tiny.smi"]);
}

#[test]
fn molecules_can_come_through_a_pipe() {
    let scene = Scene::new();
    let smiles = MOLECULES.join("\n");
    let output = scene.atlas_reading(
        &format!("train {} --out b", Scene::TINY.replace("tiny.smi", "-")),
        &smiles,
    );
    assert!(output.success().starts_with("b: "));
}

#[test]
fn training_on_all_molecules_reports_no_reconstruction() {
    let scene = Scene::new();
    let stdout = scene
        .atlas(&format!(
            "train {} --out b",
            Scene::TINY.replace("--held-out 4", "--held-out 0")
        ))
        .success();
    assert_eq!(stdout, "b: no molecules held out\n");
    let error = scene.atlas("evaluate b --data tiny.smi").failure();
    assert_eq!(
        error,
        "the model was trained on all of tiny.smi; --all evaluates it on what it has seen"
    );
}

#[test]
fn molecules_of_any_length_fit_unless_the_command_says_how_long_they_may_be() {
    let scene = Scene::new();
    let long = "C".repeat(230);
    scene.write("long.smi", format!("{}\n{long}\n", MOLECULES.join("\n")));
    let train = Scene::TINY.replace("tiny.smi", "long.smi");
    let output = scene.atlas(&format!("train {train} --out short"));
    let warning = "1 of 25 molecules in long.smi can never come back: decoding gives up after \
                   longest = 20 tokens, and the longest has 230; `train --set longest=230` makes room";
    assert!(output.stderr.contains(warning), "{}", output.stderr);
    output.success();
    let train = train.replace("--set longest=20", "");
    let output = scene.atlas(&format!("train {train} --out long"));
    let note = "`longest` = 230, as many tokens as the longest molecule has, instead of 200";
    assert!(output.stderr.contains(note), "{}", output.stderr);
    assert!(!output.stderr.contains("never"), "{}", output.stderr);
    output.success();
    let parameters = scene.atlas("inspect long --json").json()["parameters"].clone();
    assert_eq!(parameters["longest"], 230);
    // Shorter ones leave the default as it is: other molecules may come.
    let train = Scene::TINY.replace("--set longest=20", "");
    scene.atlas(&format!("train {train} --out tiny")).success();
    let parameters = scene.atlas("inspect tiny --json").json()["parameters"].clone();
    assert_eq!(parameters["longest"], 200);
}

#[test]
fn tokens_that_a_given_vocabulary_lacks_are_named_with_all_else_that_is_wrong() {
    let scene = Scene::new();
    scene.write(
        "p.json",
        r#"{ "vocabulary": ["<pad>", "<start>", "<end>", "C", "O"] }"#,
    );
    scene.write("some.smi", "CCO\nNCN\nCCCl\nClCN\nCC\n");
    let train = "train --data some.smi --params p.json --epochs 1 --out b";
    let error = scene
        .atlas(&format!("{train} --held-out 9 --lr -1"))
        .failure();
    for part in [
        "some.smi: the vocabulary lacks 2 tokens, which 3 of 5 rows have:\n      `Cl` in 2 rows, first \
         in line 3\n      `N` in 2 rows, first in line 2\n    (--skip-invalid leaves such rows out)",
        "9 cannot be held out",
        "`learning_rate` = -1.0",
    ] {
        assert!(error.contains(part), "{part}\n{error}");
    }
    assert!(!scene.path("b.run").exists());
    let tiny = Scene::TINY
        .replace("tiny.smi", "some.smi")
        .replace("--held-out 4", "--held-out 1");
    let train = format!("train {tiny} --params p.json --skip-invalid --out b");
    scene.atlas(&train).success();
}

#[test]
fn a_time_limit_picks_a_size_that_it_can_train_unless_the_command_does() {
    let scene = Scene::new();
    let train = "train --data tiny.smi --batch 24 --held-out 4 --max-minutes 0.004";
    let output = scene.atlas(&format!("{train} --out b"));
    let note = "the size of model that 0:00 can train: reader.hidden_size=128, reader.layers=1, \
                latent.size=64, writer.hidden_size=192, writer.layers=1; --set sets another";
    assert!(output.stderr.contains(note), "{}", output.stderr);
    output.success();
    let settings = |bundle: &str| {
        let inspected = scene.atlas(&format!("inspect {bundle} --json")).json();
        let note = &inspected["provenance"]["notes"]["training"];
        let rate = note["settings"]["train"]["learning_rate"].clone();
        (
            inspected["parameters"]["writer"]["hidden_size"].clone(),
            rate,
        )
    };
    assert_eq!(settings("b"), (192.into(), 3e-3.into()));
    // A run that goes on keeps it.
    let resumed = scene.atlas("train --resume --out b");
    assert!(
        !resumed.stderr.contains("the size of model"),
        "{}",
        resumed.stderr
    );
    resumed.success();
    let sized = format!("{train} --set writer.hidden_size=8 --set writer.layers=1");
    let output = scene.atlas(&format!("{sized} --lr 0.01 --out own"));
    assert!(
        !output.stderr.contains("the size of model"),
        "{}",
        output.stderr
    );
    output.success();
    assert_eq!(settings("own"), (8.into(), 0.01.into()));
}

#[test]
fn limits_that_leave_too_little_training_are_said() {
    let scene = Scene::new();
    let output = scene.atlas(&format!("train {} --out b", Scene::TINY));
    let note = "6 steps in all: hardly a model learns from so few; a larger --epochs gives more, or a \
                smaller --batch";
    assert!(output.stderr.contains(note), "{}", output.stderr);
    output.success();
    let output = scene.atlas(&format!("train {} --out c --max-minutes 1e-7", Scene::TINY));
    assert!(
        output.stderr.contains("0:00 are ") && output.stderr.contains(" % of an epoch, at about "),
        "{}",
        output.stderr
    );
    output.success();
}
