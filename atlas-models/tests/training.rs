//! What holds of the training loop, on a model as small as can be.

use std::time::Duration;

use atlas_core::prelude::*;
use atlas_core::{Result, Weight};
use atlas_models::train::{
    Control, EpochReport, Observer, Outcome, Run, StepReport, Stopped, TrainParams, train,
};
use candle_core::{Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear, ops};

/// Two linear layers from three numbers to one.
#[derive(AtlasModel)]
struct Regression {
    /// Units between the layers.
    #[param(default = 4, min = 1)]
    width: usize,
    /// What stands between the layers.
    #[param(default = Between::Nothing)]
    between: Between,

    #[network(with = first)]
    first: Linear,
    #[network(with = last)]
    last: Linear,
}

/// What stands between two layers.
#[derive(Choice, Clone, Copy, Debug, PartialEq)]
enum Between {
    /// The numbers as they are.
    Nothing,
    /// An operation of candle's that has no backward.
    Softmax,
    /// Not a number.
    Nan,
}

fn first(params: &RegressionParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(3, params.width, vb)
}

fn last(params: &RegressionParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.width, 1, vb)
}

const SPREAD: Weight = Weight {
    name: "spread",
    default: 0.0,
    doc: "mean square of the outputs",
};

impl Objective for Regression {
    type Input = [f32; 3];
    type Example = [f32; 3];

    fn prepare(&self, input: &[f32; 3]) -> Result<[f32; 3]> {
        Ok(*input)
    }

    fn weights(&self) -> &'static [Weight] {
        &[SPREAD]
    }

    fn loss(&self, batch: &[&[f32; 3]], step: &mut Step) -> Result<Loss> {
        let rows: Vec<f32> = batch.iter().flat_map(|row| row.iter().copied()).collect();
        let inputs = Tensor::from_vec(rows, (batch.len(), 3), &Device::Cpu)?;
        let hidden = self.first.forward(&inputs)?;
        let hidden = match self.between {
            Between::Nothing => hidden,
            Between::Softmax => ops::softmax_last_dim(&hidden)?,
            Between::Nan => (hidden * f64::NAN)?,
        };
        let outputs = self.last.forward(&hidden)?;
        let error = (&outputs - inputs.sum_keepdim(1)?)?.sqr()?.mean_all()?;
        let spread = outputs.sqr()?.mean_all()?;
        let total = (&error + (&spread * step.weight(&SPREAD))?)?;
        Ok(Loss {
            total,
            parts: vec![("error", error), ("spread", spread)],
        })
    }
}

/// Keeps what it is told, and stops after a step if asked to.
#[derive(Default)]
struct Notes {
    steps: Vec<StepReport>,
    epochs: Vec<EpochReport>,
    stop_after: Option<u64>,
}

impl<M: ?Sized> Observer<M> for Notes {
    fn on_step(&mut self, _: &M, step: &StepReport) -> Result<Control> {
        self.steps.push(step.clone());
        let stop = self.stop_after.is_some_and(|last| step.step >= last);
        Ok(if stop {
            Control::Stop
        } else {
            Control::Continue
        })
    }

    fn on_epoch(&mut self, _: &mut M, epoch: &EpochReport) -> Result<Control> {
        self.epochs.push(epoch.clone());
        Ok(Control::Continue)
    }
}

fn model(between: Between) -> Model<Regression> {
    let params = RegressionParams {
        between,
        ..Default::default()
    };
    Regression::create_with(params, CreateOptions::new().seed(2)).unwrap()
}

fn examples() -> Vec<[f32; 3]> {
    (0..50)
        .map(|index| [index % 5, index % 7, index % 11].map(|value| value as f32 / 5.0 - 1.0))
        .collect()
}

fn run() -> Run<'static> {
    let params = TrainParams {
        epochs: 20,
        batch: 8,
        learning_rate: 0.03,
        warm_up: 3,
        ..Default::default()
    };
    Run {
        params,
        seed: 9,
        max_time: None,
        weights: Vec::new(),
        rows: &[],
    }
}

fn fit(model: &mut Model<Regression>, run: &Run<'_>) -> Result<(Outcome, Notes)> {
    let mut notes = Notes::default();
    train(model, &examples(), run, &mut notes).map(|outcome| (outcome, notes))
}

