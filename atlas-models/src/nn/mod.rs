//! Recurrent kernels and what trains with them.
//!
//! On the CPU in `f32` and `f64` layers run fused kernels with backward passes of their own;
//! elsewhere they are composed of candle's operations. Sequences of different lengths are
//! [packed](Packing), so that no work is spent on padding.
//!
//! On the CPU results are the same bits for any number of threads, and what is computed for a
//! sequence does not depend on what shares its batch.

mod activation;
mod blocks;
mod cross_entropy;
mod custom_op;
mod gru;
mod linear;
mod matrix;
mod outer;
mod packing;
mod panels;
mod product;
mod reduce;
#[allow(
    unsafe_code,
    reason = "vector instructions, and products that do not check every element"
)]
mod simd;
mod tokens;

pub use cross_entropy::softmax_cross_entropy;
pub use gru::{Gru, GruInput, GruOutput, GruState, GruTokenModel, LayerDropout};
pub use linear::Linear;
pub use packing::Packing;
pub use tokens::{Decoding, Guide, GuidedSequence, TokenChoice, TokenModel, decode};
