//! Everything that is drawn at random.
//!
//! Every draw depends on a seed and on what the draw is for, and on nothing else: it is the same on
//! every device, on any number of threads, and in whatever order draws are made. Values are drawn
//! one after the other on the CPU, in f64.

mod draws;
mod dropout;
mod initial;
mod shuffle;

use candle_core::{DType, Device, Result, Shape, Tensor, WithDType, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::tensors;

pub use draws::Draws;
pub(crate) use draws::{golden_input, noise};
pub use dropout::Dropout;
pub(crate) use initial::variable;
pub use shuffle::permutation;
#[cfg(feature = "train")]
pub(crate) use shuffle::shuffle;

/// A seed that depends on the purpose `context` and on `numbers`. Every purpose has its own
/// context, so that seeds of two purposes have nothing to do with each other.
pub(crate) fn seed(context: &str, numbers: &[u64]) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
    let mut seed = [0; 8];
    hasher.finalize_xof().fill(&mut seed);
    u64::from_le_bytes(seed)
}

/// The numbers of one tensor.
struct Numbers {
    generator: ChaCha8Rng,
    /// The second of the pair of normal numbers that each draw makes.
    spare: Option<f64>,
}

impl Numbers {
    /// The numbers of the tensor `name` in `group`: a network, or another thing that has tensors.
    fn of(seed: u64, group: &str, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("Atlas 1 initial values of a tensor");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(group.len() as u64).to_le_bytes());
        hasher.update(group.as_bytes());
        hasher.update(name.as_bytes());
        Self {
            generator: ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()),
            spare: None,
        }
    }

    /// Uniform in [0, 1), 53 bits.
    fn unit(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Standard normal: Box and Muller's transformation (1958), by libm's functions, which give the
    /// same bits on every platform.
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

/// A tensor whose elements are `next`, one after the other.
fn tensor(
    shape: &Shape,
    dtype: DType,
    device: &Device,
    trainable: bool,
    next: impl FnMut() -> f64,
) -> Result<Tensor> {
    tensors::with_element!(dtype, T => elements::<T>(shape, next)
        .and_then(|elements| tensors::tensor(elements, shape, device, trainable)), else {
        bail!("a model cannot hold tensors of dtype {dtype:?}")
    })
}

fn elements<T: WithDType>(shape: &Shape, mut next: impl FnMut() -> f64) -> Result<Vec<T>> {
    let count = shape.elem_count();
    let mut elements = Vec::new();
    if elements.try_reserve_exact(count).is_err() {
        bail!("there is no memory for a tensor of shape {shape:?}");
    }
    elements.extend((0..count).map(|_| T::from_f64(next())));
    Ok(elements)
}
