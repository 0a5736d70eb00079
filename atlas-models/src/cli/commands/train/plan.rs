//! Brings model, data and settings together, all of it checked before training starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use atlas_core::{Bundle, Checkpoint, CreateOptions, Error, Growth, LoadOptions};
use candle_core::DType;
use serde_json::{Map, Value, json};

use super::Args;
use super::budget::{self, Budget};
use super::observer::RunState;
use super::parameters::{self, Parameters};
use super::run_folder::RunFolder;
use super::settings::Settings;
use crate::cli::Models;
use crate::cli::failure::{Failure, Result, usage};
use crate::cli::limits;
use crate::cli::model::default_model;
use crate::cli::molecules;
use crate::cli::problems::Problems;
use crate::cli::terminal::output;
use crate::cli::terminal::text::count;
use crate::cli::training_note::{Data, HeldOut, TrainedOn, of_held_out_blocks};
use crate::data::{KnownMolecules, MemoryLimit, Molecules, RowOptions, Split};
use crate::models::{MoleculeAutoencoder, PRIOR};
use atlas_core::train::{CheckpointSummary, Run, Workers};

/// The most molecules that are held out unless the user says otherwise.
const HELD_OUT: usize = 1000;

/// What the problems of a plan prevent.
pub const PREVENTED: &str = "nothing was trained";

/// What is trained: whichever model the registry gives.
type Model = Box<dyn MoleculeAutoencoder>;

/// Training of a model, ready to start.
pub struct Plan {
    pub run: Run,
    pub settings: Settings,
    pub out: PathBuf,
    /// Whether there is a bundle that will be replaced.
    pub replaces: bool,
    pub folder: RunFolder,
    /// Time in training between two checkpoints.
    pub checkpoint_interval: Duration,
    pub training: Molecules,
    pub held_out: Molecules,
    /// What is trained on, as a set.
    pub known: KnownMolecules,
    /// Those made of building blocks that the built-in molecules to train on lack.
    pub of_held_out_blocks: Option<Molecules>,
    pub trained_on: TrainedOn,
    /// What the bundle will say of the settings.
    pub settings_note: Value,
    /// What is to be said before training starts.
    pub notes: Vec<String>,
    pub resumed: Option<Resumed>,
}

/// What a resumed run goes on from.
pub struct Resumed {
    pub checkpoint: Checkpoint,
    pub state: RunState,
    /// Whether it goes on to other limits than it was begun with.
    pub is_extended: bool,
    /// Whether there is nothing left to do.
    pub has_ended: bool,
}

impl Plan {
    /// # Errors
    /// Everything that would keep training from starting or from ending well: first what can be
    /// known without the model, then what it takes the model to know.
    pub fn new(args: &Args, models: &Models, workers: &Workers) -> Result<(Self, Model)> {
        let (mut plan, model) = Self::of_model(args, models, workers)?;
        plan.run.workers = workers.clone();
        Ok((plan, model))
    }

    fn of_model(args: &Args, models: &Models, workers: &Workers) -> Result<(Self, Model)> {
        let out = out(args, models)?;
        let folder = RunFolder::beside(&out);
        if let Some(or_start) = args.resume {
            let checkpoint = RunFolder::checkpoint_in(&folder);
            let is_absent = Bundle::open(&checkpoint).is_err_and(|error| error.is_not_found());
            if !is_absent {
                // What it holds is read once no other run can replace it.
                return Self::resumed(args, models, out, RunFolder::open(folder)?, workers);
            }
            let checkpoint = checkpoint.display();
            if or_start.is_none() {
                return Err(Failure::new(format_args!(
                    "there is no {checkpoint} to resume from; --resume=or-start begins a run where \
                     there is none"
                )));
            }
            output::say(&format_args!(
                "there is no {checkpoint} to resume from: training from the beginning"
            ));
        }
        Self::begun(args, models, out, folder, workers)
    }

