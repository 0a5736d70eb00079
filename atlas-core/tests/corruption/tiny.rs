//! The model whose bundle is damaged and forged.

use std::fs;
use std::path::{Path, PathBuf};

use atlas_core::prelude::*;
use atlas_core::{Bundle, Checkpoint};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};
use tempfile::TempDir;

use super::allocations;

#[derive(AtlasModel)]
#[atlas(golden)]
pub struct Tiny {
    #[param(default = 1, min = 1)]
    pub width: usize,
    #[param(default = 1)]
    layers: usize,
    #[param(default = 0.5)]
    scale: f64,
    #[network(with = build)]
    net: Vec<Linear>,
}

fn build(params: &TinyParams, vb: VarBuilder) -> candle_core::Result<Vec<Linear>> {
    (0..params.layers)
        .map(|layer| linear(params.width, params.width, vb.pp(layer)))
        .collect()
}

impl Golden for Tiny {
    fn golden_inputs(&self) -> Result<GoldenInputs> {
        let ones = Tensor::ones((1, self.width), DType::F32, &Device::Cpu)?;
        Ok(GoldenInputs::texts(["C"]).with_tensor("ones", ones))
    }

    fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        let ones = inputs.tensor("ones").ok_or_else(|| Error::new("no ones"))?;
        let output = self
            .net
            .iter()
            .try_fold(ones.clone(), |hidden, layer| layer.forward(&hidden))?;
        Ok(vec![("output".to_owned(), (output * self.scale)?)])
    }
}

pub fn saved() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tiny");
    Tiny::create_with(TinyParams::default(), CreateOptions::new().seed(7))
        .unwrap()
        .save(&path)
        .unwrap();
    (folder, path)
}

/// The same, with the state of training.
pub fn saved_checkpoint() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tiny");
    let moments = Tensor::new(&[0.5_f32, -0.25], &Device::Cpu).unwrap();
    let checkpoint = Checkpoint::new()
        .with_value("step", 3.into())
        .with_tensor("moments", moments);
    let model = Tiny::create_with(TinyParams::default(), CreateOptions::new().seed(7)).unwrap();
    let mut snapshot = model.snapshot().unwrap();
    snapshot.checkpoint = Some(checkpoint);
    snapshot.save(&path).unwrap();
    (folder, path)
}

pub const FILES: [&str; 3] = ["atlas.json", "golden.safetensors", "net.safetensors"];

/// The files of a bundle with the state of training.
pub const CHECKPOINT_FILES: [&str; 4] = [
    "atlas.json",
    "checkpoint.safetensors",
    "golden.safetensors",
    "net.safetensors",
];

/// An error from the untyped check.
#[track_caller]
pub fn untyped_refusal(path: &Path) -> Error {
    match Bundle::open(path).and_then(|bundle| bundle.verify()) {
        Ok(()) => panic!("the untyped check found nothing"),
        Err(error) => error,
    }
}

/// An error from the load, and from the untyped check.
#[track_caller]
pub fn refusal(path: &Path) -> Error {
    let untyped = Bundle::open(path).and_then(|bundle| bundle.verify());
    assert!(untyped.is_err(), "the untyped check found nothing");
    typed_refusal(path)
}

/// The error from the load, which takes little memory until it is found.
#[track_caller]
pub fn typed_refusal(path: &Path) -> Error {
    let manifest = fs::metadata(path.join("atlas.json")).map_or(0, |metadata| metadata.len());
    let (error, peak) = measured_refusal(path);
    let bearable = (1 << 20) + 3 * manifest;
    assert!(peak < bearable, "{peak} bytes were allocated: {error}");
    error
}

/// The error from the load, and the most bytes that were allocated at once.
#[track_caller]
pub fn measured_refusal(path: &Path) -> (Error, u64) {
    let (result, peak) = allocations::peak(|| Tiny::load(path).map(drop));
    match result {
        Ok(()) => panic!("{} was loaded", path.display()),
        Err(error) => (error, peak),
    }
}

/// Changes the manifest as somebody would who can hash.
pub fn forge(path: &Path, edit: impl FnOnce(String) -> String) {
    let file = path.join("atlas.json");
    let text = edit(fs::read_to_string(&file).unwrap());
    let (_, rest) = text.split_once("  \"content\": ").unwrap();
    let (content, rest) = rest.split_once(",\n  \"digest\": \"").unwrap();
    let (digest, _) = rest.split_once('"').unwrap();
    let text = text.replace(digest, blake3::hash(content.as_bytes()).to_hex().as_str());
    let (head, _) = text.rsplit_once("  \"checksum\"").unwrap();
    let checksum = blake3::hash(head.as_bytes()).to_hex();
    fs::write(&file, format!("{head}  \"checksum\": \"{checksum}\"\n}}\n")).unwrap();
}

/// The message of the refusal after the manifest was forged, without the path.
#[track_caller]
pub fn forged(edit: impl FnOnce(String) -> String) -> String {
    let (_folder, path) = saved();
    forge(&path, edit);
    let message = typed_refusal(&path).to_string();
    message.replace(&path.display().to_string(), "BUNDLE")
}

pub fn replaced(from: &str, to: &str) -> String {
    forged(|text| {
        assert!(text.contains(from), "{from} is not in {text}");
        text.replacen(from, to, 1)
    })
}
