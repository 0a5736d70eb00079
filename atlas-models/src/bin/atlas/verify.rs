//! `atlas verify`

use std::path::PathBuf;

use atlas_core::{Bundle, Error};
use atlas_models::models;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::text::{bytes, count};

const EXAMPLES: &str = "\
Examples:
  atlas verify runs/gru-vae
  atlas verify runs/gru-vae --json | jq -r '.findings[]'";

/// Check that a bundle is whole: every file as it was saved, and the model behaves as it did
///
/// Reads every byte, names everything that is wrong, and then loads the model, which compares
/// every tensor with what the model asks for and recomputes the outputs that were saved with it.
/// Of a model that this program does not have, the files are checked. The exit code is 1 if
/// anything is wrong.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Print a JSON object with bundle, model, digest, whole, behaviour (whether it was checked) and
    /// findings
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let bundle = match Bundle::open(&args.bundle) {
        Ok(bundle) => bundle,
        // Nothing else can be said of a bundle that does not say what it is.
        Err(error) if error.is_corrupt() => return report(&args, None, &[error]),
        Err(error) => return Err(error.into()),
    };
    let mut findings = bundle.findings();
    if findings.is_empty() && is_known(&bundle) {
        findings.extend(models::registry().load(&args.bundle).err());
    }
    report(&args, Some(&bundle), &findings)
}

fn report(args: &Args, bundle: Option<&Bundle>, findings: &[Error]) -> Outcome {
    let whole = findings.is_empty();
    // Of another program's model nobody here knows the behaviour.
    let behaviour = whole && bundle.is_some_and(is_known);
    if args.json {
        let texts = findings.iter().map(|finding| finding.to_string());
        output::print_json(&json!({
            "bundle": args.bundle,
            "model": bundle.map(Bundle::model),
            "digest": bundle.map(Bundle::digest),
            "whole": whole,
            "behaviour": behaviour,
            "findings": texts.collect::<Value>(),
        }))?;
    } else if let Some(bundle) = bundle.filter(|_| whole) {
        output::print(&summary(args, bundle, behaviour))?;
    } else {
        let lines = findings.iter().map(|finding| format!("{finding}\n"));
        output::print(&lines.collect::<String>())?;
    }
    if whole { Ok(()) } else { Err(Failure::No) }
}

/// Whether this program has the bundle's model.
fn is_known(bundle: &Bundle) -> bool {
    models::registry().entry(bundle.model()).is_ok()
}

fn summary(args: &Args, bundle: &Bundle, behaviour: bool) -> String {
    let size: u64 = bundle.networks().map(|network| network.bytes()).sum();
    let mut line = format!(
        "{}: whole: {} version {}, {}, {}, digest {}\n",
        args.bundle.display(),
        bundle.model(),
        bundle.version(),
        count(bundle.networks().len(), "network"),
        bytes(size),
        bundle.digest(),
    );
    if !behaviour {
        line += &format!(
            "behaviour not checked: this program has no model `{}`\n",
            bundle.model()
        );
    }
    line
}