    /// A run from the beginning.
    fn begun(
        args: &Args,
        models: &Models,
        out: PathBuf,
        folder: PathBuf,
        workers: &Workers,
    ) -> Result<(Self, Model)> {
        let mut problems = Problems::default();
        let source = args.model.from.as_ref();
        let source = source.and_then(|path| {
            if is_same(path, &out) {
                let path = path.display();
                problems.add(format_args!(
                    "--from {path}: a run cannot replace what it starts from"
                ));
            }
            let source = problems.take(models.load(path))?;
            if source.dtype() != DType::F32 {
                let (path, dtype) = (path.display(), source.dtype().as_str());
                problems.add(format_args!(
                    "--from {path}: its weights are {dtype}, and f32 is trained; `atlas cast {path} \
                     --dtype f32 --out DIR` makes a bundle to start from"
                ));
                return None;
            }
            Some(source)
        });
        let name = match (&args.model.name, &source) {
            (None, Some(source)) => source.name(),
            _ => model_name(args, models)?,
        };
        let entry = problems.take(models.model(name).map_err(usage));
        let trained = source.as_ref();
        let trained = trained.and_then(|source| TrainedOn::of(source.provenance()));
        let trained = trained.map(|known| known.data.rows.standardise);
        let mut settings = Settings::new(args, trained.as_ref(), &mut problems);
        if workers.size() > 1 {
            settings.suggest("shards", workers.size(), args);
        }
        let mut checked = Checked::new(args, &settings, &out, &mut problems);
        check_processes(&checked.run, workers, &mut problems);
        if args.data.file.is_none()
            && (args.data.rows.is_given() || args.data.weight_column.is_some())
        {
            problems.add(
                "--smiles-column, --name-column, --weight-column and --standardise say how --data is \
                 read; without it the built-in molecules are",
            );
        }
        let check_free = || RunFolder::check_free(&folder, args.restart);
        problems.take(check_free());
        let data = problems.take(read(args, &settings));
        if let Some(data) = &data {
            check_held_out(&settings, data, &mut problems)?;
        }
        let parameters = entry.and_then(|entry| {
            let (source, data) = (source.as_deref(), data.as_ref());
            Parameters::new(args, &settings, entry, source, data, &mut problems)
        });
        let is_source_lost = args.model.from.is_some() && source.is_none();
        let parameters = parameters.filter(|_| !is_source_lost);
        let (Some(entry), Some(data), Some(mut parameters)) = (entry, data, parameters) else {
            return problems.into_result(PREVENTED, None);
        };
        let mut in_time = None;
        if let Some(limit) = checked.run.max_time.filter(|_| problems.is_empty()) {
            let overrides = &parameters.overrides;
            let processes = workers.size();
            let budget = Budget::new(
                args,
                &checked.run,
                models,
                entry,
                overrides,
                &data,
                processes,
            )?;
            if let Some(budget) = budget {
                budget.settle(args, &mut settings, checked.run.params.epochs, &data);
                checked.run = settings.run(&mut problems);
                parameters.notes.extend(budget.notes(limit, &data));
                in_time = Some(budget.molecules);
                parameters.overrides = budget.overrides;
            }
        }
        let mut notes = parameters.notes;
        if args.model.from.is_none() {
            notes.extend(budget::check_steps(&checked.run, &data, in_time));
        }
        let options = CreateOptions::new().seed(settings.seed);
        let created = models.create(entry.name(), &parameters.overrides, options);
        let Some(mut model) = problems.take(created) else {
            return problems.into_result(PREVENTED, None);
        };
        if let Some(path) = &args.model.from {
            let taken = take_weights(&mut *model, path, &args.model.take, parameters.growth);
            if let Err(error) = taken {
                problems.note(Some(&format!("--from {}", path.display())), &error);
            }
        }
        let open_folder = || {
            let opened = RunFolder::open(folder.clone())?;
            // Another run may have begun there while the data were read.
            check_free()?;
            Ok(opened)
        };
        let mut plan = Self::with_model(
            &mut *model,
            settings,
            checked,
            data,
            out,
            problems,
            open_folder,
        )?;
        notes.append(&mut plan.notes);
        plan.notes = notes;
        Ok((plan, model))
    }

