//! What holds of the training loop, on a model as small as can be.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use atlas_core::prelude::*;
use atlas_core::train::{
    CheckpointSummary, Control, Dataset, EpochReport, Observer, Outcome, Run, StepReport, Stopped,
    TrainParams, Training, extend, mean_loss, resume, train,
};
use atlas_core::{Bundle, Checkpoint, Error, Result};
use candle_core::{Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear, ops};

/// Two linear layers from three numbers to one.
#[derive(AtlasModel)]
#[atlas(unchecked)]
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
    /// The numbers as they are, with a part of the loss that is not finite and does not count.
    InfiniteSpread,
}

fn first(params: &RegressionParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(3, params.width, vb)
}

fn last(params: &RegressionParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.width, 1, vb)
}

const SPREAD: LossWeight = LossWeight {
    name: Cow::Borrowed("spread"),
    default: 0.0,
    doc: Cow::Borrowed("mean square of the outputs"),
};

impl Objective for Regression {
    type Input = [f32; 3];

    fn size(&self, input: &[f32; 3]) -> Result<usize> {
        if input.iter().all(|number| number.is_finite()) {
            Ok(1)
        } else {
            Err(Error::new("not three numbers"))
        }
    }

    fn weights(&self) -> Vec<LossWeight> {
        vec![SPREAD]
    }

    fn loss(&self, batch: &[&[f32; 3]], step: &mut Step) -> Result<Loss> {
        let rows: Vec<f32> = batch.iter().flat_map(|row| row.iter().copied()).collect();
        let inputs = Tensor::from_vec(rows, (batch.len(), 3), &Device::Cpu)?;
        let hidden = self.first.forward(&inputs)?;
        let hidden = match self.between {
            Between::Nothing | Between::InfiniteSpread => hidden,
            Between::Softmax => ops::softmax_last_dim(&hidden)?,
            Between::Nan => (hidden * f64::NAN)?,
        };
        let outputs = self.last.forward(&hidden)?;
        let error = (&outputs - inputs.sum_keepdim(1)?)?.sqr()?.mean_all()?;
        let spread = outputs.sqr()?.mean_all()?;
        let (total, spread) = match self.between {
            Between::InfiniteSpread => (error.clone(), (spread / 0.0)?),
            _ => ((&error + (&spread * step.weight(&SPREAD))?)?, spread),
        };
        Ok(Loss {
            total,
            parts: vec![("error".into(), error), ("spread".into(), spread)],
        })
    }
}

/// Keeps what it is told, and stops after a step if asked to.
#[derive(Default)]
struct Notes {
    steps: Vec<StepReport>,
    epochs: Vec<EpochReport>,
    stop_after: Option<u64>,
    checkpoint: Option<&'static str>,
}

impl<M: ?Sized> Observer<M> for Notes {
    fn on_step(&mut self, _: &mut M, step: &StepReport, _: &Training<'_>) -> Result<Control> {
        self.steps.push(step.clone());
        let stop = self.stop_after.is_some_and(|last| step.step >= last);
        Ok(if stop {
            Control::Stop
        } else {
            Control::Continue
        })
    }

    fn on_epoch(&mut self, _: &mut M, epoch: &EpochReport, _: &Training<'_>) -> Result<Control> {
        self.epochs.push(epoch.clone());
        Ok(Control::Continue)
    }

