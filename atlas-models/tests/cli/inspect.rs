//! `inspect`, `verify` and `diff`.

use std::fs;

use serde_json::Value;

use crate::support::Scene;

#[test]
fn a_bundle_says_what_it_is() {
    let scene = Scene::trained();
    let json = scene.atlas("inspect bundle --json").json();
    assert_eq!(
        (&json["model"], &json["version"], &json["dtype"]),
        (&"gru-vae".into(), &1.into(), &"f32".into())
    );
    assert_eq!(
        (&json["parameters"]["latent_size"], &json["golden"]),
        (&6.into(), &true.into())
    );
    let networks = json["networks"].as_array().unwrap();
    let names: Vec<&str> = networks
        .iter()
        .map(|network| network["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["decoder", "embedding", "encoder"]);
    let file = scene.read("bundle/embedding.safetensors");
    assert_eq!(networks[1]["bytes"], file.len());
    let shape: Vec<u64> = networks[1]["tensors"][0]["shape"]
        .as_array()
        .unwrap()
        .iter()
        .map(|size| size.as_u64().unwrap())
        .collect();
    assert_eq!(networks[1]["elements"], shape.iter().product::<u64>());

    let text = scene.atlas("inspect bundle").success();
    for part in [
        "gru-vae version 1\n",
        json["digest"].as_str().unwrap(),
        "\nParameters\n",
        "\nNetworks\n",
        "\nProvenance\n",
        "\nTraining\n",
        "\nEpochs\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_whole_bundle_is_verified_and_a_damaged_one_named() {
    let scene = Scene::trained();
    let whole = scene.atlas("verify bundle --json").json();
    assert_eq!(
        (&whole["whole"], &whole["findings"]),
        (&true.into(), &Value::Array(Vec::new()))
    );
    assert!(
        scene
            .atlas("verify bundle")
            .success()
            .starts_with("bundle: whole: gru-vae version 1, 3 networks, ")
    );

    for network in ["decoder", "encoder"] {
        let path = scene.path(format!("bundle/{network}.safetensors"));
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let output = scene.atlas("verify bundle");
    assert_eq!(
        (output.code, output.stdout.lines().count()),
        (Some(1), 2),
        "{output:?}"
    );
    assert!(
        output
            .stdout
            .starts_with("bundle/decoder.safetensors is not as it was saved: "),
        "{output:?}"
    );
    let json: Value = serde_json::from_str(&scene.atlas("verify bundle --json").stdout).unwrap();
    assert_eq!(
        (&json["whole"], json["findings"].as_array().unwrap().len()),
        (&false.into(), 2)
    );
}

#[test]
fn two_bundles_differ_by_what_is_named() {
    let scene = Scene::trained();
    scene
        .atlas(&format!(
            "train {} --out other --set latent_size=8",
            Scene::TINY
        ))
        .success();
    let output = scene.atlas("diff bundle other --json");
    assert_eq!(output.code, Some(1));
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json["equal"], false);
    assert_eq!(json["model"], Value::Array(Vec::new()));
    assert_eq!(
        json["parameters"],
        serde_json::json!([{ "name": "latent_size", "a": 6, "b": 8 }])
    );
    let tensors = json["tensors"].as_array().unwrap();
    let mean = tensors
        .iter()
        .find(|tensor| tensor["name"] == "encoder/mean.bias")
        .unwrap();
    assert_eq!(
        (&mean["a"], &mean["b"]),
        (&"f32 [6]".into(), &"f32 [8]".into())
    );
    let text = scene.atlas("diff bundle other").stdout;
    assert!(text.contains("latent_size  6  8\n"), "{text}");

    let same = scene.atlas("diff bundle bundle --json").json();
    assert_eq!(same["equal"], true);
}
