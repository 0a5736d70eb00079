//! `import`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use atlas_core::Bundle;
use serde_json::{Value, json};

use crate::support::Scene;

/// A model that PyTorch saved.
fn saved_by_pytorch() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/gru-vae")
}

/// A copy of it that can be damaged, as `old`.
fn scene() -> Scene {
    let scene = Scene::new();
    fs::create_dir(scene.path("old")).unwrap();
    for name in ["args.json", "encoder.pt", "decoder.pt"] {
        fs::copy(
            saved_by_pytorch().join(name),
            scene.path(Path::new("old").join(name)),
        )
        .unwrap();
    }
    scene
}

const IMPORT: &str = "import old --model gru-vae --out bundle";

#[test]
fn a_model_of_the_python_system_becomes_a_bundle() {
    let scene = scene();
    let printed = scene.atlas(&format!("{IMPORT} --json")).json();
    let inspected = scene.atlas("inspect bundle --json").json();
    assert_eq!(printed["digest"], inspected["digest"]);
    assert_eq!(printed["bundle"], "bundle");
    assert_eq!(
        printed["files"],
        inspected["provenance"]["notes"]["imported"]["files"]
    );
    let source = scene.read("old/encoder.pt");
    assert_eq!(printed["files"]["encoder.pt"]["bytes"], source.len());
    scene.atlas("verify bundle").success();

    scene.write("in.smi", "CC(=O)N\nBrCCBr\n");
    let latents = scene.atlas("encode bundle -i in.smi").success();
    assert_eq!(latents.lines().count(), 3);

    // A bundle that is there is replaced; the text names it and its digest.
    let text = scene.atlas(IMPORT).success();
    assert!(
        text.starts_with("bundle: gru-vae version 2, 3 networks, digest "),
        "{text}"
    );
    assert!(
        text.trim_end()
            .ends_with(inspected["digest"].as_str().unwrap())
    );
}

#[test]
fn everything_that_does_not_fit_is_listed_and_nothing_is_saved() {
    let scene = scene();
    let args = String::from_utf8(scene.read("old/args.json")).unwrap();
    scene.write("old/args.json", args.replace("\"size\": 4", "\"size\": 5"));
    let error = scene.atlas(IMPORT).failure();
    for part in [
        "encoder/mean.weight",
        "encoder/log_variance.bias",
        "decoder/hidden.weight",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!scene.path("bundle").exists());

    scene.write("old/args.json", args.replace("\"size\"", "\"sise\""));
    let error = scene.atlas(IMPORT).failure();
    assert!(
        error.contains("args.json") && error.contains("did you mean `size`?"),
        "{error}"
    );

    scene.write("old/args.json", &args);
    fs::remove_file(scene.path("old/decoder.pt")).unwrap();
    scene.write("old/critic.pt", "");
    let error = scene.atlas(IMPORT).failure();
    assert!(
        error.contains("`decoder.pt`: missing") && error.contains("`critic.pt`"),
        "{error}"
    );
}

#[test]
fn what_is_no_bundle_is_not_overwritten() {
    let scene = scene();
    fs::create_dir(scene.path("bundle")).unwrap();
    scene.write("bundle/thesis.tex", "years of work");
    let error = scene.atlas(IMPORT).failure();
    assert!(error.contains("not a bundle"), "{error}");
    assert_eq!(scene.read("bundle/thesis.tex"), b"years of work");
}

#[test]
fn an_unknown_model_is_named() {
    let error = scene()
        .atlas("import old --model gru-vea --out bundle")
        .wrong_usage();
    assert!(error.contains("did you mean `gru-vae`?"), "{error}");
}

