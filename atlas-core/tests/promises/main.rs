//! What a model keeps, what training may move, and what is found out before it does harm.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use atlas_core::nn::LayerNorm;
use atlas_core::prelude::*;
use atlas_core::train::{
    Control, EpochReport, Observer, Run, TrainParams, Training, resume, train,
};
use atlas_core::{Bundle, Checkpoint, Registry, Snapshot};
use candle_core::{DType, Device, Result as CandleResult, Tensor, Var};
use candle_nn::{
    BatchNorm, Dropout, Init, Linear, Module, ModuleT, VarBuilder, batch_norm, layer_norm, linear,
};
use tempfile::TempDir;

/// Rows of three numbers; the sum of each is to be learnt.
type Row = [f32; 3];

fn rows() -> Vec<Row> {
    let row = |number: usize| [0, 1, 2].map(|at| ((number * 7 + at * 5) % 11) as f32 / 11.0);
    (0..24).map(row).collect()
}

/// The mean square of what `forward` gives less the sums of the rows.
fn squares(batch: &[&Row], forward: impl FnOnce(&Tensor) -> CandleResult<Tensor>) -> Result<Loss> {
    let inputs: Vec<f32> = batch.iter().flat_map(|row| row.iter().copied()).collect();
    let inputs = Tensor::from_vec(inputs, (batch.len(), 3), &Device::Cpu)?;
    let sums = inputs.sum_keepdim(1)?;
    Ok(Loss {
        total: (forward(&inputs)? - sums)?.sqr()?.mean_all()?,
        parts: Vec::new(),
    })
}

fn run(epochs: usize) -> Run {
    let params = TrainParams {
        epochs,
        batch: 8,
        warm_up: 1,
        ..Default::default()
    };
    Run {
        params,
        seed: 2,
        ..Default::default()
    }
}

fn create<T: AtlasModel<Params: Default>>() -> Model<T> {
    T::create_with(T::Params::default(), CreateOptions::new().seed(1)).unwrap()
}

// ---- State outside of tensors.

/// A model with a number that no tensor holds.
#[derive(AtlasModel)]
#[atlas(name = "scaled")]
struct Scaled {
    #[network(golden = [2, 3])]
    net: ScaledNet,
}

struct ScaledNet {
    linear: Linear,
    scale: Mutex<f64>,
}

impl ScaledNet {
    fn new(_: &ScaledParams, vb: VarBuilder) -> CandleResult<Self> {
        Ok(Self {
            linear: linear(3, 1, vb)?,
            scale: Mutex::new(1.0),
        })
    }
}

impl Module for ScaledNet {
    fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        self.linear.forward(x)? * *self.scale.lock().unwrap()
    }
}

#[test]
fn what_a_model_keeps_outside_of_its_tensors_is_found_at_the_save() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("scaled");
    let model: Model<Scaled> = create();
    model.save(&path).unwrap();
    let before = Bundle::open(&path).unwrap().digest().to_owned();
    *model.net.scale.lock().unwrap() = 1.5;
    let error = model.save(&path).unwrap_err();
    assert!(error.is_behaviour(), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("rebuilt from the tensors that are saved"),
        "{text}"
    );
    assert!(text.contains("`output["), "{text}");
    assert!(text.contains("buffers"), "{text}");
    // What was there is still there.
    assert_eq!(Bundle::open(&path).unwrap().digest(), before);
}

// ---- Buffers.

/// A batch norm, and a count of the rows that it has been trained on.
#[derive(AtlasModel)]
#[atlas(name = "normed")]
struct Normed {
    #[network(golden = [4, 3], buffers = ["rows"])]
    net: NormedNet,
}

struct NormedNet {
    norm: BatchNorm,
    linear: Linear,
    rows: Var,
}

impl NormedNet {
    fn new(_: &NormedParams, vb: VarBuilder) -> CandleResult<Self> {
        let rows = vb.get_with_hints(1, "rows", Init::Const(0.0))?;
        Ok(Self {
            norm: batch_norm(3, 1e-5, vb.pp("norm"))?,
            linear: linear(3, 1, vb.pp("linear"))?,
            rows: Var::from_tensor(&rows)?,
        })
    }
}

