//! What will be trained, on what, and how: all of it checked before training starts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use atlas_core::{CreateOptions, Error, Params};
use atlas_models::chem::{Smiles, Tokens};
use atlas_models::data::Molecules;
use atlas_models::models::{self, MoleculeAutoencoder};
use atlas_models::train::TrainParams;
use serde_json::{Map, Value, json};

use super::problems::Problems;
use super::watch::Note;
use super::{Args, parameters};
use crate::destination::{self, Found};
use crate::failure::{Failure, Outcome};
use crate::molecules;
use crate::notes::{Data, HeldOut, TrainedOn};

/// The most molecules that are held out unless the user says otherwise.
const HELD_OUT: usize = 1000;
/// Time for the built-in molecules on a slow machine, unless the user sets epochs or a time.
const BUILT_IN_MINUTES: f64 = 4.5;

/// The built-in molecules are learnt in a few epochs.
fn built_in_settings() -> TrainParams {
    TrainParams {
        epochs: 8,
        learning_rate: 3e-3,
        ..TrainParams::default()
    }
}

/// Training, ready to start.
pub struct Plan {
    pub model: Box<dyn MoleculeAutoencoder>,
    pub settings: TrainParams,
    pub max_time: Option<Duration>,
    pub out: PathBuf,
    /// Whether there is a bundle that will be replaced.
    pub replaces: bool,
    pub examples: Vec<Tokens>,
    /// The line of each example.
    pub lines: Vec<usize>,
    pub held_out: Vec<Smiles>,
    pub note: Note,
}

impl Plan {
    /// # Errors
    /// Everything that would keep training from starting or from ending well: first what can be
    /// known without the model, then what it takes the model to know.
    pub fn of(args: &Args) -> Outcome<Self> {
        let registry = models::registry();
        let entry = registry.entry(&args.model)?;
        let mut problems = Problems::default();
        let settings = settings(args);
        if let Err(error) = settings.validate() {
            problems.note(None, &error);
        }
        let max_time = max_time(args, &mut problems);
        let out = args.out.clone();
        let out = out.unwrap_or_else(|| Path::new("runs").join(entry.name()));
        let found = problems.take(destination::look(&out).map_err(Failure::new));
        let data = problems.take(match &args.data {
            Some(path) => molecules::read(path, args.skip_invalid),
            None => Ok(Molecules::built_in()),
        });
        let overrides = parameters::overrides(args, entry, data.as_ref(), &mut problems);
        if let Some(data) = &data {
            problems.take(split(args, data));
        }
        problems.into_outcome()?;
        let mut data = data.ok_or_else(|| Failure::new("there is nothing to train on"))?;

        let options = CreateOptions::new().seed(args.seed);
        let mut model = registry.create(&args.model, &overrides, options)?;
        let mut problems = Problems::default();
        for network in &args.freeze {
            if let Err(error) = model.set_frozen(network, true) {
                problems.note(Some("--freeze"), &error);
            }
        }
        check_weights(&*model, &args.weight, &mut problems);
        problems.take(molecules::keep_known(&mut data, &*model, args.skip_invalid));
        problems.into_outcome()?;
        molecules::report_skipped(&data.source, &data.skipped);

        let (held_out, training, kept) = split(args, &data)?;
        let training = training.iter().map(|&index| &data.rows[index]);
        let examples: Result<_, Error> = training
            .clone()
            .map(|row| model.prepare(&row.smiles))
            .collect();
        Ok(Self {
            max_time,
            out,
            replaces: found == Some(Found::ABundle),
            examples: examples?,
            lines: training.map(|row| row.line).collect(),
            held_out: kept
                .iter()
                .map(|&index| data.rows[index].smiles.clone())
                .collect(),
            note: note(args, &settings, max_time, &data, held_out),
            settings,
            model,
        })
    }
}

/// What is held out, and the molecules to train on and to keep.
type Split = (HeldOut, Vec<usize>, Vec<usize>);

fn split(args: &Args, data: &Molecules) -> Outcome<Split> {
    let usual = HELD_OUT
        .min(data.len().div_ceil(10))
        .min(data.len().saturating_sub(1));
    let held_out = HeldOut {
        molecules: args.held_out.unwrap_or(usual),
        seed: args.split_seed,
    };
    let (training, kept) = data.split(held_out.molecules, held_out.seed)?;
    Ok((held_out, training, kept))
}

fn settings(args: &Args) -> TrainParams {
    let usual = if args.data.is_none() {
        built_in_settings()
    } else {
        TrainParams::default()
    };
    TrainParams {
        epochs: args.epochs.unwrap_or(usual.epochs),
        batch: args.batch.unwrap_or(usual.batch),
        learning_rate: args.lr.unwrap_or(usual.learning_rate),
        ..usual
    }
}

fn max_time(args: &Args, problems: &mut Problems) -> Option<Duration> {
    let built_in = (args.data.is_none() && args.epochs.is_none()).then_some(BUILT_IN_MINUTES);
    let minutes = args.max_minutes.or(built_in)?;
    let time = Duration::try_from_secs_f64(minutes * 60.0)
        .ok()
        .filter(|time| !time.is_zero());
    if time.is_none() {
        problems.add(format!(
            "--max-minutes {minutes}: expected a time above zero"
        ));
    }
    time
}

fn check_weights(
    model: &dyn MoleculeAutoencoder,
    given: &[(String, f64)],
    problems: &mut Problems,
) {
    let names: Vec<&str> = model.weights().iter().map(|weight| weight.name).collect();
    for (name, weight) in given {
        if !names.contains(&name.as_str()) {
            let known = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            problems.add(format!(
                "--weight {name}: `{}` has no such weight; it has {known}",
                model.name()
            ));
        } else if !weight.is_finite() || *weight < 0.0 {
            problems.add(format!(
                "--weight {name}={weight}: expected a finite number, at least 0"
            ));
        }
    }
}

fn note(
    args: &Args,
    settings: &TrainParams,
    max_time: Option<Duration>,
    data: &Molecules,
    held_out: HeldOut,
) -> Note {
    let data = Data {
        source: data.source.clone(),
        digest: data.digest(),
        molecules: data.len(),
        skipped: data.skipped.len(),
    };
    let weights: Map<String, Value> = args
        .weight
        .iter()
        .map(|(name, weight)| (name.clone(), json!(weight)))
        .collect();
    Note {
        trained_on: TrainedOn { data, held_out },
        settings: json!({
            "seed": args.seed,
            "max_minutes": max_time.map(|time| time.as_secs_f64() / 60.0),
            "frozen": args.freeze,
            "weights": weights,
            "train": settings,
        }),
    }
}
