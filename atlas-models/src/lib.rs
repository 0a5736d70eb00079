//! Molecule autoencoders behind Atlas' interfaces, and what trains and judges them.
//!
//! | module | holds |
//! |---|---|
//! | [`chem`] | molecules as SMILES: tokens, vocabularies, validity, the built-in molecules |
//! | [`data`] | molecules from files, splits, batches; latents in files |
//! | [`nn`] | the recurrent kernels that the models are made of |
//! | [`models`] | the architectures, and the [interface](models::MoleculeAutoencoder) they share |
//! | [`train`] | the training loop, which knows no architecture |
//! | [`metrics`] | how good a reconstruction is |
#![deny(missing_docs, unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod chem;
pub mod data;
pub mod metrics;
pub mod models;
pub mod nn;
pub mod train;
