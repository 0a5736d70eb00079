//! `atlas cast`: a bundle in another dtype.

use std::path::PathBuf;

use atlas_core::{AnyModel, Bundle, Error, LoadOptions, Registry};
use candle_core::DType;
use serde_json::json;

use crate::cli::failure::Result;
use crate::cli::model::model_dtype;
use crate::cli::terminal::output;
use crate::cli::terminal::text::bytes;
use crate::cli::terminal::values::path_json;

const EXAMPLES: &str = "\
Examples:
  atlas cast runs/gru-vae --out runs/small
  atlas cast runs/gru-vae --dtype f64 --out runs/double";

/// Make a bundle of another dtype, such as one of half the size
///
/// Converts every float tensor for which the model names no dtype. The model is run before and
/// after: where the outputs that were saved with it are no longer the same, by the tolerance of the
/// coarser dtype, nothing is saved. Commands calculate in the dtype of the bundle that they are given.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Dtype of the new bundle
    #[arg(long, value_name = "DTYPE", default_value = "f16", value_parser = model_dtype())]
    dtype: DType,
    /// Folder of the new bundle; a bundle that is there is replaced
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Print a JSON object with bundle, model, dtype, digest, bytes of the weights, and the digest that
    /// it was cast from
    #[arg(long)]
    json: bool,
}

pub fn run<I: ?Sized + AnyModel + 'static>(args: &Args, registry: &Registry<I>) -> Result {
    Bundle::check_save_target(&args.out)?;
    let options = LoadOptions::new().cast(args.dtype);
    let (from, mut snapshot) = Bundle::read(&args.bundle, |bundle| {
        let model = registry
            .from_snapshot(bundle.snapshot()?, &options)
            .map_err(|error| error.within(bundle.path().display()))?;
        Ok::<_, Error>((bundle.clone(), model.snapshot()?))
    })?;
    let note = json!({ "digest": from.digest(), "dtype": from.dtype().as_str() });
    snapshot.provenance.note("cast_from", note);
    snapshot.save(&args.out)?;
    let cast = Bundle::open(&args.out)?;
    let size: u64 = cast.networks().map(|network| network.bytes()).sum();
    if args.json {
        return output::print_json(&json!({
            "bundle": path_json(&args.out),
            "model": cast.model(),
            "dtype": cast.dtype().as_str(),
            "digest": cast.digest(),
            "bytes": size,
            "cast_from": from.digest(),
        }));
    }
    output::print(&format!(
        "{}: {} in {}, {} of weights, digest {}\n",
        args.out.display(),
        cast.model(),
        cast.dtype().as_str(),
        bytes(size),
        cast.digest(),
    ))
}
