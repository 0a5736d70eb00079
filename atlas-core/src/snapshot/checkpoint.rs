//! The state of training as a snapshot keeps it: named values and tensors, whose meaning `train`
//! knows.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde_json::{Map, Value};

/// What training needs, beside the model, to go on as if it had never stopped: values and tensors
/// by names that whoever trains gives them.
///
/// It is saved as part of a [`Snapshot`](crate::Snapshot), so that model and state are committed
/// together; [`Bundle::checkpoint`](crate::Bundle::checkpoint) reads it.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    values: Map<String, Value>,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// A state of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_parts(
        values: Map<String, Value>,
        tensors: BTreeMap<String, Tensor>,
    ) -> Self {
        Self { values, tensors }
    }

    /// The same state with a value; one of that name is replaced.
    #[must_use]
    pub fn with_value(mut self, name: impl Into<String>, value: Value) -> Self {
        self.values.insert(name.into(), value);
        self
    }

    /// The same state with a tensor; one of that name is replaced.
    #[must_use]
    pub fn with_tensor(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.tensors.insert(name.into(), tensor);
        self
    }

    /// The value of that name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Every value, in the order in which they were given.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// Every tensor, by name.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }
}
