//! `atlas`, the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    atlas_models::cli::main(atlas_models::models::registry())
}
