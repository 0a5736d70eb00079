//! One update of the weights: the loss of a shard and its gradients, the check and clipping of their
//! sum, the optimiser.

use candle_core::{DType, Device, Tensor, Var};

use super::adamw::AdamW;
use super::gradients;
use super::shards::ShardSum;
use crate::error::{Error, Result};
use crate::interface::{Loss, Objective, Step};

/// What a step came to.
pub(super) struct StepOutcome {
    pub(super) loss: f64,
    pub(super) parts: Vec<(String, f64)>,
    /// Length of the gradient before it was clipped.
    pub(super) gradient_norm: f64,
}

/// Why a step could not be taken.
pub(super) enum Failure {
    /// An error before anything was changed.
    Error(Error),
    /// Something is not finite; the model is as it was.
    NotFinite(String),
    /// Variables have moved that should not have: the model cannot be trained on.
    ModelLost(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<candle_core::Error> for Failure {
    fn from(error: candle_core::Error) -> Self {
        Self::Error(error.into())
    }
}

/// A loss and its parts, as numbers.
pub(super) type Values = (f64, Vec<(String, f64)>);

/// The loss of some examples, with the graph of how it was computed.
pub(super) struct Evaluation {
    total: Tensor,
    pub(super) values: Values,
}

/// The loss of some examples and nothing else.
pub(super) fn evaluate<M: ?Sized + Objective>(
    model: &M,
    examples: &[M::Input],
    mut step: Step,
) -> Result<Evaluation> {
    let examples: Vec<&M::Input> = examples.iter().collect();
    let loss = model.loss(&examples, &mut step)?;
    Ok(Evaluation {
        values: values(&loss)?,
        total: loss.total,
    })
}

/// The gradients of a loss, which must be the `expected` one if it is known, and its values, both
/// multiplied by `share`.
pub(super) fn differentiate(
    loss: Evaluation,
    expected: Option<&Values>,
    vars: &[(String, Var)],
    share: f64,
) -> Result<(Values, Vec<Tensor>), Failure> {
    let (value, parts) = &loss.values;
    check_loss(*value, parts)?;
    if let Some(expected) = expected {
        check_repeatable(expected, &loss.values, loss.total.device())?;
    }
    let (value, parts) = loss.values;
    let parts = parts.into_iter().map(|(name, part)| (name, part * share));
    let values = (value * share, parts.collect());
    let gradients = if share == 0.0 {
        let zeros = vars.iter().map(|(_, var)| var.zeros_like());
        zeros.collect::<candle_core::Result<_>>()?
    } else {
        let total = if share == 1.0 {
            loss.total
        } else {
            (loss.total * share)?
        };
        gradients::take(vars, &mut total.backward()?)?
    };
    Ok((values, gradients))
}

/// Moves the variables against the gradient of a batch's loss.
pub(super) fn take(
    sum: ShardSum,
    vars: &[(String, Var)],
    optimiser: &mut AdamW,
    learning_rate: f64,
    clip_norm: f64,
) -> Result<StepOutcome, Failure> {
    let gradients = sum.gradients;
    let norm = gradients::norm(&gradients)?;
    if !norm.is_finite() {
        let names = gradients::not_finite(vars, &gradients)?.join(", ");
        let what = format!("the gradient of {names} is not finite");
        return Err(Failure::NotFinite(what));
    }
    let scale = (clip_norm / norm).min(1.0);
    let not_finite = optimiser
        .step(&gradients, learning_rate, scale)
        .map_err(|error| Failure::ModelLost(format!("the optimiser's step failed: {error}")))?;
    if !not_finite.is_empty() {
        let names: Vec<&str> = not_finite
            .iter()
            .map(|&index| vars[index].0.as_str())
            .collect();
        return Err(Failure::ModelLost(format!(
            "the optimiser's step at a learning rate of {learning_rate} left {} not finite",
            names.join(", ")
        )));
    }
    let (loss, parts) = sum.values;
    Ok(StepOutcome {
        loss,
        parts,
        gradient_norm: norm,
    })
}

/// The loss and its parts, which are read from their device at once.
fn values(loss: &Loss) -> Result<Values> {
    let dtype = loss.total.dtype();
    let parts = loss.parts.iter().map(|(_, part)| part.to_dtype(dtype));
    let mut scalars = vec![loss.total.clone()];
    scalars.extend(parts.collect::<candle_core::Result<Vec<_>>>()?);
    let values = Tensor::stack(&scalars, 0)?.to_device(&Device::Cpu)?;
    let values: Vec<f64> = values.to_dtype(DType::F64)?.to_vec1()?;
    let names = loss.parts.iter().map(|(name, _)| name.to_string());
    Ok((values[0], names.zip(values[1..].iter().copied()).collect()))
}

/// A failure unless the loss and all its parts are finite: what is not is named.
fn check_loss(loss: f64, parts: &[(String, f64)]) -> Result<(), Failure> {
    let not_finite = parts.iter().filter(|(_, value)| !value.is_finite());
    let not_finite: Vec<String> = not_finite
        .map(|(name, value)| format!("its part `{name}` is {value}"))
        .collect();
    let parts = not_finite.join(", ");
    let what = match (loss.is_finite(), parts.is_empty()) {
        (true, true) => return Ok(()),
        (true, false) => format!("the loss is {loss}, but {parts}"),
        (false, true) => format!("the loss is {loss}"),
        (false, false) => format!("the loss is {loss}, {parts}"),
    };
    Err(Failure::NotFinite(what))
}

/// An error unless two evaluations of one step came to the same. On the CPU that is to the bit; an
/// accelerator may sum in another order each time.
fn check_repeatable(first: &Values, second: &Values, device: &Device) -> Result<()> {
    let is_same = |first: f64, second: f64| {
        first.to_bits() == second.to_bits()
            || !device.is_cpu() && (first - second).abs() <= 1e-3 * first.abs().max(second.abs())
    };
    let parts = first.1.iter().zip(&second.1);
    let differing = parts.clone().find(|((_, a), (_, b))| !is_same(*a, *b));
    if is_same(first.0, second.0) && differing.is_none() && first.1.len() == second.1.len() {
        return Ok(());
    }
    let part = differing.map_or(String::new(), |((name, a), (_, b))| {
        format!(" (its part `{name}` {a} and {b})")
    });
    Err(Error::new(format_args!(
        "two evaluations of the first step, from one seed, gave the losses {} and {}{part}: no seed \
         would give this model again. It draws from something else than the step, as \
         `candle_nn::Dropout` and `Tensor::randn` do, or keeps something between evaluations. Use \
         `Step::dropout`, `Step::normal`, or a generator that `Step::next_seed` seeds; what is kept, \
         `#[network(buffers = …)]` declares",
        first.0, second.0
    )))
}
