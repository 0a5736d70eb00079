//! Files of molecules and of latents.
//!
//! [`Rows`] reads files of molecules row by row; [`Input`] names the files, or a [`Shard`]'s share of
//! them. [`Molecules`] holds all of them, split into a part to train on and a part to evaluate on;
//! they may outgrow memory, and [`SharedMolecules`] are those that
//! another process has read. [`MoleculeStream`] checks them and gives them once, in memory that does
//! not grow with their number. [`LatentReader`] and [`LatentWriter`] read and write latents row by
//! row.

mod checked;
mod input;
mod known;
mod latents;
mod line_starts;
mod molecules;
mod rows;
mod shard;
mod source;
mod text_store;

pub use checked::{CheckedRows, MoleculeStream};
pub use input::{Input, InputFile};
pub use known::{KnownMolecules, MoleculeKey};
#[cfg(feature = "parquet")]
pub use latents::LatentFile;
pub use latents::{LatentFormat, LatentLayout, LatentReader, LatentRows, LatentType, LatentWriter};
pub use molecules::{BUILT_IN, HELD_OUT_BLOCKS, Molecules, SharedMolecules, Split, TokensInUse};
pub use rows::{Column, Record, RowOptions, Rows, SkippedRow, SkippedRows};
pub use shard::Shard;
pub use source::Progress;
pub use text_store::MemoryLimit;
