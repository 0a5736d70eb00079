//! `atlas params`: the parameters of an architecture.

use atlas_core::params::{Field, Kind, Schema};
use atlas_core::{Params as _, Registry};
use serde_json::{Value, json};

use crate::cli::failure::{Result, usage};
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::first_paragraph;
use atlas_core::train::TrainParams;

const EXAMPLES: &str = "\
Examples:
  atlas params gru-vae
  atlas params gru-vae --schema > gru-vae.schema.json
  atlas params --train
  atlas train --set latent.size=64 --set writer.dropout=0.1";

/// Show the parameters of an architecture: type, default, constraint, what each one is
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The architecture; `atlas models` lists them
    #[arg(required_unless_present = "train")]
    model: Option<String>,
    /// Show the parameters of training instead, which --train-set sets
    #[arg(long, conflicts_with = "model")]
    train: bool,
    /// Print JSON Schema (2020-12) of a --params file
    #[arg(long)]
    schema: bool,
    /// Print a JSON object with model, version, doc and an array of parameters
    #[arg(long, conflicts_with = "schema")]
    json: bool,
}

pub fn run<I: ?Sized + 'static>(args: &Args, models: &Registry<I>) -> Result {
    let (name, version, schema) = match &args.model {
        Some(model) => {
            let entry = models.model(model).map_err(usage)?;
            (entry.name(), Some(entry.version()), entry.schema())
        }
        None => ("training", None, TrainParams::schema()),
    };
    if args.schema {
        return output::print_json(&schema.to_json_schema());
    }
    let mut rows = Vec::new();
    list(&schema, "", &schema.complete(&json!({})), &mut rows);
    if args.json {
        return output::print_json(&json!({
            "model": args.model.as_ref().map(|_| name),
            "version": version,
            "doc": schema.doc(),
            "parameters": rows.iter().map(Row::to_json).collect::<Value>(),
        }));
    }
    let mut table = Table::new(
        &["parameter", "type", "default", "constraint", "what it is"],
        [],
    );
    for row in rows {
        let default = row
            .default
            .as_ref()
            .map_or_else(|| "(required)".to_owned(), Value::to_string);
        table.row([row.name, row.kind, default, row.constraint, row.doc]);
    }
    let heading = output::heading(&match version {
        Some(version) => format!("{name} version {version}"),
        None => name.to_owned(),
    });
    output::print(&format!(
        "{heading}\n{}",
        table.render(output::terminal_width())
    ))
}

/// A parameter with its dotted name.
struct Row {
    name: String,
    kind: String,
    default: Option<Value>,
    constraint: String,
    doc: String,
}

impl Row {
    fn new(field: &Field, name: String, default: Option<&Value>) -> Self {
        Self {
            name,
            kind: kind(field.kind()),
            default: default.cloned(),
            constraint: field.constraint(),
            doc: first_paragraph(field.doc()),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "required": self.default.is_none(),
            "default": self.default,
            "constraint": self.constraint,
            "doc": self.doc,
        })
    }
}

/// Adds a row for each parameter; those of a group stand in its place.
fn list(schema: &Schema, prefix: &str, defaults: &Value, rows: &mut Vec<Row>) {
    for field in schema.fields() {
        let name = format!("{prefix}{}", field.name());
        let default = defaults.get(field.name());
        if let Kind::Group(group) = field.kind() {
            let defaults = default.unwrap_or(&Value::Null);
            list(group, &format!("{name}."), defaults, rows);
        } else {
            rows.push(Row::new(field, name, default));
        }
    }
}

/// A type in a word or two.
fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "true or false".to_owned(),
        Kind::Integer { .. } => "integer".to_owned(),
        Kind::Float { .. } => "number".to_owned(),
        Kind::String => "text".to_owned(),
        Kind::Option(inner) => format!("{} or null", self::kind(inner)),
        Kind::List(inner) => format!("list of {}", self::kind(inner)),
        Kind::Array(inner, length) => format!("{length} of {}", self::kind(inner)),
        Kind::Choice(items) => items
            .iter()
            .map(|item| item.name)
            .collect::<Vec<_>>()
            .join(" | "),
        other => other.to_string(),
    }
}