fn message(model: &mut Model<Regression>, run: &Run<'_>) -> String {
    fit(model, run).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_loss_that_can_reach_zero_does() {
    let (outcome, notes) = fit(&mut model(Between::Nothing), &run()).unwrap();
    assert!(
        notes.epochs[19].loss < 1e-2 && notes.epochs[0].loss > 0.3,
        "{:?}",
        notes.epochs
    );
    assert_eq!(
        (outcome.steps, outcome.epochs, outcome.stopped),
        (20 * 7, 20, Stopped::Finished)
    );
    assert_eq!((notes.steps.len(), notes.epochs.len()), (140, 20));
    assert!(notes.epochs[19].is_last && !notes.epochs[18].is_last);
}

#[test]
fn equal_runs_give_equal_models_and_other_seeds_others() {
    let digest = |seed| {
        let mut model = model(Between::Nothing);
        fit(&mut model, &Run { seed, ..run() }).unwrap();
        model.digest().unwrap()
    };
    assert_eq!(digest(9), digest(9));
    assert_ne!(digest(9), digest(10));
}

#[test]
fn a_frozen_network_keeps_every_bit_and_the_others_move() {
    let mut model = model(Between::Nothing);
    model.set_frozen("first", true).unwrap();
    let values = |model: &Model<Regression>, network: &str| {
        let tensor = model
            .network(network)
            .unwrap()
            .tensor("weight")
            .unwrap()
            .flatten_all()
            .unwrap();
        tensor.to_vec1::<f32>().unwrap()
    };
    let (first, last) = (values(&model, "first"), values(&model, "last"));
    fit(&mut model, &run()).unwrap();
    assert_eq!(values(&model, "first"), first);
    assert_ne!(values(&model, "last"), last);
}

#[test]
fn a_layer_that_no_gradient_reaches_is_an_error_that_names_it() {
    let text = message(&mut model(Between::Softmax), &run());
    assert!(
        text.starts_with("2 of 4 variables received no gradient"),
        "{text}"
    );
    assert!(
        text.contains("first/bias\n") && text.contains("first/weight\n"),
        "{text}"
    );
    // The layer after the cut is trained when the one before it is frozen.
    let mut frozen = model(Between::Softmax);
    frozen.set_frozen("first", true).unwrap();
    fit(&mut frozen, &run()).unwrap();
}

#[test]
fn a_loss_that_is_not_finite_names_the_step_and_the_rows() {
    let rows: Vec<usize> = (0..50).map(|index| 1000 + index).collect();
    let text = message(
        &mut model(Between::Nan),
        &Run {
            rows: &rows,
            ..run()
        },
    );
    assert!(
        text.starts_with("step 1: the loss is NaN; the model is as step 0 left it"),
        "{text}"
    );
    let named = text
        .split_once("holds the rows ")
        .unwrap()
        .1
        .split(", ")
        .map(|row| row.parse().unwrap());
    let named: Vec<usize> = named.collect();
    assert!(named.len() == 8 || named.len() == 2, "{text}");
    assert!(named.iter().all(|row| rows.contains(row)), "{text}");
}

#[test]
fn weights_reach_the_objective_and_unknown_ones_are_refused() {
    let heavy = Run {
        weights: vec![("spread".to_owned(), 1e3)],
        ..run()
    };
    let (_, notes) = fit(&mut model(Between::Nothing), &heavy).unwrap();
    let part = |epoch: &EpochReport, name: &str| {
        epoch
            .parts
            .iter()
            .find(|(known, _)| *known == name)
            .unwrap()
            .1
    };
    let last = &notes.epochs[19];
    assert!(
        (last.loss - (part(last, "error") + 1e3 * part(last, "spread"))).abs() < 1e-3 * last.loss
    );

    let unknown = Run {
        weights: vec![("spraed".to_owned(), 1.0)],
        ..run()
    };
    let text = message(&mut model(Between::Nothing), &unknown);
    assert_eq!(text, "the objective has no weight `spraed`; it has spread");
}

#[test]
fn the_observer_and_the_clock_can_end_it() {
    let mut notes = Notes {
        stop_after: Some(5),
        ..Notes::default()
    };
    let outcome = train(
        &mut model(Between::Nothing),
        &examples(),
        &run(),
        &mut notes,
    )
    .unwrap();
    assert_eq!((outcome.steps, outcome.stopped), (5, Stopped::Interrupted));

    let (outcome, notes) = fit(
        &mut model(Between::Nothing),
        &Run {
            max_time: Some(Duration::ZERO),
            ..run()
        },
    )
    .unwrap();
    assert_eq!((outcome.steps, outcome.stopped), (1, Stopped::TimeUp));
    assert!(notes.epochs[0].is_last);
}

#[test]
fn nothing_to_train_or_to_train_on_is_an_error() {
    let mut frozen = model(Between::Nothing);
    frozen.set_frozen("first", true).unwrap();
    frozen.set_frozen("last", true).unwrap();
    assert!(message(&mut frozen, &run()).contains("every network is frozen"));
    let error = train(
        &mut model(Between::Nothing),
        &[],
        &run(),
        &mut Notes::default(),
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "there is nothing to train on");
    let params = TrainParams {
        learning_rate: f64::NAN,
        clip_norm: 0.0,
        ..Default::default()
    };
    let text = message(&mut model(Between::Nothing), &Run { params, ..run() });
    assert!(
        text.contains("`learning_rate`") && text.contains("`clip_norm`"),
        "{text}"
    );
}
