//! Reads how to train: from the options or, when a run is resumed, from its checkpoint.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use atlas_core::Params;
use atlas_core::params::ParamValue;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::Args;
use crate::chem::Standardise;
use crate::cli::problems::Problems;
use crate::cli::terminal::values::path_json;
use crate::data::RowOptions;
use atlas_core::train::{Run, TrainParams};

/// How a run trains. A checkpoint holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `None` for the built-in molecules. A name that is not UTF-8 is kept as near as JSON can.
    #[serde(serialize_with = "path_or_null")]
    pub data: Option<PathBuf>,
    #[serde(default)]
    pub rows: RowOptions,
    pub skip_invalid: bool,
    pub held_out: Option<usize>,
    pub split_seed: u64,
    pub seed: u64,
    /// [`TrainParams`]
    pub train: Value,
    pub max_minutes: Option<f64>,
    pub weights: Vec<(String, f64)>,
    pub frozen: Vec<String>,
    /// An object for each time that a resumed run got other limits: the step, and the limits until
    /// then.
    #[serde(default)]
    pub extended: Vec<Value>,
}

impl Settings {
    /// What the command says, and what is usual for its data where it says nothing; `trained` is how
    /// the molecules were drawn of the bundle that the model starts from.
    pub fn new(args: &Args, trained: Option<&Standardise>, problems: &mut Problems) -> Self {
        let training = &args.training;
        let mut train = Map::new();
        if args.data.file.is_none() {
            // There are so many of the built-in molecules that once is enough; more and smaller
            // steps teach more of them than fewer and larger ones.
            train.insert("epochs".to_owned(), json!(1));
            train.insert("batch".to_owned(), json!(32));
            train.insert("learning_rate".to_owned(), json!(3e-3));
        }
        for (name, given) in [
            ("epochs", json!(training.epochs)),
            ("batch", json!(training.batch)),
            ("learning_rate", json!(training.lr)),
        ] {
            if !given.is_null() {
                train.insert(name.to_owned(), given);
            }
        }
        let train = with_assignments(Value::Object(train), args, problems);
        let params = TrainParams::from_overrides(&train);
        let params = params.unwrap_or_else(|error| {
            problems.note(None, &error);
            TrainParams::default()
        });
        Self {
            data: args.data.file.clone(),
            rows: RowOptions {
                weight_column: args.data.weight_column.clone(),
                ..args.data.rows.options(trained)
            },
            skip_invalid: args.data.rows.skip_invalid,
            held_out: args.data.held_out,
            split_seed: args.data.split_seed.unwrap_or(0),
            seed: training.seed.unwrap_or(0),
            train: ParamValue::to_json(&params),
            max_minutes: training.max_minutes,
            weights: training.weight.clone(),
            frozen: training.freeze.clone(),
            extended: Vec::new(),
        }
    }

    /// Sets a training parameter unless the command does.
    pub fn suggest(&mut self, name: &str, value: impl Into<Value>, args: &Args) {
        let training = &args.training;
        let is_flag = match name {
            "epochs" => training.epochs.is_some(),
            "learning_rate" => training.lr.is_some(),
            _ => false,
        };
        let mut assigned = training.train_set.iter();
        let is_assigned = assigned.any(|text| {
            let name_given = text.split_once('=').map(|(name, _)| name.trim());
            name_given == Some(name)
        });
        if !is_flag && !is_assigned {
            self.train[name] = value.into();
        }
    }

