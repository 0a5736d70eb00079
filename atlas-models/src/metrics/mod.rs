//! How good an autoencoder is.

mod reconstruction;

pub use reconstruction::{Reconstructed, Reconstruction, reconstruction};
