//! `atlas diff`

use std::collections::BTreeMap;
use std::path::PathBuf;

use atlas_core::Bundle;
use candle_core::{DType, Tensor};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::inspect::{flatten, show};
use crate::output;
use crate::table::Table;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  atlas diff runs/gru-vae runs/gru-vae-2
  atlas diff a b --json | jq .parameters";

/// Show what differs between two bundles: parameters, tensors, values
///
/// The exit code is 0 if they are the same model, to the bit, and 1 if they differ. Where a model
/// comes from is not part of what it is, and not compared.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A bundle's folder
    a: PathBuf,
    /// Another one's
    b: PathBuf,
    /// Print a JSON object with equal, digests, model, parameters and tensors; what happened to a
    /// tensor is its change: added, removed, reshaped, retyped or values
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let (a, b) = (Bundle::open(&args.a)?, Bundle::open(&args.b)?);
    let digests = json!({ "a": a.digest(), "b": b.digest() });
    if a.digest() == b.digest() {
        match args.json {
            true => output::print_json(
                &json!({ "equal": true, "digests": digests, "model": [], "parameters": [], "tensors": [] }),
            )?,
            false => output::print(&format!("the same model: {}\n", a.digest()))?,
        }
        return Ok(());
    }
    let model = differences(&identity(&a), &identity(&b));
    let parameters = differences(&a.params(), &b.params());
    let tensors = tensors(&a, &b)?;
    if args.json {
        output::print_json(&json!({
            "equal": false,
            "digests": digests,
            "model": to_json(&model),
            "parameters": to_json(&parameters),
            "tensors": to_json(&tensors),
        }))?;
    } else {
        let section = |title: &str, rows: &[Difference]| match rows.is_empty() {
            true => String::new(),
            false => format!("{}\n{}", output::heading(title), table(rows)),
        };
        let digests = format!("a  {}\nb  {}\n", a.digest(), b.digest());
        let sections = [
            format!("{}\n{digests}", output::heading("Digests")),
            section("Model", &model),
            section("Parameters", &parameters),
            section("Tensors", &tensors),
        ];
        output::print(&sections.concat())?;
    }
    Err(Failure::No)
}

/// Something that the two do not have in common; `None` where one does not have it.
struct Difference {
    name: String,
    a: Option<Value>,
    b: Option<Value>,
    /// What happened to a tensor.
    change: Option<Change>,
}

/// What happened to a tensor between the first bundle and the second.
enum Change {
    Added,
    Removed,
    Reshaped,
    Retyped,
    /// The largest distance between two elements in the same place.
    Values(f64),
}

impl Change {
    fn name(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Reshaped => "reshaped",
            Self::Retyped => "retyped",
            Self::Values(_) => "values",
        }
    }

    fn distance(&self) -> Option<f64> {
        match self {
            Self::Values(distance) => Some(*distance),
            _ => None,
        }
    }
}

/// A tensor's dtype and shape.
type Described = (DType, Vec<usize>);

fn identity(bundle: &Bundle) -> Value {
    json!({
        "model": bundle.model(),
        "version": bundle.version(),
        "dtype": bundle.dtype().map(|dtype| dtype.as_str()),
        "golden": bundle.has_golden(),
    })
}

fn differences(a: &Value, b: &Value) -> Vec<Difference> {
    let named = |value: &Value| {
        let mut rows = Vec::new();
        flatten("", value, &mut rows);
        rows
    };
    let (a, b) = (named(a), named(b));
    let of = |rows: &[(String, Value)], name: &str| {
        rows.iter()
            .find(|row| row.0 == name)
            .map(|row| row.1.clone())
    };
    let only_b = b.iter().filter(|(name, _)| of(&a, name).is_none());
    let names = a.iter().chain(only_b).map(|(name, _)| name.clone());
    let difference = |name: String| Difference {
        a: of(&a, &name),
        b: of(&b, &name),
        name,
        change: None,
    };
    names
        .map(difference)
        .filter(|difference| difference.a != difference.b)
        .collect()
}

fn tensors(a: &Bundle, b: &Bundle) -> Outcome<Vec<Difference>> {
    let mut found = Vec::new();
    let (of_a, of_b) = (described(a), described(b));
    let names = of_a
        .keys()
        .chain(of_b.keys().filter(|key| !of_a.contains_key(*key)));
    for (network, name) in names {
        let key = (network.clone(), name.clone());
        let (left, right) = (of_a.get(&key), of_b.get(&key));
        let change = match (left, right) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(left), Some(right)) if left.1 != right.1 => Change::Reshaped,
            (Some(left), Some(right)) if left.0 != right.0 => Change::Retyped,
            _ => match furthest(&a.tensor(network, name)?, &b.tensor(network, name)?)? {
                Some(distance) => Change::Values(distance),
                None => continue,
            },
        };
        found.push(Difference {
            name: format!("{network}/{name}"),
            a: left.map(described_text),
            b: right.map(described_text),
            change: Some(change),
        });
    }
    Ok(found)
}

/// Every tensor's type and shape.
fn described(bundle: &Bundle) -> BTreeMap<(String, String), Described> {
    let mut tensors = BTreeMap::new();
    for network in bundle.networks() {
        for tensor in network.tensors() {
            let key = (network.name().to_owned(), tensor.name.to_owned());
            tensors.insert(key, (tensor.dtype, tensor.shape.to_vec()));
        }
    }
    tensors
}

fn described_text((dtype, shape): &Described) -> Value {
    format!("{} {shape:?}", dtype.as_str()).into()
}

/// The largest distance between elements in the same place; `None` if all are the same to the
/// bit. A not-a-number is at no distance from anything, and the largest then.
fn furthest(a: &Tensor, b: &Tensor) -> Outcome<Option<f64>> {
    if a.dtype() == DType::I64 {
        // Of these f64 cannot tell all apart.
        let flat = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<i64>();
        let (a, b) = (flat(a)?, flat(b)?);
        let distances = a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b));
        return Ok(distances
            .max()
            .filter(|most| *most > 0)
            .map(|most| most as f64));
    }
    let flat = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (a, b) = (flat(a)?, flat(b)?);
    let changed = a.iter().zip(&b).filter(|(a, b)| a.to_bits() != b.to_bits());
    Ok(changed
        .map(|(a, b)| (a - b).abs())
        .reduce(|most, distance| {
            if distance > most || distance.is_nan() {
                distance
            } else {
                most
            }
        }))
}

fn to_json(rows: &[Difference]) -> Value {
    let row = |row: &Difference| {
        let mut json = json!({ "name": row.name, "a": row.a, "b": row.b });
        if let Some(change) = &row.change {
            json["change"] = change.name().into();
        }
        if let Some(distance) = row.change.as_ref().and_then(Change::distance) {
            json["distance"] = distance.into();
        }
        json
    };
    rows.iter().map(row).collect()
}

fn table(rows: &[Difference]) -> String {
    let mut table = Table::new(&["name", "a", "b"], &[]);
    let cell = |value: &Option<Value>| value.as_ref().map_or("absent".to_owned(), show);
    for row in rows {
        let b = match row.change.as_ref().and_then(Change::distance) {
            Some(distance) => format!("differs by up to {}", text::short(distance)),
            None => cell(&row.b),
        };
        table.row([row.name.clone(), cell(&row.a), b]);
    }
    table.render(output::terminal_width())
}
