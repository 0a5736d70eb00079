//! What every autoencoder that is made of [parts](super::parts) does: it frames, encodes, decodes,
//! and is trained and checked.

use atlas_core::prelude::*;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::parts::{LatentEncoder, Lesson, Prior, Reader, TokenParams, Writer};
use crate::chem::{
    END, Notation, PADDING, START, Smiles, SmilesGuide, Spelling, Tokens, Vocabulary,
};
use crate::nn::{Decoding, Guide, TokenChoice, softmax_cross_entropy};

/// Makes a struct that names its parts a [`MoleculeAutoencoder`](crate::models::MoleculeAutoencoder).
///
/// `autoencoder!(GruVae, GruVaeParams, GruReader => GruWriter)` implements the interfaces of a struct
/// with these fields:
///
/// - the parameters `vocabulary: Vec<String>`, `longest: usize`, `prior_components: usize` and the
///   groups `tokens: TokenParams`, `reader`, `latent: LatentParams` and `writer`, those of its parts;
/// - `#[derived(with = tokenizer)] tokenizer: Vocabulary`;
/// - the networks `#[network(with = encoder)] encoder: LatentEncoder<GruReader>`,
///   `#[network(with = decoder)] decoder: GruWriter` and `#[network(with = prior, buffers =
///   ["values"])] prior: Prior`.
///
/// The four functions are the macro's.
///
/// ```
/// use atlas_core::prelude::*;
/// use atlas_models::autoencoder;
/// use atlas_models::chem::{Smiles, Vocabulary};
/// use atlas_models::models::{self, parts::*};
///
/// /// A message-passing network reads, a transformer writes.
/// #[derive(AtlasModel)]
/// #[atlas(golden)]
/// struct GraphTransformer {
///     /// The tokens in the order of their ids.
///     #[param(len = 4..=65_536, check = check_vocabulary)]
///     vocabulary: Vec<String>,
///     /// Tokens after which decoding gives up.
///     #[param(default = 200, min = 1)]
///     longest: usize,
///     #[param(nested)]
///     tokens: TokenParams,
///     #[param(nested)]
///     reader: GraphReaderParams,
///     #[param(nested)]
///     latent: LatentParams,
///     #[param(nested)]
///     writer: TransformerParams,
///     /// Components of the fitted prior.
///     #[param(default = 0)]
///     prior_components: usize,
///
///     #[derived(with = tokenizer)]
///     tokenizer: Vocabulary,
///     #[network(with = encoder)]
///     encoder: LatentEncoder<GraphReader>,
///     #[network(with = decoder)]
///     decoder: TransformerWriter,
///     #[network(with = prior, buffers = ["values"])]
///     prior: Prior,
/// }
///
/// autoencoder!(GraphTransformer, GraphTransformerParams, GraphReader => TransformerWriter);
///
/// let mut registry = models::registry();
/// registry.register::<GraphTransformer>(|model| Box::new(model));
/// let overrides = serde_json::json!({
///     "vocabulary": ["<pad>", "<start>", "<end>", "C", "O"],
///     "reader": { "hidden_size": 8 },
///     "latent": { "size": 4 },
///     "writer": { "hidden_size": 8, "layers": 1, "heads": 2, "feed_forward_size": 16 },
/// });
/// let model = registry.create("graph-transformer", &overrides, CreateOptions::new().seed(1))?;
/// let latents = model.encode(&[Smiles::parse("CCO").map_err(Error::other)?])?;
/// assert_eq!(latents.dims(), [1, 4]);
/// assert_eq!(model.decode(&latents)?.len(), 1);
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! autoencoder {
    ($model:ident, $params:ident, $reader:ty => $writer:ty) => {
        const _: () = {
            use $crate::__private::atlas_core::{
                Decoder, Draws, Encoder, Golden, GoldenInputs, Loss, LossWeight, Objective, Result,
                Sampler, Step,
            };
            use $crate::__private::candle_core::Tensor;
            use $crate::chem::Smiles;
            use $crate::models::{Autoencoder, MoleculeSampler};
            use $crate::nn::TokenChoice;

            impl $model {
                fn parts(&self) -> Autoencoder<'_, $reader, $writer> {
                    Autoencoder {
                        tokens: &self.tokens,
                        vocabulary: &self.tokenizer,
                        longest: self.longest,
                        encoder: &self.encoder,
                        decoder: &self.decoder,
                        prior: &self.prior,
                    }
                }
            }

            impl Encoder for $model {
                type Input = Smiles;

                fn encode(&self, inputs: &[Smiles]) -> Result<Tensor> {
                    self.parts().encode(inputs)
                }
            }

            impl Decoder for $model {
                type Output = String;

                fn decode(&self, latents: &Tensor) -> Result<Vec<String>> {
                    self.parts().write(latents, TokenChoice::Greedy, false)
                }
            }

            impl Sampler for $model {
                fn latent_size(&self) -> usize {
                    self.encoder.latent.size()
                }

                fn prior(&self, draws: Draws, count: usize) -> Result<Tensor> {
                    self.prior.draw(draws, count)
                }

                fn sample(
                    &self,
                    latents: &Tensor,
                    draws: Draws,
                    temperature: f64,
                ) -> Result<Vec<String>> {
                    let choice = TokenChoice::drawn(draws, temperature);
                    self.parts().write(latents, choice, false)
                }
            }

            impl MoleculeSampler for $model {
                fn target(&self, molecule: &Smiles) -> Result<String> {
                    self.parts().target(molecule)
                }

                fn has_fitted_prior(&self) -> bool {
                    self.prior.is_fitted()
                }

                fn decode_by_beam(&self, latents: &Tensor, width: usize) -> Result<Vec<String>> {
                    self.parts()
                        .write(latents, TokenChoice::Beam { width }, false)
                }

                fn write_guided(
                    &self,
                    latents: &Tensor,
                    choice: TokenChoice,
                ) -> Option<Result<Vec<String>>> {
                    self.parts().write_guided(latents, choice)
                }
            }

            impl Objective for $model {
                type Input = Smiles;

                fn size(&self, input: &Smiles) -> Result<usize> {
                    self.parts().size(input)
                }

                fn weights(&self) -> Vec<LossWeight> {
                    self.parts().weights()
                }

                fn loss(&self, batch: &[&Smiles], step: &mut Step) -> Result<Loss> {
                    self.parts().loss(batch, step)
                }
            }

            impl Golden for $model {
                fn golden_inputs(&self) -> Result<GoldenInputs> {
                    Ok(self.parts().golden_inputs())
                }

                fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
                    self.parts().golden_outputs(inputs)
                }
            }
        };

        fn tokenizer(
            params: &$params,
        ) -> $crate::__private::atlas_core::Result<$crate::chem::Vocabulary> {
            params.tokens.vocabulary(&params.vocabulary)
        }

        fn encoder(
            params: &$params,
            vb: $crate::__private::candle_nn::VarBuilder,
        ) -> $crate::__private::candle_core::Result<$crate::models::parts::LatentEncoder<$reader>> {
            let (tokens, longest) = (params.vocabulary.len(), params.longest);
            $crate::models::parts::LatentEncoder::new(
                &params.reader,
                &params.latent,
                tokens,
                longest,
                vb,
            )
        }

        fn decoder(
            params: &$params,
            vb: $crate::__private::candle_nn::VarBuilder,
        ) -> $crate::__private::candle_core::Result<$writer> {
            let (tokens, latent) = (params.vocabulary.len(), params.latent.size);
            $crate::models::parts::Writer::new(&params.writer, tokens, latent, vb)
        }

        fn prior(
            params: &$params,
            vb: $crate::__private::candle_nn::VarBuilder,
        ) -> $crate::__private::candle_core::Result<$crate::models::parts::Prior> {
            $crate::models::parts::Prior::new(params.prior_components, params.latent.size, vb)
        }
    };
}

