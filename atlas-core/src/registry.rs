//! [`Registry`]: models by name, each created or loaded as a trait object such as `Box<dyn
//! Encoder>`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::model::{self, AtlasModel, CreateOptions, LoadOptions, Model};
use crate::params::{Params, Schema};
use crate::snapshot::Snapshot;

/// Models by name, each as a trait object of the interface `I`.
///
/// Code that trains or serves asks the registry, and so works with every architecture that is
/// registered, whatever a bundle holds.
///
/// ```
/// # use atlas_core::prelude::*;
/// # use atlas_core::candle_core::{self, Tensor};
/// # use atlas_core::candle_nn::{Linear, Module, VarBuilder};
/// # #[derive(AtlasModel)]
/// # struct Scale {
/// #     #[param(default = 2, min = 1)]
/// #     width: usize,
/// #     #[network(with = build, golden = [2, width])]
/// #     linear: Linear,
/// # }
/// # fn build(params: &ScaleParams, vb: VarBuilder) -> candle_core::Result<Linear> {
/// #     atlas_core::candle_nn::linear(params.width, params.width, vb)
/// # }
/// # impl Decoder for Scale {
/// #     type Output = f32;
/// #     fn decode(&self, latents: &Tensor) -> Result<Vec<f32>> {
/// #         Ok(self.linear.forward(latents)?.sum(1)?.to_vec1()?)
/// #     }
/// # }
/// use atlas_core::Registry;
///
/// let mut registry = Registry::<dyn Decoder<Output = f32>>::new();
/// registry.register::<Scale>(|model| Box::new(model));
///
/// let model = registry.create("scale", &serde_json::json!({ "width": 3 }), CreateOptions::new())?;
/// assert!(registry.create("scael", &serde_json::json!({}), CreateOptions::new())
///     .err().unwrap().to_string().contains("did you mean `scale`?"));
/// # Ok::<(), Error>(())
/// ```
pub struct Registry<I: ?Sized> {
    models: BTreeMap<&'static str, RegisteredModel<I>>,
}

/// A registered model.
pub struct RegisteredModel<I: ?Sized> {
    name: &'static str,
    version: u32,
    doc: &'static str,
    networks: &'static [&'static str],
    schema: fn() -> Schema,
    sizes: Vec<Value>,
    create: Box<Create<I>>,
    load: Box<Load<I>>,
    from_snapshot: Box<FromSnapshot<I>>,
}

/// Creates a registered model from overrides.
type Create<I> = dyn Fn(&Value, CreateOptions) -> Result<Box<I>> + Send + Sync;
/// Loads a registered model from an opened bundle.
type Load<I> = dyn Fn(&Bundle, &LoadOptions) -> Result<Box<I>> + Send + Sync;
/// Makes a registered model of a snapshot.
type FromSnapshot<I> = dyn Fn(Snapshot, &LoadOptions) -> Result<Box<I>> + Send + Sync;

impl<I: ?Sized> RegisteredModel<I> {
    /// The model's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The version of its parameters.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Its documentation.
    pub fn doc(&self) -> &'static str {
        self.doc
    }

    /// The names of its networks, in the order they were declared.
    pub fn networks(&self) -> &'static [&'static str] {
        self.networks
    }

    /// Its parameters.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }

    /// Overrides that make the model smaller than its defaults do, from the smallest; empty unless
    /// [declared](Registry::register_with_sizes).
    pub fn sizes(&self) -> &[Value] {
        &self.sizes
    }
}

impl<I: ?Sized> fmt::Debug for RegisteredModel<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredModel")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl<I: ?Sized> fmt::Debug for Registry<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.models.values()).finish()
    }
}

impl<I: ?Sized> Default for Registry<I> {
    fn default() -> Self {
        Self {
            models: BTreeMap::new(),
        }
    }
}

impl<I: ?Sized + 'static> Registry<I> {
    /// A registry without models.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers `T` under its name, in the place of a model of that name if there is one.
    /// `interface` is `|model| Box::new(model)`: the one thing that the compiler cannot do by
    /// itself is to turn any model into any interface.
    pub fn register<T: AtlasModel>(&mut self, interface: fn(Model<T>) -> Box<I>) -> &mut Self {
        self.register_with_sizes(interface, Vec::new())
    }

    /// Registers `T` as [`register`](Registry::register) does, and the sizes that it comes in beside
    /// its defaults: overrides, from the smallest, each with the same parameters. Training that has
    /// little time picks one.
    pub fn register_with_sizes<T: AtlasModel>(
        &mut self,
        interface: fn(Model<T>) -> Box<I>,
        sizes: Vec<Value>,
    ) -> &mut Self {
        let entry = RegisteredModel {
            name: T::NAME,
            version: T::VERSION,
            doc: T::DOC,
            networks: T::NETWORKS,
            schema: T::Params::schema,
            sizes,
            create: Box::new(move |overrides, options| {
                let params = T::Params::from_overrides(overrides)
                    .map_err(|error| error.within(format_args!("`{}`", T::NAME)))?;
                T::create_with(params, options).map(interface)
            }),
            load: Box::new(move |bundle, options| model::load(bundle, options).map(interface)),
            from_snapshot: Box::new(move |snapshot, options| {
                Model::from_snapshot(snapshot, options).map(interface)
            }),
        };
        self.models.insert(T::NAME, entry);
        self
    }

    /// Every registered model, by name.
    pub fn models(&self) -> impl ExactSizeIterator<Item = &RegisteredModel<I>> {
        self.models.values()
    }

    /// The registered model of that name.
    ///
    /// # Errors
    /// If there is none; the message names the nearest, or all.
    pub fn model(&self, name: &str) -> Result<&RegisteredModel<I>> {
        self.models
            .get(name)
            .ok_or_else(|| Error::unknown_model(name, self.models.keys().copied()))
    }

    /// A new model of that name; parameters that `overrides` does not name take their defaults.
    ///
    /// # Errors
    /// If there is no model of that name, and those of [`AtlasModel::create`].
    pub fn create(&self, name: &str, overrides: &Value, options: CreateOptions) -> Result<Box<I>> {
        (self.model(name)?.create)(overrides, options)
    }

    /// The model that a snapshot specifies, whichever it is.
    ///
    /// # Errors
    /// If the snapshot's model is not registered, and those of [`Model::from_snapshot`].
    pub fn from_snapshot(&self, snapshot: Snapshot, options: &LoadOptions) -> Result<Box<I>> {
        (self.model(&snapshot.model)?.from_snapshot)(snapshot, options)
    }

    /// The model in the bundle at `path`, whichever it holds, for inference, on the CPU.
    ///
    /// # Errors
    /// If the bundle's model is not registered, and those of [`AtlasModel::load`].
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Box<I>> {
        self.load_with(path, &LoadOptions::new())
    }

    /// The model in the bundle at `path`, to train on, on a device or in a dtype that the options
    /// name.
    ///
    /// # Errors
    /// Those of [`load`](Registry::load).
    pub fn load_with(&self, path: impl AsRef<Path>, options: &LoadOptions) -> Result<Box<I>> {
        let path = path.as_ref();
        Bundle::tidy(path);
        Bundle::read(path, |bundle| {
            let model = self
                .model(bundle.model())
                .map_err(|error| error.within(bundle.path().display()))?;
            (model.load)(bundle, options)
        })
    }
}
