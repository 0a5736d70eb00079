//! `atlas inspect`

use std::path::PathBuf;

use atlas_core::{Bundle, NetworkFile};
use serde_json::{Map, Value, json};

use crate::cli::failure::Outcome;
use crate::cli::notes::TRAINING;
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::{bytes, grouped};

const EXAMPLES: &str = "\
Examples:
  atlas inspect runs/gru-vae
  atlas inspect runs/gru-vae --json | jq .parameters.latent_size";

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

pub fn run(args: Args) -> Outcome {
    let bundle = Bundle::open(&args.bundle)?;
    if args.json {
        output::print_json(&to_json(&bundle))
    } else {
        output::print(&to_text(&bundle))
    }
}

/// Elements of all tensors of a network.
pub fn elements(network: &NetworkFile<'_>) -> usize {
    network
        .tensors()
        .map(|tensor| tensor.shape.iter().product::<usize>())
        .fold(0, usize::saturating_add)
}

fn to_json(bundle: &Bundle) -> Value {
    let tensor = |tensor: atlas_core::StoredTensor<'_>| json!({ "name": tensor.name, "dtype": tensor.dtype.as_str(), "shape": tensor.shape });
    let network = |network: NetworkFile<'_>| {
        json!({
            "name": network.name(),
            "file": network.file(),
            "bytes": network.bytes(),
            "blake3": network.blake3(),
            "elements": elements(&network),
            "tensors": network.tensors().map(tensor).collect::<Value>(),
        })
    };
    json!({
        "path": bundle.path(),
        "model": bundle.model(),
        "version": bundle.version(),
        "digest": bundle.digest(),
        "dtype": bundle.dtype().map(|dtype| dtype.as_str()),
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
    let dtype = bundle.dtype().map_or("unknown", |dtype| dtype.as_str());
    let golden = if bundle.has_golden() {
        "stored; a load checks it unless it is told not to"
    } else {
        "not checked"
    };
    text += &pairs([
        ("bundle", bundle.path().display().to_string()),
        ("digest", bundle.digest().to_owned()),
        ("dtype", dtype.to_owned()),
        ("behaviour", golden.to_owned()),
    ]);
    let mut section =
        |title: &str, table: String| text += &format!("\n{}\n{table}", output::heading(title));
    let mut parameters = Vec::new();
    flatten("", &bundle.params(), &mut parameters);
    section("Parameters", values(&parameters));
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
        let mut rows = Vec::new();
        flatten("", note, &mut rows);
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

/// The member of the training note that holds an object for each epoch.
const CURVE: &str = "curve";

fn pairs<const N: usize>(rows: [(&str, String); N]) -> String {
    let mut table = Table::new(&[], &[]);
    for (name, value) in rows {
        table.row([name.to_owned(), value]);
    }
    table.render(None)
}

/// Values with their dotted names, on a line each.
fn values(rows: &[(String, Value)]) -> String {
    let mut table = Table::new(&[], &[]);
    for (name, value) in rows {
        table.row([name.clone(), show(value)]);
    }
    table.render(output::terminal_width())
}

/// Every value that is no object, with its dotted name.
pub fn flatten(prefix: &str, value: &Value, rows: &mut Vec<(String, Value)>) {
    match value.as_object() {
        Some(members) if !members.is_empty() => {
            for (name, value) in members {
                let name = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                flatten(&name, value, rows);
            }
        }
        _ => rows.push((prefix.to_owned(), value.clone())),
    }
}

/// A value as a person reads it: texts without quotes, a long list by its beginning.
pub fn show(value: &Value) -> String {
    const LONGEST: usize = 12;
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) if elements.len() > LONGEST => {
            let first: Vec<String> = elements.iter().take(LONGEST).map(show).collect();
            format!("{} … ({} in all)", first.join(" "), grouped(elements.len()))
        }
        Value::Array(elements) if elements.is_empty() => "none".to_owned(),
        Value::Array(elements) => elements.iter().map(show).collect::<Vec<_>>().join(" "),
        Value::Object(members) if members.is_empty() => "none".to_owned(),
        Value::Number(number) => match number.as_f64() {
            // A measured number has more digits than anybody reads; a parameter has few.
            Some(measured) if number.is_f64() && number.to_string().len() > 10 => {
                format!("{measured:.4}")
            }
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn networks(bundle: &Bundle) -> String {
    let mut table = Table::new(&["network", "tensors", "elements", "size"], &[1, 2, 3]);
    let mut total = (0, 0, 0);
    for network in bundle.networks() {
        let (tensors, elements) = (network.tensors().count(), elements(&network));
        total = (
            total.0 + tensors,
            // A manifest can say anything of files that nobody has looked at.
            elements.saturating_add(total.1),
            network.bytes().saturating_add(total.2),
        );
        table.row([
            network.name().to_owned(),
            grouped(tensors),
            grouped(elements),
            bytes(network.bytes()),
        ]);
    }
    table.row([
        "all".to_owned(),
        grouped(total.0),
        grouped(total.1),
        bytes(total.2),
    ]);
    table.render(None)
}

fn epochs(curve: &[Value]) -> String {
    let empty = Map::new();
    let names: Vec<String> = curve[0]
        .as_object()
        .unwrap_or(&empty)
        .keys()
        .cloned()
        .collect();
    let mut rows: Vec<Vec<String>> =
        vec![names.iter().map(|name| name.replace('_', " ")).collect()];
    for epoch in curve {
        rows.push(
            names
                .iter()
                .map(|name| epoch.get(name).map_or(String::new(), measured))
                .collect(),
        );
    }
    let mut table = Table::new(&[], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    rows.into_iter().for_each(|row| table.row(row));
    table.render(None)
}

/// A measured number, with four decimals; a count as it is.
fn measured(value: &Value) -> String {
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) => format!("{number:.4}"),
        None => show(value),
    }
}
