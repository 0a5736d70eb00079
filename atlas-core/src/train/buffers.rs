//! Buffers while a model trains: what it keeps and the optimiser does not move, such as the running
//! statistics of a batch norm.

use candle_core::{Tensor, Var};

use super::gradients;
use super::shards::Shard;
use super::step::Failure;
use crate::error::Result;
use crate::model::AnyModel;

/// The buffers of a model.
pub(super) struct Buffers(Vec<Buffer>);

struct Buffer {
    name: String,
    var: Var,
    is_frozen: bool,
}

impl Buffers {
    pub(super) fn of<M: ?Sized + AnyModel>(model: &M) -> Self {
        let buffers = model.networks().iter().flat_map(|network| {
            network.buffers().map(|(name, var)| Buffer {
                is_frozen: network.is_tensor_frozen(name),
                name: format!("{}/{name}", network.name()),
                var,
            })
        });
        Self(buffers.collect())
    }

    pub(super) fn copies(&self) -> Result<Vec<Tensor>> {
        let buffers = self.0.iter();
        let copies = buffers.map(|buffer| Ok(buffer.var.as_detached_tensor().copy()?));
        copies.collect()
    }

    /// Gives the buffers these values, in their order; without values they stay.
    pub(super) fn restore(&self, values: &[Tensor]) -> Result<()> {
        self.restore_those(values, |_| true)
    }

    /// Gives the frozen buffers these values.
    pub(super) fn restore_frozen(&self, values: &[Tensor]) -> Result<()> {
        self.restore_those(values, |buffer| buffer.is_frozen)
    }

    fn restore_those(&self, values: &[Tensor], is_meant: impl Fn(&Buffer) -> bool) -> Result<()> {
        let buffers = self.0.iter().zip(values);
        for (buffer, values) in buffers.filter(|(buffer, _)| is_meant(buffer)) {
            buffer.var.set(values)?;
        }
        Ok(())
    }

    /// A shard's part in what the buffers become: means are those of the batch, and what is counted
    /// in integers is as the first shard leaves it.
    pub(super) fn part_of(&self, shard: &Shard) -> Result<Vec<Tensor>> {
        let parts = self.0.iter().map(|buffer| {
            let left = buffer.var.as_detached_tensor();
            let part = match left.dtype().is_float() {
                true if shard.share > 0.0 => left.affine(shard.share, 0.0)?,
                false if shard.number == 0 => left.copy()?,
                _ => left.zeros_like()?,
            };
            Ok(part)
        });
        parts.collect()
    }

    /// A failure unless all buffers are finite.
    pub(super) fn check(&self) -> Result<(), Failure> {
        for buffer in &self.0 {
            let values = buffer.var.as_detached_tensor();
            if values.dtype().is_float() && !gradients::norm(&[values])?.is_finite() {
                return Err(Failure::NotFinite(format!(
                    "the buffer {} is not finite, as the running variance of a batch norm is after a \
                     batch, or a shard of one, with a single example",
                    buffer.name
                )));
            }
        }
        Ok(())
    }
}
