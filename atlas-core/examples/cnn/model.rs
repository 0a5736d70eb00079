//! A convolutional network with batch norm, as candle has it, and what training and Atlas need to
//! know of it.

use atlas_core::candle_core::{D, Result as CandleResult, Tensor};
use atlas_core::candle_nn::{
    BatchNorm, Conv2d, Conv2dConfig, Linear, Module, ModuleT, VarBuilder, batch_norm,
    conv2d_no_bias, linear, loss,
};
use atlas_core::prelude::*;
use atlas_core::random::permutation;

use super::activation;

/// Pixels of an image's side.
const SIDE: usize = 8;

/// Tells horizontal from vertical lines.
#[derive(AtlasModel)]
#[atlas(name = "cnn", version = 1)]
pub struct Cnn {
    /// Filters of the first convolution; the second has twice as many.
    #[param(default = 4, min = 1, max = 256)]
    pub filters: usize,

    // The running statistics of the batch norms are buffers: saved, and not optimised.
    #[network(golden = [3, 1, SIDE, SIDE])]
    pub net: Net,
}

/// Convolution, batch norm and activation, twice; the mean of what is left; a linear layer.
pub struct Net {
    convolutions: [Conv2d; 2],
    norms: [BatchNorm; 2],
    output: Linear,
}

impl Net {
    fn new(params: &CnnParams, vb: VarBuilder) -> CandleResult<Self> {
        let filters = params.filters;
        let config = Conv2dConfig {
            padding: 1,
            ..Default::default()
        };
        Ok(Self {
            convolutions: [
                conv2d_no_bias(1, filters, 3, config, vb.pp("conv1"))?,
                conv2d_no_bias(filters, 2 * filters, 3, config, vb.pp("conv2"))?,
            ],
            norms: [
                batch_norm(filters, 1e-5, vb.pp("norm1"))?,
                batch_norm(2 * filters, 1e-5, vb.pp("norm2"))?,
            ],
            output: linear(2 * filters, 2, vb.pp("output"))?,
        })
    }
}

impl ModuleT for Net {
    /// Images `[batch, 1, side, side]` to logits `[batch, 2]`.
    fn forward_t(&self, images: &Tensor, train: bool) -> CandleResult<Tensor> {
        let mut hidden = images.clone();
        for (convolution, norm) in self.convolutions.iter().zip(&self.norms) {
            hidden = norm.forward_t(&convolution.forward(&hidden)?, train)?;
            hidden = activation(&hidden)?;
        }
        self.output
            .forward(&hidden.flatten_from(2)?.mean(D::Minus1)?)
    }
}

/// The pixels of an image, and whether its line is vertical.
pub type Example = (Vec<f32>, bool);

impl Objective for Cnn {
    type Input = Example;

    fn loss(&self, batch: &[&Example], step: &mut Step) -> Result<Loss> {
        let weight = self.net.output.weight();
        let pixels: Vec<f32> = batch
            .iter()
            .flat_map(|(pixels, _)| pixels.clone())
            .collect();
        let images = Tensor::from_vec(pixels, (batch.len(), 1, SIDE, SIDE), weight.device())?;
        let images = images.to_dtype(weight.dtype())?;
        let classes: Vec<u32> = batch.iter().map(|(_, class)| u32::from(*class)).collect();
        let classes = Tensor::new(classes, weight.device())?;
        let logits = self.net.forward_t(&images, step.is_training())?;
        let total = loss::cross_entropy(&logits, &classes)?;
        Ok(Loss {
            total,
            parts: Vec::new(),
        })
    }
}

/// Images of a line somewhere, with a few pixels lit by chance.
pub fn data(count: u64) -> Vec<Example> {
    let draw = |number: u64| {
        let order = permutation(SIDE * SIDE, number);
        let is_vertical = number % 2 == 1;
        let mut pixels = vec![0.0; SIDE * SIDE];
        for along in 0..SIDE {
            let at = order[0] % SIDE;
            let pixel = if is_vertical {
                along * SIDE + at
            } else {
                at * SIDE + along
            };
            pixels[pixel] = 1.0;
        }
        for &pixel in &order[1..4] {
            pixels[pixel] = 1.0;
        }
        (pixels, is_vertical)
    };
    (0..count).map(draw).collect()
}
