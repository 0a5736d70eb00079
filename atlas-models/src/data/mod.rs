//! Files of molecules and of latents.
//!
//! [`Rows`] reads a file of molecules row by row. [`Molecules`] holds all of them, split into a
//! part to train on and a part to evaluate on; they may outgrow memory. [`LatentReader`] and
//! [`LatentWriter`] read and write latents row by row.

mod latents;
mod molecules;
mod rows;
mod text_store;

pub use latents::{LatentFormat, LatentReader, LatentRows, LatentWriter};
pub use molecules::{Molecules, Split};
pub use rows::{Record, Rows, SkippedRow, SkippedRows};
pub use text_store::MemoryLimit;