    /// Takes the limits that the command gives, after so many steps, and notes everything else in
    /// which it differs from what the run was begun with. What it does not say stays as it was. The
    /// data may have moved.
    ///
    /// Whether the run has other limits than before.
    pub fn go_on(&mut self, args: &Args, steps: u64, problems: &mut Problems) -> bool {
        let (data, training) = (&args.data, &args.training);
        let begun = json!(self);
        // As texts, so that none is a way, too.
        let standardise = data.rows.standardise.as_ref().map(ToString::to_string);
        let begun_standardise = json!(self.rows.standardise.to_string());
        for (flag, given, begun) in [
            ("--batch", json!(training.batch), &self.train["batch"]),
            ("--lr", json!(training.lr), &self.train["learning_rate"]),
            ("--held-out", json!(data.held_out), &begun["held_out"]),
            ("--split-seed", json!(data.split_seed), &begun["split_seed"]),
            ("--seed", json!(training.seed), &begun["seed"]),
            ("--weight", json!(training.weight), &begun["weights"]),
            (
                "--smiles-column",
                json!(data.rows.smiles_column),
                &begun["rows"]["smiles_column"],
            ),
            (
                "--name-column",
                json!(data.rows.name_column),
                &begun["rows"]["name_column"],
            ),
            (
                "--weight-column",
                json!(data.weight_column),
                &begun["rows"]["weight_column"],
            ),
            ("--standardise", json!(standardise), &begun_standardise),
            ("--freeze", json!(training.freeze), &begun["frozen"]),
            (
                "--skip-invalid",
                json!(data.rows.skip_invalid),
                &begun["skip_invalid"],
            ),
        ] {
            let is_given = ![json!(null), json!([]), json!(false)].contains(&given);
            if is_given && given != *begun {
                add_difference(format_args!("{flag} {given}"), begun, problems);
            }
        }
        let mut train = with_assignments(self.train.clone(), args, problems);
        if let Some(epochs) = training.epochs {
            train["epochs"] = json!(epochs);
        }
        self.train["epochs"] = train["epochs"].clone();
        if train != self.train {
            problems.add("--train-set: the run was begun with other values");
        }
        self.max_minutes = training.max_minutes.or(self.max_minutes);
        let (epochs, max_minutes) = (&begun["train"]["epochs"], &begun["max_minutes"]);
        let is_extended =
            self.train["epochs"] != *epochs || json!(self.max_minutes) != *max_minutes;
        if is_extended {
            self.extended
                .push(json!({ "step": steps, "epochs": epochs, "max_minutes": max_minutes }));
        }
        is_extended
    }

    /// The run that training is told of.
    pub fn run(&self, problems: &mut Problems) -> Run {
        // A parameter that a checkpoint lacks had its default.
        let params = TrainParams::from_overrides(&self.train).unwrap_or_else(|error| {
            problems.note(None, &error);
            TrainParams::default()
        });
        Run {
            params,
            seed: self.seed,
            max_time: self
                .max_minutes
                .and_then(|minutes| max_time(minutes).map_err(|why| problems.add(why)).ok()),
            weights: self.weights.clone(),
            ..Default::default()
        }
    }
}

fn path_or_null<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(path_json).serialize(to)
}

/// Notes that the command says something else than the run was begun with.
pub fn add_difference(given: impl Display, begun: &Value, problems: &mut Problems) {
    problems.add(format_args!(
        "{given}: the run was begun with {begun}, and --resume goes on with it"
    ));
}

/// The training parameters with those of --train-set.
fn with_assignments(mut train: Value, args: &Args, problems: &mut Problems) -> Value {
    let schema = TrainParams::schema();
    for assignment in &args.training.train_set {
        match schema.overrides(train.clone(), [assignment]) {
            Ok(assigned) => train = assigned,
            Err(error) => problems.note(Some("--train-set"), &error),
        }
    }
    train
}

fn max_time(minutes: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(minutes * 60.0)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| format!("--max-minutes {minutes}: expected a time above zero"))
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
            Settings::new(&args, None, &mut problems)
                .run(&mut problems)
                .max_time
        };
        assert_eq!(max_time(&[]), None);
        assert_eq!(max_time(&["--data", "some.smi"]), None);
        let asked_for = max_time(&["--max-minutes", "2"]);
        assert_eq!(asked_for, Some(Duration::from_secs(120)));
    }
}