impl ModuleT for NormedNet {
    fn forward_t(&self, x: &Tensor, train: bool) -> CandleResult<Tensor> {
        if train {
            self.rows
                .set(&(self.rows.as_tensor() + x.dim(0)? as f64)?)?;
        }
        self.linear.forward(&self.norm.forward_t(x, train)?)
    }
}

impl Objective for Normed {
    type Input = Row;

    fn loss(&self, batch: &[&Row], step: &mut Step) -> Result<Loss> {
        let is_training = step.is_training();
        squares(batch, |inputs| self.net.forward_t(inputs, is_training))
    }
}

fn names(vars: Vec<(String, Var)>) -> Vec<String> {
    vars.into_iter().map(|(name, _)| name).collect()
}

/// The values of a tensor of the network.
fn values(model: &dyn AnyModel, tensor: &str) -> Vec<f32> {
    let tensor = model.networks()[0].tensor(tensor).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn buffers_are_kept_and_no_optimiser_gets_them() {
    let model: Model<Normed> = create();
    let weights = [
        "net/linear.bias",
        "net/linear.weight",
        "net/norm.bias",
        "net/norm.weight",
    ];
    assert_eq!(names(model.vars()), weights);
    assert_eq!(names(model.trainable_vars()), weights);
    let buffers = ["net/norm.running_mean", "net/norm.running_var", "net/rows"];
    assert_eq!(names(model.buffers()), buffers);
    assert!(model.networks()[0].is_buffer("rows"));
    assert!(!model.networks()[0].is_buffer("linear.weight"));
    let digest = model.digest().unwrap();
    model.buffers()[2]
        .1
        .set(&Tensor::new(&[3f32], &Device::Cpu).unwrap())
        .unwrap();
    assert_ne!(model.digest().unwrap(), digest);
}

#[test]
fn training_moves_buffers_by_the_model_alone_and_once_a_step() {
    let mut model: Model<Normed> = create();
    let start = values(&model, "norm.running_mean");
    train(&mut model, &rows(), &run(2), &mut ()).unwrap();
    // The loss of the first step is computed twice, and counted once.
    assert_eq!(values(&model, "rows"), [48.0]);
    assert_ne!(values(&model, "norm.running_mean"), start);
}

#[test]
fn a_model_loaded_for_inference_and_run_in_training_mode_is_saved_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("normed");
    create::<Normed>().save(&path).unwrap();
    let model = Normed::load(&path).unwrap();
    assert!(model.vars().is_empty());
    assert_eq!(model.buffers().len(), 3);
    let inputs = Tensor::from_vec(vec![1f32; 12], (4, 3), &Device::Cpu).unwrap();
    model.net.forward_t(&inputs, true).unwrap();
    assert_eq!(values(&model, "rows"), [4.0]);
    model.save(&path).unwrap();
    let again = Normed::load(&path).unwrap();
    assert_eq!(again.digest().unwrap(), model.digest().unwrap());
    assert_eq!(values(&again, "rows"), [4.0]);
}

/// The same, checked by what moves its buffers.
#[derive(AtlasModel)]
#[atlas(golden = in_training_mode)]
struct Moved {
    #[network(with = moved)]
    net: BatchNorm,
}

fn moved(_: &MovedParams, vb: VarBuilder) -> CandleResult<BatchNorm> {
    batch_norm(3, 1e-5, vb.pp("norm"))
}

fn in_training_mode(model: &Moved) -> CandleResult<Tensor> {
    let rows = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
    model.net.forward_t(&rows, true)
}