    fn last_checkpoint(&self) -> Option<String> {
        self.checkpoint.map(str::to_owned)
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

fn run() -> Run {
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
        ..Default::default()
    }
}

fn fit(model: &mut Model<Regression>, run: &Run) -> Result<(Outcome, Notes)> {
    let mut notes = Notes::default();
    train(model, &examples(), run, &mut notes).map(|outcome| (outcome, notes))
}

fn message(model: &mut Model<Regression>, run: &Run) -> String {
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
    let text = message(&mut model(Between::Nan), &run());
    assert!(
        text.starts_with(
            "step 1: the loss is NaN, its part `error` is NaN, its part `spread` is NaN; \
             the model is as step 0 left it; the batch holds the rows #"
        ),
        "{text}"
    );
    let named = text
        .split_once("holds the rows ")
        .unwrap()
        .1
        .split(", ")
        .map(|row| row.strip_prefix('#').unwrap().parse().unwrap());
    let named: Vec<usize> = named.collect();
    assert!(named.len() == 8 || named.len() == 2, "{text}");
    assert!(named.iter().all(|row| *row < 50), "{text}");
}

#[test]
fn a_part_of_the_loss_that_is_not_finite_stops_training_though_the_loss_is() {
    let text = message(&mut model(Between::InfiniteSpread), &run());
    assert!(text.starts_with("step 1: the loss is "), "{text}");
    assert!(
        text.contains(", but its part `spread` is inf; the model is as step 0 left it; the batch"),
        "{text}"
    );
}

#[test]
fn a_step_that_leaves_a_variable_not_finite_stops_training_before_anyone_is_told() {
    let mut run = run();
    run.params.learning_rate = 1e39;
    run.params.warm_up = 0;
    let mut notes = Notes {
        checkpoint: Some("run/checkpoint (step 0)"),
        ..Notes::default()
    };
    let mut model = model(Between::Nothing);
    let error = train(&mut model, &examples(), &run, &mut notes).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("step 1: the optimiser's step at a learning rate of 1"),
        "{text}"
    );
    assert!(
        text.contains(
            " left first/bias, first/weight, last/bias, last/weight not finite; the model is lost; \
             the last good checkpoint is run/checkpoint (step 0); the batch holds the rows #"
        ),
        "{text}"
    );
    assert_eq!((notes.steps.len(), notes.epochs.len()), (0, 0));
}

#[test]
fn what_the_result_depends_on_can_be_recorded() {
    #[derive(Default)]
    struct Records(Vec<serde_json::Value>);
    impl Observer<Model<Regression>> for Records {
        fn on_start(&mut self, _: &mut Model<Regression>, training: &Training<'_>) -> Result<()> {
            self.0.push(training.record());
            Ok(())
        }
        fn on_step(
            &mut self,
            _: &mut Model<Regression>,
            _: &StepReport,
            _: &Training<'_>,
        ) -> Result<Control> {
            Ok(Control::Stop)
        }
    }
    let mut records = Records::default();
    let mut run = run();
    let mut go = |run: &Run| train(&mut model(Between::Nothing), &examples(), run, &mut records);
    go(&run).unwrap();
    run.weights = vec![("spread".to_owned(), 0.5), ("spread".to_owned(), 0.25)];
    go(&run).unwrap();
    let [by_default, given] = records.0.as_slice() else {
        panic!("{records:?}", records = records.0)
    };
    assert_eq!(by_default["weights"], serde_json::json!({ "spread": 0.0 }));
    assert_eq!(given["weights"], serde_json::json!({ "spread": 0.25 }));
    assert_eq!(
        (&given["seed"], &given["examples"], &given["max_seconds"]),
        (&9.into(), &50.into(), &serde_json::Value::Null)
    );
    assert_eq!(given["params"]["learning_rate"], 0.03);
    assert_eq!(given["params"]["adamw"]["decayed"], "matrices");
}

#[test]
fn a_loss_that_is_not_finite_names_the_last_good_checkpoint() {
    let mut notes = Notes {
        checkpoint: Some("run/checkpoint (step 7)"),
        ..Notes::default()
    };
    let error = train(&mut model(Between::Nan), &examples(), &run(), &mut notes).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("; the last good checkpoint is run/checkpoint (step 7); the batch holds"),
        "{text}"
    );
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
            .find(|(known, _)| known == name)
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
    assert_eq!(text, "the loss has no weight `spraed`; it has spread");

    let negative = Run {
        weights: vec![("spread".to_owned(), -1.0), ("size".to_owned(), f64::NAN)],
        ..run()
    };
    let text = message(&mut model(Between::Nothing), &negative);
    assert_eq!(
        text,
        "the loss has no weight `size`; it has spread\n\
         weight `spread` = -1: expected a finite number from 0\n\
         weight `size` = NaN: expected a finite number from 0"
    );
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
    let error = train(&mut model(Between::Nothing), &Vec::new(), &run(), &mut ()).unwrap_err();
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

