//! What a load gives back, and what it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use atlas_core::Bundle;
use atlas_core::prelude::*;
use candle_core::{D, DType, Device, Tensor};
use candle_nn::{Init, Linear, Module, VarBuilder, linear};
use serde_json::json;
use tempfile::TempDir;

/// Two networks, one of them with tensors of several dtypes.
#[derive(AtlasModel)]
#[atlas(unchecked, name = "mlp")]
struct Mlp {
    #[param(default = 4, min = 1)]
    input_size: usize,
    #[param(default = 3, min = 1)]
    hidden_size: usize,
    #[param(default = 1e-5)]
    epsilon: f32,
    #[network(with = build_net)]
    net: Linear,
    #[network(with = build_table)]
    table: Vec<Tensor>,
}

fn build_net(params: &MlpParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.input_size, params.hidden_size, vb)
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

fn build_table(params: &MlpParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
    DTYPES
        .iter()
        .map(|dtype| {
            let shape = (params.hidden_size, 2);
            vb.get_with_hints_dtype(shape, &format!("{dtype:?}"), Init::Const(3.0), *dtype)
        })
        .collect()
}

impl Mlp {
    fn forward(&self, inputs: &Tensor) -> candle_core::Result<Tensor> {
        self.net.forward(inputs)?.relu()?.sum(D::Minus1)
    }
}

fn mlp() -> Model<Mlp> {
    Mlp::create_with(MlpParams::default(), CreateOptions::new().seed(7)).unwrap()
}

fn saved() -> (TempDir, PathBuf) {
    saved_model(&mlp())
}

fn saved_model(model: &dyn AnyModel) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mlp");
    model.snapshot().unwrap().save(&path).unwrap();
    (folder, path)
}

fn refusal(path: &Path) -> Error {
    Mlp::load(path).unwrap_err()
}

/// Every tensor's bytes, by full name.
fn bytes(model: &dyn AnyModel) -> Vec<(String, DType, Vec<usize>, Vec<u8>)> {
    let tensors = model.networks().iter().flat_map(|network| {
        network
            .tensors()
            .map(move |(name, tensor)| (format!("{}/{name}", network.name()), tensor))
    });
    tensors
        .map(|(name, tensor)| {
            let mut bytes = Vec::new();
            tensor.write_bytes(&mut bytes).unwrap();
            (name, tensor.dtype(), tensor.dims().to_vec(), bytes)
        })
        .collect()
}

#[test]
fn every_tensor_is_bit_identical() {
    let model = mlp();
    let special = [
        f32::NAN,
        -0.0,
        f32::INFINITY,
        f32::from_bits(0x7fa0_0001),
        f32::from_bits(1),
        -f32::MAX,
    ];
    for (_, var) in model.vars() {
        if var.dtype() == DType::F32 {
            let values: Vec<f32> = special
                .iter()
                .copied()
                .cycle()
                .take(var.elem_count())
                .collect();
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap())
                .unwrap();
        }
    }
    let (_folder, path) = saved_model(&model);
    let loaded = Mlp::load(&path).unwrap();
    assert_eq!(bytes(&loaded), bytes(&model));
    assert_eq!(loaded.params(), model.params());
    assert_eq!(loaded.provenance(), model.provenance());
    assert_eq!(
        loaded.table.iter().map(Tensor::dtype).collect::<Vec<_>>(),
        DTYPES
    );
}

#[test]
fn a_loaded_model_saves_the_same_bundle() {
    let (folder, path) = saved();
    let again = folder.path().join("again");
    Mlp::load(&path).unwrap().save(&again).unwrap();
    for entry in fs::read_dir(&path).unwrap() {
        let name = entry.unwrap().file_name();
        assert_eq!(
            fs::read(path.join(&name)).unwrap(),
            fs::read(again.join(&name)).unwrap(),
            "{name:?}"
        );
    }
}

#[test]
fn a_loaded_model_has_no_variable_and_builds_no_graph() {
    let (_folder, path) = saved();
    let loaded = Mlp::load(&path).unwrap();
    assert_eq!(loaded.vars().len(), 0);
    let output = loaded
        .forward(&Tensor::ones((2, 4), DType::F32, &Device::Cpu).unwrap())
        .unwrap();
    assert!(!output.track_op());
}

