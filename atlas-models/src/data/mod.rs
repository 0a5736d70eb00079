//! Molecules from files, their splits and batches, and latents in files.

mod batches;
mod latents;
mod molecules;
mod shuffle;

pub use batches::Batches;
pub use latents::{LatentFormat, LatentReader, LatentWriter};
pub use molecules::{Invalid, Molecules, Row, Skipped};
pub use shuffle::permutation;
