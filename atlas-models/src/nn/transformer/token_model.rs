//! Transformer layers as a [`TokenModel`]: one token at a time, without gradients.

use super::TransformerLayers;
use crate::nn::arranged::{ArrangedLinear, elements, local};
use crate::nn::attention::{Cache, Step};
use crate::nn::embedding::sinusoids;
use crate::nn::gelu::Gelu;
use crate::nn::layer_norm::{Normalise, RowNorm};
use crate::nn::linear::Linear;
use crate::nn::simd::InstructionSet;
use crate::nn::tokens::TokenModel;
use candle_core::{Result, Tensor, bail};
use std::sync::Arc;

/// Causal [`TransformerLayers`] over [`embed_tokens`](crate::nn::embed_tokens), whose rows a linear
/// map turns into the next token's logits, with all weights arranged once for many single steps.
///
/// It computes on the CPU in `f32`, whatever the weights' device and dtype. The logits have the bits
/// that the pass over whole sequences gives them in `f32`, whatever else is in the batch.
#[derive(Debug)]
pub struct TransformerTokenModel {
    set: InstructionSet,
    width: usize,
    heads: usize,
    /// `[vocabulary, width]`
    embedding: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
    logits: ArrangedLinear,
}

#[derive(Debug)]
struct Layer {
    norm1: Norm,
    projection: ArrangedLinear,
    out_projection: ArrangedLinear,
    norm2: Norm,
    linear1: ArrangedLinear,
    linear2: ArrangedLinear,
}

#[derive(Debug)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// What a batch of sequences has read between two steps.
#[derive(Debug, Clone)]
pub struct TransformerState {
    /// The number of tokens that each sequence has read.
    step: usize,
    width: usize,
    layers: usize,
    sequences: Vec<Sequence>,
}

#[derive(Debug, Clone)]
struct Sequence {
    /// Of each layer. Shared by the states that have read the same, until one reads on.
    caches: Arc<Vec<Cache<f32>>>,
    /// What is added to every token, `[width]`; empty if there is nothing.
    constant: Vec<f32>,
}

impl TransformerTokenModel {
    /// Arranges the weights of layers, of the tokens' embedding, `[vocabulary, width]`, and of their
    /// logits.
    ///
    /// # Errors
    ///
    /// The shapes do not fit each other.
    pub fn new(layers: &TransformerLayers, embedding: &Tensor, logits: &Linear) -> Result<Self> {
        let (vocabulary, width) = embedding.dims2()?;
        if width != layers.width {
            bail!("embeddings of {width} for layers of width {}", layers.width)
        }
        let found = logits.weight().dims2()?;
        if found != (vocabulary, width) {
            bail!(
                "a weight of logits of shape {found:?}, expected {:?}",
                (vocabulary, width)
            )
        }
        let set = InstructionSet::detect();
        let arranged = |linear: &Linear| ArrangedLinear::new(set, linear);
        let arranged_layers = layers.layers.iter().map(|layer| {
            Ok(Layer {
                norm1: Norm::new(&layer.norm1)?,
                projection: arranged(&layer.projection)?,
                out_projection: arranged(&layer.out_projection)?,
                norm2: Norm::new(&layer.norm2)?,
                linear1: arranged(&layer.linear1)?,
                linear2: arranged(&layer.linear2)?,
            })
        });
        Ok(Self {
            set,
            width,
            heads: layers.heads,
            embedding: elements(&local(embedding)?)?,
            layers: arranged_layers.collect::<Result<_>>()?,
            norm: Norm::new(&layers.norm)?,
            logits: arranged(logits)?,
        })
    }

    /// The state before the first step of `batch` sequences; `constant`, `[batch, width]`, is added
    /// to every token of a sequence.
    ///
    /// # Errors
    ///
    /// The constants are not of that shape.
    pub fn start(&self, batch: usize, constant: Option<&Tensor>) -> Result<TransformerState> {
        let constant = match constant {
            None => vec![Vec::new(); batch],
            Some(constant) => {
                let (found, expected) = (constant.dims2()?, (batch, self.width));
                if found != expected {
                    bail!("constants of shape {found:?}, expected {expected:?}")
                }
                local(constant)?.to_vec2()?
            }
        };
        let caches = Arc::new(vec![Cache::default(); self.layers.len()]);
        let sequences = constant.into_iter().map(|constant| Sequence {
            caches: caches.clone(),
            constant,
        });
        Ok(TransformerState {
            step: 0,
            width: self.width,
            layers: self.layers.len(),
            sequences: sequences.collect(),
        })
    }