/// The same model in `net.safetensors`, with names that `map.json` maps and its parameters in
/// `params.json`.
fn mapped_scene() -> Scene {
    let scene = scene();
    scene.atlas(IMPORT).success();
    let snapshot = Bundle::open(scene.path("bundle"))
        .unwrap()
        .snapshot()
        .unwrap();
    let mut tensors = HashMap::new();
    for (network, named) in snapshot.networks {
        for (name, tensor) in named {
            let tensor = if name == "mean.weight" {
                tensor.t().unwrap()
            } else {
                tensor
            };
            tensors.insert(format!("model.{network}.{name}"), tensor);
        }
    }
    candle_core::safetensors::save(&tensors, scene.path("net.safetensors")).unwrap();
    scene.write("params.json", Value::Object(snapshot.params).to_string());
    let rules = json!([
        { "from": "model.*.mean.weight", "to": "*/mean.weight", "transpose": true },
        { "from": "model.*.*", "to": "*/*" },
    ]);
    scene.write("map.json", rules.to_string());
    scene
}

const MAPPED: &str =
    "import net.safetensors --map map.json --params params.json --model gru-vae --out mapped";

#[test]
fn weights_that_a_mapping_names_become_the_same_bundle() {
    let scene = mapped_scene();
    let printed = scene.atlas(&format!("{MAPPED} --json")).json();
    let inspected = scene.atlas("inspect bundle --json").json();
    assert_eq!(printed["digest"], inspected["digest"]);
    let source = scene.read("net.safetensors");
    assert_eq!(printed["files"]["net.safetensors"]["bytes"], source.len());
    let inspected = scene.atlas("inspect mapped --json").json();
    let note = &inspected["provenance"]["notes"]["imported"];
    assert_eq!(note["mapping"][1]["to"], "*/*");
    scene.atlas("verify mapped").success();
}

#[test]
fn parameters_on_the_command_line_come_after_those_of_the_file() {
    let scene = mapped_scene();
    scene
        .atlas(&format!("{MAPPED} --set writer.dropout=0.25"))
        .success();
    let inspected = scene.atlas("inspect mapped --json").json();
    assert_eq!(inspected["parameters"]["writer"]["dropout"], 0.25);
    assert_eq!(inspected["parameters"]["latent"]["size"], 4);
}

#[test]
fn what_is_wrong_with_parameters_and_with_the_mapping_is_listed_at_once() {
    let scene = mapped_scene();
    let rules = json!([
        { "from": "model.encoder.*", "to": "encodr/*" },
        { "from": "model.decoder.*", "to": "decoder/*" },
        { "from": "ema.*", "ignore": true },
    ]);
    scene.write("map.json", rules.to_string());
    let error = scene
        .atlas(&format!("{MAPPED} --set latent.sise=5"))
        .failure();
    for part in [
        "nothing was imported: 2 problems",
        "did you mean `size`?",
        "cannot import net.safetensors: 3 problems",
        "`model.prior.weights.values` = F32 [1]: no rule matches it",
        "did you mean `encoder`?",
        "`ema.*`: it matches no tensor",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!scene.path("mapped").exists());
}

#[test]
fn a_mapping_that_is_malformed_is_refused_with_its_file_and_place() {
    let scene = mapped_scene();
    scene.write("map.json", "[{ \"form\": \"*\" }]");
    let error = scene.atlas(MAPPED).failure();
    assert!(
        error.contains("--map map.json: unknown field `form`"),
        "{error}"
    );
    assert!(error.contains("line 1 column "), "{error}");
}

#[test]
fn tensors_that_the_model_does_not_ask_for_are_refused() {
    let scene = mapped_scene();
    let error = scene
        .atlas(&format!("{MAPPED} --set latent.size=5"))
        .failure();
    assert!(
        error.contains("net.safetensors: it does not hold"),
        "{error}"
    );
    assert!(error.contains("encoder/mean.weight"), "{error}");
    assert!(!scene.path("mapped").exists());
}

#[test]
fn parameters_without_a_mapping_are_wrong_usage() {
    let scene = scene();
    for given in ["--set latent.size=4", "--params params.json"] {
        let output = scene.atlas(&format!("{IMPORT} {given}"));
        assert_eq!(output.code, Some(2), "{given}");
    }
}
