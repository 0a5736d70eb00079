//! The recurrent variational autoencoder of MOSES.

use std::borrow::Cow;
use std::sync::Arc;

use atlas_core::prelude::*;
use atlas_core::random::Dropout;
use atlas_core::{Error, GoldenInputs, Result};
use candle_core::Tensor;
use candle_nn::{Embedding, Module, VarBuilder};
use serde_json::{Value, json};

use super::Architecture;
use crate::chem::{END, PADDING, START, Smiles, Tokens, Vocabulary};
use crate::nn::{
    self, Decoding, Gru, GruInput, GruOutput, LayerDropout, Linear, Packing, softmax_cross_entropy,
};

/// A GRU reads the tokens into a latent vector, a GRU writes them from it.
///
/// The variational autoencoder of MOSES (Polykarpov et al., "Molecular Sets", 2020), of its shape
/// by default: one layer of 256 units reads, three of 512 write, 128 latent dimensions. The
/// decoder sees the latent at every step, and starts from a linear map of it.
///
/// Kingma and Welling's bound (2014) is minimised as the cross-entropy *summed* over a molecule's
/// tokens plus the weighted divergence summed over the latent dimensions.
#[derive(AtlasModel)]
#[atlas(name = "gru-vae", version = 1, golden)]
pub struct GruVae {
    /// The tokens in the order of their ids, the special ones first. Training takes them from the
    /// data.
    #[param(len = 4..=65_536, check = check_vocabulary)]
    pub vocabulary: Vec<String>,
    /// Width of a token's embedding; null for the number of tokens.
    #[param(default = None, min = 1, max = 65_536)]
    pub embedding_size: Option<usize>,
    /// Units of each layer that reads.
    #[param(default = 256, min = 1, max = 65_536)]
    pub encoder_hidden_size: usize,
    /// Layers that read.
    #[param(default = 1, min = 1, max = 64)]
    pub encoder_layers: usize,
    /// Dimensions of the latent.
    #[param(default = 128, min = 1, max = 65_536)]
    pub latent_size: usize,
    /// Units of each layer that writes.
    #[param(default = 512, min = 1, max = 65_536)]
    pub decoder_hidden_size: usize,
    /// Layers that write.
    #[param(default = 3, min = 1, max = 64)]
    pub decoder_layers: usize,
    /// Share of units dropped between layers in training.
    #[param(default = 0.0, min = 0.0, max = 0.95)]
    pub dropout: f64,
    /// Tokens after which decoding gives up on a molecule that has not ended.
    #[param(default = 200, min = 1, max = 100_000)]
    pub longest: usize,

    #[derived(with = tokenizer)]
    tokenizer: Vocabulary,

    #[network(with = embedding)]
    embedding: Embedding,
    #[network]
    encoder: GruEncoder,
    #[network]
    decoder: GruDecoder,
}

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: GruVae::NAME,
    register: |registry| {
        registry.register_with_sizes::<GruVae>(|model| Box::new(model), sizes());
    },
    is_default: true,
    built_in_overrides: || {
        json!({
            "encoder_hidden_size": 256,
            "latent_size": 96,
            "decoder_hidden_size": 320,
            "decoder_layers": 1,
        })
    },
};

/// One layer that writes instead of three: some 0.25, 0.7 and 1.4 million weights, where the
/// defaults have 4.5.
fn sizes() -> Vec<Value> {
    let size = |[encoder, latent, decoder]: [usize; 3]| {
        json!({
            "encoder_hidden_size": encoder,
            "encoder_layers": 1,
            "latent_size": latent,
            "decoder_hidden_size": decoder,
            "decoder_layers": 1,
        })
    };
    [[128, 64, 192], [256, 96, 320], [256, 128, 512]]
        .map(size)
        .to_vec()
}

