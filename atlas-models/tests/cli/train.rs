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
            "train {} --out b --seed 9 --lr 0.02 --weight kl=0.2 --freeze embedding",
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
        serde_json::json!({ "kl": 0.2 })
    );
    assert_eq!(note["settings"]["frozen"], serde_json::json!(["embedding"]));
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
    train("one", "--freeze embedding");
    train("two", "--freeze embedding --lr 0.05");
    train("three", "--lr 0.05");
    let differing = |a: &str, b: &str| {
        let output = scene.atlas(&format!("diff {a} {b} --json"));
        let json: Value = serde_json::from_str(&output.stdout).unwrap();
        let tensors = json["tensors"].as_array().unwrap().clone();
        tensors
            .iter()
            .any(|tensor| tensor["name"] == "embedding/weight")
    };
    assert!(!differing("one", "two"));
    assert!(differing("two", "three"));
}

#[test]
fn parameters_come_from_the_file_and_then_from_the_command_line() {
    let scene = Scene::new();
    scene.write(
        "p.json",
        r#"{ "latent_size": 5, "dropout": 0.25, "decoder_layers": 2 }"#,
    );
    scene
        .atlas("train --data tiny.smi --epochs 1 --out b --params p.json --set latent_size=7")
        .success();
    let parameters = scene.atlas("inspect b --json").json()["parameters"].clone();
    assert_eq!(
        (&parameters["latent_size"], &parameters["dropout"]),
        (&7.into(), &0.25.into())
    );
    assert_eq!(
        (
            &parameters["decoder_layers"],
            &parameters["decoder_hidden_size"]
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