#[test]
fn an_example_that_the_model_cannot_represent_is_named_before_the_first_step() {
    let mut data = examples();
    data[20][1] = f32::NAN;
    let mut notes = Notes::default();
    let error = train(&mut model(Between::Nothing), &data, &run(), &mut notes).unwrap_err();
    assert_eq!(error.to_string(), "#20: not three numbers");
    assert_eq!(notes.steps.len(), 0);
}

/// The same examples, each read when it is needed.
#[derive(Default)]
struct Generated {
    /// The number of an example that no batch can be read with.
    missing: Option<u32>,
    /// Indices in the order in which they were read, by batch.
    read: Mutex<Vec<Vec<u32>>>,
}

impl Dataset<[f32; 3]> for Generated {
    fn len(&self) -> usize {
        examples().len()
    }

    fn read(&self, indices: &[u32]) -> Result<Vec<[f32; 3]>> {
        self.read.lock().unwrap().push(indices.to_vec());
        let missing = self.missing.filter(|missing| indices.contains(missing));
        if missing.is_some() && indices.len() <= 8 {
            return Err(Error::new("the disk is gone"));
        }
        examples().read(indices)
    }

    fn name(&self, index: u32) -> String {
        format!("number {}", index + 1)
    }
}

#[test]
fn a_data_set_names_its_examples_and_its_failure_ends_training() {
    let data = Generated {
        missing: Some(33),
        ..Default::default()
    };
    let mut notes = Notes::default();
    let error = train(&mut model(Between::Nothing), &data, &run(), &mut notes).unwrap_err();
    assert_eq!(error.to_string(), "the disk is gone");
    let read = data.read.into_inner().unwrap();
    assert_eq!(read[0].len(), 50);
    let failed = read.iter().skip(1).position(|batch| batch.contains(&33));
    assert_eq!(Some(notes.steps.len()), failed);

    let data = Generated::default();
    let error = train(&mut model(Between::Nan), &data, &run(), &mut ()).unwrap_err();
    let error = error.to_string();
    let (_, rows) = error.split_once("; the batch holds the rows ").unwrap();
    assert!(
        rows.split(", ").all(|row| row.starts_with("number ")),
        "{error}"
    );
}

/// Stops after a step and keeps the model and the state of training as a bundle.
struct Stop<'a> {
    after: u64,
    path: &'a Path,
}

impl Observer<Model<Regression>> for Stop<'_> {
    fn on_step(
        &mut self,
        model: &mut Model<Regression>,
        step: &StepReport,
        training: &Training<'_>,
    ) -> Result<Control> {
        if step.step < self.after {
            return Ok(Control::Continue);
        }
        let mut snapshot = model.snapshot()?;
        snapshot.checkpoint = Some(training.checkpoint()?);
        snapshot.save(self.path)?;
        Ok(Control::Stop)
    }
}

fn stopped_after(step: u64, path: &Path, run: &Run) -> (Model<Regression>, Checkpoint) {
    let mut stop = Stop { after: step, path };
    let mut begun = model(Between::Nothing);
    train(&mut begun, &examples(), run, &mut stop).unwrap();
    let loaded = Regression::load_with(path, LoadOptions::new().trainable(true)).unwrap();
    let checkpoint = Bundle::open(path).unwrap().checkpoint().unwrap().unwrap();
    (loaded, checkpoint)
}

#[test]
fn a_run_that_stops_after_any_step_ends_as_if_it_had_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut run = run();
    run.params.epochs = 3;
    run.params.annealing.weights = vec!["spread".to_owned()];
    run.weights = vec![("spread".to_owned(), 0.1)];
    let mut whole = model(Between::Nothing);
    let (_, notes) = fit(&mut whole, &run).unwrap();
    let losses = |notes: &Notes| -> Vec<(f64, Vec<(String, f64)>)> {
        let epochs = notes.epochs.iter();
        epochs
            .map(|epoch| (epoch.loss, epoch.parts.clone()))
            .collect()
    };
    for step in 1..=21 {
        let (mut model, checkpoint) = stopped_after(step, &path, &run);
        let summary = CheckpointSummary::of(&checkpoint).unwrap();
        assert_eq!(
            (summary.steps, summary.epoch, summary.stopped),
            (step, 1 + (step as usize - 1) / 7, None)
        );
        let mut later = Notes::default();
        let outcome = resume(&mut model, &examples(), &run, &checkpoint, &mut later).unwrap();
        assert_eq!(model.digest().unwrap(), whole.digest().unwrap(), "{step}");
        assert_eq!((outcome.steps, outcome.stopped), (21, Stopped::Finished));
        let (all, later) = (losses(&notes), losses(&later));
        assert_eq!(later, all[all.len() - later.len()..], "{step}");
    }
}

