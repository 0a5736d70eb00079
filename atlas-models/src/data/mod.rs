//! Molecules from files, their splits and batches, and latents in files.

mod batches;
mod corpus;
mod examples;
mod latents;
mod molecules;
mod rows;
mod shuffle;
mod spool;

pub use batches::{Batches, Epoch};
pub use corpus::{Corpus, Memory, SkippedRows, Split, TokenStore};
pub use examples::Examples;
pub use latents::{LatentFormat, LatentReader, LatentWriter};
pub use molecules::{Invalid, Molecules};
pub use rows::{Row, Rows, Skipped};
pub use shuffle::permutation;
