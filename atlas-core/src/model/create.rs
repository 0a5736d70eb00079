//! Creating: fresh tensors from a seed.

use candle_core::{DType, Device};

use super::{AtlasModel, Model, golden};
use crate::build::NetworkBuilder;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::snapshot::Provenance;
use crate::tensors;

/// How a model is created.
///
/// ```
/// use atlas_core::CreateOptions;
/// use atlas_core::candle_core::{self, DType};
///
/// let options = CreateOptions::new().seed(7).dtype(DType::F64);
/// ```
#[derive(Clone, Debug)]
pub struct CreateOptions {
    seed: Option<u64>,
    device: Device,
    dtype: DType,
    max_bytes: u64,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            seed: None,
            device: Device::Cpu,
            dtype: DType::F32,
            max_bytes: 1 << 37,
        }
    }
}

impl CreateOptions {
    /// A random seed, the CPU, f32, at most 128 GiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// The seed of the initial values. Equal seeds and parameters give bit-identical tensors, on
    /// any device and number of threads. Without it one is drawn, and recorded in the provenance.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The device the tensors are moved to.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The dtype of tensors for which the model names none: f32, f64, f16 or bf16.
    #[must_use]
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// The most bytes that the model's tensors may take in all: parameters that ask for more are
    /// refused before anything is allocated. 128 GiB unless set.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }
}

/// A new model.
pub(super) fn create<T: AtlasModel>(params: T::Params, options: CreateOptions) -> Result<Model<T>> {
    let within_model = |error: Error| error.within(format_args!("`{}`", T::NAME));
    params.validate().map_err(within_model)?;
    let CreateOptions {
        seed,
        device,
        dtype,
        max_bytes,
    } = options;
    tensors::check_model_dtype(dtype)?;
    let seed = match seed {
        Some(seed) => seed,
        None => getrandom::u64()
            .map_err(|error| Error::new(format_args!("cannot draw a seed: {error}")))?,
    };
    let builder = NetworkBuilder::seeded(
        super::declared::<T>(),
        seed,
        max_bytes,
        dtype,
        device.clone(),
    );
    let built = T::build(&params, &builder);
    let (inner, networks) = builder.finish(built).map_err(within_model)?;
    let model = Model {
        inner,
        params,
        networks,
        dtype,
        device,
        provenance: Provenance::new(Some(seed)),
    };
    // A check that cannot be computed would be found by the first save, after training.
    golden::record(&model).map_err(within_model)?;
    Ok(model)
}