#[test]
fn a_trainable_load_has_variables_that_get_gradients() {
    let (_folder, path) = saved();
    let loaded = Mlp::load_with(&path, LoadOptions::new().trainable(true)).unwrap();
    assert_eq!(bytes(&loaded), bytes(&mlp()));
    assert_eq!(loaded.vars().len(), 11);
    let output = loaded
        .forward(&Tensor::ones((2, 4), DType::F32, &Device::Cpu).unwrap())
        .unwrap();
    let gradients = output.sum_all().unwrap().backward().unwrap();
    for (name, var) in loaded.network("net").unwrap().vars() {
        assert!(gradients.get(&var).is_some(), "{name}");
    }
}

#[test]
fn a_cast_changes_floats_and_nothing_else() {
    let (_folder, path) = saved();
    let loaded = Mlp::load_with(&path, LoadOptions::new().cast(DType::F64)).unwrap();
    assert_eq!(AnyModel::dtype(&loaded), DType::F64);
    let expected = mlp()
        .net
        .weight()
        .to_dtype(DType::F64)
        .unwrap()
        .to_vec2::<f64>()
        .unwrap();
    assert_eq!(loaded.net.weight().to_vec2::<f64>().unwrap(), expected);
    // The model asks for these dtypes itself.
    assert_eq!(
        loaded.table.iter().map(Tensor::dtype).collect::<Vec<_>>(),
        DTYPES
    );

    let error = Mlp::load_with(&path, LoadOptions::new().cast(DType::I64)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a model is of dtype F32, F64, F16 or BF16, not I64"
    );
}

/// The same name and parameters as [`Mlp`], other tensors.
mod other {
    use super::*;

    #[expect(dead_code, reason = "networks are built here, and not all are run")]
    #[derive(AtlasModel)]
    #[atlas(unchecked, name = "mlp")]
    pub struct Changed {
        #[param(default = 4, min = 1)]
        pub input_size: usize,
        #[param(default = 3, min = 1)]
        pub hidden_size: usize,
        #[param(default = 1e-5)]
        pub epsilon: f32,
        #[network(with = build_net)]
        pub net: Linear,
        #[network(with = build_table)]
        pub table: Vec<Tensor>,
    }

    fn build_net(params: &ChangedParams, vb: VarBuilder) -> candle_core::Result<Linear> {
        linear(params.input_size, 2 * params.hidden_size, vb)
    }

    fn build_table(params: &ChangedParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
        let shape = (params.hidden_size, 2);
        Ok(vec![
            vb.get_with_hints_dtype(shape, "U8", Init::Const(0.0), DType::I64)?,
            vb.get_with_hints_dtype(shape, "new", Init::Const(0.0), DType::F32)?,
            vb.get_with_hints_dtype(shape, "F64", Init::Const(0.0), DType::F64)?,
        ])
    }
}

#[test]
fn missing_extra_and_misshapen_tensors_are_all_reported_at_once() {
    let (_folder, path) = saved();
    let error = other::Changed::load(&path).unwrap_err();
    assert!(error.is_mismatch(), "{error}");
    let problems: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "`net/weight` = F32 [3, 4]: the model asks for F32 [6, 4]",
            "`net/bias` = F32 [3]: the model asks for F32 [6]",
            "`table/U8` = U8 [3, 2]: the model asks for I64 [3, 2]",
            "`table/new`: missing; the model asks for F32 [3, 2]",
            "`table/BF16` = BF16 [3, 2]: the model asks for no such tensor",
            "`table/F16` = F16 [3, 2]: the model asks for no such tensor",
            "`table/F32` = F32 [3, 2]: the model asks for no such tensor",
            "`table/I16` = I16 [3, 2]: the model asks for no such tensor",
            "`table/I32` = I32 [3, 2]: the model asks for no such tensor",
            "`table/I64` = I64 [3, 2]: the model asks for no such tensor",
            "`table/U32` = U32 [3, 2]: the model asks for no such tensor",
        ]
    );
    assert!(error.to_string().contains(&path.display().to_string()));
}

