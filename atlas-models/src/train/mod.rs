//! Training, for any model.
//!
//! The loop sees [`Objective`](atlas_core::Objective): examples in, a loss out. It knows no
//! architecture. What happens around it (progress, evaluation, saving) is an [`Observer`]'s.

mod adamw;
mod gradients;
mod params;
mod run;

pub use adamw::{AdamW, AdamWParams};
pub use params::{Schedule, TrainParams};
pub use run::{Control, EpochReport, Observer, Outcome, Run, StepReport, Stopped, train};