    /// A run that goes on from the checkpoint in `folder`.
    fn resumed(
        args: &Args,
        models: &Models,
        out: PathBuf,
        folder: RunFolder,
        workers: &Workers,
    ) -> Result<(Self, Model)> {
        let path = folder.checkpoint();
        let place = path.display();
        let checkpoint = Bundle::open(&path)?.checkpoint()?;
        let checkpoint = checkpoint
            .ok_or_else(|| Failure::new(format_args!("{place} is a bundle and no checkpoint")))?;
        let mut state = RunState::of(&checkpoint).map_err(|error| error.within(place))?;
        let mut model = models.load_with(&path, &LoadOptions::new().trainable(true))?;

        let mut problems = Problems::default();
        let progress = CheckpointSummary::of(&checkpoint)?;
        let mut settings = state.settings.clone();
        let is_extended = settings.go_on(args, progress.steps, &mut problems);
        let schema = models.model(model.name())?.schema();
        parameters::check_against(args, &schema, &model.params_json(), &mut problems);
        let name = args.model.name.as_deref();
        if let Some(other) = name.filter(|name| *name != model.name()) {
            let name = model.name();
            problems.add(format_args!("--model {other}: the run trains `{name}`"));
        }
        if let Some(path) = &args.model.from {
            check_source(path, &args.model.take, &*model, &mut problems);
        }
        settings.data = args.data.file.clone().or(settings.data);
        let checked = Checked::new(args, &settings, &out, &mut problems);
        check_processes(&checked.run, workers, &mut problems);
        if is_extended {
            check_limits(&progress, &checked.run, &mut problems);
        }
        let Some(data) = problems.take(read(args, &settings)) else {
            return problems.into_result(PREVENTED, None);
        };
        let mut plan =
            Self::with_model(&mut *model, settings, checked, data, out, problems, || {
                Ok(folder)
            })?;
        let begun = &state.trained_on.data;
        if plan.trained_on.data.digest != begun.digest {
            return Err(Failure::new(format_args!(
                "{} does not hold the molecules that the run was begun with ({} of {})",
                plan.trained_on.data.source, begun.molecules, begun.source
            )));
        }
        state.settings = plan.settings.clone();
        plan.resumed = Some(Resumed {
            checkpoint,
            state,
            is_extended,
            has_ended: progress.stopped.is_some() && !is_extended,
        });
        Ok((plan, model))
    }

    /// What is left to do once there is a model.
    fn with_model(
        model: &mut dyn MoleculeAutoencoder,
        settings: Settings,
        checked: Checked,
        mut data: Molecules,
        out: PathBuf,
        mut problems: Problems,
        open_folder: impl FnOnce() -> atlas_core::Result<RunFolder>,
    ) -> Result<Self> {
        let run = checked.run;
        for network in &settings.frozen {
            if let Err(error) = model.set_frozen(network, true) {
                problems.note(Some("--freeze"), &error);
            }
        }
        for problem in run.weight_problems(&model.weights()) {
            problems.add(problem);
        }
        let held_out = HeldOut {
            molecules: held_out(&settings, &data)?,
            seed: settings.split_seed,
        };
        check_held_out(&settings, &data, &mut problems)?;
        // The parts of data that cannot be split would be one more problem.
        let split = (held_out.molecules < data.len())
            .then(|| split(model, &mut data, held_out, settings.skip_invalid));
        let split = split.and_then(|split| problems.take(split));
        let split = problems.into_result(PREVENTED, split)?;
        let notes = limits::too_long(model, &data)?;
        molecules::report(&data);
        if let Some(path) = &checked.skipped {
            molecules::write_skipped(path, data.skipped())?;
        }
        let data = Data {
            source: data.source().to_owned(),
            digest: data.digest()?,
            molecules: data.len(),
            skipped: data.skipped().count,
            rows: settings.rows.clone(),
        };
        let trained_on = TrainedOn { data, held_out };
        let folder = open_folder()?;
        if split.repeated > 0 {
            output::say(&format_args!(
                "{} of molecules that are held out already: they are in neither part",
                count(split.repeated, "row")
            ));
        }
        Ok(Self {
            trained_on,
            settings_note: settings_note(model, &run, &settings),
            training: split.training,
            held_out: split.held_out,
            known: split.trained_on,
            of_held_out_blocks: (settings.data.is_none() && held_out.molecules > 0)
                .then(|| of_held_out_blocks(model))
                .transpose()?,
            replaces: checked.replaces,
            checkpoint_interval: checked.checkpoint_interval,
            notes: notes.into_iter().collect(),
            resumed: None,
            run,
            settings,
            out,
            folder,
        })
    }
}

