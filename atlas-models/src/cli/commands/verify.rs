//! `atlas verify`

use std::path::PathBuf;

use crate::models;
use atlas_core::{Bundle, Error};
use serde_json::{Value, json};

use crate::cli::failure::{Failure, Outcome};
use crate::cli::terminal::output;
use crate::cli::terminal::text::{bytes, count};

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
    // Where a training process saves over the bundle meanwhile, the new one is looked at.
    let checked = Bundle::read(&args.bundle, |bundle| {
        let findings = findings(&args, bundle);
        match findings.is_empty() {
            true => Ok(bundle.clone()),
            false => Err(Wrong::Found(Some(Box::new(bundle.clone())), findings)),
        }
    });
    match checked {
        Ok(bundle) => report(&args, Some(&bundle), &[]),
        Err(Wrong::Found(bundle, findings)) => report(&args, bundle.as_deref(), &findings),
        Err(Wrong::NotThere(error)) => Err(error.into()),
    }
}

/// Why a bundle is not whole.
enum Wrong {
    NotThere(Error),
    Found(Option<Box<Bundle>>, Vec<Error>),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        match error.is_corrupt() {
            // Nothing else can be said of a bundle that does not say what it is.
            true => Self::Found(None, vec![error]),
            false => Self::NotThere(error),
        }
    }
}

/// What is wrong with the files, and with the model that is in them.
fn findings(args: &Args, bundle: &Bundle) -> Vec<Error> {
    let mut findings = bundle.findings();
    if is_known(bundle)
        && let Err(error) = models::registry().load(&args.bundle)
    {
        // Of a damaged file both say the same.
        let text = error.to_string();
        if findings.iter().all(|finding| finding.to_string() != text) {
            findings.push(error);
        }
    }
    findings
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
    let sizes = bundle.networks().map(|network| network.bytes());
    let size = sizes.fold(0, u64::saturating_add);
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
