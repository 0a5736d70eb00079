//! Where a network's tensors come from while it is built, and where they are kept after.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::bundle;
use crate::error::{Error, Result};
use crate::params::{Problem, Report};
use crate::{random, storage};

/// The tensors of one network, by name, in the order of their names.
#[derive(Clone, Debug)]
pub struct NetworkVars {
    name: String,
    tensors: BTreeMap<String, Tensor>,
    frozen: bool,
}

impl NetworkVars {
    /// The network's name: the field's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every tensor with its name, in the order of the names.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Every variable with its name, in the order of the names. None if the model was loaded for
    /// inference.
    pub fn vars(&self) -> impl Iterator<Item = (&str, Var)> {
        self.tensors()
            .filter(|(_, tensor)| tensor.is_variable())
            .filter_map(|(name, tensor)| {
                // A variable is taken as it is, not copied.
                Var::from_tensor(tensor).ok().map(|var| (name, var))
            })
    }

    /// Whether training leaves this network alone.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// The number of elements in all tensors.
    pub fn elements(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    pub(crate) fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
    }
}

/// What a model's networks are built from: for each network a `VarBuilder` that knows whether
/// tensors are being initialised or read from a bundle.
///
/// The code that the derive emits builds each `#[network]` from it; a function named by
/// `#[atlas(build = …)]` gets it to build all networks itself.
pub struct Networks {
    names: &'static [&'static str],
    dtype: DType,
    device: Device,
    source: Arc<Source>,
    tables: Mutex<BTreeMap<String, Arc<Table>>>,
}

/// The tensors of one network that have been asked for so far.
type Table = Mutex<BTreeMap<String, Tensor>>;

enum Source {
    Seeded {
        seed: u64,
        budget: AtomicU64,
        limit: u64,
    },
    Stored(Stored),
}

/// Tensors by network and name.
pub(crate) type Tensors = BTreeMap<String, BTreeMap<String, Tensor>>;

/// Tensors read from a bundle, on the CPU.
pub(crate) struct Stored {
    path: PathBuf,
    cast: bool,
    trainable: bool,
    /// Bytes of all the tensors.
    bytes: u64,
    /// Those that have not been asked for: each is given out once, so that no copy of it stays.
    left: Mutex<Tensors>,
    problems: Mutex<Vec<Problem>>,
}

/// A build that asks for more tensors than this which are not there is stopped: parameters can
/// make it ask for ever.
const MOST_PROBLEMS: usize = 1000;

impl Networks {
    /// Networks with fresh tensors of at most `limit` bytes in all.
    pub(crate) fn seeded(
        names: &'static [&'static str],
        seed: u64,
        limit: u64,
        dtype: DType,
        device: Device,
    ) -> Self {
        let source = Source::Seeded {
            seed,
            budget: AtomicU64::new(limit),
            limit,
        };
        Self {
            names,
            dtype,
            device,
            source: Arc::new(source),
            tables: Mutex::default(),
        }
    }

    /// Networks whose every tensor must be among the stored ones.
    pub(crate) fn stored(
        names: &'static [&'static str],
        stored: Stored,
        dtype: DType,
        device: Device,
    ) -> Self {
        Self {
            names,
            dtype,
            device,
            source: Arc::new(Source::Stored(stored)),
            tables: Mutex::default(),
        }
    }

    /// The builder of one network's tensors.
    ///
    /// # Errors
    /// If the model declares no network of that name.
    pub fn builder(&self, name: &str) -> Result<VarBuilder<'static>> {
        if !self.names.contains(&name) {
            return Err(Error::new(format_args!(
                "the model has no network `{name}`; it has {}",
                self.names.join(", ")
            )));
        }
        let table = lock(&self.tables)
            .entry(name.to_owned())
            .or_default()
            .clone();
        let backend = NetworkBackend {
            network: name.to_owned(),
            source: self.source.clone(),
            table,
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

    /// The tensors that building asked for, with what building returned; for stored tensors an
    /// error unless these and the stored ones are the same.
    pub(crate) fn finish<T>(self, built: Result<T>) -> Result<(T, Vec<NetworkVars>)> {
        let mut tables = self
            .tables
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let mut networks = Vec::with_capacity(self.names.len());
        for name in self.names {
            let tensors = tables
                .remove(*name)
                .map(|table| lock(&table).clone())
                .unwrap_or_default();
            networks.push(NetworkVars {
                name: (*name).to_owned(),
                tensors,
                frozen: false,
            });
        }
        if let Source::Stored(stored) = &*self.source {
            let mut problems = std::mem::take(&mut *lock(&stored.problems));
            // After an error the build has not asked for everything yet.
            if built.is_ok() {
                problems.extend(stored.unasked());
            }
            Report::from_iter(problems)
                .into_result(|report| Error::mismatch(&stored.path, report))?;
        }
        let built = built?;
        match networks.iter().find_map(NetworkVars::defect) {
            Some(defect) => Err(Error::new(defect)),
            None => Ok((built, networks)),
        }
    }
}

