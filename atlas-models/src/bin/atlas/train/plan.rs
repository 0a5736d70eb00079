//! What will be trained, on what, and how: all of it checked before training starts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use atlas_core::train::Run;
use atlas_core::{Bundle, Checkpoint, CreateOptions, LoadOptions};
use atlas_models::data::{MemoryLimit, Molecules, Split};
use atlas_models::models::{self, DEFAULT_MODEL, MoleculeAutoencoder};
use serde_json::{Map, Value, json};

use super::folder::RunFolder;
use super::problems::Problems;
use super::settings::Settings;
use super::watch::{Note, Record};
use super::{Args, parameters};
use crate::destination::{self, Found};
use crate::failure::{Failure, Outcome};
use crate::molecules;
use crate::notes::{Data, HeldOut, TrainedOn};
use crate::output;

/// The most molecules that are held out unless the user says otherwise.
const HELD_OUT: usize = 1000;

/// What is trained: whichever model the registry gives.
pub type Model = Box<dyn MoleculeAutoencoder>;

/// Training of a model, ready to start.
pub struct Plan {
    pub run: Run,
    pub settings: Settings,
    pub out: PathBuf,
    pub folder: RunFolder,
    /// Time in training between two checkpoints.
    pub pace: Duration,
    /// Whether there is a bundle that will be replaced.
    pub replaces: bool,
    pub training: Molecules,
    pub held_out: Molecules,
    pub note: Note,
    /// What a run that goes on goes on from.
    pub resumed: Option<(Checkpoint, Record)>,
}

impl Plan {
    /// # Errors
    /// Everything that would keep training from starting or from ending well: first what can be
    /// known without the model, then what it takes the model to know.
    pub fn of(args: &Args) -> Outcome<(Self, Model)> {
        let out = args.out.clone().unwrap_or_else(|| {
            let model = args.model.as_deref().unwrap_or(DEFAULT_MODEL);
            Path::new("runs").join(model)
        });
        let folder = RunFolder::beside(&out);
        if !args.resume {
            return Self::begun(args, out, folder);
        }
        let checkpoint = RunFolder::checkpoint_in(&folder);
        match Bundle::open(&checkpoint) {
            Err(error) if error.is_not_found() => {
                output::say(&format_args!(
                    "there is no {} to resume from: training from the beginning",
                    checkpoint.display()
                ));
                Self::begun(args, out, folder)
            }
            // What it holds is read once no other run can replace it.
            _ => Self::resumed(args, out, RunFolder::open(folder)?),
        }
    }

    fn begun(args: &Args, out: PathBuf, folder: PathBuf) -> Outcome<(Self, Model)> {
        let registry = models::registry();
        let entry = registry.entry(args.model.as_deref().unwrap_or(DEFAULT_MODEL))?;
        let mut problems = Problems::default();
        let settings = Settings::of(args, &mut problems);
        let run = settings.run(&mut problems);
        let found = problems.take(destination::look(&out).map_err(Failure::new));
        let is_free = || RunFolder::check_free(&folder, args.restart).map_err(Failure::new);
        problems.take(is_free());
        let pace = pace(args, &mut problems);
        let data = problems.take(read(args, &settings));
        let overrides = parameters::overrides(args, entry, data.as_ref(), &mut problems);
        if let Some(data) = &data {
            check_held_out(&settings, data, &mut problems);
        }
        problems.into_outcome()?;
        let data = data.ok_or_else(|| Failure::new("there is nothing to train on"))?;
        let options = CreateOptions::new().seed(settings.seed);
        let mut model = registry.create(entry.name(), &overrides, options)?;
        let locked = || {
            let locked = RunFolder::open(folder.clone())?;
            // Another run may have begun there while the data were read.
            is_free()?;
            Ok(locked)
        };
        let plan = Self::with(&mut *model, run, settings, data, out, locked)?;
        let replaces = found == Some(Found::ABundle);
        let plan = Self {
            replaces,
            pace,
            ..plan
        };
        Ok((plan, model))
    }

    fn resumed(args: &Args, out: PathBuf, folder: RunFolder) -> Outcome<(Self, Model)> {
        let path = folder.checkpoint();
        let place = path.display();
        let bundle = Bundle::open(&path)?;
        let checkpoint = bundle.checkpoint()?;
        let checkpoint = checkpoint
            .ok_or_else(|| Failure::new(format_args!("{place} is a bundle and no checkpoint")))?;
        let record =
            Record::of(&checkpoint).map_err(|why| Failure::new(format_args!("{place}: {why}")))?;
        let registry = models::registry();
        let mut model = registry.load_with(&path, LoadOptions::new().trainable(true))?;

        let mut problems = Problems::default();
        let mut settings = record.settings.clone();
        settings.check_against(args, &mut problems);
        let run = settings.run(&mut problems);
        let schema = registry.entry(model.name())?.schema();
        parameters::check_against(args, &schema, &model.params_json(), &mut problems);
        if let Some(other) = args.model.as_deref().filter(|name| *name != model.name()) {
            problems.add(format!(
                "--model {other}: the run trains `{}`",
                model.name()
            ));
        }
        problems.take(destination::look(&out).map_err(Failure::new));
        settings.data = args.data.clone().or(settings.data);
        let pace = pace(args, &mut problems);
        let data = problems.take(read(args, &settings));
        problems.into_outcome()?;
        let data = data.ok_or_else(|| Failure::new("there is nothing to train on"))?;
        let plan = Self::with(&mut *model, run, settings, data, out, || Ok(folder))?;
        let begun = &record.trained_on.data;
        if plan.note.trained_on.data.digest != begun.digest {
            return Err(Failure::new(format_args!(
                "{} does not hold the molecules that the run was begun with ({} of {})",
                plan.note.trained_on.data.source, begun.molecules, begun.source
            )));
        }
        let plan = Self {
            resumed: Some((checkpoint, record)),
            pace,
            ..plan
        };
        Ok((plan, model))
    }

