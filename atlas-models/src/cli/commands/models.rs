//! `atlas models`

use crate::models::{self, DEFAULT_MODEL};
use serde_json::{Value, json};

use crate::cli::failure::Outcome;
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text;

const EXAMPLES: &str = "\
Examples:
  atlas models
  atlas models --json | jq -r '.[].name'";

/// List the architectures, a line each
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print a JSON array of objects with name, version, doc and default
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let registry = models::registry();
    if args.json {
        let model = |entry: &atlas_core::Entry<_>| {
            json!({
                "name": entry.name(),
                "version": entry.version(),
                "doc": entry.doc(),
                "default": entry.name() == DEFAULT_MODEL,
            })
        };
        return output::print_json(&registry.entries().map(model).collect::<Value>());
    }
    let mut table = Table::new(&["name", "version", "what it is"], &[1]);
    for entry in registry.entries() {
        table.row([
            entry.name().to_owned(),
            entry.version().to_string(),
            text::first_paragraph(entry.doc()),
        ]);
    }
    output::print(&table.render(output::terminal_width()))
}
