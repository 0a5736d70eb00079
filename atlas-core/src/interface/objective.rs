//! [`Objective`]: the loss of a batch of examples, which is all that training asks of a model.

use std::borrow::Cow;

use candle_core::{DType, Device, Shape, Tensor};

use crate::error::Result;
use crate::random;

/// A model that can be trained: it gives the loss of a batch.
///
/// ```
/// use atlas_core::prelude::*;
/// use atlas_core::candle_core::{self, Device, Tensor};
/// use atlas_core::candle_nn::{Linear, Module, VarBuilder, linear};
///
/// /// A straight line.
/// #[derive(AtlasModel)]
/// struct Line {
///     #[network(with = line, golden = [3, 1])]
///     line: Linear,
/// }
///
/// fn line(_: &LineParams, vb: VarBuilder) -> candle_core::Result<Linear> {
///     linear(1, 1, vb)
/// }
///
/// impl Objective for Line {
///     /// A place and the height of the line there.
///     type Input = (f32, f32);
///
///     fn loss(&self, batch: &[&(f32, f32)], _: &mut Step) -> atlas_core::Result<Loss> {
///         let column = |values: Vec<f32>| Tensor::from_vec(values, (batch.len(), 1), &Device::Cpu);
///         let places = column(batch.iter().map(|(place, _)| *place).collect())?;
///         let heights = column(batch.iter().map(|(_, height)| *height).collect())?;
///         let error = (self.line.forward(&places)? - heights)?.sqr()?.mean_all()?;
///         Ok(Loss { total: error.clone(), parts: vec![("error".into(), error)] })
///     }
/// }
/// ```
pub trait Objective {
    /// One example of what the model is trained on, with its label if it has one.
    type Input;

    /// How much work an input is, relative to others: training puts inputs of similar size into a
    /// batch. 1 unless the model says otherwise.
    ///
    /// # Errors
    /// If the model cannot represent the input; the message says why.
    fn size(&self, _input: &Self::Input) -> Result<usize> {
        Ok(1)
    }

    /// The parts of the loss whose weight can be set and can change during training. None unless
    /// the model says otherwise.
    fn weights(&self) -> Vec<LossWeight> {
        Vec::new()
    }

    /// The loss of a batch: a scalar to minimise, averaged over the batch's inputs.
    ///
    /// # Errors
    /// If the model cannot represent an input, or a tensor operation fails.
    fn loss(&self, batch: &[&Self::Input], step: &mut Step) -> Result<Loss>;
}

/// What a part of the loss is multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub struct LossWeight {
    /// The part of the loss that it multiplies.
    pub name: Cow<'static, str>,
    /// Its value unless training is told another.
    pub default: f64,
    /// What the part is, in a line.
    pub doc: Cow<'static, str>,
}

impl LossWeight {
    /// Its value where `given` says what weights are set to: the last one of its name counts.
    pub(crate) fn value(&self, given: &[(String, f64)]) -> f64 {
        let mut given = given.iter().rev();
        let found = given.find(|(name, _)| *name == self.name);
        found.map_or(self.default, |(_, value)| *value)
    }
}

/// The loss of one batch.
#[derive(Clone, Debug)]
pub struct Loss {
    /// What is minimised: a scalar.
    pub total: Tensor,
    /// The named parts it is made of, each a scalar before its weight is applied.
    pub parts: Vec<(Cow<'static, str>, Tensor)>,
}

/// One evaluation of an [`Objective`]: whether it is a step of training, what the weights are, and
/// random numbers that depend on the step's seed alone.
#[derive(Clone, Debug)]
pub struct Step {
    seed: u64,
    /// Seeds that were drawn.
    drawn: u64,
    training: bool,
    weights: Vec<(String, f64)>,
}

impl Step {
    /// A step of training: dropout and sampling are on.
    pub fn training(seed: u64) -> Self {
        Self {
            seed,
            drawn: 0,
            training: true,
            weights: Vec::new(),
        }
    }

    /// An evaluation: dropout and sampling are off.
    pub fn evaluation() -> Self {
        Self {
            training: false,
            ..Self::training(0)
        }
    }

    /// The same step with a weight of the loss set.
    #[must_use]
    pub fn with_weight(mut self, name: impl Into<String>, weight: f64) -> Self {
        self.weights.push((name.into(), weight));
        self
    }

    /// Whether dropout and sampling are on.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// What a part of the loss is multiplied by: what was set last, or the weight's own default.
    pub fn weight(&self, weight: &LossWeight) -> f64 {
        weight.value(&self.weights)
    }

    /// A new seed for a generator of the model's own; another one at each call.
    pub fn next_seed(&mut self) -> u64 {
        self.drawn += 1;
        random::seed("Atlas 1 seed within a step", &[self.seed, self.drawn])
    }

    /// Dropout: while training each element is zero with probability `rate` and the others are
    /// scaled by `1 / (1 - rate)`; otherwise `x` itself. Another mask at each call.
    ///
    /// # Errors
    /// If `rate` is not in `[0, 1)`.
    pub fn dropout(&mut self, x: &Tensor, rate: f64) -> Result<Tensor> {
        if !self.training {
            return Ok(x.clone());
        }
        Ok(random::Dropout::seeded(self.next_seed()).apply(x, rate)?)
    }

    /// Standard normal noise; other values at each call.
    ///
    /// # Errors
    /// If there is no memory, or the dtype is not a float's.
    pub fn normal(
        &mut self,
        shape: impl Into<Shape>,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        random::noise(self.next_seed(), &shape.into(), dtype, device)
    }
}
