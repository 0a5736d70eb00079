//! `atlas`, the command line: trains and uses the molecule autoencoders of a registry.
//!
//! A program that registers models of its own has every command for them:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use atlas_models::{cli, models};
//!
//! fn main() -> ExitCode {
//!     let mut registry = models::registry();
//!     // registry.register::<MyModel>(|model| Box::new(model));
//!     cli::main(registry)
//! }
//! ```

mod commands;
mod drawing;
mod failure;
mod generation;
mod latent_space;
mod limits;
mod memory;
mod model;
mod molecules;
mod output_file;
mod parameters;
mod prior;
mod problems;
mod processes;
mod shard;
mod slurm;
mod terminal;
mod training_note;

use std::process::ExitCode;

use atlas_core::{AnyModel, Registry};
use clap::{Parser, Subcommand};

use crate::models::MoleculeAutoencoder;
use commands::{
    analogues, cast, decode, diff, encode, evaluate, fit_prior, import, inspect, interpolate, map,
    models, neighbours, params, sample, train, verify,
};

/// The architectures that the commands know.
type Models = Registry<dyn MoleculeAutoencoder>;

const EXAMPLES: &str = "\
Examples:
  atlas train                                     train on the built-in molecules
  atlas train --data zinc.smi --max-minutes 30    train on your own
  atlas evaluate runs/gru-vae                     how much it reconstructs
  atlas encode runs/gru-vae -i in.smi -o z.npy    molecules to latents
  atlas decode runs/gru-vae -i z.npy -o out.smi   and back
  atlas sample runs/gru-vae -n 1000 -o new.smi    new molecules
  atlas map runs/gru-vae -i in.smi -o map.svg     where molecules are in the latent space

Results go to standard output, messages and progress to standard error. The exit code is 0 for
success, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, 138
after a job is put back into the queue.";

/// Train and use autoencoders of molecules: SMILES in, a latent vector, SMILES out
///
/// A trained model is a folder, its bundle, that says all that the model is: parameters,
/// vocabulary, weights and where it comes from.
#[derive(Parser)]
#[command(name = "atlas", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    // Boxed: its many flags would make every command as large.
    Train(Box<train::Args>),
    Evaluate(evaluate::Args),
    Encode(encode::Args),
    Decode(decode::Args),
    Sample(sample::Args),
    Interpolate(interpolate::Args),
    Analogues(analogues::Args),
    Neighbours(neighbours::Args),
    FitPrior(fit_prior::Args),
    Map(map::Args),
    Molecules(commands::molecules::Args),
    #[command(flatten)]
    OfAnyModel(OfAnyModel),
}

/// The commands for models of any kind.
#[derive(Subcommand)]
enum OfAnyModel {
    Models(models::Args),
    Params(params::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Cast(cast::Args),
    Import(import::Args),
}

impl OfAnyModel {
    fn run<I: ?Sized + AnyModel + 'static>(&self, registry: &Registry<I>) -> failure::Result {
        match self {
            Self::Models(args) => models::run(args, registry),
            Self::Params(args) => params::run(args, registry),
            Self::Inspect(args) => inspect::run(args),
            Self::Verify(args) => verify::run(args, registry),
            Self::Diff(args) => diff::run(args),
            Self::Cast(args) => cast::run(args, registry),
            Self::Import(args) => import::run(args, registry),
        }
    }
}

/// Look at models and their bundles: what they are, whether they are whole, what differs
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct CliOfAnyModel {
    #[command(subcommand)]
    command: OfAnyModel,
}

/// Runs the command that the arguments of the program name, with the models of `registry`, and
/// returns the program's exit code.
///
/// Wrong usage, `--help` and `--version` end the process at once.
pub fn main(registry: Registry<dyn MoleculeAutoencoder>) -> ExitCode {
    memory::keep_what_is_freed();
    slurm::keep_to_processors();
    let registry = &registry;
    let result = match Cli::parse().command {
        Command::Train(args) => train::run(&args, registry),
        Command::Evaluate(args) => evaluate::run(&args, registry),
        Command::Encode(args) => encode::run(&args, registry),
        Command::Decode(args) => decode::run(&args, registry),
        Command::Sample(args) => sample::run(&args, registry),
        Command::Interpolate(args) => interpolate::run(&args, registry),
        Command::Analogues(args) => analogues::run(&args, registry),
        Command::Neighbours(args) => neighbours::run(&args, registry),
        Command::FitPrior(args) => fit_prior::run(&args, registry),
        Command::Map(args) => map::run(&args, registry),
        Command::Molecules(args) => commands::molecules::run(&args, registry),
        Command::OfAnyModel(command) => command.run(registry),
    };
    exit_code(result)
}

/// Runs those commands that need no molecules (`models`, `params`, `inspect`, `verify`, `diff`,
/// `cast` and `import`) with the models of any registry, such as one of classifiers, and returns the program's
/// exit code.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use atlas_core::{AnyModel, Registry};
///
/// fn main() -> ExitCode {
///     let mut registry = Registry::<dyn AnyModel>::new();
///     // registry.register::<MyClassifier>(|model| Box::new(model));
///     atlas_models::cli::main_of_any_model(registry)
/// }
/// ```
///
/// Wrong usage, `--help` and `--version` end the process at once.
pub fn main_of_any_model<I: ?Sized + AnyModel + 'static>(registry: Registry<I>) -> ExitCode {
    memory::keep_what_is_freed();
    exit_code(CliOfAnyModel::parse().command.run(&registry))
}

fn exit_code(result: failure::Result) -> ExitCode {
    ExitCode::from(result.map_or_else(failure::Failure::report, |()| 0))
}