#[test]
fn a_check_that_moves_the_model_is_refused() {
    let error = Moved::create(MovedParams {}).unwrap_err().to_string();
    assert!(
        error.contains("moves `net/norm.running_mean`, `net/norm.running_var`"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_goes_on_with_the_weights_that_it_was_made_with_alone() {
    /// Keeps the last checkpoint.
    struct Keep(Option<Checkpoint>);
    impl Observer<Model<Normed>> for Keep {
        fn on_epoch(
            &mut self,
            _: &mut Model<Normed>,
            _: &EpochReport,
            training: &Training<'_>,
        ) -> Result<Control> {
            self.0 = Some(training.checkpoint()?);
            Ok(Control::Stop)
        }
    }
    let mut keep = Keep(None);
    let mut model: Model<Normed> = create();
    train(&mut model, &rows(), &run(2), &mut keep).unwrap();
    let checkpoint = keep.0.unwrap();
    let mut fresh: Model<Normed> = create();
    let error = resume(&mut fresh, &rows(), &run(2), &checkpoint, &mut ()).unwrap_err();
    let expected = "the model has other weights than it was made with";
    assert!(error.to_string().contains(expected), "{error}");
    resume(&mut model, &rows(), &run(2), &checkpoint, &mut ()).unwrap();
}

#[test]
fn a_buffer_that_is_declared_and_absent_is_an_error() {
    #[derive(AtlasModel)]
    #[atlas(unchecked)]
    #[expect(dead_code, reason = "it is never created")]
    struct Absent {
        #[network(with = net, buffers = ["steps"])]
        net: Linear,
    }
    fn net(_: &AbsentParams, vb: VarBuilder) -> CandleResult<Linear> {
        linear(3, 1, vb)
    }
    let error = Absent::create(AbsentParams {}).unwrap_err().to_string();
    let expected = "network `net` has no tensor `steps`, which it declares a buffer";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn buffers_are_as_they_were_where_a_step_fails() {
    let mut model: Model<Normed> = create();
    let mut data = rows();
    data[5][1] = f32::NAN;
    let error = train(&mut model, &data, &run(1), &mut ()).unwrap_err();
    assert!(
        error.to_string().contains("the model is as step"),
        "{error}"
    );
    let mean = values(&model, "norm.running_mean");
    assert!(mean.iter().all(|value| value.is_finite()), "{mean:?}");
}

// ---- Checks of other versions and of strangers.

mod first {
    use super::*;

    /// The first version of a tagger.
    #[derive(AtlasModel)]
    #[atlas(name = "versions")]
    pub struct Tagger {
        #[param(default = 3)]
        pub width: usize,
        #[network(with = net, golden = [2, width])]
        pub net: Linear,
    }

    fn net(params: &TaggerParams, vb: VarBuilder) -> CandleResult<Linear> {
        linear(params.width, 2, vb)
    }
}

mod unchecked {
    use super::*;

    /// The second version: the network has another name, and nothing is checked.
    #[derive(AtlasModel)]
    #[atlas(name = "versions", version = 2, migrate(1 => from_first), unchecked)]
    pub struct Tagger {
        #[param(default = 3)]
        pub width: usize,
        #[network(with = net)]
        pub encoder: Linear,
    }

    fn net(params: &TaggerParams, vb: VarBuilder) -> CandleResult<Linear> {
        linear(params.width, 2, vb)
    }

    fn from_first(snapshot: &mut Snapshot) -> Result<()> {
        snapshot.rename_network("net", "encoder")
    }
}

mod renamed {
    use super::*;

    /// The second version: the network has another name, and is checked as before.
    #[derive(AtlasModel)]
    #[atlas(name = "versions", version = 2, migrate(1 => from_first))]
    pub struct Tagger {
        #[param(default = 3)]
        pub width: usize,
        #[network(with = net, golden = [2, width])]
        pub encoder: Linear,
    }

    fn net(params: &TaggerParams, vb: VarBuilder) -> CandleResult<Linear> {
        linear(params.width, 2, vb)
    }

    fn from_first(snapshot: &mut Snapshot) -> Result<()> {
        snapshot.rename_network("net", "encoder")
    }
}

#[test]
fn an_older_version_is_checked_under_the_new_name_of_its_network() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("first");
    let mut model: Model<first::Tagger> = create();
    model.set_frozen("net/bias", true).unwrap();
    model.save(&path).unwrap();
    let model = renamed::Tagger::load(&path).unwrap();
    assert_eq!(
        (model.width, model.encoder.weight().dims()),
        (3, &[2, 3][..])
    );
    assert_eq!(model.frozen(), ["encoder/bias"]);
    // A version that is not checked any more takes what an older one left.
    let model = unchecked::Tagger::load(&path).unwrap();
    assert_eq!(
        (model.width, model.encoder.weight().dims()),
        (3, &[2, 3][..])
    );

    let mut snapshot = Bundle::open(&path).unwrap().snapshot().unwrap();
    let outputs = &mut snapshot.golden.as_mut().unwrap().outputs;
    let output = outputs.get_mut("output").unwrap();
    *output = (&*output * 1.01).unwrap();
    let error = Model::<renamed::Tagger>::from_snapshot(snapshot, &LoadOptions::new());
    assert!(error.unwrap_err().is_behaviour());
}

#[test]
fn a_stored_input_of_another_shape_than_the_declared_one_is_not_run() {
    let mut snapshot = create::<first::Tagger>().snapshot().unwrap();
    let golden = snapshot.golden.as_mut().unwrap();
    let input = Tensor::zeros((100_000, 3), DType::F32, &Device::Cpu).unwrap();
    golden.inputs = GoldenInputs::default().with_tensor("input", input);
    let error = Model::<first::Tagger>::from_snapshot(snapshot, &LoadOptions::new()).unwrap_err();
    let expected = "the stored input has shape [100000, 3], and the model declares [2, 3]";
    assert!(error.to_string().contains(expected), "{error}");
}

// ---- Freezing.

#[test]
fn a_frozen_network_stays_as_it_is_with_its_buffers() {
    let mut model: Model<Normed> = create();
    model.set_frozen("net/norm", true).unwrap();
    let frozen = ["net/linear.bias", "net/linear.weight"];
    assert_eq!(names(model.trainable_vars()), frozen);
    let before =
        ["norm.weight", "norm.running_mean", "norm.running_var"].map(|name| values(&model, name));
    let weight = values(&model, "linear.weight");
    train(&mut model, &rows(), &run(2), &mut ()).unwrap();
    let after =
        ["norm.weight", "norm.running_mean", "norm.running_var"].map(|name| values(&model, name));
    assert_eq!(after, before);
    assert_ne!(values(&model, "linear.weight"), weight);
    assert_eq!(values(&model, "rows"), [48.0]);
}

#[test]
fn what_is_frozen_travels_with_the_bundle_and_is_no_part_of_its_digest() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("normed");
    let mut model: Model<Normed> = create();
    let digest = model.digest().unwrap();
    model.set_frozen("net/linear.weight", true).unwrap();
    model.set_frozen("net/norm", true).unwrap();
    model.set_frozen("net/norm.bias", false).unwrap();
    let expected = [
        "net/linear.weight",
        "net/norm.running_mean",
        "net/norm.running_var",
        "net/norm.weight",
    ];
    assert_eq!(model.frozen(), expected);
    assert_eq!(model.digest().unwrap(), digest);
    model.save(&path).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(
        bundle.provenance().notes()["frozen"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let loaded = Normed::load_with(&path, LoadOptions::new().trainable(true)).unwrap();
    assert_eq!(loaded.frozen(), expected);
    assert_eq!(
        names(loaded.trainable_vars()),
        ["net/linear.bias", "net/norm.bias"]
    );
    assert!(!loaded.provenance().notes().contains_key("frozen"));

    model.set_frozen("net", true).unwrap();
    assert_eq!(model.frozen(), ["net"]);
    assert!(model.networks()[0].is_frozen());
    model.set_frozen("net", false).unwrap();
    model.save(&path).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    assert!(bundle.provenance().notes().is_empty());
}

#[test]
fn a_part_that_is_not_there_cannot_be_frozen() {
    let mut model: Model<Normed> = create();
    let error = model.set_frozen("nett", true).unwrap_err().to_string();
    assert_eq!(error, "`normed` has no network `nett`; it has net");
    for part in ["net/norm.weigh", "net/nor", "net/"] {
        let error = model.set_frozen(part, true).unwrap_err().to_string();
        assert!(
            error.starts_with("network `net` has no tensor or module"),
            "{error}"
        );
    }
    let mut snapshot = model.snapshot().unwrap();
    snapshot.frozen.insert("net/gone".to_owned());
    let error = Model::<Normed>::from_snapshot(snapshot, &LoadOptions::new()).unwrap_err();
    assert!(
        error.to_string().contains("what is frozen: network `net`"),
        "{error}"
    );
}

#[test]
fn what_is_renamed_stays_frozen() {
    let mut snapshot = Snapshot::new("any", 1);
    let tensor = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    snapshot.set_tensor("net", "weight", tensor);
    snapshot.frozen.insert("net/weight".to_owned());
    snapshot.rename_tensor("net", "weight", "w").unwrap();
    snapshot.rename_network("net", "encoder").unwrap();
    assert_eq!(Vec::from_iter(snapshot.frozen), ["encoder/w"]);
}

// ---- One seed, one model.

macro_rules! dropping {
    ($model:ident, $params:ident, $net:ident, $forward:expr) => {
        #[derive(AtlasModel)]
        struct $model {
            #[network(with = $net, golden = [2, 3])]
            net: Linear,
        }

        fn $net(_: &$params, vb: VarBuilder) -> CandleResult<Linear> {
            linear(3, 1, vb)
        }

        impl Objective for $model {
            type Input = Row;

            fn loss(&self, batch: &[&Row], step: &mut Step) -> Result<Loss> {
                let forward: fn(&Tensor, &mut Step) -> CandleResult<Tensor> = $forward;
                squares(batch, |inputs| self.net.forward(&forward(inputs, step)?))
            }
        }
    };
}

dropping!(Unseeded, UnseededParams, unseeded, |inputs, step| {
    Dropout::new(0.5).forward_t(inputs, step.is_training())
});
dropping!(Seeded, SeededParams, seeded, |inputs, step| {
    Ok(step.dropout(inputs, 0.5)?)
});

#[test]
fn a_model_that_draws_from_elsewhere_is_not_trained() {
    let mut model: Model<Unseeded> = create();
    let digest = model.digest().unwrap();
    let error = train(&mut model, &rows(), &run(1), &mut ())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("two evaluations of the first step, from one seed"),
        "{error}"
    );
    assert!(
        error.contains("`candle_nn::Dropout`") && error.contains("`Step::dropout`"),
        "{error}"
    );
    assert_eq!(model.digest().unwrap(), digest);
}

#[test]
fn one_seed_gives_one_model_with_dropout() {
    let trained = |seed| {
        let mut model: Model<Seeded> = create();
        let run = Run { seed, ..run(3) };
        train(&mut model, &rows(), &run, &mut ()).unwrap();
        model.digest().unwrap()
    };
    assert_eq!(trained(1), trained(1));
    assert_ne!(trained(1), trained(2));
}

#[test]
fn dropout_of_an_evaluation_is_the_input() {
    let inputs = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
    let kept = Step::evaluation().dropout(&inputs, 0.5).unwrap();
    assert_eq!(
        kept.to_vec2::<f32>().unwrap(),
        inputs.to_vec2::<f32>().unwrap()
    );
    let mut step = Step::training(1);
    let masks = [0, 1].map(|_| {
        let wide = Tensor::ones(64, DType::F32, &Device::Cpu).unwrap();
        step.dropout(&wide, 0.5).unwrap().to_vec1::<f32>().unwrap()
    });
    assert_ne!(masks[0], masks[1]);
    assert!(Step::training(1).dropout(&inputs, 1.0).is_err());
}

// ---- Gradients that are cut.

macro_rules! layered {
    ($model:ident, $params:ident, $build:ident, $norm:ty, $new:expr) => {
        #[derive(AtlasModel)]
        #[atlas(unchecked)]
        struct $model {
            #[network(with = $build)]
            net: ($norm, Linear),
        }

        fn $build(_: &$params, vb: VarBuilder) -> CandleResult<($norm, Linear)> {
            Ok(($new(vb.pp("norm"))?, linear(3, 1, vb.pp("out"))?))
        }

        impl Objective for $model {
            type Input = Row;

            fn loss(&self, batch: &[&Row], _: &mut Step) -> Result<Loss> {
                squares(batch, |inputs| {
                    self.net.1.forward(&self.net.0.forward(inputs)?)
                })
            }
        }
    };
}

layered!(Cut, CutParams, cut, candle_nn::LayerNorm, |vb| layer_norm(
    3, 1e-5, vb
));
layered!(Whole, WholeParams, whole, LayerNorm, |vb| LayerNorm::new(
    3, 1e-5, vb
));

#[test]
fn a_layer_that_cuts_gradients_is_named_with_the_cure() {
    let mut model: Model<Cut> = create();
    let error = train(&mut model, &rows(), &run(1), &mut ())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("2 of 4 variables received no gradient"),
        "{error}"
    );
    assert!(
        error.contains("net/norm may be a normalisation that cuts gradients"),
        "{error}"
    );
    assert!(error.contains("use `atlas_core::nn::LayerNorm`"), "{error}");
    let mut model: Model<Whole> = create();
    train(&mut model, &rows(), &run(1), &mut ()).unwrap();
}

// ---- Starting from another model.

/// An encoder and a head, each of a size of its own.
macro_rules! headed {
    ($model:ident, $params:ident, $name:literal, $width:literal) => {
        #[derive(AtlasModel)]
        #[atlas(name = $name, golden = $model::of_ones)]
        struct $model {
            #[param(default = $width)]
            width: usize,
            #[network(with = $model::encoder)]
            encoder: Linear,
            #[network(with = $model::head)]
            head: Linear,
        }

        impl $model {
            fn of_ones(&self) -> CandleResult<Tensor> {
                let rows = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
                self.head.forward(&self.encoder.forward(&rows)?.relu()?)
            }

            fn encoder(_: &$params, vb: VarBuilder) -> CandleResult<Linear> {
                linear(3, 4, vb)
            }

            fn head(params: &$params, vb: VarBuilder) -> CandleResult<Linear> {
                linear(4, params.width, vb)
            }
        }
    };
}

headed!(Source, SourceParams, "source", 2);
headed!(Target, TargetParams, "target", 5);

fn weight(model: &dyn AnyModel, network: &str) -> Vec<f32> {
    let tensor = model.network(network).unwrap().tensor("weight").unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn a_model_starts_from_a_network_of_another_and_says_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("target");
    let options = CreateOptions::new().seed(8);
    let source = Source::create_with(SourceParams::default(), options).unwrap();
    let mut target: Model<Target> = create();
    let head = weight(&target, "head");
    target
        .take_from(&source.snapshot().unwrap(), &["encoder"])
        .unwrap();
    assert_eq!(weight(&target, "encoder"), weight(&source, "encoder"));
    assert_eq!(weight(&target, "head"), head);
    // Copies: training one moves nothing of the other.
    let zeros = Tensor::zeros((4, 3), DType::F32, &Device::Cpu).unwrap();
    target.vars()[1].1.set(&zeros).unwrap();
    assert_ne!(weight(&target, "encoder"), weight(&source, "encoder"));
    target.save(&path).unwrap();
    let note = Bundle::open(&path).unwrap().provenance().notes()["started_from"].clone();
    assert_eq!(note["model"], "source");
    assert_eq!(note["digest"], source.digest().unwrap());
    assert_eq!(note["taken"], serde_json::json!(["encoder"]));
    assert_eq!(note["fresh"], serde_json::json!(["head"]));
}

#[test]
fn a_model_that_starts_from_all_of_another_is_that_one() {
    let options = CreateOptions::new().seed(8);
    let source = Source::create_with(SourceParams::default(), options).unwrap();
    let mut copy: Model<Source> = create();
    assert_ne!(copy.digest().unwrap(), source.digest().unwrap());
    copy.take_from(&source.snapshot().unwrap(), &[]).unwrap();
    assert_eq!(copy.digest().unwrap(), source.digest().unwrap());
}

#[test]
fn what_cannot_be_taken_is_listed_and_nothing_is_changed() {
    let source: Model<Source> = create();
    let mut target: Model<Target> = create();
    let digest = target.digest().unwrap();
    let snapshot = source.snapshot().unwrap();
    let error = target.take_from(&snapshot, &[]).unwrap_err().to_string();
    for line in [
        "`head/bias`: the model has F32 [5]; F32 [2] there",
        "`head/weight`: the model has F32 [5, 4]; F32 [2, 4] there",
    ] {
        assert!(error.contains(line), "{error}");
    }
    let error = target
        .take_from(&snapshot, &["haed"])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`haed`: the model has no such network; it has encoder, head"),
        "{error}"
    );
    let mut other = snapshot.clone();
    other.rename_network("encoder", "reader").unwrap();
    other.rename_tensor("head", "bias", "b").unwrap();
    let error = target.take_from(&other, &[]).unwrap_err().to_string();
    for line in [
        "`encoder`: there is no such network to take from",
        "`head/bias`: the model has F32 [5]; missing",
        "`head/b`: the model has no such tensor",
    ] {
        assert!(error.contains(line), "{error}");
    }
    assert_eq!(target.digest().unwrap(), digest);
    assert!(!target.provenance().notes().contains_key("started_from"));
    let folder = TempDir::new().unwrap();
    target.save(folder.path().join("t")).unwrap();
    let mut loaded = Target::load(folder.path().join("t")).unwrap();
    let error = loaded
        .take_from(&snapshot, &["encoder"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("loaded for inference"), "{error}");
}

// ---- Threads.

/// What a server asks of a model.
trait Service: AnyModel + Predictor<Input = Row, Output = f32> + Send + Sync {}
impl<M: AnyModel + Predictor<Input = Row, Output = f32> + Send + Sync> Service for M {}

impl Predictor for Normed {
    type Input = Row;
    type Output = f32;

    fn predict(&self, inputs: &[Row]) -> Result<Vec<f32>> {
        let rows = Tensor::from_slice(inputs.as_flattened(), (inputs.len(), 3), &Device::Cpu)?;
        Ok(self.net.forward_t(&rows, false)?.squeeze(1)?.to_vec1()?)
    }
}

#[test]
fn models_and_trait_objects_are_shared_among_threads() {
    fn is_shared<T: ?Sized + Send + Sync>() {}
    is_shared::<Model<Normed>>();
    is_shared::<dyn Service>();
    is_shared::<Registry<dyn Service>>();
    is_shared::<Snapshot>();
}

/// The folder that a child process saves to.
const SAVES_TO: &str = "ATLAS_TEST_SAVES_TO";

#[test]
fn one_loaded_model_serves_threads_while_another_process_saves_over_its_folder() {
    // This test is the other process, too.
    if let Some(path) = std::env::var_os(SAVES_TO) {
        let model: Model<Normed> = create();
        for count in 0..60 {
            let rows = Tensor::new(&[count as f32], &Device::Cpu).unwrap();
            model.buffers()[2].1.set(&rows).unwrap();
            model.save(&path).unwrap();
        }
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("normed");
    create::<Normed>().save(&path).unwrap();
    let mut registry = Registry::<dyn Service>::new();
    registry.register::<Normed>(|model| Box::new(model));
    let model: Arc<dyn Service> = registry.load(&path).unwrap().into();
    let expected = model.predict(&rows()).unwrap();

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "one_loaded_model_serves_threads_while_another_process_saves_over_its_folder",
        ])
        .env(SAVES_TO, &path)
        .spawn()
        .unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let servers = (0..4).map(|_| {
        let (model, is_over, expected) = (model.clone(), is_over.clone(), expected.clone());
        thread::spawn(move || {
            let mut served = 0;
            while served == 0 || !is_over.load(Ordering::Relaxed) {
                assert_eq!(model.predict(&rows()).unwrap(), expected);
                served += 1;
            }
            served
        })
    });
    let servers: Vec<_> = servers.collect();
    // A load gives the old model or a new one, whole.
    let mut loads = 0;
    let status = loop {
        registry.load(&path).unwrap();
        loads += 1;
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    is_over.store(true, Ordering::Relaxed);
    assert!(status.success());
    assert!(servers.into_iter().all(|server| server.join().unwrap() > 0) && loads > 0);
    assert_eq!(values(&*registry.load(&path).unwrap(), "rows"), [59.0]);
}
