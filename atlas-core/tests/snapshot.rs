//! A snapshot is all that passes between a model and a disk.

use atlas_core::candle_core::{DType, Device, Tensor};
use atlas_core::candle_nn::{Linear, Module, VarBuilder, linear};
use atlas_core::prelude::*;
use atlas_core::{Bundle, Checkpoint, Snapshot};
use tempfile::TempDir;

#[derive(AtlasModel)]
#[atlas(golden)]
struct Line {
    #[param(default = 3, min = 1)]
    width: usize,
    #[network(with = build)]
    net: Linear,
}

fn build(params: &LineParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.width, 2, vb)
}

impl Golden for Line {
    fn golden_inputs(&self) -> Result<GoldenInputs> {
        let ones = Tensor::ones((1, self.width), DType::F32, &Device::Cpu)?;
        Ok(GoldenInputs::default().with_tensor("ones", ones))
    }

    fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        let ones = inputs.tensor("ones").ok_or_else(|| Error::new("no ones"))?;
        Ok(vec![("row".to_owned(), self.net.forward(ones)?)])
    }
}

fn line() -> Model<Line> {
    Line::create_with(LineParams::default(), CreateOptions::new().seed(7)).unwrap()
}

fn refused(snapshot: Snapshot) -> Error {
    Model::<Line>::from_snapshot(snapshot, &LoadOptions::new()).unwrap_err()
}

#[test]
fn a_model_its_snapshot_and_its_bundle_have_one_digest() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let model = line();
    let digest = model.digest().unwrap();
    assert_eq!(model.snapshot().unwrap().digest().unwrap(), digest);
    model.save(&one).unwrap();

    // From disk to disk, without the model's type.
    let snapshot = Bundle::open(&one).unwrap().snapshot().unwrap();
    assert_eq!(snapshot.digest().unwrap(), digest);
    snapshot.save(&two).unwrap();
    assert_eq!(Bundle::open(&two).unwrap().digest(), digest);
    for name in ["atlas.json", "net.safetensors", "golden.safetensors"] {
        let read = |folder: &std::path::Path| std::fs::read(folder.join(name)).unwrap();
        assert!(read(&one) == read(&two), "{name}");
    }
    let model = Model::<Line>::from_snapshot(snapshot, &LoadOptions::new()).unwrap();
    assert_eq!(model.digest().unwrap(), digest);
}

#[test]
fn a_snapshot_of_another_model_or_version_is_refused() {
    let mut snapshot = line().snapshot().unwrap();
    snapshot.model = "curve".to_owned();
    assert!(refused(snapshot).is_wrong_model());
    let mut snapshot = line().snapshot().unwrap();
    snapshot.version = 2;
    assert!(refused(snapshot).is_version());
}

#[test]
fn a_snapshot_is_read_as_strictly_as_a_bundle() {
    let altered = |alter: fn(&mut Snapshot)| {
        let mut snapshot = line().snapshot().unwrap();
        alter(&mut snapshot);
        refused(snapshot)
    };
    let error = altered(|snapshot| snapshot.set_param("width", 0).unwrap());
    assert!(error.is_params(), "{error}");
    let error = altered(|snapshot| snapshot.add_param("more", 1).unwrap());
    assert!(error.is_params(), "{error}");
    let error = altered(|snapshot| drop(snapshot.remove_tensor("net", "bias").unwrap()));
    assert!(error.is_mismatch(), "{error}");
    let error = altered(|snapshot| snapshot.rename_network("net", "other").unwrap());
    assert!(error.is_mismatch(), "{error}");
    let error = altered(|snapshot| {
        let more = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
        snapshot.set_tensor("net", "more", more);
    });
    assert!(error.is_mismatch(), "{error}");
    let error = altered(|snapshot| {
        let zeros = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
        snapshot.set_tensor("net", "bias", zeros);
    });
    assert!(error.is_behaviour(), "{error}");
    let error = altered(|snapshot| snapshot.golden = None);
    assert!(error.is_behaviour(), "{error}");
}

#[test]
fn the_tensors_of_a_snapshot_build_no_graph_and_share_the_models_memory() {
    let model = line();
    let snapshot = model.snapshot().unwrap();
    let weight = snapshot.tensor("net", "weight").unwrap();
    assert!(!weight.is_variable() && !weight.track_op());
    let (_, var) = model.vars().remove(1);
    var.set(&Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap())
        .unwrap();
    assert_eq!(weight.to_vec2::<f32>().unwrap(), [[1.0; 3]; 2]);
}

#[test]
fn what_no_bundle_can_hold_is_not_saved() {
    let folder = TempDir::new().unwrap();
    let save = |alter: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = line().snapshot().unwrap();
        alter(&mut snapshot);
        let error = snapshot.save(folder.path().join("line")).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        error.to_string()
    };
    assert_eq!(
        save(&|snapshot| snapshot.rename_network("net", "golden").unwrap()),
        "no network can be called `golden`: golden.safetensors is kept for the behaviour check"
    );
    assert_eq!(
        save(&|snapshot| snapshot.rename_network("net", "../net").unwrap()),
        "`../net` is no name of a network: 1 to 128 of a-z, A-Z, 0-9 and _"
    );
    assert_eq!(
        save(&|snapshot| snapshot.dtype = DType::U8),
        "a model is of dtype F32, F64, F16 or BF16, not U8"
    );
    assert_eq!(
        save(&|snapshot| snapshot.golden.as_mut().unwrap().outputs.clear()),
        "the behaviour check: there is no output"
    );
}

#[test]
fn a_target_that_a_save_would_refuse_is_known_before() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("line");
    assert!(!Bundle::check_save_target(&path).unwrap());
    // A folder that is not there yet stays so.
    assert!(!Bundle::check_save_target(folder.path().join("a/b/c")).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let mut snapshot = line().snapshot().unwrap();
    snapshot.checkpoint = Some(Checkpoint::new());
    snapshot.save(&path).unwrap();
    assert!(Bundle::check_save_target(&path).unwrap());
    std::fs::remove_file(path.join("atlas.json")).unwrap();
    let error = Bundle::check_save_target(&path).unwrap_err();
    assert!(error.is_refused(), "{error}");
    assert_eq!(
        error.to_string(),
        snapshot.save(&path).unwrap_err().to_string()
    );
}
