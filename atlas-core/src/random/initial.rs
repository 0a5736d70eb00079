//! Initial values of variables, from the distributions that candle's layers ask for.

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::Init;
use candle_nn::init::NormalOrUniform;

use super::{Numbers, tensor};
use crate::error::Error;

/// What a tensor's values are drawn from.
#[derive(Clone, Copy)]
enum Distribution {
    Constant(f64),
    Uniform { low: f64, high: f64 },
    Normal { mean: f64, deviation: f64 },
}

impl Distribution {
    /// The distribution that candle's `Init::var` draws from.
    fn of(init: Init, shape: &Shape) -> Self {
        match init {
            Init::Const(value) => Self::Constant(value),
            Init::Uniform { lo, up } => Self::Uniform { low: lo, high: up },
            Init::Randn { mean, stdev } => Self::Normal {
                mean,
                deviation: stdev,
            },
            Init::Kaiming {
                dist,
                fan,
                non_linearity,
            } => {
                let deviation = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
                match dist {
                    NormalOrUniform::Normal => Self::Normal {
                        mean: 0.0,
                        deviation,
                    },
                    NormalOrUniform::Uniform => {
                        let bound = 3f64.sqrt() * deviation;
                        Self::Uniform {
                            low: -bound,
                            high: bound,
                        }
                    }
                }
            }
        }
    }
}

/// A variable with the initial values of tensor `name` of `network`.
///
/// The values depend on the seed and the two names alone: adding a layer changes no other layer's.
pub(crate) fn variable(
    seed: u64,
    network: &str,
    name: &str,
    shape: &Shape,
    init: Init,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let distribution = Distribution::of(init, shape);
    if !dtype.is_float() && !matches!(distribution, Distribution::Constant(_)) {
        bail!(
            "`{network}/{name}`: {dtype:?} tensors are initialised with a constant, not {init:?}"
        );
    }
    let mut numbers = Numbers::of(seed, network, name);
    let next = || match distribution {
        Distribution::Constant(value) => value,
        Distribution::Uniform { low, high } => low + (high - low) * numbers.unit(),
        Distribution::Normal { mean, deviation } => mean + deviation * numbers.normal(),
    };
    tensor(shape, dtype, device, true, next).map_err(|error| {
        Error::from(error)
            .within(format_args!("`{network}/{name}`"))
            .into()
    })
}
