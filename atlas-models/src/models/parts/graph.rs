//! A network that reads molecules as graphs.

use atlas_core::prelude::*;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::Reader;
use crate::chem::{MolecularGraph, Smiles, Vocabulary};
use crate::nn::{GraphBatch, MessagePassing};

/// A message-passing network that reads.
#[derive(Params, Clone, Debug, PartialEq)]
pub struct GraphReaderParams {
    /// Width of the messages.
    #[param(default = 256, min = 1, max = 65_536)]
    pub hidden_size: usize,
    /// How often messages pass along every bond.
    #[param(default = 5, min = 1, max = 64)]
    pub steps: usize,
}

/// Reads the atoms and bonds of a molecule, whatever its spelling, by passing messages along the bonds
/// (Yang et al., "Analyzing Learned Molecular Representations for Property Prediction", 2019).
pub struct GraphReader {
    network: MessagePassing,
    width: usize,
    dtype: DType,
    device: Device,
}

/// Columns of an atom, and of a bond.
const FEATURES: (usize, usize) = (MolecularGraph::ATOM_FEATURES, MolecularGraph::BOND_FEATURES);

impl Reader for GraphReader {
    type Params = GraphReaderParams;
    type Molecule = MolecularGraph;

    fn new(
        params: &GraphReaderParams,
        _vocabulary: usize,
        _longest: usize,
        vb: VarBuilder,
    ) -> candle_core::Result<Self> {
        let (width, (atom, bond)) = (params.hidden_size, FEATURES);
        Ok(Self {
            dtype: vb.dtype(),
            device: vb.device().clone(),
            network: MessagePassing::new(atom, bond, width, params.steps, vb)?,
            width,
        })
    }

    fn width(&self) -> usize {
        self.width
    }

    fn prepare(&self, molecule: &Smiles, _: &Vocabulary) -> Result<MolecularGraph> {
        MolecularGraph::new(molecule).map_err(Error::other)
    }

    fn read(&self, batch: &[MolecularGraph], _: &mut Step) -> Result<Tensor> {
        let graphs = batch.iter().map(|graph| (graph.atoms(), graph.bonds()));
        let graphs = GraphBatch::new(FEATURES, graphs, self.dtype, &self.device)?;
        Ok(self.network.forward(&graphs)?.relu()?)
    }
}
