//! Molecules from files, and latents in files.
//!
//! [`Rows`] reads a file of molecules row by row, [`Molecules`] holds all of them: counted, split
//! into a part to train on and a part to evaluate on, and in a temporary file where they outgrow
//! memory. [`LatentReader`] and [`LatentWriter`] do the same for latents.

mod latents;
mod molecules;
mod rows;
mod text_store;

pub use latents::{LatentFormat, LatentReader, LatentWriter};
pub use molecules::{Molecules, Split};
pub use rows::{Record, Rows, SkippedRow, SkippedRows};
pub use text_store::MemoryLimit;