/// The part of the loss that the divergence from the prior is.
const DIVERGENCE: LossWeight = LossWeight {
    name: Cow::Borrowed("kl"),
    default: 0.01,
    doc: Cow::Borrowed(
        "divergence of the latents from the standard normal, summed over dimensions",
    ),
};

fn tokenizer(params: &GruVaeParams) -> Result<Vocabulary> {
    Vocabulary::from_tokens(params.vocabulary.clone()).map_err(Error::other)
}

fn check_vocabulary(tokens: &[String]) -> std::result::Result<(), String> {
    Vocabulary::from_tokens(tokens.to_vec())
        .map(|_| ())
        .map_err(|error| error.to_string())
}

impl GruVaeParams {
    fn embedding_width(&self) -> usize {
        self.embedding_size.unwrap_or(self.vocabulary.len())
    }
}

/// A vector for each token, shared by reading and writing.
fn embedding(params: &GruVaeParams, vb: VarBuilder) -> candle_core::Result<Embedding> {
    candle_nn::embedding(params.vocabulary.len(), params.embedding_width(), vb)
}

/// Tokens to the mean and logarithmic variance of the latent.
struct GruEncoder {
    gru: Gru,
    mean: Linear,
    log_variance: Linear,
}

impl GruEncoder {
    fn new(params: &GruVaeParams, vb: VarBuilder) -> candle_core::Result<Self> {
        let hidden = params.encoder_hidden_size;
        Ok(Self {
            gru: Gru::new(
                params.embedding_width(),
                hidden,
                params.encoder_layers,
                vb.pp("gru"),
            )?,
            mean: Linear::new(hidden, params.latent_size, vb.pp("mean"))?,
            log_variance: Linear::new(hidden, params.latent_size, vb.pp("log_variance"))?,
        })
    }
}

/// The latent to the logits of each next token.
struct GruDecoder {
    hidden: Linear,
    gru: Gru,
    logits: Linear,
}

impl GruDecoder {
    fn new(params: &GruVaeParams, vb: VarBuilder) -> candle_core::Result<Self> {
        let hidden = params.decoder_hidden_size;
        let input = params.embedding_width() + params.latent_size;
        Ok(Self {
            hidden: Linear::new(params.latent_size, hidden, vb.pp("hidden"))?,
            gru: Gru::new(input, hidden, params.decoder_layers, vb.pp("gru"))?,
            logits: Linear::new(hidden, params.vocabulary.len(), vb.pp("logits"))?,
        })
    }
}

/// Token ids of a batch, packed by length, one step longer than its molecules.
struct Packed {
    packing: Arc<Packing>,
    ids: Vec<u32>,
}

impl Packed {
    fn new(sequences: &[Vec<u32>]) -> Result<Self> {
        let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
        let packing = Packing::new(&lengths)?;
        let ids = packing.pack(sequences)?;
        Ok(Self {
            packing: Arc::new(packing),
            ids,
        })
    }
}

impl GruVae {
    /// Mean and logarithmic variance of the latents, `[batch, latent]` each.
    fn posterior(&self, batch: &[Tokens], step: &mut Step) -> Result<(Tensor, Tensor)> {
        let framed: Vec<Vec<u32>> = batch
            .iter()
            .map(|tokens| framed(Some(START), tokens, Some(END)))
            .collect();
        let Packed { packing, ids } = Packed::new(&framed)?;
        let input = GruInput::Tokens {
            ids: &ids,
            embedding: self.embedding.embeddings(),
            constant: None,
        };
        let output = self.run(&self.encoder.gru, &packing, input, None, step)?;
        let last = output
            .last
            .last()
            .ok_or_else(|| Error::new("the encoder has no layer"))?;
        Ok((
            self.encoder.mean.forward(last)?,
            self.encoder.log_variance.forward(last)?,
        ))
    }

