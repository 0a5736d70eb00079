//! `train --from`: starting from the weights of another bundle.

use crate::support::Scene;

/// Trains further, a little.
const ON: &str = "--data tiny.smi --epochs 1 --batch 8 --held-out 4";

#[test]
fn a_run_starts_from_all_of_a_bundle_with_its_parameters() {
    let scene = Scene::trained();
    scene
        .atlas(&format!(
            "train {ON} --from bundle --out on --lr 1e-9 --seed 5"
        ))
        .success();
    let (before, after) = (
        scene.atlas("inspect bundle --json").json(),
        scene.atlas("inspect on --json").json(),
    );
    assert_eq!(after["parameters"], before["parameters"]);
    let note = &after["provenance"]["notes"]["started_from"];
    assert_eq!(note["digest"], before["digest"]);
    assert_eq!(note["taken"].as_array().unwrap().len(), 3);
    assert_eq!(note["fresh"].as_array().unwrap().len(), 0);
    // At such a rate hardly anything moves.
    let differences = scene.atlas("diff bundle on --json");
    assert_eq!(differences.code, Some(1));
    let differences: serde_json::Value = serde_json::from_str(&differences.stdout).unwrap();
    for row in differences["differences"].as_array().unwrap_or(&Vec::new()) {
        let distance = row["largest_distance"].as_f64();
        assert!(distance.is_none_or(|distance| distance < 1e-6), "{row}");
    }
}

#[test]
fn a_run_starts_from_one_network_of_a_bundle() {
    let scene = Scene::trained();
    scene
        .atlas(&format!(
            "train {ON} --from bundle --take encoder --take embedding --freeze encoder --out on"
        ))
        .success();
    let (before, after) = (
        scene.atlas("inspect bundle --json").json(),
        scene.atlas("inspect on --json").json(),
    );
    let file = |bundle: &serde_json::Value, name: &str| {
        let mut networks = bundle["networks"].as_array().unwrap().iter();
        networks.find(|network| network["name"] == name).unwrap()["blake3"].clone()
    };
    assert_eq!(file(&after, "encoder"), file(&before, "encoder"));
    assert_ne!(file(&after, "decoder"), file(&before, "decoder"));
    let note = &after["provenance"]["notes"]["started_from"];
    assert_eq!(note["fresh"], serde_json::json!(["decoder"]));
    assert_eq!(
        after["provenance"]["notes"]["frozen"],
        serde_json::json!(["encoder"])
    );
}

#[test]
fn what_does_not_fit_is_said_before_training() {
    let scene = Scene::trained();
    let error = scene
        .atlas(&format!(
            "train {ON} --from bundle --set latent_size=7 --out on"
        ))
        .failure();
    assert!(
        error.contains("--from bundle:")
            && error.contains("`encoder/mean.bias`: the model has F32 [7]; F32 [6] there"),
        "{error}"
    );
    let error = scene
        .atlas(&format!("train {ON} --from bundle --take encodr --out on"))
        .failure();
    assert!(
        error.contains("`encodr`: the model has no such network"),
        "{error}"
    );
    let error = scene
        .atlas(&format!("train {ON} --from absent --out on"))
        .failure();
    assert!(error.contains("absent"), "{error}");
    assert_eq!(scene.atlas("train --take encoder").code, Some(2));
    // Its vocabulary is taken, too: what it does not know is named.
    scene.write("tiny.smi", "CCO\nCCI\nCCC\nCCCC\nCCCCC\nCCCCCC\n");
    let error = scene
        .atlas(&format!("train {ON} --from bundle --out on"))
        .failure();
    assert!(
        error.contains("tiny.smi:2") && error.contains("`I`"),
        "{error}"
    );
}

#[test]
fn a_resumed_run_goes_on_from_what_it_was_begun_from() {
    let scene = Scene::trained();
    let command = format!("train {ON} --from bundle --take encoder --take embedding --out on");
    scene.atlas(&command).success();
    let digest = |scene: &Scene| scene.atlas("inspect on --json").json()["digest"].clone();
    let ended = digest(&scene);
    scene.atlas(&format!("{command} --resume")).success();
    assert_eq!(digest(&scene), ended);
    let other =
        "train --data tiny.smi --epochs 1 --batch 8 --held-out 4 --from on --out on --resume";
    let error = scene.atlas(other).failure();
    assert!(
        error.contains("--from on: the run was not begun from this bundle"),
        "{error}"
    );
    let error = scene
        .atlas(&format!(
            "train {ON} --from bundle --take decoder --out on --resume"
        ))
        .failure();
    assert!(
        error.contains("--take: the run was begun with embedding, encoder"),
        "{error}"
    );
    let error = scene
        .atlas(&format!("train {ON} --from bundle --out bundle"))
        .failure();
    assert!(
        error.contains("a run cannot replace what it starts from"),
        "{error}"
    );
}