/// Notes if there are more processes than shards.
fn check_processes(run: &Run, workers: &Workers, problems: &mut Problems) {
    let (processes, shards) = (workers.size(), run.params.shards);
    if processes > shards {
        problems.add(format_args!(
            "{processes} processes cannot share the {} of a batch; `--train-set shards={processes}` begins \
             a run that they can",
            count(shards, "shard")
        ));
    }
}

/// Starts the model from networks of a bundle, or from all of it.
fn take_weights(
    model: &mut dyn MoleculeAutoencoder,
    path: &Path,
    networks: &[String],
    growth: Option<Growth>,
) -> atlas_core::Result<()> {
    // The prior is fitted to the latents of what is trained on.
    let all = model.networks().iter().map(|network| network.name());
    let all = all.filter(|name| *name != PRIOR.1).map(str::to_owned);
    let all: Vec<String> = all.collect();
    let networks = if networks.is_empty() { &all } else { networks };
    let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
    let source = Bundle::read(path, Bundle::snapshot)?;
    match growth {
        Some(growth) => model.grow_from(&source, &networks, growth),
        None => model.take_from(&source, &networks),
    }
}

/// Notes if a run was not begun from this bundle and with these networks of it.
fn check_source(
    path: &Path,
    networks: &[String],
    model: &dyn MoleculeAutoencoder,
    problems: &mut Problems,
) {
    let Some(bundle) = problems.take(Bundle::open(path)) else {
        return;
    };
    let begun = model.provenance().notes().get("started_from");
    let digest = begun.and_then(|note| note["digest"].as_str());
    if digest != Some(bundle.digest()) {
        let path = path.display();
        problems.add(format_args!(
            "--from {path}: the run was not begun from this bundle"
        ));
        return;
    }
    let taken = begun.and_then(|note| note["taken"].as_array());
    let taken: BTreeSet<&str> = taken
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let given: BTreeSet<&str> = networks.iter().map(String::as_str).collect();
    if !given.is_empty() && given != taken {
        let taken = Vec::from_iter(taken).join(", ");
        problems.add(format_args!("--take: the run was begun with {taken}"));
    }
}

/// Notes the limits that a run has reached.
fn check_limits(progress: &CheckpointSummary, run: &Run, problems: &mut Problems) {
    for problem in progress.limit_problems(run) {
        let flag = match problem.path() {
            "epochs" => "--epochs",
            _ => "--max-minutes",
        };
        problems.add(format_args!("{flag}: {problem}"));
    }
}

/// Whether two paths are one folder.
fn is_same(a: &Path, b: &Path) -> bool {
    a.canonicalize()
        .is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// The path of the bundle.
pub fn out(args: &Args, models: &Models) -> Result<PathBuf> {
    Ok(match &args.out {
        Some(out) => out.clone(),
        None => Path::new("runs").join(model_name(args, models)?),
    })
}

/// The model that the command names, or the default.
fn model_name<'a>(args: &'a Args, models: &Models) -> Result<&'a str> {
    let name = args.model.name.as_deref().or_else(|| default_model(models));
    name.ok_or_else(|| {
        usage(Error::new(
            "--model is needed; `models` lists the architectures",
        ))
    })
}

