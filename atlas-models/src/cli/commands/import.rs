//! `atlas import`: a bundle from the folder of a Python model.

use std::path::PathBuf;

use atlas_core::{AnyModel, Bundle, LoadOptions, Registry, torch};
use candle_core::DType;
use serde_json::json;

use crate::cli::failure::Result;
use crate::cli::save_check;
use crate::cli::terminal::output;
use crate::cli::terminal::text::count;

const EXAMPLES: &str = "\
Examples:
  atlas import old/zinc --model gru-vae --out runs/zinc
  atlas import old/zinc --model gru-vae --out runs/zinc --json | jq -r .digest";

/// Make a bundle of a model that the Python system before Atlas saved
///
/// The folder holds args.json, an object of every parameter, and for each network NAME.pt, the
/// state_dict of its module as torch.save writes it; and nothing else. If anything is missing, left
/// over or of another shape or dtype, all of it is listed and nothing is saved. The files are read as
/// data: no code in them is run, and a file that asks for anything but tensors is refused.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder of the Python system
    folder: PathBuf,
    /// Architecture (`atlas models` lists them)
    #[arg(short, long, value_name = "NAME")]
    model: String,
    /// Folder of the bundle; a bundle that is there is replaced
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Dtype of the tensors for which the model names none: f32, f64, f16 or bf16
    #[arg(long, value_name = "DTYPE", default_value = "f32")]
    dtype: DType,
    /// Print a JSON object with bundle, model, version, digest and files
    #[arg(long)]
    json: bool,
}

pub fn run<I: ?Sized + AnyModel + 'static>(args: &Args, models: &Registry<I>) -> Result {
    save_check::check(&args.out)?;
    let known = models.model(&args.model)?;
    let (name, version) = (known.name(), known.version());
    let mut snapshot = torch::read(&args.folder, name, version, known.networks())?;
    snapshot.dtype = args.dtype;
    // How the model behaved in Python, nobody has written down.
    let options = LoadOptions::new().golden(false);
    let model = models.from_snapshot(snapshot, &options).map_err(|error| {
        let file = args.folder.join("args.json");
        let place = if error.is_params() {
            &file
        } else {
            &args.folder
        };
        error.within(place.display())
    })?;
    model.snapshot()?.save(&args.out)?;
    let bundle = Bundle::open(&args.out)?;
    if args.json {
        let imported = bundle.provenance().notes().get("imported");
        return output::print_json(&json!({
            "bundle": args.out,
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
