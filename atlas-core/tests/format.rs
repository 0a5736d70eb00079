//! FORMAT.md says what is written, and what was written stays readable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use atlas_core::Bundle;
use atlas_core::prelude::*;
use candle_core::{DType, Tensor};
use candle_nn::{Init, VarBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

#[derive(Choice, Clone, Copy, Debug, PartialEq)]
enum Cell {
    Gru,
    Lstm,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Layer {
    #[param(default = 64)]
    width: usize,
    #[param(default = 0.1)]
    dropout: f32,
}

/// A model of everything that a bundle can hold.
#[expect(dead_code, reason = "networks are built here, and not all are run")]
#[derive(AtlasModel)]
#[atlas(name = "fixture", golden)]
struct Fixture {
    #[param(default = u64::MAX)]
    largest: u64,
    #[param(default = i128::MIN.to_string())]
    least: String,
    #[param(default = vec![0.1, 20.0, -0.0, 1e16, 1.5e-6, 5e-324])]
    floats: Vec<f64>,
    #[param(default = "quote \" backslash \\ line \n bell \u{7} é 漢 🧪")]
    text: String,
    #[param(default = None)]
    none: Option<u8>,
    #[param(default = Cell::Lstm)]
    cell: Cell,
    #[param(default = vec![Layer { width: 1, dropout: 0.1 }, Layer { width: 2, dropout: 1e-7 }], nested)]
    layers: Vec<Layer>,
    #[network(with = weights)]
    weights: Vec<Tensor>,
    #[network(with = table)]
    a_table: Tensor,
}

const DTYPES: [DType; 9] = [
    DType::U8,
    DType::U32,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::BF16,
    DType::F16,
    DType::F32,
    DType::F64,
];

fn weights(_: &FixtureParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
    let constants = DTYPES.iter().map(|dtype| {
        vb.get_with_hints_dtype((2, 3), &format!("{dtype:?}"), Init::Const(3.0), *dtype)
    });
    let floats = [DType::F64, DType::F32, DType::F16, DType::BF16]
        .iter()
        .map(|dtype| {
            let normal = Init::Randn {
                mean: 0.0,
                stdev: 1.0,
            };
            vb.get_with_hints_dtype(5, &format!("normal.\"{dtype:?}\""), normal, *dtype)
        });
    constants.chain(floats).collect()
}

fn table(_: &FixtureParams, vb: VarBuilder) -> candle_core::Result<Tensor> {
    vb.get_with_hints((4, 1, 2), "é.table", Init::Uniform { lo: -1.0, up: 1.0 })
}

impl Golden for Fixture {
    fn golden_inputs(&self) -> Result<GoldenInputs> {
        let scale = Tensor::new(&[2.0_f32], self.a_table.device())?;
        Ok(GoldenInputs::texts(["C", "漢"]).with_tensor("scale", scale))
    }

    fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        let scale = inputs
            .tensor("scale")
            .ok_or_else(|| Error::new("no scale"))?;
        let length = inputs.as_texts().iter().map(String::len).sum::<usize>() as f64;
        Ok(vec![(
            "scaled".to_owned(),
            (self.a_table.broadcast_mul(scale)? * length)?,
        )])
    }
}

fn fixture() -> Model<Fixture> {
    let mut model =
        Fixture::create_with(FixtureParams::default(), CreateOptions::new().seed(7)).unwrap();
    model.provenance_mut().note(
        "training",
        json!({ "losses": [3, 0.5, 1e-7], "data": { "name": "zinc" } }),
    );
    model
}

fn fixture_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

const DIGEST: &str = "a90b75818d2533b89de632afb7659e172638bac4441da210440d26c52750a788";

/// Not a test: it wrote what the tests read.
#[test]
#[ignore = "writes the fixture of format 1, which never changes"]
fn write_the_fixture_of_format_1() {
    fixture().save(fixture_path()).unwrap();
    println!("{}", fixture().digest().unwrap());
}

#[test]
fn a_bundle_of_format_1_loads_for_ever() {
    let loaded = Fixture::load(fixture_path()).unwrap();
    assert_eq!(loaded.params(), &FixtureParams::default());
    assert_eq!(loaded.digest().unwrap(), DIGEST);
    assert_eq!(Bundle::open(fixture_path()).unwrap().digest(), DIGEST);
    assert_eq!(
        loaded.provenance().notes()["training"]["losses"],
        json!([3, 0.5, 1e-7])
    );
}

#[test]
fn the_same_model_is_written_as_the_same_bytes_for_ever() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fixture");
    fixture().save(&path).unwrap();
    for file in ["a_table.safetensors", "weights.safetensors"] {
        assert_eq!(
            fs::read(path.join(file)).unwrap(),
            fs::read(fixture_path().join(file)).unwrap(),
            "{file}"
        );
    }
    let content = |path: PathBuf| {
        let text = fs::read_to_string(path.join("atlas.json")).unwrap();
        text.split_once(",\n  \"golden\": ").unwrap().0.to_owned()
    };
    assert_eq!(content(path), content(fixture_path()));
}

