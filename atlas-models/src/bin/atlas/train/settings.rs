//! How a run trains: as the command says or, when it is resumed, as it was begun.

use std::path::PathBuf;
use std::time::Duration;

use atlas_core::Params;
use atlas_core::params::ParamValue;
use atlas_core::train::{Run, TrainParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Args;
use super::problems::Problems;

/// The built-in molecules are learnt in a few epochs.
fn built_in_params() -> Value {
    json!({ "epochs": 5, "learning_rate": 3e-3 })
}

/// How a run trains.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `None` for the built-in molecules.
    pub data: Option<PathBuf>,
    pub skip_invalid: bool,
    pub held_out: Option<usize>,
    pub split_seed: u64,
    pub seed: u64,
    /// [`TrainParams`]
    pub train: Value,
    pub max_minutes: Option<f64>,
    pub weights: Vec<(String, f64)>,
    pub frozen: Vec<String>,
}

impl Settings {
    /// What the command says, and what is usual for its data where it says nothing.
    pub fn of(args: &Args, problems: &mut Problems) -> Self {
        let is_built_in = args.data.is_none();
        let mut train = match is_built_in {
            true => built_in_params(),
            false => json!({}),
        };
        for (name, value) in given_params(args) {
            train[name] = value;
        }
        let train = with_assignments(train, args, problems);
        let params = TrainParams::from_overrides(&train).unwrap_or_else(|error| {
            problems.note(None, &error);
            TrainParams::default()
        });
        Self {
            data: args.data.clone(),
            skip_invalid: args.skip_invalid,
            held_out: args.held_out,
            split_seed: args.split_seed.unwrap_or(0),
            seed: args.seed.unwrap_or(0),
            train: ParamValue::to_json(&params),
            max_minutes: args.max_minutes,
            weights: args.weight.clone(),
            frozen: args.freeze.clone(),
        }
    }

    /// Notes everything that the command says otherwise than the run was begun with. What it does
    /// not say it leaves as it was; the data may have moved.
    pub fn check_against(&self, args: &Args, problems: &mut Problems) {
        let mut differs = |flag: &str, given: Value, begun: Value| {
            if given != begun {
                problems.add(format!(
                    "{flag} {given}: the run was begun with {begun}, and --resume goes on with it"
                ));
            }
        };
        for (name, value) in given_params(args) {
            let flag = match name {
                "learning_rate" => "--lr",
                "batch" => "--batch",
                _ => "--epochs",
            };
            differs(flag, value, self.train[name].clone());
        }
        if let Some(held_out) = args.held_out {
            differs("--held-out", json!(held_out), json!(self.held_out));
        }
        if let Some(seed) = args.split_seed {
            differs("--split-seed", json!(seed), json!(self.split_seed));
        }
        if let Some(seed) = args.seed {
            differs("--seed", json!(seed), json!(self.seed));
        }
        if let Some(minutes) = args.max_minutes {
            differs("--max-minutes", json!(minutes), json!(self.max_minutes));
        }
        if !args.weight.is_empty() {
            differs("--weight", json!(args.weight), json!(self.weights));
        }
        if !args.freeze.is_empty() {
            differs("--freeze", json!(args.freeze), json!(self.frozen));
        }
        if args.skip_invalid {
            differs("--skip-invalid", json!(true), json!(self.skip_invalid));
        }
        let assigned = with_assignments(self.train.clone(), args, problems);
        if assigned != self.train {
            problems.add("--train-set: the run was begun with other values".to_owned());
        }
    }

    /// The run that training is told of.
    pub fn run(&self, problems: &mut Problems) -> Run {
        let params = TrainParams::from_stored(&self.train).unwrap_or_else(|error| {
            problems.note(None, &error);
            TrainParams::default()
        });
        Run {
            params,
            seed: self.seed,
            max_time: self.max_minutes.and_then(|minutes| time(minutes, problems)),
            weights: self.weights.clone(),
        }
    }
}

/// The training parameters that have flags of their own and are given.
fn given_params(args: &Args) -> Vec<(&'static str, Value)> {
    let epochs = args.epochs.map(|epochs| ("epochs", json!(epochs)));
    let batch = args.batch.map(|batch| ("batch", json!(batch)));
    let rate = args.lr.map(|rate| ("learning_rate", json!(rate)));
    [epochs, batch, rate].into_iter().flatten().collect()
}

fn with_assignments(mut train: Value, args: &Args, problems: &mut Problems) -> Value {
    let schema = TrainParams::schema();
    for assignment in &args.train_set {
        match schema.overrides(train.clone(), [assignment]) {
            Ok(assigned) => train = assigned,
            Err(error) => problems.note(Some("--train-set"), &error),
        }
    }
    train
}

fn time(minutes: f64, problems: &mut Problems) -> Option<Duration> {
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn only_a_time_that_is_asked_for_lets_the_clock_decide() {
        let max_time = |arguments: &[&str]| {
            let arguments = ["train"].iter().chain(arguments);
            let args = Command::try_parse_from(arguments).unwrap().args;
            let mut problems = Problems::default();
            Settings::of(&args, &mut problems)
                .run(&mut problems)
                .max_time
        };
        assert_eq!(max_time(&[]), None);
        assert_eq!(max_time(&["--data", "some.smi"]), None);
        let asked_for = max_time(&["--max-minutes", "2"]);
        assert_eq!(asked_for, Some(Duration::from_secs(120)));
    }
}