impl NetworkVars {
    /// Why a bundle could not hold this network.
    fn defect(&self) -> Option<String> {
        let name = &self.name;
        let no_tensors =
            || format!("network `{name}` has no tensors: its `VarBuilder` was asked for none");
        bundle::name_defect(name).or_else(|| self.tensors.is_empty().then(no_tensors))
    }
}

impl Stored {
    /// `tensors` of the bundle at `path`; `cast` allows floats of another dtype than asked for,
    /// `trainable` makes variables of them.
    pub(crate) fn new(path: PathBuf, tensors: Tensors, cast: bool, trainable: bool) -> Self {
        let size = |tensor: &Tensor| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64;
        let bytes = tensors.values().flat_map(BTreeMap::values).map(size).sum();
        Self {
            path,
            cast,
            trainable,
            bytes,
            left: Mutex::new(tensors),
            problems: Mutex::default(),
        }
    }

    /// A problem for each tensor that was not asked for.
    fn unasked(&self) -> Vec<Problem> {
        let problem = |network: &str, name: &str, tensor: &Tensor| {
            let what = storage::describe(tensor.dtype(), tensor.dims());
            Problem::new(
                format!("{network}/{name}"),
                "the model asks for no such tensor",
            )
            .with_found(what)
        };
        lock(&self.left)
            .iter()
            .flat_map(|(network, tensors)| {
                tensors
                    .iter()
                    .map(move |(name, tensor)| problem(network, name, tensor))
            })
            .collect()
    }

    /// The stored tensor, or a stand-in and a noted problem, so that one load names every problem.
    fn take(
        &self,
        network: &str,
        name: &str,
        shape: &Shape,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let wanted = storage::describe(dtype, shape.dims());
        let path = format!("{network}/{name}");
        let stored = lock(&self.left)
            .get_mut(network)
            .and_then(|tensors| tensors.remove(name));
        let Some(tensor) = stored else {
            let problem = Problem::new(path, format!("missing; the model asks for {wanted}"));
            return self.stand_in(problem, shape, dtype, device);
        };
        if tensor.shape() != shape
            || (tensor.dtype() != dtype && !self.can_cast(tensor.dtype(), dtype))
        {
            let found = storage::describe(tensor.dtype(), tensor.dims());
            let problem =
                Problem::new(path, format!("the model asks for {wanted}")).with_found(found);
            return self.stand_in(problem, shape, dtype, device);
        }
        let is_as_wanted = tensor.dtype() == dtype && tensor.device().same_device(device);
        if self.trainable && tensor.is_variable() && is_as_wanted {
            return Ok(tensor);
        }
        // A migration may have made a view of another tensor.
        let tensor = tensor
            .detach()
            .contiguous()?
            .to_dtype(dtype)?
            .to_device(device)?;
        if self.trainable {
            Var::from_tensor(&tensor).map(|var| var.as_tensor().clone())
        } else {
            Ok(tensor)
        }
    }

    fn can_cast(&self, from: DType, to: DType) -> bool {
        self.cast && from.is_float() && to.is_float()
    }

    /// Notes the problem. The stand-in takes no memory, but what the model makes of it may: where
    /// that could be far more than the bundle holds, the build ends here.
    fn stand_in(
        &self,
        problem: Problem,
        shape: &Shape,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let bearable = self.bytes.saturating_mul(16).saturating_add(1 << 20);
        let is_bearable =
            storage::byte_count(dtype, shape.dims()).is_some_and(|bytes| bytes <= bearable);
        let mut problems = lock(&self.problems);
        problems.push(problem);
        if !is_bearable || problems.len() >= MOST_PROBLEMS {
            candle_core::bail!("the bundle does not hold the tensors that the model asks for");
        }
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }
}

struct NetworkBackend {
    network: String,
    source: Arc<Source>,
    table: Arc<Table>,
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
            Source::Stored(stored) => stored.take(&self.network, name, shape, dtype, device),
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
        let left = storage::byte_count(dtype, shape.dims()).and_then(|bytes| {
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
                storage::describe(dtype, shape.dims())
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
        let mut table = lock(&self.table);
        if let Some(tensor) = table.get(name) {
            // A tied tensor: asked for again, it is the same one.
            if tensor.shape() != &shape || tensor.dtype() != dtype {
                candle_core::bail!(
                    "tensor `{name}` was asked for twice, as {} and as {}",
                    storage::describe(tensor.dtype(), tensor.dims()),
                    storage::describe(dtype, shape.dims()),
                );
            }
            return Ok(tensor.clone());
        }
        let tensor = self.make(&shape, name, init, dtype, device)?;
        table.insert(name.to_owned(), tensor.clone());
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
        lock(&self.table).contains_key(name)
    }
}

/// What is behind the lock stays usable if a thread panicked: every write to it is one insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
