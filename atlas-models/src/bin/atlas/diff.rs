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
    /// Print a JSON object with equal, model, parameters and tensors
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let (a, b) = (Bundle::open(&args.a)?, Bundle::open(&args.b)?);
    if a.digest() == b.digest() {
        match args.json {
            true => output::print_json(
                &json!({ "equal": true, "model": [], "parameters": [], "tensors": [] }),
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
            "model": to_json(&model),
            "parameters": to_json(&parameters),
            "tensors": to_json(&tensors),
        }))?;
    } else {
        let section = |title: &str, rows: &[Difference]| match rows.is_empty() {
            true => String::new(),
            false => format!("{}\n{}", output::heading(title), table(rows)),
        };
        let sections = [
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
    /// For tensors of one shape, the largest distance between two elements.
    distance: Option<f64>,
}

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
        distance: None,
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
        let mut distance = None;
        if left == right {
            let (left, right) = (a.tensor(network, name)?, b.tensor(network, name)?);
            let furthest = furthest(&left, &right)?;
            // A not-a-number is at no distance from anything.
            if furthest == 0.0 {
                continue;
            }
            distance = Some(furthest);
        }
        let text = |description: Option<&String>| description.cloned().map(Value::String);
        found.push(Difference {
            name: format!("{network}/{name}"),
            a: text(left),
            b: text(right),
            distance,
        });
    }
    Ok(found)
}

/// Every tensor's type and shape.
fn described(bundle: &Bundle) -> BTreeMap<(String, String), String> {
    let mut tensors = BTreeMap::new();
    for network in bundle.networks() {
        for tensor in network.tensors() {
            let key = (network.name().to_owned(), tensor.name.to_owned());
            tensors.insert(key, format!("{} {:?}", tensor.dtype.as_str(), tensor.shape));
        }
    }
    tensors
}

/// The largest distance between elements in the same place.
fn furthest(a: &Tensor, b: &Tensor) -> Outcome<f64> {
    let flat = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (a, b) = (flat(a)?, flat(b)?);
    Ok(a.iter()
        .zip(&b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |most, distance| {
            if distance > most || distance.is_nan() {
                distance
            } else {
                most
            }
        }))
}

fn to_json(rows: &[Difference]) -> Value {
    rows.iter()
        .map(|row| match row.distance {
            Some(distance) => {
                json!({ "name": row.name, "a": row.a, "b": row.b, "distance": distance })
            }
            None => json!({ "name": row.name, "a": row.a, "b": row.b }),
        })
        .collect()
}

fn table(rows: &[Difference]) -> String {
    let mut table = Table::new(&["name", "a", "b"], &[]);
    let cell = |value: &Option<Value>| value.as_ref().map_or("absent".to_owned(), show);
    for row in rows {
        let b = match row.distance {
            Some(distance) => format!("differs by up to {}", text::short(distance)),
            None => cell(&row.b),
        };
        table.row([row.name.clone(), cell(&row.a), b]);
    }
    table.render(output::terminal_width())
}
