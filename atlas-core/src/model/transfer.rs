//! Starting from the weights of another model: tensors are taken over network by network.

use candle_core::{Tensor, Var};
use serde_json::json;

use super::{AtlasModel, Model};
use crate::error::{Error, Problem, Report, Result};
use crate::migration;
use crate::snapshot::Snapshot;
use crate::tensors;

/// The topic of the note in the provenance.
const NOTE: &str = "started_from";

/// A size that a model has more of than the one that it starts from, such as the number of its
/// tokens: every dimension of a tensor that is `from` there and `to` here has grown at its end.
///
/// ```
/// use atlas_core::Growth;
///
/// let two_more_tokens = Growth { from: 30, to: 32 };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The size in the other model.
    pub from: usize,
    /// The size in this model.
    pub to: usize,
}

impl Growth {
    fn explains(self, own: &Tensor, theirs: &Tensor) -> bool {
        let mut sizes = own.dims().iter().zip(theirs.dims());
        own.dtype() == theirs.dtype()
            && own.rank() == theirs.rank()
            && self.from < self.to
            && sizes.all(|(own, theirs)| own == theirs || (*own, *theirs) == (self.to, self.from))
    }
}

/// Takes the tensors of these networks over, or of all if none is named.
pub(super) fn take_from<T: AtlasModel>(
    model: &mut Model<T>,
    source: &Snapshot,
    networks: &[&str],
    growth: Option<Growth>,
) -> Result<()> {
    let digest = source.digest()?;
    let mut migrated = source.clone();
    if source.model == T::NAME {
        migration::check_steps(T::NAME, &T::migrations(), source.version, T::VERSION)?;
        migration::migrate(&mut migrated, &T::migrations(), T::VERSION)?;
    }
    let is_taken = |name: &str| networks.is_empty() || networks.contains(&name);
    let unknown = networks.iter().filter(|name| !T::NETWORKS.contains(name));
    let mut problems: Vec<Problem> = unknown
        .map(|name| {
            let known = T::NETWORKS.join(", ");
            Problem::new(
                *name,
                format!("the model has no such network; it has {known}"),
            )
        })
        .collect();
    let mut moves = Vec::new();
    let mut grown = Vec::new();
    for network in model
        .networks
        .iter()
        .filter(|network| is_taken(network.name()))
    {
        let name = network.name();
        let Some(theirs) = migrated.networks.get(name) else {
            problems.push(Problem::new(name, "there is no such network to take from"));
            continue;
        };
        for (tensor, own) in network.tensors() {
            let path = format!("{name}/{tensor}");
            let wanted = tensors::describe(own.dtype(), own.dims());
            let why = match theirs.get(tensor) {
                None => "missing".to_owned(),
                Some(_) if !own.is_variable() => {
                    "the model was loaded for inference: its tensors cannot be set".to_owned()
                }
                Some(theirs) if theirs.shape() == own.shape() && theirs.dtype() == own.dtype() => {
                    moves.push((Var::from_tensor(own)?, theirs.detach()));
                    continue;
                }
                Some(theirs) if growth.is_some_and(|growth| growth.explains(own, theirs)) => {
                    moves.push((Var::from_tensor(own)?, grow(theirs, own)?));
                    grown.push(path);
                    continue;
                }
                Some(theirs) => {
                    format!("{} there", tensors::describe(theirs.dtype(), theirs.dims()))
                }
            };
            problems.push(Problem::new(path, format!("the model has {wanted}; {why}")));
        }
        let surplus = theirs
            .keys()
            .filter(|tensor| network.tensor(tensor).is_none());
        problems.extend(surplus.map(|tensor| {
            Problem::new(format!("{name}/{tensor}"), "the model has no such tensor")
        }));
    }
    Report::from_iter(problems).into_result(Error::mismatch)?;
    // Nothing has been changed so far, and nothing fails from here on but a device.
    for (own, theirs) in moves {
        own.set(&theirs.to_device(own.device())?)?;
    }
    let (taken, fresh): (Vec<&str>, Vec<&str>) =
        T::NETWORKS.iter().partition(|name| is_taken(name));
    let mut note = json!({
        "model": source.model,
        "version": source.version,
        "digest": digest,
        "taken": taken,
        "fresh": fresh,
    });
    if growth.is_some() {
        note["grown"] = json!(grown);
    }
    model.provenance.note(NOTE, note);
    Ok(())
}

/// The tensor with what `own` has beyond it.
fn grow(theirs: &Tensor, own: &Tensor) -> Result<Tensor> {
    let theirs = theirs.detach().to_device(own.device())?;
    let ranges: Vec<_> = theirs.dims().iter().map(|&size| 0..size).collect();
    Ok(own.detach().slice_assign(&ranges, &theirs)?)
}
