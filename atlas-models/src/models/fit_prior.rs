//! Fits the prior of a model to the latents of molecules.

use atlas_core::train::Dataset;
use atlas_core::{Encoder, Error, Result, Snapshot};
use candle_core::{DType, Device, Tensor};

use super::{Fit, Mixture, MoleculeAutoencoder, PRIOR, parts::Prior};
use crate::chem::Smiles;

/// Molecules that are encoded at a time.
const BATCH: usize = 512;

/// The latents of molecules in `f32` on the CPU, `[molecules, latent]`; `encoded` is told how many
/// there are so far.
///
/// # Errors
/// If a molecule cannot be read, or the model cannot represent it.
pub fn latents_of<M>(
    model: &M,
    molecules: &dyn Dataset<Smiles>,
    encoded: &mut dyn FnMut(usize),
) -> Result<Tensor>
where
    M: ?Sized + Encoder<Input = Smiles>,
{
    let mut latents = vec![
        model
            .encode(&[])?
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F32)?,
    ];
    for begin in (0..molecules.len()).step_by(BATCH) {
        let end = molecules.len().min(begin + BATCH);
        let indices: Vec<u32> = (begin as u32..end as u32).collect();
        let batch = model.encode(&molecules.read(&indices)?)?;
        latents.push(batch.to_device(&Device::Cpu)?.to_dtype(DType::F32)?);
        encoded(end);
    }
    Ok(Tensor::cat(&latents, 0)?)
}

/// The model with a prior that is [fitted](Mixture::fit) to latents, as a snapshot; with the standard
/// normal, where that describes them better.
///
/// # Errors
/// If the model's prior cannot be fitted, or there are too few latents.
pub fn fit_prior(
    model: &dyn MoleculeAutoencoder,
    latents: &Tensor,
    components: &[usize],
    seed: u64,
) -> Result<(Snapshot, Fit)> {
    let (parameter, network) = PRIOR;
    let mut snapshot = model.snapshot()?;
    if snapshot.param(parameter).is_none() {
        return Err(Error::new(format_args!(
            "`{}` has no parameter `{parameter}`: its prior cannot be fitted",
            model.name()
        )));
    }
    let fit = Mixture::fit(latents, components, seed)?;
    let found = fit.mixture.as_ref();
    snapshot.set_param(parameter, found.map_or(0, Mixture::components))?;
    let values = found.map_or(vec![(&[1.0][..], vec![1])], |mixture| {
        let (components, latent) = (mixture.components(), mixture.latent);
        vec![
            (&mixture.weights, vec![components]),
            (&mixture.means, vec![components, latent]),
            (&mixture.factors, vec![components, latent, latent]),
        ]
    });
    let tensors = Prior::TENSORS.into_iter().zip(values);
    let tensors = tensors.map(|(name, (values, shape))| {
        let tensor = Tensor::from_slice(values, shape, &Device::Cpu)?;
        Ok((name.to_owned(), tensor.to_dtype(snapshot.dtype)?))
    });
    let tensors = tensors.collect::<Result<_>>()?;
    snapshot.networks.insert(network.to_owned(), tensors);
    // The outputs that are checked depend on the prior.
    snapshot.golden = None;
    Ok((snapshot, fit))
}

/// Gives the snapshot of a model whose prior is the standard normal the tensors that say so, where it
/// has none: weights from elsewhere come without a prior.
///
/// # Errors
/// If there is no memory.
pub fn add_standard_prior(snapshot: &mut Snapshot) -> Result<()> {
    let ((parameter, network), [weights, ..]) = (PRIOR, Prior::TENSORS);
    let is_standard = snapshot
        .param(parameter)
        .is_some_and(|components| components == 0);
    if is_standard && snapshot.tensor(network, weights).is_none() {
        let one = Tensor::ones(1, snapshot.dtype, &Device::Cpu)?;
        snapshot.set_tensor(network, weights, one);
    }
    Ok(())
}
