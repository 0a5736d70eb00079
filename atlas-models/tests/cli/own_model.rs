//! Users' programs with models of their own: `examples/own_model.rs` and `examples/any_model.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

use crate::support::{MOLECULES, Output, Scene};

/// An example as a program. `cargo test` builds the examples, `cargo test --test cli` does not.
fn program(name: &str) -> PathBuf {
    // One build at a time.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _building = BUILDING.lock();
    let atlas = Path::new(env!("CARGO_BIN_EXE_atlas"));
    let folder = atlas.parent().unwrap();
    let program = folder.join("examples").join(name);
    let age = |path: &Path| {
        path.metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    if age(&program) < age(&examples.join(format!("{name}.rs"))) {
        let profile = folder.file_name().unwrap().to_str().unwrap();
        let profile = if profile == "debug" { "dev" } else { profile };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--package", "atlas-models", "--example", name])
            .args(["--profile", profile])
            .arg("--target-dir")
            .arg(folder.parent().unwrap())
            .status();
        assert!(built.unwrap().success());
    }
    program
}

fn run(scene: &Scene, arguments: &str) -> Output {
    scene.run(&program("own_model"), arguments, "")
}

const TRAIN: &str = "train --model token-bag --data tiny.smi --epochs 1 --batch 8 --held-out 4";

#[test]
fn every_command_knows_the_programs_own_model() {
    let scene = Scene::new();
    let models = run(&scene, "models --json").json();
    let default_of = |name: &str| {
        let mut models = models.as_array().unwrap().iter();
        models.find(|model| model["name"] == name).unwrap()["default"].clone()
    };
    assert_eq!(default_of("token-bag"), false);
    assert_eq!(default_of("gru-vae"), true);

    let trained = run(&scene, &format!("{TRAIN} --out bundle --json")).json();
    assert_eq!(
        (&trained["model"], &trained["steps"]),
        (&"token-bag".into(), &3.into())
    );
    let inspected = run(&scene, "inspect bundle --json").json();
    assert_eq!(
        (&inspected["model"], &inspected["digest"]),
        (&"token-bag".into(), &trained["digest"])
    );
    let verified = run(&scene, "verify bundle --json").json();
    assert_eq!(
        (&verified["whole"], &verified["behaviour"]),
        (&true.into(), &true.into())
    );
    let latents = run(&scene, "encode bundle -i tiny.smi").success();
    assert_eq!(latents.lines().count(), 1 + MOLECULES.len());
    assert_eq!(latents.lines().next().unwrap().split(',').count(), 3 + 16);

    let searched = run(
        &scene,
        "evaluate bundle --samples 0 --interpolations 0 --beam 2",
    );
    let error = searched.failure();
    assert!(error.contains("the model has no beam search"), "{error}");

    // `atlas` itself does not have the model.
    let verified = scene.atlas("verify bundle --json").json();
    assert_eq!(verified["behaviour"], false);
    let error = scene.atlas("encode bundle -i tiny.smi").failure();
    assert!(error.contains("`token-bag`"), "{error}");
}

#[test]
fn the_programs_own_model_learns() {
    let scene = Scene::new();
    let loss = |epochs: usize| {
        let train = TRAIN.replace("--epochs 1", &format!("--epochs {epochs}"));
        let out = format!("after-{epochs}");
        let summary: Value = run(&scene, &format!("{train} --lr 0.05 --out {out} --json")).json();
        summary["loss"].as_f64().unwrap()
    };
    let (first, last) = (loss(1), loss(60));
    assert!(last < 0.2 * first, "{first} {last}");
}

#[test]
fn a_program_without_molecules_has_the_commands_that_need_none() {
    let scene = Scene::trained();
    let run = |arguments: &str| scene.run(&program("any_model"), arguments, "");
    let models = run("models --json").json();
    assert_eq!(models[0]["name"], "iris");
    let params = run("params iris --json").json();
    assert_eq!(params["parameters"][0]["name"], "species");
    let inspected = run("inspect bundle --json").json();
    assert_eq!(inspected["model"], "gru-vae");
    let verified = run("verify bundle --json").json();
    assert_eq!(
        (&verified["whole"], &verified["behaviour"]),
        (&true.into(), &false.into())
    );
    assert!(
        run("diff bundle bundle")
            .success()
            .starts_with("the same model")
    );
    assert_eq!(run("encode bundle").code, Some(2));
}