/// The parts of a model, and what they do together.
#[doc(hidden)]
pub struct Autoencoder<'a, R, W> {
    pub tokens: &'a TokenParams,
    pub vocabulary: &'a Vocabulary,
    pub longest: usize,
    pub encoder: &'a LatentEncoder<R>,
    pub decoder: &'a W,
    pub prior: &'a Prior,
}

/// Molecules as they are read, and the tokens that are to be written.
type Prepared<M> = (Vec<M>, Vec<Tokens>);

impl<R: Reader, W: Writer> Autoencoder<'_, R, W> {
    /// The latents of molecules; of distributions the means.
    pub fn encode(&self, inputs: &[Smiles]) -> Result<Tensor> {
        if inputs.is_empty() {
            let (dtype, device) = self.place();
            let shape = (0, self.encoder.latent.size());
            return Ok(Tensor::zeros(shape, dtype, &device)?);
        }
        let spelling = match self.tokens.read {
            Spelling::Random => Spelling::AsGiven,
            spelling => spelling,
        };
        let read = |(index, molecule): (usize, &Smiles)| {
            let spelt = spelling.spell(molecule, 0).map_err(Error::other);
            let read = spelt.and_then(|spelt| self.encoder.reader.prepare(&spelt, self.vocabulary));
            read.map_err(|error| error.within(format_args!("input {index}")))
        };
        let molecules: Result<Vec<_>> = inputs.par_iter().enumerate().map(read).collect();
        let mut step = Step::evaluation();
        Ok(self.latents(&molecules?, &mut step)?.detach())
    }

    /// The strings of latents `[batch, latent]`, token by token.
    pub fn write(
        &self,
        latents: &Tensor,
        choice: TokenChoice,
        guided: bool,
    ) -> Result<Vec<String>> {
        let (_, width) = latents.dims2()?;
        let expected = self.encoder.latent.size();
        if width != expected {
            return Err(Error::new(format_args!(
                "latents of {width} dimensions; the model's have {expected}"
            )));
        }
        let guide = guided.then(|| SmilesGuide::new(self.vocabulary));
        let decoding = Decoding {
            begin: u32::from(START),
            end: u32::from(END),
            forbidden: &[u32::from(PADDING), u32::from(START)],
            max_steps: self.longest,
            choice,
            guide: guide.as_ref().map(|guide| guide as &dyn Guide),
        };
        let written = self.decoder.write(&latents.detach(), &decoding)?;
        let strings = written.into_iter();
        strings
            .map(|ids| self.vocabulary.decode(ids).map_err(Error::other))
            .collect()
    }

    /// The same, guided by the grammar; `None` if the notation has none that is known.
    pub fn write_guided(
        &self,
        latents: &Tensor,
        choice: TokenChoice,
    ) -> Option<Result<Vec<String>>> {
        match self.vocabulary.notation() {
            Notation::Atoms => Some(self.write(latents, choice, true)),
            Notation::Characters => None,
            // Every sequence is a molecule.
            Notation::Selfies => Some(self.write(latents, choice, false)),
        }
    }

    /// The string that a molecule is to be decoded to.
    pub fn target(&self, molecule: &Smiles) -> Result<String> {
        let (_, written) = self.prepare(&[molecule], &mut Step::evaluation())?;
        let ids = written.iter().flat_map(|tokens| tokens.iter().copied());
        self.vocabulary.decode(ids).map_err(Error::other)
    }

    /// Tokens of a molecule, which the model is to read and to write.
    pub fn size(&self, input: &Smiles) -> Result<usize> {
        self.encoder.reader.prepare(input, self.vocabulary)?;
        Ok(self.vocabulary.encode(input).map_err(Error::other)?.len())
    }

    pub fn weights(&self) -> Vec<LossWeight> {
        self.encoder.latent.weights()
    }

    /// The cross-entropy *summed* over a molecule's tokens and the penalty of its latent, both
    /// averaged over the batch.
    pub fn loss(&self, batch: &[&Smiles], step: &mut Step) -> Result<Loss> {
        let (molecules, written) = self.prepare(batch, step)?;
        let vectors = self.encoder.reader.read(&molecules, step)?;
        let drawn = self.encoder.latent.draw(&vectors, step)?;
        let lesson = Lesson::new(&written, self.tokens.word_dropout, step)?;
        let logits = self
            .decoder
            .logits(&drawn.latents, &lesson.packing, &lesson.inputs, step)?;
        let summed = softmax_cross_entropy(&logits, &lesson.targets)?;
        let reconstruction = (summed / batch.len() as f64)?;
        Ok(Loss {
            total: (&reconstruction + drawn.penalty)?,
            parts: vec![("reconstruction".into(), reconstruction), drawn.part],
        })
    }

    /// Those of [`GOLDEN`] that the model can represent.
    pub fn golden_inputs(&self) -> GoldenInputs {
        let is_known = |text: &str| {
            Smiles::parse(text)
                .is_ok_and(|smiles| self.prepare(&[&smiles], &mut Step::evaluation()).is_ok())
        };
        let mut texts: Vec<&str> = GOLDEN.into_iter().filter(|text| is_known(text)).collect();
        if texts.is_empty() {
            // A vocabulary of no common atom still spells some atom by itself.
            let tokens = self.vocabulary.tokens().iter().map(String::as_str);
            texts.extend(tokens.into_iter().find(|token| is_known(token)));
        }
        GoldenInputs::texts(texts)
    }

    pub fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        let mut step = Step::evaluation();
        let mut outputs = Vec::new();
        let parsed = inputs.as_texts().iter().map(|text| Smiles::parse(text));
        let parsed = parsed
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::other)?;
        if !parsed.is_empty() {
            let (molecules, written) =
                self.prepare(&parsed.iter().collect::<Vec<_>>(), &mut step)?;
            let latents = self.latents(&molecules, &mut step)?;
            let lesson = Lesson::new(&written, 0.0, &mut step)?;
            let logits =
                self.decoder
                    .logits(&latents, &lesson.packing, &lesson.inputs, &mut step)?;
            outputs.push(("latents".to_owned(), latents));
            outputs.push(("logits".to_owned(), logits));
        }
        if self.prior.is_fitted() {
            let draws = self.prior.draw(Draws { seed: 0, first: 0 }, 8)?;
            let (dtype, device) = self.place();
            let draws = draws.to_dtype(dtype)?.to_device(&device)?;
            outputs.push(("prior".to_owned(), draws));
        }
        Ok(outputs)
    }

    fn latents(&self, molecules: &[R::Molecule], step: &mut Step) -> Result<Tensor> {
        let vectors = self.encoder.reader.read(molecules, step)?;
        self.encoder.latent.mean(&vectors)
    }

    /// Spells each molecule as it is read and as it is written.
    fn prepare(&self, batch: &[&Smiles], step: &mut Step) -> Result<Prepared<R::Molecule>> {
        let spellings = [self.tokens.read, self.tokens.write].map(|spelling| match spelling {
            Spelling::Random if !step.is_training() => Spelling::AsGiven,
            spelling => spelling,
        });
        let seeds: Vec<[u64; 2]> = batch
            .iter()
            .map(|_| [step.next_seed(), step.next_seed()])
            .collect();
        let spell = |spelling: Spelling, molecule: &Smiles, seed| {
            let spelt = spelling.spell(molecule, seed).map_err(Error::other)?;
            // A random spelling may have a token that nothing else had.
            let is_known = spelling != Spelling::Random || self.vocabulary.encode(&spelt).is_ok();
            Ok::<_, Error>(if is_known { spelt } else { molecule.clone() })
        };
        let prepare = |(molecule, seeds): (&Smiles, [u64; 2])| {
            let read = spell(spellings[0], molecule, seeds[0])?;
            let written = spell(spellings[1], &read, seeds[1])?;
            let written = self.vocabulary.encode(&written).map_err(Error::other)?;
            Ok((
                self.encoder.reader.prepare(&read, self.vocabulary)?,
                written,
            ))
        };
        let prepared = batch.par_iter().zip(seeds).enumerate();
        let prepared = prepared.map(|(index, (molecule, seeds))| {
            prepare((molecule, seeds))
                .map_err(|error: Error| error.within(format_args!("input {index}")))
        });
        let prepared: Result<Vec<_>> = prepared.collect();
        Ok(prepared?.into_iter().unzip())
    }

    /// The dtype of latents, and where they are.
    fn place(&self) -> (DType, Device) {
        self.encoder.latent.place()
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
