//! How good an autoencoder is.

mod reconstruction;

pub use reconstruction::{Reconstruction, reconstruction};
