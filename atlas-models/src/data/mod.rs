//! Molecules from files, and latents in files.
//!
//! [`Rows`] reads a file of molecules row by row, [`Molecules`] holds all of them: counted, split
//! into a part to train on and a part to evaluate on, and in a temporary file where they outgrow
//! memory. [`LatentReader`] and [`LatentWriter`] do the same for latents.

mod latents;
mod molecules;
mod rows;
mod text_store;

use std::io;
use std::path::Path;

use atlas_core::Error;

pub use latents::{LatentFormat, LatentReader, LatentWriter};
pub use molecules::{Molecules, Split};
pub use rows::{Record, Rows, SkippedRow, SkippedRows};
pub use text_store::MemoryLimit;

/// The error of a disk: what could not be done, where, and why.
fn disk_error(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Error {
    let path = path.as_ref().display();
    Error::new(format_args!("cannot {action} {path}: {source}"))
}
