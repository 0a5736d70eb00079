//! Models as people have them with candle (a convolutional network with batch norm, a GPT with tied
//! weights, a bidirectional LSTM) keep both promises: what is loaded is what was saved, and training
//! goes on to the bit.
#![expect(
    clippy::duplicate_mod,
    reason = "each model is compiled with two activations"
)]

use std::path::Path;

use atlas_core::Bundle;
use atlas_core::prelude::*;
use atlas_core::train::{
    Control, EpochReport, Observer, Run, TrainParams, Training, resume, train,
};
use candle_core::DType;
use tempfile::TempDir;

/// The model of an example as it was saved, and the same code with another activation.
macro_rules! example {
    ($name:ident, $path:literal, $activation:expr, $changed:expr) => {
        #[path = "."]
        mod $name {
            #[path = "."]
            pub mod saved {
                use candle_core::{Result, Tensor};

                #[path = $path]
                pub mod model;

                fn activation(x: &Tensor) -> Result<Tensor> {
                    ($activation)(x)
                }
            }

            #[expect(dead_code, reason = "it is loaded, or refused, and not used")]
            #[path = "."]
            pub mod changed {
                use candle_core::{Result, Tensor};

                #[path = $path]
                pub mod model;

                fn activation(x: &Tensor) -> Result<Tensor> {
                    ($changed)(x)
                }
            }
        }
    };
}

example!(
    cnn,
    "../examples/cnn/model.rs",
    Tensor::relu,
    Tensor::gelu_erf
);
example!(
    gpt,
    "../examples/gpt/model.rs",
    Tensor::gelu_erf,
    Tensor::relu
);
example!(
    tagger,
    "../examples/tagger/model.rs",
    Tensor::tanh,
    Tensor::relu
);

/// What a model can be cast to.
const ALL: [DType; 3] = [DType::F16, DType::BF16, DType::F64];

fn run(epochs: usize) -> Run {
    let params = TrainParams {
        epochs,
        batch: 16,
        learning_rate: 1e-2,
        warm_up: 4,
        ..Default::default()
    };
    Run {
        params,
        seed: 5,
        ..Default::default()
    }
}

/// Keeps a checkpoint of the epoch, and the loss of every one.
struct Following<'a> {
    checkpoint_at: usize,
    path: &'a Path,
    losses: Vec<f64>,
}

impl<T: AtlasModel> Observer<Model<T>> for Following<'_> {
    fn on_epoch(
        &mut self,
        model: &mut Model<T>,
        epoch: &EpochReport,
        training: &Training<'_>,
    ) -> Result<Control> {
        self.losses.push(epoch.loss);
        if epoch.epoch == self.checkpoint_at {
            let mut snapshot = model.snapshot()?;
            snapshot.checkpoint = Some(training.checkpoint()?);
            snapshot.save(self.path)?;
        }
        Ok(Control::Continue)
    }
}

/// Trains, saves, loads and resumes; the bundle stays at `path`.
fn keeps_its_promises<T>(data: &[T::Input], casts: &[DType], path: &Path)
where
    T: AtlasModel<Params: Default> + Objective<Input: Clone + Send + Sync>,
{
    let new = || T::create_with(T::Params::default(), CreateOptions::new().seed(3)).unwrap();
    let data = data.to_vec();

    let mut whole = new();
    let half = path.with_extension("half");
    let mut following = Following {
        checkpoint_at: 2,
        path: &half,
        losses: Vec::new(),
    };
    train(&mut whole, &data, &run(4), &mut following).unwrap();
    let losses = &following.losses;
    assert!(losses[3] < 0.9 * losses[0], "{losses:?}");
    whole.save(path).unwrap();

    // Loaded, it is the model that was saved, to the bit.
    let loaded = T::load(path).unwrap();
    assert_eq!(loaded.digest().unwrap(), whole.digest().unwrap());

    // Resumed from the middle, it ends as the run that never stopped.
    let checkpoint = Bundle::open(&half).unwrap().checkpoint().unwrap().unwrap();
    let mut resumed = T::load_with(&half, LoadOptions::new().trainable(true)).unwrap();
    resume(&mut resumed, &data, &run(4), &checkpoint, &mut ()).unwrap();
    assert_eq!(resumed.digest().unwrap(), whole.digest().unwrap());

    // One seed, one model.
    let mut again = new();
    train(&mut again, &data, &run(4), &mut ()).unwrap();
    assert_eq!(again.digest().unwrap(), whole.digest().unwrap());

    // A cast model behaves as the one that was saved, as far as its dtype can tell.
    for &dtype in casts {
        let cast = T::load_with(path, LoadOptions::new().cast(dtype)).unwrap();
        assert_eq!(cast.dtype(), dtype);
    }
}

/// A load of code that has changed is refused, with and without a cast.
fn is_refused<T: AtlasModel>(path: &Path) {
    let casts = [None, Some(DType::F16), Some(DType::BF16), Some(DType::F64)];
    for cast in casts {
        let options = match cast {
            Some(dtype) => LoadOptions::new().cast(dtype),
            None => LoadOptions::new(),
        };
        let error = T::load_with(path, options).unwrap_err();
        assert!(error.is_behaviour(), "{cast:?}: {error}");
    }
    // Who wants to look at it all the same says so.
    T::load_with(path, LoadOptions::new().golden(false)).unwrap();
}

#[test]
fn a_convolutional_network_with_batch_norm() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cnn");
    keeps_its_promises::<cnn::saved::model::Cnn>(
        &cnn::saved::model::data(96),
        &[DType::F16, DType::F64],
        &path,
    );
    is_refused::<cnn::changed::model::Cnn>(&path);
    // An operation that does not run in a dtype is found by the load.
    let cast = LoadOptions::new().cast(DType::BF16);
    let error = cnn::saved::model::Cnn::load_with(&path, cast).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the behaviour check: network `net`"),
        "{error}"
    );
}

#[test]
fn a_gpt_with_tied_weights() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("gpt");
    keeps_its_promises::<gpt::saved::model::Gpt>(&gpt::saved::model::data(96), &ALL, &path);
    is_refused::<gpt::changed::model::Gpt>(&path);
    let tensors = Bundle::open(&path).unwrap().tensors("net").unwrap();
    assert!(tensors.contains_key("tokens.weight"));
    assert!(!tensors.keys().any(|name| name.starts_with("output")));
}

#[test]
fn a_bidirectional_lstm() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tagger");
    keeps_its_promises::<tagger::saved::model::Tagger>(
        &tagger::saved::model::data(96),
        &ALL,
        &path,
    );
    is_refused::<tagger::changed::model::Tagger>(&path);
}
