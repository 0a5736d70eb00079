#![doc = include_str!("../README.md")]
//!
//! # Where to find it
//!
//! | to | see |
//! |---|---|
//! | declare a model | [the guide](guide::declare), [`derive(AtlasModel)`](macro@AtlasModel) |
//! | create, save, load | [`AtlasModel::create`], [`Model::save`], [`AtlasModel::load`] |
//! | train | [the loop of Atlas](guide::train), [your own](guide::own_loop) |
//! | prove that it behaves as it did | [the guide](guide::behaviour), [`Golden`] |
//! | read bundles of older versions | [the guide](guide::migration) |
//! | serve | [the guide](guide::serve), [`Encoder`], [`Decoder`] |
//! | bring a model of candle | [the guide](guide::existing) |
//! | bring weights | [the guide](guide::weights), [`Weights`](weights::Weights), [`Model::from_snapshot`] |
//! | choose an architecture by name | [`Registry`] |
//! | look at a bundle without its type | [`Bundle`], [the format](mod@format) |
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

// The derives name this crate `::atlas_core`, also where it is used in its own tests.
extern crate self as atlas_core;

mod build;
mod bundle;
mod error;
pub mod guide;
mod interface;
pub mod json;
mod memory;
mod migration;
mod model;
pub mod nn;
pub mod params;
pub mod random;
mod registry;
mod snapshot;
mod tensors;
#[cfg(feature = "torch")]
pub mod torch;
#[cfg(feature = "train")]
pub mod train;
pub mod weights;

#[doc = include_str!("../FORMAT.md")]
pub mod format {}

/// The derive macros and their attributes.
pub use atlas_derive::{AtlasModel, Choice, Params};

/// The candle that Atlas is built with: a model and Atlas must agree on its version.
pub use {candle_core, candle_nn};

pub use build::{Network, NetworkBuilder};
pub use bundle::{Bundle, NetworkFile, StoredTensor};
pub use error::{Error, Problem, Result};
pub use interface::{Decoder, Encoder, Loss, LossWeight, Objective, Predictor, Sampler, Step};
pub use model::{AnyModel, AtlasModel, CreateOptions, Golden, Growth, LoadOptions, Model};
pub use params::{Choice, ParamValue, Params};
pub use random::Draws;
pub use registry::{RegisteredModel, Registry};
pub use snapshot::{Checkpoint, GoldenInputs, GoldenRecord, Provenance, Snapshot};

/// What a file that declares a model imports.
pub mod prelude {
    pub use crate::{
        AnyModel, AtlasModel, Choice, CreateOptions, Decoder, Draws, Encoder, Error, Golden,
        GoldenInputs, LoadOptions, Loss, LossWeight, Model, Objective, Params, Predictor, Result,
        Sampler, Step,
    };
}

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
