//! Files of molecules and of latents.
//!
//! [`Rows`] reads a file of molecules row by row. [`Molecules`] holds all of them, split into a
//! part to train on and a part to evaluate on; they may outgrow memory. [`LatentReader`] and
//! [`LatentWriter`] read and write latents row by row.

mod known;
mod latents;
mod molecules;
mod rows;
mod source;
mod text_store;

pub use known::{KnownMolecules, MoleculeKey};
pub use latents::{LatentFormat, LatentReader, LatentRows, LatentWriter};
pub use molecules::{BUILT_IN, HELD_OUT_BLOCKS, Molecules, Split, TokensInUse};
pub use rows::{Column, Record, RowOptions, Rows, SkippedRow, SkippedRows};
pub use source::Progress;
pub use text_store::MemoryLimit;
