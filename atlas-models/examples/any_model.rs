//! The commands of `atlas` that need no molecules, for a program's own models: here a linear
//! classifier.
//!
//! ```sh
//! cargo run --release --example any_model -- models
//! cargo run --release --example any_model -- params iris
//! cargo run --release --example any_model -- verify runs/iris
//! ```

use std::process::ExitCode;

use atlas_core::Registry;
use atlas_core::prelude::*;
use atlas_models::cli;
use candle_nn::{Linear, VarBuilder, linear};

/// Tells the species of an iris from four measures of its flower.
#[derive(AtlasModel)]
#[atlas(name = "iris")]
pub struct Iris {
    /// The species, by name.
    #[param(default = vec!["setosa", "versicolor", "virginica"], len = 2..)]
    pub species: Vec<String>,
    #[network(with = build, golden = [3, 4])]
    pub net: Linear,
}

fn build(params: &IrisParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(4, params.species.len(), vb)
}

fn main() -> ExitCode {
    let mut registry = Registry::<dyn AnyModel>::new();
    registry.register::<Iris>(|model| Box::new(model));
    cli::main_of_any_model(registry)
}