/// A model that builds what it finds.
#[derive(AtlasModel)]
#[atlas(unchecked, name = "finder")]
struct Finder {
    #[param(default = 2)]
    width: usize,
    #[network(with = find)]
    net: Vec<Tensor>,
}

fn find(params: &FinderParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
    let mut tensors = Vec::new();
    for name in ["a", "b", "a"] {
        if !vb.contains_tensor(name) {
            tensors.push(vb.get(params.width, name)?);
        }
    }
    Ok(tensors)
}

#[test]
fn what_a_bundle_holds_does_not_decide_what_is_built() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("finder");
    let model = Finder::create(FinderParams::default()).unwrap();
    assert_eq!(model.net.len(), 2);
    model.save(&path).unwrap();
    assert_eq!(Finder::load(&path).unwrap().net.len(), 2);
}

#[expect(dead_code, reason = "networks are built here, and not all are run")]
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Stranger {
    #[param(default = 2)]
    width: usize,
    #[network(with = find_one)]
    net: Tensor,
}

fn find_one(params: &StrangerParams, vb: VarBuilder) -> candle_core::Result<Tensor> {
    vb.get(params.width, "weight")
}

#[test]
fn a_bundle_of_another_model_is_refused() {
    let (_folder, path) = saved();
    let error = Stranger::load(&path).unwrap_err();
    assert!(error.is_wrong_model());
    assert_eq!(
        error.to_string(),
        format!(
            "{}: it holds a `mlp`, and a `stranger` was to be loaded",
            path.display()
        )
    );
}

/// [`Mlp`] with other parameters.
mod renamed {
    use super::*;

    #[expect(dead_code, reason = "networks are built here, and not all are run")]
    #[derive(AtlasModel)]
    #[atlas(unchecked, name = "mlp")]
    pub struct Renamed {
        #[param(default = 8, min = 8)]
        pub input_size: usize,
        #[param(default = 3)]
        pub hidden_sizes: usize,
        #[param(default = 1e-5)]
        pub epsilon: f32,
        #[network(with = build)]
        pub net: Linear,
    }

    fn build(params: &RenamedParams, vb: VarBuilder) -> candle_core::Result<Linear> {
        linear(params.input_size, params.hidden_sizes, vb)
    }
}

#[test]
fn parameters_that_are_not_the_models_are_all_reported_with_the_file() {
    let (_folder, path) = saved();
    let error = renamed::Renamed::load(&path).unwrap_err();
    assert!(error.is_params());
    assert_eq!(
        error.to_string(),
        format!(
            "{}: parameters: 3 problems\n  - `hidden_size`: unknown parameter; did you mean `hidden_sizes`?\n  - \
             `input_size` = 4: expected at least 8\n  - `hidden_sizes`: missing, and stored parameters never fall \
             back on a default; expected an integer (usize)",
            path.join("atlas.json").display()
        )
    );
}

#[test]
fn what_is_not_there_is_not_found() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("none");
    let error = refusal(&path);
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        format!(
            "{} is not a bundle: there is no such folder",
            path.display()
        )
    );
}

#[test]
fn a_file_is_no_bundle() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "text").unwrap();
    let error = refusal(&path);
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        format!("{} is not a bundle: it is not a folder", path.display())
    );
}

#[test]
fn a_folder_without_a_manifest_is_no_bundle() {
    let folder = TempDir::new().unwrap();
    let error = refusal(folder.path());
    assert_eq!(
        error.to_string(),
        format!(
            "{} is not a bundle: it holds no atlas.json",
            folder.path().display()
        )
    );
}

