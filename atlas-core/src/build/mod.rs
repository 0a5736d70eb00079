//! [`NetworkBuilder`]: gives each network the `VarBuilder` that it is built with. Its tensors are
//! drawn from a seed, or are those of a snapshot.

mod network;
mod stored;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

pub use network::Network;

use crate::error::{Error, Report, Result};
use crate::tensors::Tensors;
use crate::{random, tensors};
use stored::StoredTensors;

/// What a model's networks are built from: for each network a `VarBuilder` that knows whether
/// tensors are being initialised or come from a snapshot.
///
/// The code that the derive emits builds each `#[network]` from it; a function named by
/// `#[atlas(build = …)]` gets it to build all networks itself.
pub struct NetworkBuilder {
    declared: Declared,
    dtype: DType,
    device: Device,
    source: Arc<Source>,
    built: Mutex<BTreeMap<String, Arc<Mutex<Tensors>>>>,
}

/// The networks that a model declares.
#[derive(Clone, Copy)]
pub(crate) struct Declared {
    pub(crate) networks: &'static [&'static str],
    /// The buffers of each network that has some.
    pub(crate) buffers: &'static [(&'static str, &'static [&'static str])],
}

impl Declared {
    fn buffers_of(self, network: &str) -> &'static [&'static str] {
        let mut declared = self.buffers.iter();
        let found = declared.find(|(name, _)| *name == network);
        found.map_or(&[], |(_, buffers)| buffers)
    }
}

enum Source {
    Seeded {
        seed: u64,
        budget: AtomicU64,
        limit: u64,
    },
    Stored(StoredTensors),
}

impl NetworkBuilder {
    /// Builds networks of fresh tensors that take at most `limit` bytes in all.
    pub(crate) fn seeded(
        declared: Declared,
        seed: u64,
        limit: u64,
        dtype: DType,
        device: Device,
    ) -> Self {
        let budget = AtomicU64::new(limit);
        let source = Source::Seeded {
            seed,
            budget,
            limit,
        };
        Self::new(declared, source, dtype, device)
    }

    /// Builds networks of which every tensor must be among the stored ones, by network and name.
    /// `cast` allows floats of another dtype than asked for, `trainable` makes variables of them.
    pub(crate) fn stored(
        declared: Declared,
        stored: BTreeMap<String, Tensors>,
        cast: bool,
        trainable: bool,
        dtype: DType,
        device: Device,
    ) -> Self {
        let source = Source::Stored(StoredTensors::new(stored, cast, trainable));
        Self::new(declared, source, dtype, device)
    }

    fn new(declared: Declared, source: Source, dtype: DType, device: Device) -> Self {
        Self {
            declared,
            dtype,
            device,
            source: Arc::new(source),
            built: Mutex::default(),
        }
    }

