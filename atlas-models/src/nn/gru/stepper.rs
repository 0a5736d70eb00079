//! A GRU one token at a time, without gradients.

use super::Gru;
use super::forward::{Forward, GATES};
use crate::nn::graph::read;
use crate::nn::lanes::Isa;
use crate::nn::linear::{Linear, linear};
use crate::nn::panels::{Columns, Panels};
use crate::nn::product::{Destination, Product};
use crate::nn::recurrent::{Gates, Inputs, check_shape, local};
use crate::nn::shared::{Blocks, Shared};
use crate::nn::tokens::TokenModel;
use candle_core::{Result, Tensor, bail};

/// A [`Gru`] over an embedding, with its weights arranged once for many single steps.
///
/// It computes on the CPU in `f32`, whatever the weights' device and dtype. A
/// sequence's states have the bits that [`Gru::forward`] gives them in `f32`,
/// whatever else is in the batch.
#[derive(Debug)]
pub struct GruStepper {
    isa: Isa,
    hidden: usize,
    vocabulary: usize,
    /// `[vocabulary, 3 * hidden]`
    table: Vec<f32>,
    /// The first layer's weights of the constant inputs, `[3 * hidden, constants]`.
    constants: Option<Tensor>,
    layers: Vec<Layer>,
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

impl GruStepper {
    /// Arranges the weights for tokens with this embedding, `[vocabulary, width]`; what
    /// `width` leaves of the GRU's input is constant over a sequence.
    ///
    /// # Errors
    ///
    /// The embedding is wider than the GRU's input.
    pub fn new(gru: &Gru, embedding: &Tensor) -> Result<Self> {
        let (vocabulary, width) = embedding.dims2()?;
        let (input, hidden) = (gru.input_size, gru.hidden_size);
        if width > input {
            bail!("embeddings of {width} for inputs of {input}")
        }
        let isa = Isa::detect();
        let first = gru.layers[0].local()?;
        let weight = first.weight_ih.narrow(1, 0, width)?;
        let table = linear_rows(embedding, &weight, &first.bias_ih)?;
        let constants = match input - width {
            0 => None,
            rest => Some(first.weight_ih.narrow(1, width, rest)?.contiguous()?),
        };
        let layers = gru.layers.iter().enumerate().map(|(index, weights)| {
            let weights = weights.local()?;
            let arrange = |weight: &Tensor, columns| {
                read(weight, |weight: &[f32]| {
                    Panels::transposed(isa, weight, GATES * hidden, columns)
                })
            };
            let input = match index {
                0 => None,
                _ => Some((
                    arrange(&weights.weight_ih, Columns::Plain)?,
                    weights.bias_ih.to_vec1()?,
                )),
            };
            Ok(Layer {
                recurrent: arrange(&weights.weight_hh, Columns::Gates(GATES))?,
                bias_hh: weights.bias_hh.to_vec1()?,
                input,
            })
        });
        Ok(Self {
            isa,
            hidden,
            vocabulary,
            table,
            constants,
            layers: layers.collect::<Result<_>>()?,
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
                    local(states)?.flatten_all()?.to_vec1()
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
                let projected = linear(&local(constant)?, weight, None)?;
                Some(projected.flatten_all()?.to_vec1()?)
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

    /// Feeds one token to each sequence, on this thread.
    ///
    /// # Errors
    ///
    /// There is not one token for each sequence, or one is not in the vocabulary.
    pub fn step(&self, tokens: &[u32], state: &mut GruState) -> Result<()> {
        let (batch, hidden) = (state.batch, self.hidden);
        if tokens.len() != batch {
            bail!("{} tokens for {batch} sequences", tokens.len())
        }
        if let Some(&token) = tokens.iter().find(|&&t| t as usize >= self.vocabulary) {
            bail!("token id {token}, the vocabulary has {}", self.vocabulary)
        }
        let order: Vec<usize> = (0..batch).collect();
        let mut projections = vec![0.0; batch * GATES * hidden];
        for (index, layer) in self.layers.iter().enumerate() {
            let inputs = match &layer.input {
                None => Inputs::Tokens {
                    ids: tokens,
                    table: &self.table,
                    constant: state.constant.as_deref(),
                },
                Some((weight, bias)) => {
                    self.isa.run(Product {
                        rows: batch,
                        left: state.layers[index - 1].as_ptr(),
                        left_stride: hidden,
                        right: weight,
                        destination: projections.as_mut_ptr(),
                        destination_stride: GATES * hidden,
                        mode: Destination::Overwrite,
                    });
                    Inputs::Rows { bias }
                }
            };
            let gates = layer.input.is_some().then(|| Gates {
                elements: Shared::new(&mut projections),
                stride: GATES * hidden,
                projections: 0,
                keep: false,
            });
            let mut next = vec![0.0; batch * hidden];
            self.isa.run(Forward {
                hidden,
                batch_sizes: &[batch],
                offsets: &[0],
                order: &order,
                weight: &layer.recurrent,
                bias: &layer.bias_hh,
                inputs,
                initial: &state.layers[index],
                from_zero: false,
                gates,
                output: Shared::new(&mut next),
                group: 0,
                blocks: Blocks::of_one_thread(layer.recurrent.block_rows()),
            });
            state.layers[index] = next;
        }
        Ok(())
    }
}

impl GruState {
    /// The number of sequences.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// A layer's states, `[batch, hidden]` row by row.
    pub fn layer(&self, layer: usize) -> Option<&[f32]> {
        self.layers.get(layer).map(Vec::as_slice)
    }

    /// The last layer's states, `[batch, hidden]` row by row.
    pub fn output(&self) -> &[f32] {
        self.layers.last().map_or(&[], Vec::as_slice)
    }

    /// The states of some of the sequences, in the given order.
    pub fn select(&self, sequences: &[usize]) -> Self {
        let rows = |elements: &[f32], width: usize| -> Vec<f32> {
            let rows = sequences
                .iter()
                .map(|&s| &elements[s * width..(s + 1) * width]);
            rows.flatten().copied().collect()
        };
        Self {
            batch: sequences.len(),
            hidden: self.hidden,
            layers: self
                .layers
                .iter()
                .map(|layer| rows(layer, self.hidden))
                .collect(),
            constant: self
                .constant
                .as_ref()
                .map(|all| rows(all, GATES * self.hidden)),
        }
    }
}

/// A [`GruStepper`] whose output a linear map turns into the next token's logits.
#[derive(Debug)]
pub struct GruDecoder {
    stepper: GruStepper,
    head: Panels<f32>,
    bias: Vec<f32>,
}

impl GruDecoder {
    /// Arranges the weights; see [`GruStepper::new`].
    ///
    /// # Errors
    ///
    /// The shapes do not fit each other.
    pub fn new(gru: &Gru, embedding: &Tensor, head: &Linear) -> Result<Self> {
        let (vocabulary, width) = head.weight().dims2()?;
        if width != gru.hidden_size {
            bail!(
                "logits of {width} features, the GRU has {}",
                gru.hidden_size
            )
        }
        let stepper = GruStepper::new(gru, embedding)?;
        if vocabulary != stepper.vocabulary {
            bail!(
                "logits for {vocabulary} tokens, embeddings for {}",
                stepper.vocabulary
            )
        }
        let head_weight = local(head.weight())?;
        let head_panels = read(&head_weight, |weight: &[f32]| {
            Panels::transposed(stepper.isa, weight, vocabulary, Columns::Plain)
        })?;
        Ok(Self {
            head: head_panels,
            bias: local(head.bias())?.to_vec1()?,
            stepper,
        })
    }

    /// The states to decode from; see [`GruStepper::start`].
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
        self.stepper.start(batch, initial, constant)
    }
}

impl TokenModel for GruDecoder {
    type State = GruState;

    fn vocabulary(&self) -> usize {
        self.bias.len()
    }

    fn batch(&self, state: &GruState) -> usize {
        state.batch
    }

    fn step(&self, tokens: &[u32], state: &mut GruState, logits: &mut Vec<f32>) -> Result<()> {
        self.stepper.step(tokens, state)?;
        logits.clear();
        for _ in 0..state.batch {
            logits.extend_from_slice(&self.bias);
        }
        self.stepper.isa.run(Product {
            rows: state.batch,
            left: state.output().as_ptr(),
            left_stride: state.hidden,
            right: &self.head,
            destination: logits.as_mut_ptr(),
            destination_stride: self.bias.len(),
            mode: Destination::Add,
        });
        Ok(())
    }

    fn select(&self, state: &GruState, sequences: &[usize]) -> GruState {
        state.select(sequences)
    }
}

fn linear_rows(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Vec<f32>> {
    let rows = linear(&local(x)?, weight, Some(bias))?;
    rows.flatten_all()?.to_vec1()
}
