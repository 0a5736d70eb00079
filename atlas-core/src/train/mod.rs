//! The training loop, for any model that has an [`Objective`](crate::Objective).
//!
//! [`train`] runs all of it: batches of similar size, the learning rate's schedule, weights of the
//! loss that rise, gradient clipping, AdamW, and the check that every variable got a gradient. An
//! [`Observer`] is told of every step and epoch; it shows progress, evaluates, saves, and can make a
//! [checkpoint](Training::checkpoint) after any step. [`resume`] goes on from a checkpoint and ends
//! with the model that the run would have ended with, to the bit; [`extend`] goes on for longer than
//! the run was begun for.
//!
//! | to | see |
//! |---|---|
//! | set the batch size, the learning rate, the epochs | [`TrainParams`] |
//! | set a seed, a time limit, a weight of the loss | [`Run`] |
//! | train on data that does not fit into memory | [`Dataset`] |
//! | follow or stop a run | [`Observer`] |
//! | know the loss of examples held out | [`mean_loss`] |
//! | train on several machines | [`Workers`] |
//! | write a loop of your own | [`AdamW`] |
//!
//! ```
//! use atlas_core::prelude::*;
//! use atlas_core::train::{Run, TrainParams, train};
//! use atlas_core::candle_core::{self, Device, Tensor};
//! use atlas_core::candle_nn::{Linear, Module, VarBuilder, linear};
//!
//! /// A straight line.
//! #[derive(AtlasModel)]
//! struct Line {
//!     #[network(with = line, golden = [3, 1])]
//!     line: Linear,
//! }
//!
//! fn line(_: &LineParams, vb: VarBuilder) -> candle_core::Result<Linear> {
//!     linear(1, 1, vb)
//! }
//!
//! impl Objective for Line {
//!     /// A place and the height of the line there.
//!     type Input = (f32, f32);
//!
//!     fn loss(&self, batch: &[&(f32, f32)], _: &mut Step) -> atlas_core::Result<Loss> {
//!         let column = |values: Vec<f32>| Tensor::from_vec(values, (batch.len(), 1), &Device::Cpu);
//!         let places = column(batch.iter().map(|(place, _)| *place).collect())?;
//!         let heights = column(batch.iter().map(|(_, height)| *height).collect())?;
//!         let total = (self.line.forward(&places)? - heights)?.sqr()?.mean_all()?;
//!         Ok(Loss { total, parts: Vec::new() })
//!     }
//! }
//!
//! let data: Vec<(f32, f32)> = [-1.0, 0.0, 1.0, 2.0].map(|x| (x, 3.0 * x + 1.0)).to_vec();
//! let params = TrainParams { epochs: 500, learning_rate: 0.05, ..Default::default() };
//! let run = Run { params, seed: 1, ..Default::default() };
//!
//! let mut model = Line::create_with(LineParams::default(), CreateOptions::new().seed(1))?;
//! train(&mut model, &data, &run, &mut ())?;
//! let slope = model.line.weight().to_vec2::<f32>()?[0][0];
//! assert!((slope - 3.0).abs() < 0.01);
//! # Ok::<(), atlas_core::Error>(())
//! ```

mod adamw;
mod annealing;
mod batches;
mod buffers;
mod checkpoint;
mod dataset;
mod gradients;
mod held_out;
#[cfg(feature = "mpi")]
mod mpi;
mod params;
mod prefetch;
mod progress;
mod report;
mod run;
mod shards;
mod step;
mod training;
mod workers;

pub use adamw::{AdamW, AdamWParams, Decayed};
pub use annealing::Annealing;
pub use checkpoint::CheckpointSummary;
pub use dataset::Dataset;
pub use held_out::{MeanLoss, mean_loss};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use params::{Schedule, TrainParams};
pub use report::{Control, EpochReport, Outcome, StepReport, Stopped};
pub use run::Run;
pub use training::{Observer, Training, extend, resume, train};
pub use workers::{ProcessGroup, Workers};