#[test]
fn a_missing_tensor_file_is_named() {
    let (_folder, path) = saved();
    fs::remove_file(path.join("net.safetensors")).unwrap();
    let error = refusal(&path);
    // There is a bundle, which is damaged: nobody should take it for none.
    assert!(error.is_corrupt() && !error.is_not_found());
    let file = path.join("net.safetensors");
    let expected = format!("{} is not as it was saved: it is missing", file.display());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_untyped_view_says_what_the_bundle_holds() {
    let (_folder, path) = saved();
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(
        (bundle.model(), bundle.version(), bundle.dtype()),
        ("mlp", 1, DType::F32)
    );
    assert_eq!(
        bundle.params(),
        json!({ "epsilon": 1e-5, "hidden_size": 3, "input_size": 4 })
    );
    assert_eq!(bundle.provenance().seed(), Some(7));
    assert!(!bundle.has_golden());
    let files: Vec<_> = bundle
        .networks()
        .map(|network| (network.name(), network.file_name()))
        .collect();
    assert_eq!(
        files,
        [
            ("net", "net.safetensors".to_owned()),
            ("table", "table.safetensors".to_owned())
        ]
    );
    let net = bundle.networks().next().unwrap();
    let tensors: Vec<_> = net
        .tensors()
        .map(|tensor| (tensor.name, tensor.dtype, tensor.shape))
        .collect();
    assert_eq!(
        tensors,
        [
            ("bias", DType::F32, &[3][..]),
            ("weight", DType::F32, &[3, 4])
        ]
    );
    let file = fs::read(path.join("net.safetensors")).unwrap();
    assert_eq!(
        (net.bytes(), net.blake3()),
        (file.len() as u64, blake3::hash(&file).to_hex().as_str())
    );
    let weight = &bundle.tensors("net").unwrap()["weight"];
    assert_eq!(
        weight.to_vec2::<f32>().unwrap(),
        mlp().net.weight().to_vec2::<f32>().unwrap()
    );
    bundle.verify().unwrap();
    let error = bundle.tensors("nett").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} holds no network `nett`", path.display())
    );
}

#[test]
fn every_finding_is_listed() {
    let (_folder, path) = saved();
    fs::write(path.join("notes.txt"), "mine").unwrap();
    fs::write(path.join("net.safetensors"), "short").unwrap();
    let bundle = Bundle::open(&path).unwrap();
    let findings: Vec<String> = bundle.findings().iter().map(ToString::to_string).collect();
    let bytes = bundle.networks().next().unwrap().bytes();
    assert_eq!(
        findings,
        [format!(
            "{} is not as it was saved: it has 5 bytes, and {bytes} were saved",
            path.join("net.safetensors").display()
        ),]
    );
    assert!(bundle.verify().unwrap_err().is_corrupt());
}

#[test]
fn what_is_no_part_of_the_bundle_is_named_and_harms_nothing() {
    let (_folder, path) = saved();
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(bundle.foreign_names().unwrap(), [""; 0]);
    for name in ["README.md", ".gitattributes", "other.safetensors"] {
        fs::write(path.join(name), "mine").unwrap();
    }
    fs::create_dir(path.join(".cache")).unwrap();
    let name: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(vec![b'x', 0xff]);
    fs::write(path.join(&name), "mine").unwrap();
    bundle.verify().unwrap();
    assert_eq!(bytes(&Mlp::load(&path).unwrap()), bytes(&mlp()));
    let expected = [".cache", ".gitattributes", "README.md", "other.safetensors"];
    let mut expected = expected.map(std::ffi::OsString::from).to_vec();
    expected.push(name);
    assert_eq!(bundle.foreign_names().unwrap(), expected);
}

#[test]
fn a_link_to_a_bundle_is_followed_by_loads() {
    let (folder, path) = saved();
    let link = folder.path().join("latest");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(bytes(&Mlp::load(&link).unwrap()), bytes(&mlp()));
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_calls_keep_memory_flat() {
    let (_folder, path) = saved();
    let loaded = Mlp::load(&path).unwrap();
    let mut latent = Tensor::ones((16, 4), DType::F32, &Device::Cpu).unwrap();
    let resident = || -> usize {
        let pages = fs::read_to_string("/proc/self/statm").unwrap();
        pages.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let mut calls = |count| {
        for _ in 0..count {
            // Each input is made of the last output: a graph would grow with every call.
            let output = loaded
                .forward(&latent)
                .unwrap()
                .unsqueeze(1)
                .unwrap()
                .tanh()
                .unwrap();
            latent = output.broadcast_as((16, 4)).unwrap().contiguous().unwrap();
        }
    };
    calls(1_000);
    let before = resident();
    calls(10_000);
    let grown = resident().saturating_sub(before) * 4096;
    // A graph of 10,000 calls holds at least the 256 bytes of each output, 16 × 4 × 4 × 10,000.
    assert!(grown < 1 << 20, "{grown} bytes more");
}
