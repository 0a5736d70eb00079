//! Reproducible initial values.
//!
//! Each tensor's values come from a generator of its own, keyed by (seed, network, tensor name),
//! drawn one after the other on the CPU in f64 and rounded to the tensor's dtype. So they do not
//! depend on the device, the number of threads, or the order in which tensors are built, and
//! adding a layer changes no other layer's values. The distributions are candle's.

use candle_core::{DType, Device, Result, Shape, Tensor, WithDType, bail};
use candle_nn::Init;
use candle_nn::init::NormalOrUniform;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::storage;

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
    let is_float = matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16);
    if !is_float && !matches!(distribution, Distribution::Constant(_)) {
        bail!(
            "`{network}/{name}`: {dtype:?} tensors are initialised with a constant, not {init:?}"
        );
    }
    let mut values = Values {
        generator: generator(seed, network, name),
        distribution,
        spare: None,
    };
    storage::with_element!(dtype, T => values.variable::<T>(shape, device), else {
        bail!("`{network}/{name}`: a model cannot hold tensors of dtype {dtype:?}")
    })
}

/// The generator of one tensor: its key is a BLAKE3 hash of what names the tensor.
fn generator(seed: u64, network: &str, name: &str) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("Atlas 1 initial values of a tensor");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(network.len() as u64).to_le_bytes());
    hasher.update(network.as_bytes());
    hasher.update(name.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

struct Values {
    generator: ChaCha8Rng,
    distribution: Distribution,
    /// The second of the pair of normal deviates that each draw makes.
    spare: Option<f64>,
}

impl Values {
    fn variable<T: WithDType>(&mut self, shape: &Shape, device: &Device) -> Result<Tensor> {
        let count = shape.elem_count();
        let mut elements: Vec<T> = Vec::new();
        if elements.try_reserve_exact(count).is_err() {
            bail!("there is no memory for a tensor of shape {shape:?}");
        }
        elements.extend((0..count).map(|_| T::from_f64(self.next())));
        storage::tensor(elements, shape, device, true)
    }

    fn next(&mut self) -> f64 {
        match self.distribution {
            Distribution::Constant(value) => value,
            Distribution::Uniform { low, high } => low + (high - low) * self.unit(),
            Distribution::Normal { mean, deviation } => mean + deviation * self.normal(),
        }
    }

    /// Uniform in [0, 1), 53 bits.
    fn unit(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Box and Muller's transformation (1958), by libm's functions, which give the same bits on
    /// every platform.
    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        let (sine, cosine) = libm::sincos(std::f64::consts::TAU * self.unit());
        self.spare = Some(radius * sine);
        radius * cosine
    }
}
