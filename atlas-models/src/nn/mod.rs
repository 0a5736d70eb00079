//! Recurrent, attention and convolution kernels, and what trains with them.
//!
//! On the CPU in `f32` and `f64` layers run fused kernels with backward passes of their own;
//! elsewhere they are composed of candle's operations. Sequences of different lengths are
//! [packed](Packing), so that no work is spent on padding.
//!
//! On the CPU results are the same bits for any number of threads, and what is computed for a
//! sequence does not depend on what shares its batch.

mod activation;
mod arranged;
mod attention;
mod beam;
mod blocks;
mod convolution;
mod cross_entropy;
mod custom_op;
mod embedding;
mod gelu;
mod gru;
mod layer_norm;
mod linear;
mod matrix;
mod message_passing;
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
mod transformer;

pub use attention::attention;
pub use convolution::Convolution;
pub use cross_entropy::softmax_cross_entropy;
pub use embedding::embed_tokens;
pub use gru::{Gru, GruInput, GruOutput, GruState, GruTokenModel, LayerDropout};
pub use linear::Linear;
pub use message_passing::{GraphBatch, GraphColumns, MessagePassing};
pub use packing::Packing;
pub use tokens::{Decoding, Guide, GuidedSequence, TokenChoice, TokenModel, decode};
pub use transformer::{TransformerLayers, TransformerState, TransformerTokenModel};
