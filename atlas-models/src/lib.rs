//! Molecule autoencoders behind Atlas' interfaces, the molecules that they are trained on, and how
//! good they are.
//!
//! | module | holds |
//! |---|---|
//! | [`chem`] | molecules as SMILES: tokens, vocabularies, validity, the built-in molecules |
//! | [`data`] | molecules from files, splits, batches; latents in files |
//! | [`nn`] | the recurrent kernels that the models are made of |
//! | [`models`] | the architectures, and the [interface](models::MoleculeAutoencoder) they share |
//! | [`metrics`] | how good a reconstruction is |
//!
//! [`atlas_core::train`] trains them.
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod chem;
pub mod data;
pub mod metrics;
pub mod models;
pub mod nn;
pub mod train;
