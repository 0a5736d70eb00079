#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

// The derives name this crate `::atlas_core`, also where it is used in its own tests.
extern crate self as atlas_core;

mod bundle;
mod checkpoint;
mod error;
mod golden;
mod import;
mod interface;
mod migration;
mod model;
mod network;
mod objective;
pub mod params;
mod provenance;
pub mod random;
mod registry;
mod storage;
#[cfg(feature = "train")]
pub mod train;

#[doc = include_str!("../FORMAT.md")]
pub mod format {}

/// The derive macros and their attributes.
pub use atlas_derive::{AtlasModel, Choice, Params};

pub use bundle::{Bundle, LoadOptions, NetworkFile, StoredTensor};
pub use checkpoint::Checkpoint;
pub use error::{Error, Result};
pub use golden::{Golden, GoldenInputs};
pub use import::ImportOptions;
pub use interface::{Decoder, Encoder, Sampler};
pub use migration::{Migrating, Migration};
pub use model::{AnyModel, AtlasModel, CreateOptions, Model};
pub use network::{NetworkVars, Networks};
pub use objective::{Loss, LossWeight, Objective, Step};
pub use params::{Choice, ParamValue, Params};
pub use provenance::Provenance;
pub use random::Draws;
pub use registry::{Entry, Registry};

/// What a file that declares or uses models needs.
pub mod prelude {
    pub use crate::{
        AnyModel, AtlasModel, Choice, CreateOptions, Decoder, Draws, Encoder, Golden, LoadOptions,
        Loss, LossWeight, Model, Objective, ParamValue, Params, Registry, Sampler, Step,
    };
}

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
