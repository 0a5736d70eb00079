//! A GRU as a [`TokenModel`]: one token at a time, without gradients.

use super::Gru;
use super::forward::{ForwardLayer, ForwardSteps, GATES};
use super::input::Projections;
use super::weights::check_shape;
use crate::nn::arranged::{arrange, elements, local};
use crate::nn::blocks::Blocks;
use crate::nn::linear::{Linear, linear};
use crate::nn::matrix::Matrix;
use crate::nn::panels::{Columns, Panels};
use crate::nn::product::{Destination, Product};
use crate::nn::simd::InstructionSet;
use crate::nn::tokens::TokenModel;
use candle_core::{Result, Tensor, bail};

/// A [`Gru`] over an embedding, whose states a linear map turns into the next token's logits, with
/// all weights arranged once for many single steps.
///
/// It computes on the CPU in `f32`, whatever the weights' device and dtype. A
/// sequence's states have the bits that [`Gru::forward`] gives them in `f32`,
/// whatever else is in the batch.
#[derive(Debug)]
pub struct GruTokenModel {
    set: InstructionSet,
    hidden: usize,
    /// `[vocabulary, 3 * hidden]`
    table: Vec<f32>,
    /// The first layer's weights of the constant inputs, `[3 * hidden, constants]`.
    constants: Option<Tensor>,
    layers: Vec<Layer>,
    /// `[hidden, vocabulary]`
    logits: Panels<f32>,
    /// Of the logits, `[vocabulary]`.
    bias: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    recurrent: Panels<f32>,
    bias_hh: Vec<f32>,
    /// The input's weights and bias, above the first layer.
    input: Option<(Panels<f32>, Vec<f32>)>,
}

/// The states of a batch of sequences between two steps.
#[derive(Debug, Clone)]
pub struct GruState {
    batch: usize,
    hidden: usize,
    /// Of each layer, `[batch, hidden]`.
    layers: Vec<Vec<f32>>,
    /// What is constant over a sequence in the first layer's gates, `[batch, 3 * hidden]`.
    constant: Option<Vec<f32>>,
}

impl GruTokenModel {
    /// Arranges the weights of a GRU, of the tokens' embedding, `[vocabulary, width]`, and of their
    /// logits; what `width` leaves of the GRU's input is constant over a sequence.
    ///
    /// # Errors
    ///
    /// The shapes do not fit each other.
    pub fn new(gru: &Gru, embedding: &Tensor, logits: &Linear) -> Result<Self> {
        let (vocabulary, width) = embedding.dims2()?;
        let (input, hidden) = (gru.input_size, gru.hidden_size);
        if width > input {
            bail!("embeddings of {width} for inputs of {input}")
        }
        let (tokens, features) = logits.weight().dims2()?;
        if features != hidden {
            bail!("logits of {features} features, the GRU has {hidden}")
        }
        if tokens != vocabulary {
            bail!("logits for {tokens} tokens, embeddings for {vocabulary}")
        }
        let set = InstructionSet::detect();
        let first = gru.layers[0].local()?;
        let layers = gru.layers.iter().enumerate().map(|(index, weights)| {
            let weights = weights.local()?;
            let input = match index {
                0 => None,
                _ => Some((
                    arrange(set, &weights.weight_ih, Columns::Plain)?,
                    weights.bias_ih.to_vec1()?,
                )),
            };
            Ok(Layer {
                recurrent: arrange(set, &weights.weight_hh, Columns::Gates(GATES))?,
                bias_hh: weights.bias_hh.to_vec1()?,
                input,
            })
        });
        Ok(Self {
            set,
            hidden,
            table: elements(&first.token_table(&local(embedding)?)?)?,
            constants: match input - width {
                0 => None,
                _ => Some(first.constant_weight(width)?.contiguous()?),
            },
            layers: layers.collect::<Result<_>>()?,
            logits: arrange(set, &local(logits.weight())?, Columns::Plain)?,
            bias: local(logits.bias())?.to_vec1()?,
        })
    }

    /// The states before the first step of `batch` sequences.
    ///
    /// `initial` has each layer's, `[batch, hidden]`, zero if absent; `constant` is what
    /// follows the embedding in every input, `[batch, input_size - width]`.
    ///
    /// # Errors
    ///
    /// A shape does not fit.
    pub fn start(
        &self,
        batch: usize,
        initial: Option<&[Tensor]>,
        constant: Option<&Tensor>,
    ) -> Result<GruState> {
        let layers = match initial {
            None => vec![vec![0.0; batch * self.hidden]; self.layers.len()],
            Some(initial) if initial.len() == self.layers.len() => initial
                .iter()
                .map(|states| {
                    check_shape("initial states", states, batch, self.hidden)?;
                    elements(&local(states)?)
                })
                .collect::<Result<_>>()?,
            Some(initial) => bail!(
                "initial states of {} layers for a GRU of {}",
                initial.len(),
                self.layers.len()
            ),
        };
        let constant = match (constant, &self.constants) {
            (None, None) => None,
            (Some(constant), Some(weight)) => {
                check_shape("constant inputs", constant, batch, weight.dim(1)?)?;
                Some(elements(&linear(&local(constant)?, weight, None)?)?)
            }
            (None, Some(weight)) => bail!("expected constant inputs of width {}", weight.dim(1)?),
            (Some(_), None) => bail!("the embedding fills the input: no constants expected"),
        };
        Ok(GruState {
            batch,
            hidden: self.hidden,
            layers,
            constant,
        })
    }