/// Keeps the model and the state of training after every epoch.
struct Keep<'a>(&'a Path);

impl Observer<Model<Regression>> for Keep<'_> {
    fn on_epoch(
        &mut self,
        model: &mut Model<Regression>,
        _: &EpochReport,
        training: &Training<'_>,
    ) -> Result<Control> {
        let mut snapshot = model.snapshot()?;
        snapshot.checkpoint = Some(training.checkpoint()?);
        snapshot.save(self.0)?;
        Ok(Control::Continue)
    }
}

/// What a run that has ended leaves.
fn ended(path: &Path, run: &Run) -> (Model<Regression>, Checkpoint) {
    train(
        &mut model(Between::Nothing),
        &examples(),
        run,
        &mut Keep(path),
    )
    .unwrap();
    let loaded = Regression::load_with(path, LoadOptions::new().trainable(true)).unwrap();
    let checkpoint = Bundle::open(path).unwrap().checkpoint().unwrap().unwrap();
    (loaded, checkpoint)
}

fn of_epochs(epochs: usize) -> Run {
    let mut run = run();
    run.params.epochs = epochs;
    run
}

#[test]
fn a_run_that_has_ended_goes_on_with_the_schedule_of_the_longer_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let (mut model, checkpoint) = ended(&path, &of_epochs(2));
    let longer = of_epochs(4);
    let mut notes = Notes::default();
    let outcome = extend(&mut model, &examples(), &longer, &checkpoint, &mut notes).unwrap();
    assert_eq!(
        (outcome.steps, outcome.epochs, outcome.stopped),
        (28, 4, Stopped::Finished)
    );
    let rates: Vec<f64> = notes.steps.iter().map(|step| step.learning_rate).collect();
    let expected = (14..28).map(|step| longer.params.rate(step, step as f64 / 28.0));
    assert_eq!(rates, expected.collect::<Vec<_>>());
    // Equal extensions give equal models, and the run that is extended is that run still.
    let (mut again, checkpoint) = ended(&path, &of_epochs(2));
    extend(&mut again, &examples(), &longer, &checkpoint, &mut ()).unwrap();
    assert_eq!(again.digest().unwrap(), model.digest().unwrap());
    let error = resume(&mut again, &examples(), &longer, &checkpoint, &mut ());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("`params.epochs` = 4: the run was begun with 2"),
        "{error}"
    );
}

#[test]
fn a_run_that_is_extended_before_it_ends_is_the_longer_one_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let (mut model, checkpoint) = stopped_after(3, &path, &of_epochs(2));
    let mut notes = Notes::default();
    let longer = of_epochs(3);
    extend(&mut model, &examples(), &longer, &checkpoint, &mut notes).unwrap();
    assert_eq!(notes.steps.len(), 18);
    let first = &notes.steps[0];
    assert_eq!(
        (first.step, first.learning_rate),
        (4, longer.params.rate(3, 3.0 / 21.0))
    );
}

#[test]
fn a_run_is_not_extended_to_limits_that_it_has_reached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let (mut model, checkpoint) = ended(&path, &of_epochs(2));
    let run = Run {
        max_time: Some(Duration::from_nanos(1)),
        ..of_epochs(2)
    };
    let error = extend(&mut model, &examples(), &run, &checkpoint, &mut ());
    let error = error.unwrap_err().to_string();
    for part in [
        "`epochs` = 2: expected at least 3, as the run has done 2",
        "`max_time` = 0.000000001 s: expected more than the ",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // Nothing but the limits may be others.
    let mut run = of_epochs(3);
    run.params.batch = 4;
    let error = extend(&mut model, &examples(), &run, &checkpoint, &mut ());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("`params.batch` = 4: the run was begun with 8"),
        "{error}"
    );
}