    /// The builder of one network's tensors.
    ///
    /// # Errors
    /// If the model declares no network of that name.
    pub fn builder(&self, name: &str) -> Result<VarBuilder<'static>> {
        if !self.declared.networks.contains(&name) {
            return Err(Error::new(format_args!(
                "the model has no network `{name}`; it has {}",
                self.declared.networks.join(", ")
            )));
        }
        let tensors = lock(&self.built)
            .entry(name.to_owned())
            .or_default()
            .clone();
        let backend = NetworkBackend {
            network: name.to_owned(),
            buffers: self.declared.buffers_of(name),
            source: self.source.clone(),
            tensors,
        };
        Ok(VarBuilder::from_backend(
            Box::new(backend),
            self.dtype,
            self.device.clone(),
        ))
    }

    /// Builds one network with `build`.
    ///
    /// # Errors
    /// What `build` returns, naming the network.
    pub fn build<N, E: Into<Error>>(
        &self,
        name: &str,
        build: impl FnOnce(VarBuilder<'static>) -> Result<N, E>,
    ) -> Result<N> {
        build(self.builder(name)?)
            .map_err(|error| error.into().within(format_args!("network `{name}`")))
    }

    /// Builds all networks with `build`.
    ///
    /// # Errors
    /// What `build` returns.
    pub fn build_all<N, E: Into<Error>>(
        &self,
        build: impl FnOnce(&Self) -> Result<N, E>,
    ) -> Result<N> {
        build(self).map_err(Into::into)
    }

    /// The dtype of tensors that are asked for without one.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The device the tensors are on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What building returned and the tensors that it asked for; an error unless they are all of
    /// the stored ones, and such that a bundle can hold them.
    pub(crate) fn finish<T>(self, built: Result<T>) -> Result<(T, Vec<Network>)> {
        if let Source::Stored(stored) = &*self.source {
            // After an error the build has not asked for everything yet.
            let problems = stored.problems(built.is_ok());
            Report::from_iter(problems).into_result(Error::mismatch)?;
        }
        let model = built?;
        let mut tensors = lock(&self.built);
        let networks: Vec<Network> = self
            .declared
            .networks
            .iter()
            .map(|name| {
                let tensors = tensors.remove(*name);
                let tensors = tensors.map(|tensors| lock(&tensors).clone());
                Network::new(
                    name,
                    tensors.unwrap_or_default(),
                    self.declared.buffers_of(name),
                )
            })
            .collect();
        match networks.iter().find_map(Network::defect) {
            Some(defect) => Err(Error::new(defect)),
            None => Ok((model, networks)),
        }
    }
}

struct NetworkBackend {
    network: String,
    buffers: &'static [&'static str],
    source: Arc<Source>,
    tensors: Arc<Mutex<Tensors>>,
}

impl NetworkBackend {
    fn make(
        &self,
        shape: &Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        match &*self.source {
            Source::Stored(stored) => {
                let is_buffer = network::is_buffer(name, self.buffers);
                stored.take(&self.network, name, is_buffer, shape, dtype, device)
            }
            Source::Seeded {
                seed,
                budget,
                limit,
            } => {
                self.spend(name, shape, dtype, budget, *limit)?;
                random::variable(*seed, &self.network, name, shape, init, dtype, device)
            }
        }
    }

    /// Takes the tensor's bytes out of the budget before they are allocated.
    fn spend(
        &self,
        name: &str,
        shape: &Shape,
        dtype: DType,
        budget: &AtomicU64,
        limit: u64,
    ) -> candle_core::Result<()> {
        let left = tensors::byte_count(dtype, shape.dims()).and_then(|bytes| {
            budget
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(bytes)
                })
                .ok()
        });
        if left.is_none() {
            let what = format!(
                "tensor `{}/{name}` of {}",
                self.network,
                tensors::describe(dtype, shape.dims())
            );
            let why = format!(
                "a model may take {limit} bytes in all, unless `CreateOptions::max_bytes` allows more"
            );
            return Err(Error::too_large(what, why).into());
        }
        Ok(())
    }
}

impl SimpleBackend for NetworkBackend {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut tensors = lock(&self.tensors);
        if let Some(tensor) = tensors.get(name) {
            // A tied tensor: asked for again, it is the same one.
            if tensor.shape() != &shape || tensor.dtype() != dtype {
                candle_core::bail!(
                    "tensor `{name}` was asked for twice, as {} and as {}",
                    tensors::describe(tensor.dtype(), tensor.dims()),
                    tensors::describe(dtype, shape.dims()),
                );
            }
            return Ok(tensor.clone());
        }
        let tensor = self.make(&shape, name, init, dtype, device)?;
        tensors.insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!(
            "tensor `{name}` was asked for without a shape: a model says the shape of each of its tensors"
        )
    }

    /// Whether the tensor has been asked for. What a bundle happens to hold must not decide what
    /// is built: a load takes every turn that the creation took.
    fn contains_tensor(&self, name: &str) -> bool {
        lock(&self.tensors).contains_key(name)
    }
}

/// What is behind the lock stays usable if a thread panicked: every write to it is one insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