/// What is known of a run without its model and its data.
struct Checked {
    run: Run,
    replaces: bool,
    checkpoint_interval: Duration,
    /// Where the rows are written to that are left out.
    skipped: Option<PathBuf>,
}

impl Checked {
    fn new(args: &Args, settings: &Settings, out: &Path, problems: &mut Problems) -> Self {
        Self {
            run: settings.run(problems),
            replaces: problems
                .take(Bundle::check_save_target(out))
                .unwrap_or(false),
            checkpoint_interval: checkpoint_interval(args.checkpoint_minutes, problems),
            skipped: args.data.rows.skipped.clone(),
        }
    }
}

fn checkpoint_interval(minutes: f64, problems: &mut Problems) -> Duration {
    if minutes.is_nan() || minutes < 0.0 {
        problems.add(format_args!(
            "--checkpoint-minutes {minutes}: expected a time from zero"
        ));
    }
    // A time that is too long for a `Duration` never passes.
    Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(Duration::MAX)
}

/// Reads the molecules; rows that are not SMILES are an error unless they are to be skipped.
fn read(args: &Args, settings: &Settings) -> Result<Molecules> {
    let mut limit = MemoryLimit::default();
    if let Some(mebibytes) = args.data.memory {
        limit.max_bytes = mebibytes.saturating_mul(1 << 20);
    }
    let Some(path) = &settings.data else {
        return Ok(Molecules::built_in(limit)?);
    };
    let rows = RowOptions {
        keep_skipped: args.data.rows.skipped.is_some(),
        ..settings.rows.clone()
    };
    let data = molecules::read(path, rows, limit)?;
    if !settings.skip_invalid {
        molecules::refuse(data.source(), data.skipped())?;
    }
    Ok(data)
}

/// Splits the molecules that the model can represent; others are an error unless they are to be
/// skipped.
fn split(
    model: &dyn MoleculeAutoencoder,
    data: &mut Molecules,
    held_out: HeldOut,
    skip_invalid: bool,
) -> Result<Split> {
    data.keep_representable(model)?;
    let split = data.split(held_out.molecules, held_out.seed)?;
    if !skip_invalid {
        molecules::refuse(data.source(), data.skipped())?;
    }
    Ok(split)
}

/// How many of so many molecules are held out.
fn held_out(settings: &Settings, data: &Molecules) -> atlas_core::Result<usize> {
    if let Some(held_out) = settings.held_out {
        return Ok(held_out);
    }
    let molecules = data.distinct()?;
    Ok(HELD_OUT
        .min(molecules.div_ceil(10))
        .min(molecules.saturating_sub(1)))
}

fn check_held_out(
    settings: &Settings,
    data: &Molecules,
    problems: &mut Problems,
) -> atlas_core::Result<()> {
    let (held_out, molecules) = (held_out(settings, data)?, data.len());
    if held_out >= molecules {
        problems.add(format_args!(
            "{} holds {molecules} molecules: {held_out} cannot be held out and leave any to train on",
            data.source()
        ));
    }
    Ok(())
}

/// What the bundle will say of how it was trained: defaults, too, since another version may have
/// others.
fn settings_note(model: &dyn MoleculeAutoencoder, run: &Run, settings: &Settings) -> Value {
    let weights = model.weights();
    let weights: Map<String, Value> = weights
        .iter()
        .map(|weight| (weight.name.to_string(), json!(run.weight(weight))))
        .collect();
    json!({
        "seed": settings.seed,
        "max_minutes": settings.max_minutes,
        "frozen": settings.frozen,
        "weights": weights,
        "train": settings.train,
        "extended": settings.extended,
    })
}
