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
mod embedding;
mod graph;
mod gru;
mod lanes;
mod linear;
mod lstm;
mod norm;
mod outer;
mod packing;
mod panels;
mod product;
mod recurrent;
mod reduce;
mod rows;
mod shared;
mod softmax;
mod tokens;

pub use cross_entropy::{CrossEntropy, cross_entropy_rows, softmax_cross_entropy};
pub use dropout::dropout;
pub use embedding::{Embedding, embedding};
pub use gru::{Gru, GruDecoder, GruInput, GruOutput, GruState, GruStepper};
pub use linear::{Linear, linear};
pub use lstm::{Lstm, LstmOutput, LstmState};
pub use norm::LayerNorm;
pub use packing::Packing;
pub use recurrent::{LayerDropout, RecurrentWeights, SequenceInput};
pub use softmax::softmax;
pub use tokens::{Choice, Decoding, TokenModel, decode};
