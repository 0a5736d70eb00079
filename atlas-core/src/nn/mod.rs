//! Layers whose gradients are true, where candle's are not, and a check of gradients.
//!
//! Several of candle's fused operations have no backward pass: gradients end there, and everything
//! below stays as it was initialised. Training refuses such a model. Instead of
//!
//! | candle's | use |
//! |---|---|
//! | `candle_nn::LayerNorm` | [`LayerNorm`], with the same tensors |
//! | `candle_nn::RmsNorm` | its `forward_diff` |
//! | `ops::softmax_last_dim(x)` | `ops::softmax(x, D::Minus1)` |
//! | `rotary_emb::rope`, `rope_i` | `rope_slow`, `rope_i_slow` |
//! | `candle_nn::Dropout`, `ops::dropout` | [`Step::dropout`](crate::Step::dropout), which a seed decides |

mod gradient_check;
mod layer_norm;

pub use gradient_check::check_gradients;
pub use layer_norm::LayerNorm;