    /// Refuses a state that another model made, unless its shapes are those of this one's.
    fn check_state(&self, state: &GruState) -> Result<()> {
        let shape = |layers: usize, hidden: usize, constants: bool| {
            let constants = if constants { "with" } else { "without" };
            format!("{layers} layers of {hidden} units {constants} constant inputs")
        };
        let found = shape(state.layers.len(), state.hidden, state.constant.is_some());
        let expected = shape(self.layers.len(), self.hidden, self.constants.is_some());
        if found != expected {
            bail!("a state of {found} for a model of {expected}")
        }
        Ok(())
    }

    /// The states of a layer after a step, from those before it and of the layer below.
    fn step_layer(&self, index: usize, tokens: &[u32], state: &GruState) -> Vec<f32> {
        let (batch, hidden) = (state.batch, self.hidden);
        let layer = &self.layers[index];
        let mut gates = Vec::new();
        let projections = match &layer.input {
            None => Projections::Tokens {
                ids: tokens,
                table: &self.table,
                constant: state.constant.as_deref(),
            },
            Some((weight, bias)) => {
                gates.resize(batch * GATES * hidden, 0.0);
                self.set.run(Product {
                    left: Matrix::new(&state.layers[index - 1], batch, hidden),
                    right: weight,
                    destination: &mut gates,
                    stride: GATES * hidden,
                    mode: Destination::Overwrite,
                });
                Projections::Rows { bias }
            }
        };
        let stride = gates.len() / batch.max(1);
        let mut states = vec![0.0; batch * hidden];
        let order: Vec<usize> = (0..batch).collect();
        let blocks = Blocks::on_one_thread(layer.recurrent.block_rows());
        let dealt = blocks.deal(&mut gates, stride, &[batch]);
        let dealt = dealt
            .into_iter()
            .zip(blocks.deal(&mut states, hidden, &[batch]));
        for (group, (gates, states)) in dealt.enumerate() {
            self.set.run(ForwardSteps {
                layer: ForwardLayer {
                    hidden,
                    offsets: &[0],
                    order: &order,
                    weight: &layer.recurrent,
                    bias: &layer.bias_hh,
                    projections,
                    initial: &state.layers[index],
                    from_zero: false,
                    keep: false,
                    blocks,
                },
                group,
                gates,
                states,
            });
        }
        states
    }
}

impl TokenModel for GruTokenModel {
    type State = GruState;

    fn vocabulary(&self) -> usize {
        self.bias.len()
    }

    fn batch(&self, state: &GruState) -> usize {
        state.batch
    }

    fn step(&self, tokens: &[u32], state: &mut GruState, logits: &mut Vec<f32>) -> Result<()> {
        self.check_state(state)?;
        let (batch, vocabulary) = (state.batch, self.vocabulary());
        if tokens.len() != batch {
            bail!("{} tokens for {batch} sequences", tokens.len())
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            bail!("token id {token}, the vocabulary has {vocabulary}")
        }
        for index in 0..self.layers.len() {
            state.layers[index] = self.step_layer(index, tokens, state);
        }
        *logits = self.bias.repeat(batch);
        self.set.run(Product {
            left: Matrix::new(state.output(), batch, self.hidden),
            right: &self.logits,
            destination: logits,
            stride: vocabulary,
            mode: Destination::Add,
        });
        Ok(())
    }

    fn select(&self, state: &GruState, sequences: &[usize]) -> GruState {
        state.select(sequences)
    }
}

impl GruState {
    /// The last layer's states, `[batch, hidden]` row by row.
    pub fn output(&self) -> &[f32] {
        self.layers.last().map_or(&[], Vec::as_slice)
    }

    /// The states of some of the sequences, in the given order.
    ///
    /// # Panics
    ///
    /// There are not so many sequences.
    pub fn select(&self, sequences: &[usize]) -> Self {
        let rows = |elements: &Vec<f32>, width: usize| -> Vec<f32> {
            let rows = sequences
                .iter()
                .map(|&sequence| &elements[sequence * width..][..width]);
            rows.flatten().copied().collect()
        };
        let layers = self.layers.iter().map(|layer| rows(layer, self.hidden));
        Self {
            batch: sequences.len(),
            hidden: self.hidden,
            layers: layers.collect(),
            constant: self
                .constant
                .as_ref()
                .map(|all| rows(all, GATES * self.hidden)),
        }
    }
}