    /// What is left to do once there is a model.
    fn with(
        model: &mut dyn MoleculeAutoencoder,
        run: Run,
        settings: Settings,
        mut data: Molecules,
        out: PathBuf,
        folder: impl FnOnce() -> Outcome<RunFolder>,
    ) -> Outcome<Self> {
        let mut problems = Problems::default();
        for network in &settings.frozen {
            if let Err(error) = model.set_frozen(network, true) {
                problems.note(Some("--freeze"), &error);
            }
        }
        check_weights(model, &run, &mut problems);
        let held_out = HeldOut {
            molecules: held_out(&settings, data.len()),
            seed: settings.split_seed,
        };
        data.keep_representable(model)?;
        let split = data.split(held_out.molecules, held_out.seed);
        let split = problems.take(split.map_err(Failure::from).and_then(|split| {
            molecules::refuse_skipped(&data, settings.skip_invalid)?;
            Ok(split)
        }));
        problems.into_outcome()?;
        let split = split.ok_or_else(|| Failure::new("there is nothing to train on"))?;
        let Split {
            training,
            held_out: put_aside,
        } = split;
        molecules::report_skipped(data.source(), data.skipped());
        Ok(Self {
            note: note(model, &run, &settings, &data, held_out)?,
            training,
            held_out: put_aside,
            replaces: false,
            resumed: None,
            run,
            settings,
            out,
            folder: folder()?,
            pace: Duration::MAX,
        })
    }
}

/// Time in training between two checkpoints.
fn pace(args: &Args, problems: &mut Problems) -> Duration {
    let minutes = args.checkpoint_minutes;
    if minutes.is_nan() || minutes < 0.0 {
        problems.add(format!(
            "--checkpoint-minutes {minutes}: expected a time from zero"
        ));
    }
    // What no clock reaches is no time at all.
    Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(Duration::MAX)
}

/// Reads the molecules; rows that are not SMILES are an error unless they are to be skipped.
fn read(args: &Args, settings: &Settings) -> Outcome<Molecules> {
    let mut limit = MemoryLimit::default();
    if let Some(mebibytes) = args.memory {
        limit.max_bytes = mebibytes.saturating_mul(1 << 20);
    }
    match &settings.data {
        Some(path) => molecules::read(path, limit, settings.skip_invalid),
        None => Ok(Molecules::built_in(limit)?),
    }
}

fn held_out(settings: &Settings, molecules: usize) -> usize {
    let usual = HELD_OUT
        .min(molecules.div_ceil(10))
        .min(molecules.saturating_sub(1));
    settings.held_out.unwrap_or(usual)
}

fn check_held_out(settings: &Settings, data: &Molecules, problems: &mut Problems) {
    let (held_out, molecules) = (held_out(settings, data.len()), data.len());
    if held_out >= molecules {
        problems.add(format!(
            "{} holds {molecules} molecules: {held_out} cannot be held out and leave any to train on",
            data.source()
        ));
    }
}

fn check_weights(model: &dyn MoleculeAutoencoder, run: &Run, problems: &mut Problems) {
    let weights = model.weights();
    let names: Vec<&str> = weights.iter().map(|weight| &*weight.name).collect();
    let known = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    for (name, weight) in &run.weights {
        if !names.contains(&name.as_str()) {
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
    for name in &run.params.annealing.weights {
        if !names.contains(&name.as_str()) {
            problems.add(format!(
                "--train-set annealing.weights: `{}` has no weight `{name}`; it has {known}",
                model.name()
            ));
        }
    }
}

fn note(
    model: &dyn MoleculeAutoencoder,
    run: &Run,
    settings: &Settings,
    data: &Molecules,
    held_out: HeldOut,
) -> Outcome<Note> {
    let data = Data {
        source: data.source().to_owned(),
        digest: data.digest()?,
        molecules: data.len(),
        skipped: data.skipped().count,
    };
    let weights: Map<String, Value> = model
        .weights()
        .iter()
        .map(|weight| (weight.name.to_string(), json!(run.weight(weight))))
        .collect();
    Ok(Note {
        trained_on: TrainedOn { data, held_out },
        settings: json!({
            "seed": settings.seed,
            "max_minutes": settings.max_minutes,
            "frozen": settings.frozen,
            "weights": weights,
            "train": settings.train,
        }),
    })
}
