//! `atlas inspect`: what a bundle holds.

use std::path::PathBuf;

use atlas_core::{Bundle, NetworkFile};
use serde_json::{Value, json};

use crate::cli::failure::Result;
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::{bytes, grouped};
use crate::cli::terminal::values::{flatten, path_json, show, show_measured};
use crate::cli::training_note::{CURVE, TRAINING};

const EXAMPLES: &str = "\
Examples:
  atlas inspect runs/gru-vae
  atlas inspect runs/gru-vae --json | jq .parameters.latent.size";

/// Show what a bundle is: parameters, networks, where it comes from, how it was trained
///
/// Reads the manifest alone: `atlas verify` checks the tensors too.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Print a JSON object with model, version, digest, dtype, parameters, networks, golden and
    /// provenance
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result {
    let bundle = Bundle::open(&args.bundle)?;
    if args.json {
        output::print_json(&to_json(&bundle))
    } else {
        output::print(&to_text(&bundle))
    }
}

/// Elements of all tensors of a network.
fn elements(network: &NetworkFile<'_>) -> usize {
    network
        .tensors()
        .map(|tensor| tensor.shape.iter().product::<usize>())
        .fold(0, usize::saturating_add)
}

fn to_json(bundle: &Bundle) -> Value {
    let network = |network: NetworkFile<'_>| {
        let tensors = network.tensors().map(|tensor| {
            let dtype = tensor.dtype.as_str();
            json!({ "name": tensor.name, "dtype": dtype, "shape": tensor.shape })
        });
        json!({
            "name": network.name(),
            "file": network.file_name(),
            "bytes": network.bytes(),
            "blake3": network.blake3(),
            "elements": elements(&network),
            "tensors": tensors.collect::<Value>(),
        })
    };
    json!({
        "path": path_json(bundle.path()),
        "model": bundle.model(),
        "version": bundle.version(),
        "digest": bundle.digest(),
        "dtype": bundle.dtype().as_str(),
        "golden": bundle.has_golden(),
        "parameters": bundle.params(),
        "networks": bundle.networks().map(network).collect::<Value>(),
        "provenance": bundle.provenance(),
    })
}

fn to_text(bundle: &Bundle) -> String {
    let mut text = format!(
        "{}\n",
        output::heading(&format!("{} version {}", bundle.model(), bundle.version()))
    );
    let dtype = bundle.dtype().as_str();
    let golden = if bundle.has_golden() {
        "stored; a load checks it unless it is told not to"
    } else {
        "NOT CHECKED: the bundle holds no check, so a change of the model's code goes unnoticed"
    };
    text += &pairs([
        ("bundle", bundle.path().display().to_string()),
        ("digest", bundle.digest().to_owned()),
        ("dtype", dtype.to_owned()),
        ("behaviour", golden.to_owned()),
    ]);
    let mut section =
        |title: &str, table: String| text += &format!("\n{}\n{table}", output::heading(title));
    section("Parameters", values(&flatten(&bundle.params())));
    section("Networks", networks(bundle));
    let provenance = bundle.provenance();
    let seed = provenance
        .seed()
        .map_or("unknown".to_owned(), |seed| seed.to_string());
    section(
        "Provenance",
        pairs([
            ("created", provenance.created().to_owned()),
            ("seed", seed),
            ("atlas", provenance.atlas().to_owned()),
            ("candle", provenance.candle().to_owned()),
        ]),
    );
    for (topic, note) in provenance.notes() {
        let mut rows = flatten(note);
        // The curve has a table of its own.
        rows.retain(|(name, _)| topic != TRAINING || name != CURVE);
        let mut title = topic.clone();
        title.get_mut(..1).map(str::make_ascii_uppercase);
        section(&title, values(&rows));
    }
    let curve = provenance
        .notes()
        .get(TRAINING)
        .and_then(|note| note.get(CURVE)?.as_array());
    if let Some(curve) = curve.filter(|curve| !curve.is_empty()) {
        section("Epochs", epochs(curve));
    }
    text
}

fn pairs<const N: usize>(rows: [(&str, String); N]) -> String {
    let mut table = Table::new(&[], []);
    for (name, value) in rows {
        table.row([name.to_owned(), value]);
    }
    table.render(None)
}

/// Values with their dotted names, on a line each.
fn values(rows: &[(String, Value)]) -> String {
    let mut table = Table::new(&[], []);
    for (name, value) in rows {
        table.row([name.clone(), show(value)]);
    }
    table.render(output::terminal_width())
}

fn networks(bundle: &Bundle) -> String {
    let mut table = Table::new(&["network", "tensors", "elements", "size"], [1, 2, 3]);
    let mut row = |name: &str, tensors, elements, size| {
        table.row([
            name.to_owned(),
            grouped(tensors),
            grouped(elements),
            bytes(size),
        ]);
    };
    let mut total = (0, 0usize, 0u64);
    for network in bundle.networks() {
        let (tensors, elements) = (network.tensors().count(), elements(&network));
        total.0 += tensors;
        // A manifest can say anything of files that nobody has looked at.
        total.1 = total.1.saturating_add(elements);
        total.2 = total.2.saturating_add(network.bytes());
        row(network.name(), tensors, elements, network.bytes());
    }
    row("all", total.0, total.1, total.2);
    table.render(None)
}

/// A row for each object of the curve, whose members are named by the first.
fn epochs(curve: &[Value]) -> String {
    let first = curve[0].as_object();
    let names: Vec<&String> = first.into_iter().flat_map(|first| first.keys()).collect();
    let mut table = Table::new(&[], 0..names.len());
    table.row(names.iter().map(|name| name.replace('_', " ")));
    for epoch in curve {
        let cell = |name: &&String| epoch.get(*name).map_or(String::new(), show_measured);
        table.row(names.iter().map(cell));
    }
    table.render(None)
}
