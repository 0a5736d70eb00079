//! `atlas verify`: whether a bundle is whole and its model behaves as it did.

use std::borrow::Cow;
use std::path::PathBuf;

use atlas_core::{Bundle, Error, Registry};
use serde_json::{Value, json};

use crate::cli::failure::{Failure, Result};
use crate::cli::terminal::output;
use crate::cli::terminal::text::{bytes, count};
use crate::cli::terminal::values::path_json;

const EXAMPLES: &str = "\
Examples:
  atlas verify runs/gru-vae
  atlas verify runs/gru-vae --json | jq -r '.findings[]'";

/// Check that a bundle is whole: every file as it was saved, and the model behaves as it did
///
/// Reads every byte, names everything that is wrong, and then loads the model, which compares
/// every tensor with what the model asks for and recomputes the outputs that were saved with it.
/// Of a model that this program does not have, the files are checked; where the behaviour was not
/// checked, that is said. What others left in the folder, such as a README, is named and is nothing
/// wrong. The exit code is 1 if anything is wrong.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Print a JSON object with bundle, model, digest, whole, behaviour (whether it was checked),
    /// findings, and foreign (what is in the folder and no part of the bundle)
    #[arg(long)]
    json: bool,
}

pub fn run<I: ?Sized + 'static>(args: &Args, models: &Registry<I>) -> Result {
    // If a training process saves over the bundle meanwhile, the new one is looked at.
    let checked = Bundle::read(&args.bundle, |bundle| {
        let findings = findings(args, bundle, models);
        if findings.is_empty() {
            Ok(bundle.clone())
        } else {
            Err(Problem::Found(Some(Box::new(bundle.clone())), findings))
        }
    });
    let (bundle, findings) = match checked {
        Ok(bundle) => (Some(Box::new(bundle)), Vec::new()),
        Err(Problem::Found(bundle, findings)) => (bundle, findings),
        Err(Problem::Unreadable(error)) => return Err(error.into()),
    };
    report(args, bundle.as_deref(), &findings, models)
}

/// Why a bundle is not reported as whole.
enum Problem {
    /// There is nothing to check.
    Unreadable(Error),
    /// What is wrong, and the bundle if its manifest can be read.
    Found(Option<Box<Bundle>>, Vec<Error>),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if error.is_corrupt() {
            Self::Found(None, vec![error])
        } else {
            Self::Unreadable(error)
        }
    }
}

/// What is wrong with the files, and with the model that is in them.
fn findings<I: ?Sized + 'static>(args: &Args, bundle: &Bundle, models: &Registry<I>) -> Vec<Error> {
    let mut findings = bundle.findings();
    if is_known(bundle, models)
        && let Err(error) = models.load(&args.bundle)
    {
        // Of a damaged file both say the same.
        let text = error.to_string();
        if findings.iter().all(|finding| finding.to_string() != text) {
            findings.push(error);
        }
    }
    findings
}

/// Whether this program has the bundle's model, and so can check its behaviour.
fn is_known<I: ?Sized + 'static>(bundle: &Bundle, models: &Registry<I>) -> bool {
    models.model(bundle.model()).is_ok()
}

fn report<I: ?Sized + 'static>(
    args: &Args,
    bundle: Option<&Bundle>,
    findings: &[Error],
    models: &Registry<I>,
) -> Result {
    let is_whole = findings.is_empty();
    let foreign = bundle.map_or(Ok(Vec::new()), Bundle::foreign_names)?;
    let foreign: Vec<_> = foreign.iter().map(|name| name.to_string_lossy()).collect();
    let is_known = bundle.is_some_and(|bundle| is_known(bundle, models));
    let behaviour = is_whole && is_known && bundle.is_some_and(Bundle::has_golden);
    if args.json {
        let texts = findings.iter().map(|finding| finding.to_string());
        output::print_json(&json!({
            "bundle": path_json(&args.bundle),
            "model": bundle.map(Bundle::model),
            "digest": bundle.map(Bundle::digest),
            "whole": is_whole,
            "behaviour": behaviour,
            "findings": texts.collect::<Value>(),
            "foreign": foreign,
        }))?;
    } else if let Some(bundle) = bundle.filter(|_| is_whole) {
        output::print(&(summary(args, bundle, is_known) + &remark(&foreign)))?;
    } else {
        let lines = findings.iter().map(|finding| format!("{finding}\n"));
        output::print(&(lines.collect::<String>() + &remark(&foreign)))?;
    }
    if is_whole {
        Ok(())
    } else {
        Err(Failure::NegativeAnswer)
    }
}

/// What is said of what others left in the folder.
fn remark(foreign: &[Cow<'_, str>]) -> String {
    if foreign.is_empty() {
        return String::new();
    }
    format!("no part of the bundle: {}\n", foreign.join(", "))
}

fn summary(args: &Args, bundle: &Bundle, is_known: bool) -> String {
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
    if !bundle.has_golden() {
        line += "behaviour not checked: the bundle holds no check\n";
    } else if !is_known {
        line += &format!(
            "behaviour not checked: this program has no model `{}`\n",
            bundle.model()
        );
    }
    line
}