    /// The logits of each next token under the molecules' own tokens, `[rows, vocabulary]`, and
    /// the tokens that are right.
    fn teacher_forced(
        &self,
        latents: &Tensor,
        batch: &[Tokens],
        step: &mut Step,
    ) -> Result<(Tensor, Vec<u32>)> {
        let inputs: Vec<Vec<u32>> = batch
            .iter()
            .map(|tokens| framed(Some(START), tokens, None))
            .collect();
        let targets: Vec<Vec<u32>> = batch
            .iter()
            .map(|tokens| framed(None, tokens, Some(END)))
            .collect();
        let Packed { packing, ids } = Packed::new(&inputs)?;
        let targets = packing.pack(&targets)?;
        let initial = self.initial(latents)?;
        let input = GruInput::Tokens {
            ids: &ids,
            embedding: self.embedding.embeddings(),
            constant: Some(latents),
        };
        let output = self.run(&self.decoder.gru, &packing, input, Some(&initial), step)?;
        Ok((self.decoder.logits.forward(&output.rows)?, targets))
    }

    /// Runs layers with dropout between them in training.
    fn run(
        &self,
        gru: &Gru,
        packing: &Arc<Packing>,
        input: GruInput<'_>,
        initial: Option<&[Tensor]>,
        step: &mut Step,
    ) -> Result<GruOutput> {
        let mut masks = Dropout::seeded(step.next_seed());
        let between = (step.is_training() && self.dropout > 0.0).then_some(LayerDropout {
            rate: self.dropout,
            masks: &mut masks,
        });
        Ok(gru.forward(packing, input, initial, between)?)
    }

    /// What each layer that writes starts from, `[batch, hidden]`.
    fn initial(&self, latents: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![
            self.decoder.hidden.forward(latents)?;
            self.decoder_layers
        ])
    }

    /// The strings of latents `[batch, latent]`, token by token.
    fn write(&self, latents: &Tensor, choice: nn::TokenChoice) -> Result<Vec<String>> {
        let (batch, width) = latents.dims2()?;
        if width != self.latent_size {
            return Err(Error::new(format_args!(
                "latents of {width} dimensions; the model's have {}",
                self.latent_size
            )));
        }
        let latents = latents.detach();
        let initial = self.initial(&latents)?;
        let decoder = nn::GruTokenModel::new(
            &self.decoder.gru,
            self.embedding.embeddings(),
            &self.decoder.logits,
        )?;
        let state = decoder.start(batch, Some(&initial), Some(&latents))?;
        let decoding = Decoding {
            begin: u32::from(START),
            end: u32::from(END),
            forbidden: &[u32::from(PADDING), u32::from(START)],
            max_steps: self.longest,
            choice,
            guide: None,
        };
        let written = nn::decode(&decoder, &state, &decoding)?;
        written
            .into_iter()
            .map(|ids| self.tokenizer.decode(ids).map_err(Error::other))
            .collect()
    }

    fn tokens<'a>(&self, inputs: impl IntoIterator<Item = &'a Smiles>) -> Result<Vec<Tokens>> {
        let tokens = |(index, smiles)| {
            let tokens = self.tokenizer.encode(smiles).map_err(Error::other);
            tokens.map_err(|error| error.within(format_args!("input {index}")))
        };
        inputs.into_iter().enumerate().map(tokens).collect()
    }
}

/// Ids with a special token before, after, or both.
fn framed(before: Option<u16>, tokens: &[u16], after: Option<u16>) -> Vec<u32> {
    before
        .into_iter()
        .chain(tokens.iter().copied())
        .chain(after)
        .map(u32::from)
        .collect()
}

impl Encoder for GruVae {
    type Input = Smiles;

    fn encode(&self, inputs: &[Smiles]) -> Result<Tensor> {
        if inputs.is_empty() {
            let weight = self.embedding.embeddings();
            let shape = (0, self.latent_size);
            return Ok(Tensor::zeros(shape, weight.dtype(), weight.device())?);
        }
        let (mean, _) = self.posterior(&self.tokens(inputs)?, &mut Step::evaluation())?;
        Ok(mean.detach())
    }
}

