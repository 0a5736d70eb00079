//! `atlas models`: the architectures, a line each.

use atlas_core::Registry;
use serde_json::json;

use crate::cli::failure::Result;
use crate::cli::model::default_model;
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::first_paragraph;

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

pub fn run<I: ?Sized + 'static>(args: &Args, models: &Registry<I>) -> Result {
    if args.json {
        let default = default_model(models);
        let models = models.models().map(|model| {
            json!({
                "name": model.name(),
                "version": model.version(),
                "doc": model.doc(),
                "default": Some(model.name()) == default,
            })
        });
        return output::print_json(&models.collect());
    }
    let mut table = Table::new(&["name", "version", "what it is"], [1]);
    for model in models.models() {
        table.row([
            model.name().to_owned(),
            model.version().to_string(),
            first_paragraph(model.doc()),
        ]);
    }
    output::print(&table.render(output::terminal_width()))
}
