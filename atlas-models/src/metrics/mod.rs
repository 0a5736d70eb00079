//! How good an autoencoder is: whether molecules [come back](reconstruction()), whether what it
//! [generates](generation()) is like molecules that are known, what lies [between](smoothness()) the
//! latents of molecules, and how much of a latent it [uses](active_units).

mod estimate;
mod generation;
mod latents;
mod reconstruction;
mod smoothness;

pub use estimate::{Estimate, Ratio};
pub use generation::{Generation, Reference, generation};
pub use latents::{ActiveUnits, active_units, divergence};
pub use reconstruction::{Reconstructed, Reconstruction, reconstruction};
pub use smoothness::{Smoothness, smoothness};