#[test]
fn a_run_whose_time_was_up_goes_on_with_the_next_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let run = Run {
        max_time: Some(Duration::from_nanos(1)),
        ..of_epochs(3)
    };
    let (mut model, checkpoint) = ended(&path, &run);
    let summary = CheckpointSummary::of(&checkpoint).unwrap();
    assert_eq!(
        (summary.steps, summary.epoch, summary.stopped),
        (1, 2, Some(Stopped::TimeUp))
    );
    let longer = Run {
        max_time: None,
        ..of_epochs(3)
    };
    let outcome = extend(&mut model, &examples(), &longer, &checkpoint, &mut ()).unwrap();
    assert_eq!((outcome.steps, outcome.stopped), (15, Stopped::Finished));
}

#[test]
fn a_checkpoint_of_another_run_is_refused_with_all_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let (mut loaded, checkpoint) = stopped_after(4, &path, &run());
    let mut other = Run { seed: 10, ..run() };
    other.params.adamw.beta1 = 0.5;
    loaded.set_frozen("first", true).unwrap();
    let examples = vec![[0.0; 3]; 7];
    let error = resume(
        &mut loaded,
        &examples,
        &other,
        &checkpoint,
        &mut Notes::default(),
    );
    let error = error.unwrap_err().to_string();
    for part in [
        "`params.adamw.beta1` = 0.5: the run was begun with 0.9",
        "`seed` = 10: the run was begun with 9",
        "`examples` = 7: the run was begun with 50",
        "`mean/first/weight`: there is no such variable to train",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let nothing = Checkpoint::new();
    let error = resume(
        &mut loaded,
        &examples,
        &other,
        &nothing,
        &mut Notes::default(),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "the checkpoint is not one of training"
    );
}

#[test]
fn annealed_weights_are_those_of_the_objective() {
    let mut run = run();
    run.params.annealing.weights = vec!["spraed".to_owned()];
    assert_eq!(
        message(&mut model(Between::Nothing), &run),
        "the loss has no weight `spraed`; it has spread"
    );
}

#[test]
fn an_annealed_weight_starts_low() {
    let loss_of_first_step = |annealed: bool| {
        let mut run = run();
        run.weights = vec![("spread".to_owned(), 1e3)];
        if annealed {
            run.params.annealing.weights = vec!["spread".to_owned()];
        }
        let (_, notes) = fit(&mut model(Between::Nothing), &run).unwrap();
        let step = &notes.steps[0];
        (step.loss, step.parts[0].1, step.parts[1].1)
    };
    let (loss, error, spread) = loss_of_first_step(false);
    assert!((loss - (error + 1e3 * spread)).abs() < 1e-3 * loss);
    let (loss, error, _) = loss_of_first_step(true);
    assert_eq!(loss, error);
}

#[test]
fn the_mean_loss_is_that_of_all_examples_at_once_without_noise_and_annealing() {
    let model = Regression::create_with(Default::default(), CreateOptions::new().seed(1)).unwrap();
    let examples = [1.0, 2.0, 3.0, 4.0, 5.0].map(|x| [x, -x, 0.5]);
    let mut run = Run {
        weights: vec![("spread".to_owned(), 0.5)],
        ..Default::default()
    };
    run.params.batch = 2;
    run.params.annealing.weights = vec!["spread".to_owned()];
    let mean = mean_loss(&*model, &examples.to_vec(), &run).unwrap();
    let mut step = Step::evaluation().with_weight("spread", 0.5);
    let batch: Vec<&[f32; 3]> = examples.iter().collect();
    let loss = model.loss(&batch, &mut step).unwrap();
    let scalar = |tensor: &Tensor| f64::from(tensor.to_scalar::<f32>().unwrap());
    let is_close = |a: f64, b: f64| (a - b).abs() < 1e-5 * b.abs();
    assert!(is_close(mean.loss, scalar(&loss.total)), "{mean:?}");
    assert_eq!(mean.parts.len(), loss.parts.len());
    for ((name, part), (expected_name, expected)) in mean.parts.iter().zip(&loss.parts) {
        assert_eq!(name, expected_name);
        assert!(is_close(*part, scalar(expected)), "{name}: {part}");
    }
    let error = mean_loss(&*model, &Vec::new(), &run).unwrap_err();
    assert_eq!(error.to_string(), "there is no example to evaluate");
}
