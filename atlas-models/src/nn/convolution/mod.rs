//! Convolution along each sequence.

#[cfg(test)]
mod tests;
mod tokens;
mod windows;

use super::embedding::check_ids;
use super::linear::linear;
use super::packing::Packing;
use candle_core::{DType, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use tokens::TokenWindows;
use windows::Windows;

/// A convolution along each sequence, with the weights of PyTorch's `nn.Conv1d`.
///
/// Around each sequence there are zeros, so that it stays as long as it is: PyTorch's
/// `padding="same"`, by which a kernel of even width reads one element more to the right. On the
/// CPU in `f32` and `f64` a sequence's rows are the same bits whatever else is in the batch and for
/// any number of threads.
#[derive(Debug, Clone)]
pub struct Convolution {
    /// `[output, input, kernel]`
    weight: Tensor,
    /// `[output]`
    bias: Tensor,
}

impl Convolution {
    /// Takes `weight`, `[output, input, kernel]`, and `bias` from `vb`; those that it makes are
    /// uniform within `±1 / sqrt(input * kernel)`, as PyTorch's.
    ///
    /// # Errors
    ///
    /// A size is zero, or `vb` does not have the weights in these shapes.
    pub fn new(input: usize, output: usize, kernel: usize, vb: VarBuilder) -> Result<Self> {
        if input == 0 || output == 0 || kernel == 0 {
            bail!("a convolution of width {kernel} from {input} to {output} has no weights")
        }
        let bound = 1.0 / ((input * kernel) as f64).sqrt();
        let uniform = Init::Uniform {
            lo: -bound,
            up: bound,
        };
        Ok(Self {
            weight: vb.get_with_hints((output, input, kernel), "weight", uniform)?,
            bias: vb.get_with_hints(output, "bias", uniform)?,
        })
    }

    /// Packed rows, `[rows, input]`, to `[rows, output]`.
    ///
    /// # Errors
    ///
    /// A shape, dtype or device does not fit.
    pub fn forward(&self, packing: &Packing, rows: &Tensor) -> Result<Tensor> {
        let (output, input, kernel) = self.weight.dims3()?;
        let found = rows.dims2()?;
        if found != (packing.rows(), input) {
            let expected = (packing.rows(), input);
            bail!("input rows of shape {found:?}, expected {expected:?}")
        }
        let windows = Windows::new(packing, kernel);
        let weight = self.weight.transpose(1, 2)?;
        let weight = weight.reshape((output, kernel * input))?;
        linear(&windows.of(rows)?, &weight, Some(&self.bias))
    }

    /// [`forward`](Self::forward) of one token for each row, as [`Packing::pack`] makes them, by
    /// their embeddings, `[vocabulary, input]`.
    ///
    /// Cheaper than the same of the embeddings' rows: each token is multiplied once, instead of
    /// every row.
    ///
    /// # Errors
    ///
    /// A shape, dtype or device does not fit, or an id is not in the vocabulary.
    pub fn forward_tokens(
        &self,
        packing: &Packing,
        ids: &[u32],
        embedding: &Tensor,
    ) -> Result<Tensor> {
        check_ids(packing, ids, embedding)?;
        let (output, input, kernel) = self.weight.dims3()?;
        let by_place = self.weight.permute((2, 0, 1))?;
        let by_place = by_place.reshape((kernel * output, input))?;
        let tokens = TokenWindows {
            windows: Windows::new(packing, kernel),
            ids: ids.to_vec(),
        };
        match embedding.dtype() {
            DType::F32 if embedding.device().is_cpu() => {
                tokens.sums::<f32>(&linear(embedding, &by_place, None)?, &self.bias)
            }
            DType::F64 if embedding.device().is_cpu() => {
                tokens.sums::<f64>(&linear(embedding, &by_place, None)?, &self.bias)
            }
            _ => {
                let ids = Tensor::new(ids, embedding.device())?;
                self.forward(packing, &embedding.index_select(&ids, 0)?)
            }
        }
    }
}
