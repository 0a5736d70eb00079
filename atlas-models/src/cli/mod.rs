//! `atlas`, the command line: trains and uses molecule autoencoders.

mod commands;
mod destination;
mod failure;
mod molecules;
mod notes;
mod partial;
mod tensorboard;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{
    decode, diff, encode, evaluate, import, inspect, interpolate, models, params, sample, train,
    verify,
};

const EXAMPLES: &str = "\
Examples:
  atlas train                                     train on the built-in molecules
  atlas train --data zinc.smi --max-minutes 30    train on your own
  atlas evaluate runs/gru-vae                     how much it reconstructs
  atlas encode runs/gru-vae -i in.smi -o z.npy    molecules to latents
  atlas decode runs/gru-vae -i z.npy -o out.smi   and back
  atlas sample runs/gru-vae -n 1000 -o new.smi    new molecules

Results go to standard output, messages and progress to standard error. The exit code is 0 for
success, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.";

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
    Models(models::Args),
    Params(params::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Import(import::Args),
}

/// Runs the command that the arguments of the program say.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Train(args) => train::run(*args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Encode(args) => encode::run(args),
        Command::Decode(args) => decode::run(args),
        Command::Sample(args) => sample::run(args),
        Command::Interpolate(args) => interpolate::run(args),
        Command::Models(args) => models::run(args),
        Command::Params(args) => params::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Import(args) => import::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
