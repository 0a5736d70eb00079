//! Atlas and PyTorch: what one writes, the other reads, and computes the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use atlas_core::prelude::*;
use atlas_core::{Bundle, torch};
use atlas_models::chem::{Notation, Smiles, Vocabulary};
use atlas_models::models;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What f32 rounds away in a few dozen steps, as a share of the largest element.
const ROUNDING: f64 = 1e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// A Python that has PyTorch: `ATLAS_PYTHON`, or `python3`.
fn python() -> Option<String> {
    let python = std::env::var("ATLAS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_torch = Command::new(&python)
        .args(["-c", "import torch, numpy, safetensors.torch"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_torch {
        eprintln!(
            "skipped: {python} has no torch, numpy and safetensors; ATLAS_PYTHON may name one that has"
        );
    }
    has_torch.then_some(python)
}

/// What the module in PyTorch computes from the bundle's tensors and golden inputs, compared with
/// the golden outputs.
fn compared(python: &str, bundle: &Path) -> Value {
    let output = Command::new(python)
        .arg(folder().join("gru_vae.py"))
        .arg("check")
        .arg(bundle)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Of the golden molecules this spells all, so that latents and logits cover every token.
fn vocabulary() -> Vec<String> {
    let corpus = [
        "c1ccncc1C(F)(F)F",
        "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
        "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
        "C[C@@H](N)C(=O)O",
        "O=S(=O)(N1CCOCC1)c1ccc(Br)cc1",
        "Clc1ccc2[nH]ccc2c1",
        "C#CCN",
        "C[N+](C)(C)CC(=O)[O-]",
    ]
    .map(|text| Smiles::parse(text).unwrap());
    Vocabulary::build(Notation::Atoms, &corpus)
        .unwrap()
        .tokens()
        .to_vec()
}

#[test]
fn a_pytorch_module_loads_every_network_and_computes_the_same() {
    let Some(python) = python() else { return };
    for overrides in [
        json!({
            "reader": { "hidden_size": 24 }, "latent": { "size": 8 },
            "writer": { "hidden_size": 20, "layers": 1 },
        }),
        json!({
            "reader": { "layers": 2, "hidden_size": 33, "embedding_size": 7 },
            "writer": { "hidden_size": 17, "embedding_size": 9 },
        }),
    ] {
        let mut overrides = overrides;
        overrides["vocabulary"] = vocabulary().into();
        let options = CreateOptions::new().seed(7);
        let model = models::registry()
            .create("gru-vae", &overrides, options)
            .unwrap();
        let folder = TempDir::new().unwrap();
        let bundle = folder.path().join("bundle");
        model.snapshot().unwrap().save(&bundle).unwrap();
        let compared = compared(&python, &bundle);
        eprintln!("differences from PyTorch: {compared}");
        assert_eq!(compared["molecules"], 12);
        for output in ["latents", "logits"] {
            let [difference, magnitude] = ["difference", "magnitude"]
                .map(|member| compared[output][member].as_f64().unwrap());
            assert!(difference <= ROUNDING * magnitude, "{output}: {compared}");
            assert!(magnitude > 0.0, "{output} is zero");
        }
    }
}

#[test]
fn a_model_that_pytorch_saved_is_imported_and_computes_the_same() {
    let source = folder().join("gru-vae");
    let registry = models::registry();
    let known = registry.model("gru-vae").unwrap();
    let networks = ["encoder", "decoder"];
    let mut snapshot = torch::read(&source, known.name(), known.version(), &networks).unwrap();
    models::add_standard_prior(&mut snapshot).unwrap();
    let options = LoadOptions::new().golden(false);
    let model = registry.from_snapshot(snapshot, &options).unwrap();
    let args: Value =
        serde_json::from_slice(&std::fs::read(source.join("args.json")).unwrap()).unwrap();
    assert_eq!(model.params_json(), args);

    let latents = std::fs::read(folder().join("gru-vae.json")).unwrap();
    let latents: serde_json::Map<String, Value> = serde_json::from_slice(&latents).unwrap();
    let molecules: Vec<Smiles> = latents
        .keys()
        .map(|text| Smiles::parse(text).unwrap())
        .collect();
    let computed = model.encode(&molecules).unwrap().to_vec2::<f32>().unwrap();
    for (computed, expected) in computed.iter().zip(latents.values()) {
        let expected: Vec<f32> = serde_json::from_value(expected.clone()).unwrap();
        assert_eq!(computed.len(), expected.len());
        for (computed, expected) in computed.iter().zip(expected) {
            assert!((computed - expected).abs() < 1e-6, "{computed} {expected}");
        }
    }

    let target = TempDir::new().unwrap();
    let bundle = target.path().join("bundle");
    model.snapshot().unwrap().save(&bundle).unwrap();
    let loaded = registry.load(&bundle).unwrap();
    assert_eq!(loaded.digest().unwrap(), model.digest().unwrap());
    let opened = Bundle::open(&bundle).unwrap();
    assert_eq!(opened.digest(), model.digest().unwrap());
    assert_eq!(opened.provenance().seed(), None);
}
