//! What a model keeps: state outside of its tensors, and buffers.

use super::*;

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
