//! `atlas import`: a bundle of a model that another program trained.

use std::path::{Path, PathBuf};

use atlas_core::weights::Weights;
use atlas_core::{AnyModel, Bundle, LoadOptions, RegisteredModel, Registry, Snapshot, torch};
use candle_core::DType;
use clap::ArgGroup;
use serde_json::{Value, json};

use crate::cli::failure::{Result, usage};
use crate::cli::model::model_dtype;
use crate::cli::parameters::{ParamArgs, read_json};
use crate::cli::problems::Problems;
use crate::cli::terminal::output;
use crate::cli::terminal::text::count;
use crate::cli::terminal::values::path_json;
use crate::models::{self, PRIOR};

const EXAMPLES: &str = "\
Examples:
  atlas import old/zinc --model gru-vae --out runs/zinc
  atlas import old/zinc --model gru-vae --out runs/zinc --json | jq -r .digest
  atlas import gpt2 --map map.json --params params.json --model gpt --out runs/gpt
  atlas import net.pt --map map.json --set latent.size=64 --model gru-vae --out runs/zinc

A mapping is a JSON array of rules. The first whose \"from\" matches a tensor's name decides; a *
stands for any text, and each rule and each tensor must be matched:
  [{\"from\": \"model.encoder.*\", \"to\": \"encoder/*\"},
   {\"from\": \"model.*.fc.weight\", \"to\": \"decoder/*.weight\", \"transpose\": true},
   {\"from\": \"optimizer.*\", \"ignore\": true}]";

/// Make a bundle of a model that another program trained
///
/// With --map, of any weights: PATH is a .safetensors, .pt, .pth or .bin file, or a folder with
/// one, or with several .safetensors files or the shards of a .safetensors.index.json. The mapping
/// says what each tensor is called here; parameters are the model's defaults, then those of the
/// --params file, then those of --set.
///
/// Without --map, of a model that the Python system before Atlas saved: PATH is a folder that holds
/// args.json, an object of every parameter, and for each network NAME.pt, the state_dict of its
/// module as torch.save writes it; and nothing else. Without prior.pt the prior is the standard normal.
///
/// If anything is missing, left over or of another shape or dtype, all of it is listed and nothing
/// is saved. The files are read as data: no code in them is run. Of a PyTorch checkpoint the tensors
/// are taken, and what stands beside them is left aside. How the model behaved elsewhere is not checked: compare its outputs.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("given").args(["set", "params"]).multiple(true).requires("map"))]
pub struct Args {
    /// File or folder of the weights; without --map, folder of the Python system
    path: PathBuf,
    /// Architecture (`atlas models` lists them)
    #[arg(short, long, value_name = "NAME")]
    model: String,
    /// Folder of the bundle; a bundle that is there is replaced
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// JSON file that says which tensor of PATH becomes which tensor of the model
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    #[command(flatten)]
    params: ParamArgs,
    /// Dtype of the tensors for which the model names none
    #[arg(long, value_name = "DTYPE", default_value = "f32", value_parser = model_dtype())]
    dtype: DType,
    /// Print a JSON object with bundle, model, version, digest and files
    #[arg(long)]
    json: bool,
}

pub fn run<I: ?Sized + AnyModel + 'static>(args: &Args, registry: &Registry<I>) -> Result {
    Bundle::check_save_target(&args.out)?;
    let known = registry.model(&args.model).map_err(usage)?;
    let mut snapshot = match &args.map {
        Some(map) => mapped(args, map, known)?,
        None => torch::read(
            &args.path,
            known.name(),
            known.version(),
            &networks(args, known),
        )?,
    };
    models::add_standard_prior(&mut snapshot)?;
    snapshot.dtype = args.dtype;
    // How the model behaved there, nobody has written down.
    let options = LoadOptions::new().golden(false);
    let model = registry
        .from_snapshot(snapshot, &options)
        .map_err(|error| match (&args.map, error.is_params()) {
            (None, true) => error.within(args.path.join("args.json").display()),
            (Some(_), true) => error,
            (_, false) => error.within(args.path.display()),
        })?;
    model.snapshot()?.save(&args.out)?;
    let bundle = Bundle::open(&args.out)?;
    if args.json {
        let imported = bundle.provenance().notes().get("imported");
        return output::print_json(&json!({
            "bundle": path_json(&args.out),
            "model": bundle.model(),
            "version": bundle.version(),
            "digest": bundle.digest(),
            "files": imported.and_then(|note| note.get("files")),
        }));
    }
    output::print(&format!(
        "{}: {} version {}, {}, digest {}\n",
        args.out.display(),
        bundle.model(),
        bundle.version(),
        count(bundle.networks().len(), "network"),
        bundle.digest(),
    ))
}

/// The networks that the folder must hold. It may hold no prior: where it comes from, models have
/// none.
fn networks<I: ?Sized>(args: &Args, model: &RegisteredModel<I>) -> Vec<&'static str> {
    let has_prior = args.path.join(format!("{}.pt", PRIOR.1)).exists();
    let networks = model.networks().iter().copied();
    networks
        .filter(|network| *network != PRIOR.1 || has_prior)
        .collect()
}

/// The snapshot of weights that a mapping names, with the parameters that the command gives.
fn mapped<I: ?Sized>(args: &Args, map: &Path, model: &RegisteredModel<I>) -> Result<Snapshot> {
    let mut problems = Problems::default();
    let schema = model.schema();
    let overrides = args.params.over(json!({}), &schema, &mut problems);
    if let Err(error) = schema.check_overrides(&overrides) {
        problems.note(None, &error);
    }
    let read = || {
        let mapping = read_json("--map", map)?;
        let weights = Weights::read(&args.path)?;
        weights.snapshot(model.name(), model.version(), model.networks(), &mapping)
    };
    let mut snapshot = read().map_err(|error| problems.fail(error)).ok();
    if let (Some(snapshot), Value::Object(params)) = (&mut snapshot, schema.complete(&overrides)) {
        snapshot.params = params;
    }
    problems.into_result("nothing was imported", snapshot)
}
