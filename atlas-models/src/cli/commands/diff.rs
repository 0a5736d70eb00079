//! `atlas diff`: what differs between two bundles: identity, parameters, tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use atlas_core::Bundle;
use candle_core::{DType, Tensor};
use serde_json::{Value, json};

use crate::cli::failure::{Failure, Result};
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text;
use crate::cli::terminal::values::{flatten, show};

const EXAMPLES: &str = "\
Examples:
  atlas diff runs/gru-vae runs/gru-vae-2
  atlas diff a b --json | jq .parameters";

/// Show what differs between two bundles: parameters, tensors, values
///
/// The exit code is 0 if they are the same model, to the bit, and 1 if they differ. Where a model
/// comes from is not part of what it is, and not compared. Every network's file is read and
/// checked; of bundles that say that they are the same model, every file.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A bundle's folder
    a: PathBuf,
    /// Another one's
    b: PathBuf,
    /// Print a JSON object with equal, digests, model, parameters and tensors; what happened to a
    /// tensor is its change: added, removed, reshaped, retyped or values, the last with the largest
    /// distance, a number or "not a number" or "infinite"
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result {
    // If a training process saves over one of them meanwhile, the new one is compared.
    let comparison = Bundle::read(&args.a, |a| Bundle::read(&args.b, |b| Comparison::of(a, b)))?;
    if args.json {
        output::print_json(&comparison.to_json())?;
    } else {
        output::print(&comparison.to_text())?;
    }
    if comparison.is_equal() {
        Ok(())
    } else {
        Err(Failure::NegativeAnswer)
    }
}

/// In what two bundles differ.
struct Comparison {
    /// The content digests.
    digests: [String; 2],
    model: Vec<Difference>,
    parameters: Vec<Difference>,
    tensors: Vec<Difference>,
}

impl Comparison {
    /// Compares two bundles and checks their files on the way.
    fn of(a: &Bundle, b: &Bundle) -> Result<Self> {
        let digests = [a.digest().to_owned(), b.digest().to_owned()];
        let tensors = if digests[0] == digests[1] {
            // They say that they are the same; their files must be what they say.
            a.verify()?;
            b.verify()?;
            Vec::new()
        } else {
            tensors(a, b)?
        };
        Ok(Self {
            model: differences(&identity(a), &identity(b)),
            parameters: differences(&a.params(), &b.params()),
            tensors,
            digests,
        })
    }

    fn is_equal(&self) -> bool {
        self.digests[0] == self.digests[1]
    }

    fn to_json(&self) -> Value {
        json!({
            "equal": self.is_equal(),
            "digests": { "a": self.digests[0], "b": self.digests[1] },
            "model": to_json(&self.model),
            "parameters": to_json(&self.parameters),
            "tensors": to_json(&self.tensors),
        })
    }

    fn to_text(&self) -> String {
        let [a, b] = &self.digests;
        if self.is_equal() {
            return format!("the same model: {a}\n");
        }
        let mut text = format!("{}\na  {a}\nb  {b}\n", output::heading("Digests"));
        let sections = [
            ("Model", &self.model),
            ("Parameters", &self.parameters),
            ("Tensors", &self.tensors),
        ];
        for (title, rows) in sections.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            text += &format!("{}\n{}", output::heading(title), table(rows));
        }
        text
    }
}

/// Something in which the two differ; `None` where one does not have it.
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

fn identity(bundle: &Bundle) -> Value {
    json!({
        "model": bundle.model(),
        "version": bundle.version(),
        "dtype": bundle.dtype().as_str(),
        "golden_inputs": bundle.golden_inputs_digest(),
    })
}

fn differences(a: &Value, b: &Value) -> Vec<Difference> {
    let (a, b) = (flatten(a), flatten(b));
    let value_of = |rows: &[(String, Value)], name: &str| {
        let row = rows.iter().find(|row| row.0 == name);
        row.map(|row| row.1.clone())
    };
    let only_b = b.iter().filter(|(name, _)| value_of(&a, name).is_none());
    let names = a.iter().chain(only_b).map(|(name, _)| name);
    names
        .map(|name| Difference {
            a: value_of(&a, name),
            b: value_of(&b, name),
            name: name.clone(),
            change: None,
        })
        .filter(|difference| difference.a != difference.b)
        .collect()
}

/// The tensors of both, a network at a time: each file is read once, and checked by that.
fn tensors(a: &Bundle, b: &Bundle) -> Result<Vec<Difference>> {
    let names_of = |bundle: &Bundle| -> BTreeSet<String> {
        let networks = bundle.networks();
        networks.map(|network| network.name().to_owned()).collect()
    };
    let (in_a, in_b) = (names_of(a), names_of(b));
    let mut found = Vec::new();
    for network in in_a.union(&in_b) {
        let read = |bundle: &Bundle, names: &BTreeSet<String>| {
            if names.contains(network) {
                bundle.tensors(network)
            } else {
                Ok(BTreeMap::new())
            }
        };
        let (of_a, of_b) = (read(a, &in_a)?, read(b, &in_b)?);
        let only_b = of_b.keys().filter(|name| !of_a.contains_key(*name));
        for name in of_a.keys().chain(only_b) {
            let (left, right) = (of_a.get(name), of_b.get(name));
            let Some(change) = change(left, right)? else {
                continue;
            };
            found.push(Difference {
                name: format!("{network}/{name}"),
                a: left.map(described),
                b: right.map(described),
                change: Some(change),
            });
        }
    }
    Ok(found)
}

