//! The parts that autoencoders are made of, each with parameters and weights of its own.
//!
//! | part | from | to | kinds |
//! |---|---|---|---|
//! | [`Reader`] | a batch of molecules | `[batch, width]` | [`GruReader`], [`ConvolutionReader`], [`TransformerReader`], [`GraphReader`] |
//! | [`Latent`] | `[batch, width]` | latents `[batch, latent]` | [`LatentKind`] |
//! | [`Writer`] | latents | the logits of each next token, or molecules | [`GruWriter`], [`TransformerWriter`] |
//! | [`Prior`] | a seed | latents | standard normal or a fitted mixture |
//!
//! A model is a struct that names its parts, and [`autoencoder!`](crate::autoencoder) makes it a
//! [`MoleculeAutoencoder`](super::MoleculeAutoencoder): framing, decoding, the loss and the check of
//! its behaviour are written once.

mod convolution;
mod graph;
mod gru;
mod latent;
mod prior;
mod tokens;
mod transformer;

use std::sync::Arc;

use atlas_core::{Params, Result, Step};
use candle_core::Tensor;
use candle_nn::VarBuilder;

use crate::chem::{Smiles, Vocabulary};
use crate::nn::{Decoding, Packing};

pub use convolution::{ConvolutionReader, ConvolutionReaderParams};
pub use graph::{GraphReader, GraphReaderParams};
pub use gru::{GruReader, GruReaderParams, GruWriter, GruWriterParams};
pub use latent::{Latent, LatentEncoder, LatentKind, LatentParams};
pub use prior::Prior;
pub(crate) use tokens::Lesson;
pub use tokens::{TokenParams, check_vocabulary};
pub use transformer::{TransformerParams, TransformerReader, TransformerWriter};

/// Turns molecules into vectors.
pub trait Reader: Sized + Sync {
    /// Its parameters.
    type Params: Params;
    /// What it keeps of a molecule: tokens, a graph, whatever it reads.
    type Molecule: Send + Sync;

    /// Builds the reader from the variables of `vb`, for molecules of these tokens, `longest` at
    /// most.
    ///
    /// # Errors
    /// If `vb` does not have the tensors, or not in their shapes.
    fn new(
        params: &Self::Params,
        vocabulary: usize,
        longest: usize,
        vb: VarBuilder,
    ) -> candle_core::Result<Self>;

    /// Dimensions of the vectors that [`read`](Self::read) gives.
    fn width(&self) -> usize;

    /// What is kept of a molecule.
    ///
    /// # Errors
    /// If the reader cannot represent the molecule; the message says why.
    fn prepare(&self, molecule: &Smiles, vocabulary: &Vocabulary) -> Result<Self::Molecule>;

    /// One vector for each molecule, `[batch, width]`. A molecule's does not depend on the others.
    /// There is at least one molecule.
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn read(&self, batch: &[Self::Molecule], step: &mut Step) -> Result<Tensor>;
}

/// Turns latents into sequences of tokens.
pub trait Writer: Sized + Sync {
    /// Its parameters.
    type Params: Params;

    /// Builds the writer from the variables of `vb`, for so many tokens and latents of `latent`
    /// dimensions.
    ///
    /// # Errors
    /// If `vb` does not have the tensors, or not in their shapes.
    fn new(
        params: &Self::Params,
        vocabulary: usize,
        latent: usize,
        vb: VarBuilder,
    ) -> candle_core::Result<Self>;

    /// The logits of each next token, `[rows, vocabulary]`, given the tokens before it; `inputs` are
    /// token ids in packed rows, `latents` are `[batch, latent]`.
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn logits(
        &self,
        latents: &Tensor,
        packing: &Arc<Packing>,
        inputs: &[u32],
        step: &mut Step,
    ) -> Result<Tensor>;

    /// One sequence of tokens for each of the latents `[batch, latent]`, without its start and end.
    ///
    /// # Errors
    /// Where [`nn::decode`](crate::nn::decode) fails.
    fn write(&self, latents: &Tensor, decoding: &Decoding<'_>) -> Result<Vec<Vec<u32>>>;
}
