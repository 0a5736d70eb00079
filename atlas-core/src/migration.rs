//! How a snapshot of an older version of a model becomes one of this version.

use std::fmt;

use crate::error::{Error, Result};
use crate::snapshot::Snapshot;

/// One step of a model's migrations: from a version to the next.
#[derive(Clone, Copy)]
pub struct Migration {
    from: u32,
    step: fn(&mut Snapshot) -> Result<()>,
}

impl Migration {
    /// The step from version `from` to the next.
    pub fn new(from: u32, step: fn(&mut Snapshot) -> Result<()>) -> Self {
        Self { from, step }
    }
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Migration({} => {})", self.from, self.from + 1)
    }
}

/// An error unless these steps of the model `name` lead from version `found` to `known`.
pub(crate) fn check_steps(
    name: &'static str,
    steps: &[Migration],
    found: u32,
    known: u32,
) -> Result<()> {
    let is_known = |version| steps.iter().any(|step| step.from == version);
    if found <= known && (found..known).all(is_known) {
        return Ok(());
    }
    Err(Error::version(name, found, known))
}

/// Takes the snapshot to version `known`, step by step; [`check_steps`] has found every step.
pub(crate) fn migrate(snapshot: &mut Snapshot, steps: &[Migration], known: u32) -> Result<()> {
    if snapshot.version < known {
        // Of variables a step would build a graph of what it does to them.
        for tensor in snapshot
            .networks
            .values_mut()
            .flat_map(|tensors| tensors.values_mut())
        {
            *tensor = tensor.detach();
        }
    }
    for from in snapshot.version..known {
        for step in steps.iter().filter(|step| step.from == from) {
            (step.step)(snapshot).map_err(|error| {
                error.within(format_args!(
                    "migration from version {from} to {}",
                    from + 1
                ))
            })?;
        }
        snapshot.version = from + 1;
    }
    Ok(())
}