    /// Refuses tokens and a state that another model made, unless they fit this one.
    fn check(&self, tokens: &[u32], state: &TransformerState) -> Result<()> {
        let (found, expected) = ((state.layers, state.width), (self.layers.len(), self.width));
        if found != expected {
            bail!(
                "a state of {} layers of width {} for a model of {} of width {}",
                found.0,
                found.1,
                expected.0,
                expected.1
            )
        }
        let (batch, vocabulary) = (state.sequences.len(), self.vocabulary());
        if tokens.len() != batch {
            bail!("{} tokens for {batch} sequences", tokens.len())
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            bail!("token id {token}, the vocabulary has {vocabulary}")
        }
        Ok(())
    }

    /// What enters the first layer, `[batch, width]`.
    fn embed(&self, tokens: &[u32], state: &TransformerState) -> Vec<f32> {
        let position: Vec<f32> = sinusoids(state.step, self.width)
            .map(|element| element as f32)
            .collect();
        let mut rows = Vec::with_capacity(tokens.len() * self.width);
        for (&token, sequence) in tokens.iter().zip(&state.sequences) {
            let first = rows.len();
            let embedding = &self.embedding[token as usize * self.width..][..self.width];
            rows.extend(embedding.iter().zip(&position).map(|(a, b)| a + b));
            add(&mut rows[first..], &sequence.constant);
        }
        rows
    }

    /// What the attention of a layer makes of its projections, `[batch, 3 * width]`.
    fn attend(
        &self,
        index: usize,
        mut projections: Vec<f32>,
        state: &mut TransformerState,
    ) -> Vec<f32> {
        let mut output = vec![0.0; state.sequences.len() * self.width];
        let mut scores = Vec::new();
        let rows = projections.chunks_exact_mut(3 * self.width);
        let rows = rows.zip(output.chunks_exact_mut(self.width));
        for ((projections, output), sequence) in rows.zip(&mut state.sequences) {
            let (query, rest) = projections.split_at_mut(self.width);
            let (key, value) = rest.split_at(self.width);
            let cache = &mut Arc::make_mut(&mut sequence.caches)[index];
            cache.push(self.set, key, value);
            self.set.run(Step {
                query,
                cache,
                heads: self.heads,
                output,
                scores: &mut scores,
            });
        }
        output
    }
}

impl Norm {
    fn new(norm: &RowNorm) -> Result<Self> {
        Ok(Self {
            weight: elements(&local(&norm.weight)?)?,
            bias: elements(&local(&norm.bias)?)?,
        })
    }

    fn forward(&self, set: InstructionSet, rows: &[f32]) -> Vec<f32> {
        let mut output = vec![0.0; rows.len()];
        set.run(Normalise {
            x: rows,
            weight: &self.weight,
            bias: &self.bias,
            output: &mut output,
            statistics: &mut vec![[0.0; 2]; rows.len() / self.weight.len()],
        });
        output
    }
}

fn add(rows: &mut [f32], other: &[f32]) {
    for (element, other) in rows.iter_mut().zip(other) {
        *element += other;
    }
}

impl TokenModel for TransformerTokenModel {
    type State = TransformerState;

    fn vocabulary(&self) -> usize {
        self.logits.output()
    }

    fn batch(&self, state: &TransformerState) -> usize {
        state.sequences.len()
    }

    fn step(
        &self,
        tokens: &[u32],
        state: &mut TransformerState,
        logits: &mut Vec<f32>,
    ) -> Result<()> {
        self.check(tokens, state)?;
        let mut rows = self.embed(tokens, state);
        for (index, layer) in self.layers.iter().enumerate() {
            let projections = layer
                .projection
                .forward(&layer.norm1.forward(self.set, &rows));
            let attended = self.attend(index, projections, state);
            add(&mut rows, &layer.out_projection.forward(&attended));
            let wide = layer.linear1.forward(&layer.norm2.forward(self.set, &rows));
            let mut units = vec![0.0; wide.len()];
            self.set.run(Gelu {
                x: &wide,
                output: &mut units,
            });
            add(&mut rows, &layer.linear2.forward(&units));
        }
        state.step += 1;
        *logits = self.logits.forward(&self.norm.forward(self.set, &rows));
        Ok(())
    }

    fn select(&self, state: &TransformerState, sequences: &[usize]) -> TransformerState {
        TransformerState {
            sequences: sequences
                .iter()
                .map(|&sequence| state.sequences[sequence].clone())
                .collect(),
            ..*state
        }
    }
}
