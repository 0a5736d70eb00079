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
/// The exit code is 1 if anything is wrong.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Print a JSON object with bundle, whole and findings
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let bundle = Bundle::open(&args.bundle)?;
    let mut findings = bundle.findings();
    if findings.is_empty() {
        findings.extend(models::registry().load(&args.bundle).err());
    }
    let whole = findings.is_empty();
    let texts: Vec<String> = findings.iter().map(Error::to_string).collect();
    if args.json {
        output::print_json(&json!({
            "bundle": args.bundle,
            "model": bundle.model(),
            "digest": bundle.digest(),
            "whole": whole,
            "findings": texts.iter().map(String::as_str).collect::<Value>(),
        }))?;
    } else if whole {
        let size: u64 = bundle.networks().map(|network| network.bytes()).sum();
        output::print(&format!(
            "{}: whole: {} version {}, {}, {}, digest {}\n",
            args.bundle.display(),
            bundle.model(),
            bundle.version(),
            count(bundle.networks().len(), "network"),
            bytes(size),
            bundle.digest(),
        ))?;
    } else {
        output::print(
            &texts
                .iter()
                .map(|text| format!("{text}\n"))
                .collect::<String>(),
        )?;
    }
    if whole { Ok(()) } else { Err(Failure::No) }
}
