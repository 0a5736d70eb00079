//! Transformer layers (Vaswani et al., "Attention Is All You Need", 2017) that normalise what
//! enters them (Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020).

#[cfg(test)]
mod tests;
mod token_model;

use super::attention::self_attention;
use super::gelu::gelu;
use super::gru::LayerDropout;
use super::layer_norm::RowNorm;
use super::linear::Linear;
use super::packing::Packing;
use candle_core::{Module, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

pub use token_model::{TransformerState, TransformerTokenModel};

/// A stack of transformer layers, with the weights of PyTorch's `nn.TransformerEncoder` of layers
/// with `norm_first`, and a last normalisation.
///
/// `x + attention(norm1(x))`, then `x + linear2(gelu(linear1(norm2(x))))`; `gelu` is in its form
/// with `tanh`, PyTorch's `gelu(x, approximate="tanh")`. On the CPU in `f32` and `f64` a sequence's
/// rows are the same bits whatever else is in the batch and for any number of threads.
#[derive(Debug, Clone)]
pub struct TransformerLayers {
    layers: Vec<Layer>,
    norm: RowNorm,
    heads: usize,
    width: usize,
}

#[derive(Debug, Clone)]
struct Layer {
    norm1: RowNorm,
    /// To queries, keys and values.
    projection: Linear,
    out_projection: Linear,
    norm2: RowNorm,
    linear1: Linear,
    linear2: Linear,
}

impl TransformerLayers {
    /// Takes the weights `layers.0.self_attn.in_proj_weight`, …, `norm.bias` from `vb`; those that
    /// it makes are as PyTorch's, but for the bias of `out_proj`, which is uniform instead of zero.
    /// `feed_forward` is the width between the two linear maps, four times `width` in the paper.
    ///
    /// # Errors
    ///
    /// A size is zero, the heads do not divide the width, or `vb` does not have the weights in
    /// these shapes.
    pub fn new(
        width: usize,
        heads: usize,
        layers: usize,
        feed_forward: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        if width == 0 || heads == 0 || layers == 0 || feed_forward == 0 {
            bail!(
                "{layers} transformer layers of width {width}, {heads} heads and a feed-forward \
                 width of {feed_forward} have no weights"
            )
        }
        if !width.is_multiple_of(heads) {
            bail!("{heads} heads do not divide a width of {width}")
        }
        let layer = |index| Layer::new(width, feed_forward, vb.pp(format!("layers.{index}")));
        Ok(Self {
            layers: (0..layers).map(layer).collect::<Result<_>>()?,
            norm: RowNorm::new(width, vb.pp("norm"))?,
            heads,
            width,
        })
    }

    /// Runs all layers over packed rows, `[rows, width]`, to rows of the same shape. If `causal`, a
    /// row does not depend on those after it. While training, `dropout` drops units of what each
    /// half of a layer adds.
    ///
    /// # Errors
    ///
    /// A shape, dtype or device does not fit.
    pub fn forward(
        &self,
        packing: &Packing,
        rows: &Tensor,
        causal: bool,
        mut dropout: Option<LayerDropout<'_>>,
    ) -> Result<Tensor> {
        let found = rows.dims2()?;
        if found != (packing.rows(), self.width) {
            let expected = (packing.rows(), self.width);
            bail!("input rows of shape {found:?}, expected {expected:?}")
        }
        let mut drop = |rows: Tensor| match &mut dropout {
            Some(LayerDropout { rate, masks }) => masks.apply(&rows, *rate),
            None => Ok(rows),
        };
        let mut rows = rows.clone();
        for layer in &self.layers {
            let projections = layer.projection.forward(&layer.norm1.forward(&rows)?)?;
            let attended = self_attention(packing, &projections, self.heads, causal)?;
            rows = (rows + drop(layer.out_projection.forward(&attended)?)?)?;
            let wide = layer.linear1.forward(&layer.norm2.forward(&rows)?)?;
            rows = (rows + drop(layer.linear2.forward(&gelu(&wide)?)?)?)?;
        }
        self.norm.forward(&rows)
    }
}

impl Layer {
    fn new(width: usize, feed_forward: usize, vb: VarBuilder) -> Result<Self> {
        let attention = vb.pp("self_attn");
        // Glorot and Bengio's bound (2010) for the three maps as one.
        let bound = (6.0 / (4 * width) as f64).sqrt();
        let uniform = Init::Uniform {
            lo: -bound,
            up: bound,
        };
        let zero = Init::Const(0.0);
        Ok(Self {
            norm1: RowNorm::new(width, vb.pp("norm1"))?,
            projection: Linear::from_tensors(
                attention.get_with_hints((3 * width, width), "in_proj_weight", uniform)?,
                attention.get_with_hints(3 * width, "in_proj_bias", zero)?,
            ),
            out_projection: Linear::new(width, width, attention.pp("out_proj"))?,
            norm2: RowNorm::new(width, vb.pp("norm2"))?,
            linear1: Linear::new(width, feed_forward, vb.pp("linear1"))?,
            linear2: Linear::new(feed_forward, width, vb.pp("linear2"))?,
        })
    }
}
