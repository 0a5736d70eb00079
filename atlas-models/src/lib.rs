//! Molecule autoencoders behind Atlas' interfaces, the molecules that they are trained on, and how
//! good they are.
//!
//! | module | holds |
//! |---|---|
//! | [`chem`] | molecules as SMILES, SELFIES and graphs: tokens, vocabularies, validity, descriptors, drawings, the built-in molecules |
//! | [`data`] | molecules from files, splits, batches; latents in files |
//! | [`nn`] | the kernels and layers that the models are made of |
//! | [`models`] | the architectures, the [parts](models::parts) they are made of, and the [interface](models::MoleculeAutoencoder) they share |
//! | [`metrics`] | how good reconstructions, new molecules and latents are |
//! | `cli` | the command line `atlas`, for models of one's own too |
//!
//! [`atlas_core::train`] trains the models.
//!
//! Cargo features: by default `cli`, the command line, and `parquet`, latents in Parquet files; `mpi`,
//! training in several processes, which takes an MPI library.
#![deny(missing_docs, unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod chem;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod metrics;
pub mod models;
pub mod nn;
mod svg;

/// What [`autoencoder!`] writes paths to.
#[doc(hidden)]
pub mod __private {
    pub use {atlas_core, candle_core, candle_nn};
}
