//! `import`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Scene;

/// A model that PyTorch saved.
fn saved_by_pytorch() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/gru-vae")
}

/// A copy of it that can be damaged, as `old`.
fn scene() -> Scene {
    let scene = Scene::new();
    fs::create_dir(scene.path("old")).unwrap();
    for name in ["args.json", "embedding.pt", "encoder.pt", "decoder.pt"] {
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
        text.starts_with("bundle: gru-vae version 1, 3 networks, digest "),
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
    scene.write(
        "old/args.json",
        args.replace("\"latent_size\": 4", "\"latent_size\": 5"),
    );
    let error = scene.atlas(IMPORT).failure();
    for part in [
        "encoder/mean.weight",
        "encoder/log_variance.bias",
        "decoder/hidden.weight",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!scene.path("bundle").exists());

    scene.write("old/args.json", args.replace("latent_size", "latent_sise"));
    let error = scene.atlas(IMPORT).failure();
    assert!(
        error.contains("args.json") && error.contains("did you mean `latent_size`?"),
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
        .failure();
    assert!(error.contains("did you mean `gru-vae`?"), "{error}");
}