/// The example of FORMAT.md.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Mlp {
    #[param(default = 1e-5)]
    epsilon: f64,
    #[param(default = 3)]
    hidden_size: usize,
    #[network(with = net)]
    net: Tensor,
}

fn net(params: &MlpParams, vb: VarBuilder) -> candle_core::Result<Tensor> {
    vb.get(params.hidden_size, "weight")
}

/// The text of the nth block of JSON in FORMAT.md.
fn example(index: usize) -> &'static str {
    let block = include_str!("../FORMAT.md")
        .split("```json\n")
        .nth(index + 1)
        .unwrap();
    block.split("```").next().unwrap()
}

#[test]
fn the_examples_of_the_format_are_bundles() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mlp");
    let model = Mlp::create_with(MlpParams::default(), CreateOptions::new().seed(7)).unwrap();
    model.save(&path).unwrap();

    let header = fs::read(path.join("net.safetensors")).unwrap();
    assert_eq!(&header[8..68], example(1).trim_end().as_bytes());

    fs::write(path.join("atlas.json"), example(0)).unwrap();
    let loaded = Mlp::load(&path).unwrap();
    assert_eq!(loaded.digest().unwrap(), model.digest().unwrap());
    assert_eq!(
        (loaded.epsilon, loaded.hidden_size, loaded.net.dims()),
        (1e-5, 3, &[3][..])
    );
    assert_eq!(loaded.provenance().created(), "2026-01-31T12:00:00Z");
}

/// A Python that has numpy: `ATLAS_PYTHON`, or `python3`.
fn python() -> Option<String> {
    let python = std::env::var("ATLAS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_numpy = Command::new(&python)
        .args(["-c", "import numpy"])
        .output()
        .is_ok_and(|output| output.status.success());
    has_numpy.then_some(python)
}

#[test]
fn a_reader_in_python_reads_the_same() {
    let Some(python) = python() else {
        eprintln!("skipped: there is no Python with numpy; ATLAS_PYTHON may name one");
        return;
    };
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/bundle/read_bundle.py");
    let output = Command::new(python)
        .arg(reader)
        .arg(fixture_path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    eprintln!("digests checked in Python: {}", read["checked"]);
    assert_eq!(read["digest"], DIGEST);
    let bundle = Bundle::open(fixture_path()).unwrap();
    assert_eq!(read["params"], bundle.params());
    let mut tensors = 0;
    for network in bundle.networks() {
        let values = bundle.tensors(network.name()).unwrap();
        for stored in network.tensors() {
            let tensor = values[stored.name].to_dtype(DType::F64).unwrap();
            let sum = tensor
                .flatten_all()
                .unwrap()
                .to_vec1::<f64>()
                .unwrap()
                .iter()
                .sum::<f64>();
            let name = format!("{}/{}", network.name(), stored.name);
            let found = read["sums"][&name].as_f64().unwrap();
            assert!((sum - found).abs() < 1e-12, "{name}: {sum} and {found}");
            tensors += 1;
        }
    }
    assert_eq!(read["sums"].as_object().unwrap().len(), tensors);
}
