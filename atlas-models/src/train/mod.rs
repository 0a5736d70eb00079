//! Training, for any model.
//!
//! The loop sees [`Objective`](atlas_core::Objective): examples in, a loss out. It knows no
//! architecture. What happens around it (progress, evaluation, saving) is an [`Observer`]'s, which
//! can make a [checkpoint](Training::checkpoint) after any step; [`resume`] goes on from it as if
//! training had never stopped.

mod adamw;
mod ahead;
mod annealing;
mod course;
mod gradients;
mod params;
mod report;
mod run;

pub use adamw::{AdamW, AdamWParams, Decayed};
pub use annealing::Annealing;
pub use course::Reached;
pub use params::{Schedule, TrainParams};
pub use report::{Control, EpochReport, Observer, Outcome, StepReport, Stopped};
pub use run::{Run, Training, resume, train};