impl Decoder for GruVae {
    type Output = String;

    fn decode(&self, latents: &Tensor) -> Result<Vec<String>> {
        self.write(latents, nn::TokenChoice::Greedy)
    }
}

impl Sampler for GruVae {
    fn latent_size(&self) -> usize {
        self.latent_size
    }

    fn sample(&self, latents: &Tensor, draws: Draws, temperature: f64) -> Result<Vec<String>> {
        let choice = nn::TokenChoice::Sample {
            temperature,
            seed: draws.seed,
            first_stream: draws.first,
        };
        self.write(latents, choice)
    }
}

impl Objective for GruVae {
    type Input = Smiles;

    fn size(&self, input: &Smiles) -> Result<usize> {
        Ok(self.tokenizer.encode(input).map_err(Error::other)?.len())
    }

    fn weights(&self) -> Vec<LossWeight> {
        vec![DIVERGENCE]
    }

    fn loss(&self, batch: &[&Smiles], step: &mut Step) -> Result<Loss> {
        let batch = &*self.tokens(batch.iter().copied())?;
        let (mean, log_variance) = self.posterior(batch, step)?;
        let latents = if step.is_training() {
            let noise = step.normal(mean.shape(), mean.dtype(), mean.device())?;
            (&mean + ((&log_variance * 0.5)?.exp()? * noise)?)?
        } else {
            mean.clone()
        };
        let (logits, targets) = self.teacher_forced(&latents, batch, step)?;
        let count = batch.len() as f64;
        let reconstruction = (softmax_cross_entropy(&logits, &targets)? / count)?;
        // Kingma and Welling 2014, appendix B.
        let kl = ((log_variance.exp()? + mean.sqr()?)? - (log_variance + 1.0)?)?;
        let kl = (kl.sum_all()? * (0.5 / count))?;
        let total = (&reconstruction + (&kl * step.weight(&DIVERGENCE))?)?;
        Ok(Loss {
            total,
            parts: vec![("reconstruction".into(), reconstruction), ("kl".into(), kl)],
        })
    }
}

/// Molecules with every kind of token, of which a check takes those that the vocabulary can spell.
const GOLDEN: [&str; 12] = [
    "C",
    "CCO",
    "c1ccccc1",
    "CC(=O)N",
    "c1ccncc1C(F)(F)F",
    "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "C[C@@H](N)C(=O)O",
    "O=S(=O)(N1CCOCC1)c1ccc(Br)cc1",
    "Clc1ccc2[nH]ccc2c1",
    "C#CCN",
    "C[N+](C)(C)CC(=O)[O-]",
];

impl Golden for GruVae {
    fn golden_inputs(&self) -> Result<GoldenInputs> {
        let spelt = GOLDEN.iter().filter(|text| {
            Smiles::parse(text).is_ok_and(|smiles| self.tokenizer.encode(&smiles).is_ok())
        });
        let mut texts: Vec<String> = spelt.map(|text| (*text).to_owned()).collect();
        if texts.is_empty() {
            // A vocabulary of no common atom still spells some atom by itself.
            texts.extend(
                self.vocabulary
                    .iter()
                    .find(|token| Smiles::parse(token).is_ok())
                    .cloned(),
            );
        }
        Ok(GoldenInputs::texts(texts))
    }

    fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        let parsed = inputs
            .as_texts()
            .iter()
            .map(|text| Smiles::parse(text).map_err(Error::other));
        let tokens = self.tokens(&parsed.collect::<Result<Vec<_>>>()?)?;
        let mut step = Step::evaluation();
        let (latents, _) = self.posterior(&tokens, &mut step)?;
        let (logits, _) = self.teacher_forced(&latents, &tokens, &mut step)?;
        Ok(vec![
            ("latents".to_owned(), latents),
            ("logits".to_owned(), logits),
        ])
    }
}