/// What happened to a tensor, if anything did.
fn change(left: Option<&Tensor>, right: Option<&Tensor>) -> Result<Option<Change>> {
    Ok(match (left, right) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (Some(left), Some(right)) if left.dims() != right.dims() => Some(Change::Reshaped),
        (Some(left), Some(right)) if left.dtype() != right.dtype() => Some(Change::Retyped),
        (Some(left), Some(right)) => largest_distance(left, right)?.map(Change::Values),
    })
}

/// A tensor's type and shape.
fn described(tensor: &Tensor) -> Value {
    format!("{} {:?}", tensor.dtype().as_str(), tensor.dims()).into()
}

/// The largest distance between elements in the same place; `None` if all are the same to the
/// bit. The distance from something that is not a number is not a number, which counts as largest.
fn largest_distance(a: &Tensor, b: &Tensor) -> Result<Option<f64>> {
    if a.dtype() == DType::I64 {
        // An f64 cannot tell all of these apart.
        let flat = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<i64>();
        let (a, b) = (flat(a)?, flat(b)?);
        let changed = a.iter().zip(&b).filter(|(a, b)| a != b);
        return Ok(changed.map(|(a, b)| a.abs_diff(*b) as f64).reduce(f64::max));
    }
    let flat = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (a, b) = (flat(a)?, flat(b)?);
    let changed = a.iter().zip(&b).filter(|(a, b)| a.to_bits() != b.to_bits());
    let distances = changed.map(|(a, b)| (a - b).abs());
    // By total order, in which a positive NaN is the largest.
    Ok(distances.max_by(f64::total_cmp))
}

/// A distance in JSON, whose numbers are finite.
fn distance_json(distance: f64) -> Value {
    if distance.is_finite() {
        distance.into()
    } else {
        not_finite(distance).into()
    }
}

/// A distance that is no finite number, in words.
fn not_finite(distance: f64) -> &'static str {
    if distance.is_nan() {
        "not a number"
    } else {
        "infinite"
    }
}

fn to_json(rows: &[Difference]) -> Value {
    let row = |row: &Difference| {
        let mut json = json!({ "name": row.name, "a": row.a, "b": row.b });
        if let Some(change) = &row.change {
            json["change"] = change.name().into();
        }
        if let Some(distance) = row.change.as_ref().and_then(Change::distance) {
            json["distance"] = distance_json(distance);
        }
        json
    };
    rows.iter().map(row).collect()
}

fn table(rows: &[Difference]) -> String {
    let mut table = Table::new(&["name", "a", "b"], []);
    let cell = |value: &Option<Value>| value.as_ref().map_or("absent".to_owned(), show);
    for row in rows {
        let b = match row.change.as_ref().and_then(Change::distance) {
            Some(distance) if distance.is_finite() => {
                format!("differs by up to {}", text::short(distance))
            }
            Some(distance) => format!("differs; the distance is {}", not_finite(distance)),
            None => cell(&row.b),
        };
        table.row([row.name.clone(), cell(&row.a), b]);
    }
    table.render(output::terminal_width())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn tensor(values: [f32; 3]) -> Tensor {
        Tensor::new(&values, &Device::Cpu).unwrap()
    }

    /// The distance of two tensors as JSON and as the table shows it.
    fn shown(a: [f32; 3], b: [f32; 3]) -> (Value, String) {
        let change = match change(Some(&tensor(a)), Some(&tensor(b))) {
            Ok(change) => change,
            Err(_) => panic!("they cannot be compared"),
        };
        let row = Difference {
            name: "net/w".to_owned(),
            a: None,
            b: None,
            change,
        };
        let rows = [row];
        (to_json(&rows)[0]["distance"].clone(), table(&rows))
    }

    #[test]
    fn a_distance_that_is_no_number_is_said_in_words() {
        let (json, text) = shown([1.0, 2.0, f32::NAN], [1.0, 2.5, 3.0]);
        assert_eq!(json, "not a number");
        assert!(
            text.contains("differs; the distance is not a number"),
            "{text}"
        );
        let (json, text) = shown([1.0, 2.0, f32::INFINITY], [1.0, 2.5, 3.0]);
        assert_eq!(json, "infinite");
        assert!(text.contains("differs; the distance is infinite"), "{text}");
        let (json, text) = shown([1.0, 2.0, 3.0], [1.0, 2.5, 3.0]);
        assert_eq!(json, 0.5);
        assert!(text.contains("differs by up to 0.5"), "{text}");
    }
}
