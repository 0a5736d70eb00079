//! Recurrent kernels and what trains with them.
//!
//! On the CPU in `f32` and `f64` layers run fused kernels with backward passes of their own;
//! elsewhere they are composed of candle's operations. Sequences of different lengths are
//! [packed](Packing), so that no work is spent on padding.
//!
//! On the CPU results are the same bits for any number of threads, and what is computed for a
//! sequence does not depend on what shares its batch.

mod activation;
mod cross_entropy;
#[cfg(test)]
mod differences;
mod dropout;
mod graph;
mod gru;
mod lanes;
mod layer_norm;
mod linear;
mod outer;
mod packing;
mod panels;
mod product;
mod recurrent;
mod reduce;
mod shared;
mod tokens;

pub use cross_entropy::softmax_cross_entropy;
pub use dropout::dropout;
pub use gru::{Gru, GruDecoder, GruInput, GruOutput, GruState, GruStepper};
pub use layer_norm::LayerNorm;
pub use linear::{Linear, linear};
pub use packing::Packing;
pub use recurrent::{LayerDropout, RecurrentWeights, SequenceInput};
pub use tokens::{Choice, Decoding, TokenModel, decode};
