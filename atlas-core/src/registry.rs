//! Models by name, behind an interface.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::bundle::{Bundle, LoadOptions};
use crate::error::{Error, Result};
use crate::import::ImportOptions;
use crate::model::{AtlasModel, CreateOptions, Model};
use crate::params::{Params, Schema};

/// Models by name, each as a trait object of the interface `I`.
///
/// Code that trains or serves asks the registry, and so works with every architecture that is
/// registered, whatever a bundle holds.
///
/// ```
/// # use atlas_core::prelude::*;
/// # use candle_core::Tensor;
/// # use candle_nn::{Linear, Module, VarBuilder};
/// # #[derive(AtlasModel)]
/// # struct Scale {
/// #     #[param(default = 2, min = 1)]
/// #     width: usize,
/// #     #[network(with = build)]
/// #     linear: Linear,
/// # }
/// # fn build(params: &ScaleParams, vb: VarBuilder) -> candle_core::Result<Linear> {
/// #     candle_nn::linear(params.width, params.width, vb)
/// # }
/// # impl Decoder for Scale {
/// #     type Output = f32;
/// #     fn decode(&self, latents: &Tensor) -> atlas_core::Result<Vec<f32>> {
/// #         Ok(self.linear.forward(latents)?.sum(1)?.to_vec1()?)
/// #     }
/// # }
/// let mut registry = Registry::<dyn Decoder<Output = f32>>::new();
/// registry.register::<Scale>(|model| Box::new(model));
///
/// let model = registry.create("scale", &serde_json::json!({ "width": 3 }), CreateOptions::new())?;
/// assert!(registry.create("scael", &serde_json::json!({}), CreateOptions::new())
///     .err().unwrap().to_string().contains("did you mean `scale`?"));
/// # Ok::<(), atlas_core::Error>(())
/// ```
pub struct Registry<I: ?Sized> {
    entries: BTreeMap<&'static str, Entry<I>>,
}

/// A registered model.
pub struct Entry<I: ?Sized> {
    name: &'static str,
    version: u32,
    doc: &'static str,
    schema: fn() -> Schema,
    create: Box<Create<I>>,
    load: Box<Load<I>>,
    import: Box<Import<I>>,
}

/// Creates a registered model from overrides.
type Create<I> = dyn Fn(&Value, CreateOptions) -> Result<Box<I>> + Send + Sync;
/// Loads a registered model from the bundle at a path.
type Load<I> = dyn Fn(&Path, LoadOptions) -> Result<Box<I>> + Send + Sync;
/// Imports a registered model from the Python system's folder at a path.
type Import<I> = dyn Fn(&Path, ImportOptions) -> Result<Box<I>> + Send + Sync;

impl<I: ?Sized> Entry<I> {
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

    /// Its parameters.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }
}

impl<I: ?Sized> fmt::Debug for Entry<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl<I: ?Sized> fmt::Debug for Registry<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.values()).finish()
    }
}

impl<I: ?Sized> Default for Registry<I> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
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
        let entry = Entry {
            name: T::NAME,
            version: T::VERSION,
            doc: T::DOC,
            schema: T::Params::schema,
            create: Box::new(move |overrides, options| {
                let params = T::Params::from_overrides(overrides)
                    .map_err(|error| error.within(format_args!("`{}`", T::NAME)))?;
                T::create_with(params, options).map(interface)
            }),
            load: Box::new(move |path, options| T::load_with(path, options).map(interface)),
            import: Box::new(move |path, options| T::import(path, options).map(interface)),
        };
        self.entries.insert(T::NAME, entry);
        self
    }

    /// Every registered model, by name.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry<I>> {
        self.entries.values()
    }

    /// The model of that name.
    ///
    /// # Errors
    /// If there is none; the message names the nearest, or all.
    pub fn entry(&self, name: &str) -> Result<&Entry<I>> {
        self.entries
            .get(name)
            .ok_or_else(|| Error::unknown_model(name, self.entries.keys().copied()))
    }

    /// A new model of that name; parameters that `overrides` does not name take their defaults.
    ///
    /// # Errors
    /// If there is no model of that name, or as [`AtlasModel::create_with`].
    pub fn create(&self, name: &str, overrides: &Value, options: CreateOptions) -> Result<Box<I>> {
        (self.entry(name)?.create)(overrides, options)
    }

    /// The model of that name that the Python system before Atlas left in the folder at `path`.
    ///
    /// # Errors
    /// If there is no model of that name, or as [`AtlasModel::import`].
    pub fn import(
        &self,
        name: &str,
        path: impl AsRef<Path>,
        options: ImportOptions,
    ) -> Result<Box<I>> {
        (self.entry(name)?.import)(path.as_ref(), options)
    }

    /// The model in the bundle at `path`, whichever it holds.
    ///
    /// # Errors
    /// If the bundle's model is not registered, or as [`AtlasModel::load_with`].
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Box<I>> {
        self.load_with(path, LoadOptions::new())
    }

    /// The model in the bundle at `path`, whichever it holds.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn load_with(&self, path: impl AsRef<Path>, options: LoadOptions) -> Result<Box<I>> {
        let path = path.as_ref();
        loop {
            let bundle = Bundle::open(path)?;
            let entry = self
                .entry(bundle.model())
                .map_err(|error| error.within(path.display()))?;
            match (entry.load)(path, options.clone()) {
                // A save has put another model there since it was looked at.
                Err(error) if error.is_wrong_model() && !bundle.is_in_place() => {}
                result => return result,
            }
        }
    }
}
