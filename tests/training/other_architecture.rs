//! An architecture that atlas-models does not know is registered beside its own, trained by the
//! same function, saved, and loaded by name.

use std::path::Path;

use atlas_core::prelude::*;
use atlas_core::train::{
    self, Control, EpochReport, Observer, Run, StepReport, TrainParams, Training,
};
use atlas_core::{Bundle, RegisteredModel, Registry};
use atlas_models::chem::{self, END, Notation, Smiles, Vocabulary};
use atlas_models::models::{self, MoleculeAutoencoder, MoleculeSampler};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear, ops};

/// Fixed-length strings through two linear layers each way: nothing recurrent.
#[derive(AtlasModel)]
#[atlas(name = "flat-autoencoder", golden)]
struct FlatAutoencoder {
    /// The tokens, special ones first.
    #[param(len = 4..)]
    vocabulary: Vec<String>,
    /// Tokens of the longest molecule.
    #[param(default = 24, min = 1)]
    longest: usize,
    /// Width of the latent.
    #[param(default = 32, min = 1)]
    latent_size: usize,
    /// Units of the hidden layers.
    #[param(default = 128, min = 1)]
    hidden_size: usize,

    #[derived(with = vocabulary)]
    tokenizer: Vocabulary,
    #[network]
    encoder: FlatEncoder,
    #[network]
    decoder: FlatDecoder,
}

fn vocabulary(params: &FlatAutoencoderParams) -> Result<Vocabulary> {
    Vocabulary::from_tokens(Notation::Atoms, params.vocabulary.clone()).map_err(Error::other)
}

struct FlatEncoder {
    hidden: Linear,
    latent: Linear,
}

impl FlatEncoder {
    fn new(params: &FlatAutoencoderParams, vb: VarBuilder) -> candle_core::Result<Self> {
        let input = params.longest * params.vocabulary.len();
        Ok(Self {
            hidden: linear(input, params.hidden_size, vb.pp("hidden"))?,
            latent: linear(params.hidden_size, params.latent_size, vb.pp("latent"))?,
        })
    }
}

struct FlatDecoder {
    hidden: Linear,
    logits: Linear,
}

impl FlatDecoder {
    fn new(params: &FlatAutoencoderParams, vb: VarBuilder) -> candle_core::Result<Self> {
        let output = params.longest * params.vocabulary.len();
        Ok(Self {
            hidden: linear(params.latent_size, params.hidden_size, vb.pp("hidden"))?,
            logits: linear(params.hidden_size, output, vb.pp("logits"))?,
        })
    }
}

impl FlatAutoencoder {
    /// Token ids, filled up with the end token: `[batch, longest]`.
    fn ids<'a>(&self, batch: impl IntoIterator<Item = &'a Smiles>) -> Result<Tensor> {
        let mut ids = Vec::new();
        let mut rows = 0;
        for (row, smiles) in batch.into_iter().enumerate() {
            let tokens = self.tokenizer.encode(smiles).map_err(Error::other)?;
            if tokens.len() > self.longest {
                return Err(Error::new(format_args!(
                    "input {row}: more than {} tokens",
                    self.longest
                )));
            }
            ids.extend(tokens.iter().map(|id| u32::from(*id)));
            rows = row + 1;
            ids.resize(rows * self.longest, u32::from(END));
        }
        Ok(Tensor::from_vec(ids, (rows, self.longest), &Device::Cpu)?)
    }

    fn latents(&self, ids: &Tensor) -> Result<Tensor> {
        let (batch, longest) = ids.dims2()?;
        let size = self.vocabulary.len();
        let identity = Tensor::eye(size, DType::F32, &Device::Cpu)?;
        let one_hot = identity
            .index_select(&ids.flatten_all()?, 0)?
            .reshape((batch, longest * size))?;
        let hidden = self.encoder.hidden.forward(&one_hot)?.relu()?;
        Ok(self.encoder.latent.forward(&hidden)?)
    }

    /// `[batch, longest, vocabulary]`
    fn logits(&self, latents: &Tensor) -> Result<Tensor> {
        let hidden = self.decoder.hidden.forward(latents)?.relu()?;
        let logits = self.decoder.logits.forward(&hidden)?;
        Ok(logits.reshape(((), self.longest, self.vocabulary.len()))?)
    }
}

impl Encoder for FlatAutoencoder {
    type Input = Smiles;

    fn encode(&self, inputs: &[Smiles]) -> Result<Tensor> {
        self.latents(&self.ids(inputs)?)
    }
}

impl Decoder for FlatAutoencoder {
    type Output = String;

    fn decode(&self, latents: &Tensor) -> Result<Vec<String>> {
        let rows = self.logits(latents)?.argmax(D::Minus1)?.to_vec2::<u32>()?;
        rows.into_iter()
            .map(|ids| self.tokenizer.decode(ids).map_err(Error::other))
            .collect()
    }
}

impl Sampler for FlatAutoencoder {
    fn latent_size(&self) -> usize {
        self.latent_size
    }

    /// By the trick of Gumbel: the largest of the logits with noise of its distribution added.
    fn sample(&self, latents: &Tensor, draws: Draws, temperature: f64) -> Result<Vec<String>> {
        let logits = (self.logits(latents)? / temperature)?;
        let (batch, longest, size) = logits.dims3()?;
        let noise = draws.normal(batch, longest * size)?;
        // From normal to uniform to Gumbel.
        let uniform = (((noise / 2f64.sqrt())?.erf()? + 1.0)? * 0.5)?.clamp(1e-6, 1.0 - 1e-6)?;
        let gumbel = uniform.log()?.neg()?.log()?.neg()?;
        let drawn = (logits + gumbel.reshape((batch, longest, size))?)?;
        let rows = drawn.argmax(D::Minus1)?.to_vec2::<u32>()?;
        rows.into_iter()
            .map(|ids| self.tokenizer.decode(ids).map_err(Error::other))
            .collect()
    }
}

impl MoleculeSampler for FlatAutoencoder {}

impl Objective for FlatAutoencoder {
    type Input = Smiles;

    fn weights(&self) -> Vec<LossWeight> {
        vec![LossWeight {
            name: "size".into(),
            default: 0.0,
            doc: "the latents' mean square".into(),
        }]
    }

    fn loss(&self, batch: &[&Smiles], step: &mut Step) -> Result<Loss> {
        let ids = self.ids(batch.iter().copied())?;
        let latents = self.latents(&ids)?;
        let logits = ops::log_softmax(&self.logits(&latents)?, D::Minus1)?;
        let right = logits.gather(&ids.unsqueeze(2)?, 2)?;
        let reconstruction = (right.sum_all()? / -(batch.len() as f64))?;
        let size = latents.sqr()?.mean_all()?;
        let total = (&reconstruction + (&size * step.weight(&self.weights()[0]))?)?;
        Ok(Loss {
            total,
            parts: vec![
                ("reconstruction".into(), reconstruction),
                ("size".into(), size),
            ],
        })
    }
}

impl Golden for FlatAutoencoder {
    fn golden_inputs(&self) -> Result<GoldenInputs> {
        Ok(GoldenInputs::texts(
            self.vocabulary.iter().filter(|token| *token == "C"),
        ))
    }

    fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        let smiles = inputs
            .as_texts()
            .iter()
            .map(|text| Smiles::parse(text).map_err(Error::other));
        Ok(vec![(
            "latents".to_owned(),
            self.encode(&smiles.collect::<Result<Vec<_>>>()?)?,
        )])
    }
}

/// Notes the loss of each epoch.
#[derive(Default)]
struct Losses(Vec<f64>);

impl<M: ?Sized> Observer<M> for Losses {
    fn on_epoch(&mut self, _: &mut M, epoch: &EpochReport, _: &Training<'_>) -> Result<Control> {
        self.0.push(epoch.loss);
        Ok(Control::Continue)
    }
}

fn molecules() -> Vec<Smiles> {
    chem::molecules()
        .filter(|smiles| smiles.tokens().count() <= 24)
        .take(300)
        .collect()
}

/// The vocabulary of the molecules and, for models that have them, small layers with dropout
/// between them: how large layers are changes nothing of what is tested here.
fn overrides(
    entry: &RegisteredModel<dyn MoleculeAutoencoder>,
    molecules: &[Smiles],
) -> serde_json::Value {
    let vocabulary = Vocabulary::build(Notation::Atoms, molecules).unwrap();
    let mut overrides = serde_json::json!({ "vocabulary": vocabulary.tokens() });
    let schema = entry.schema();
    let usual = schema.complete(&overrides);
    for part in ["reader", "writer"] {
        for (name, value) in [("hidden_size", 32.into()), ("dropout", 0.2.into())] {
            if usual[part].get(name).is_some() {
                overrides[part][name] = value;
            }
        }
    }
    overrides
}

/// A new model of that name.
fn create(name: &str, molecules: &[Smiles], seed: u64) -> Box<dyn MoleculeAutoencoder> {
    let registry = registry();
    let overrides = overrides(registry.model(name).unwrap(), molecules);
    let options = CreateOptions::new().seed(seed);
    registry.create(name, &overrides, options).unwrap()
}

fn registry() -> Registry<dyn MoleculeAutoencoder> {
    let mut registry = models::registry();
    registry.register::<FlatAutoencoder>(|model| Box::new(model));
    registry
}

fn run(epochs: usize) -> Run {
    Run {
        params: TrainParams {
            epochs,
            batch: 32,
            learning_rate: 3e-3,
            warm_up: 5,
            ..Default::default()
        },
        seed: 1,
        ..Default::default()
    }
}

fn fit(model: &mut dyn MoleculeAutoencoder, molecules: &[Smiles], epochs: usize) -> Vec<f64> {
    let mut losses = Losses::default();
    train::train(model, &molecules, &run(epochs), &mut losses).unwrap();
    losses.0
}

type AnyAutoencoder = dyn MoleculeAutoencoder;

/// Stops after a step, leaving a checkpoint.
struct Stop<'a>(u64, &'a Path);

impl Observer<AnyAutoencoder> for Stop<'_> {
    fn on_step(
        &mut self,
        model: &mut AnyAutoencoder,
        step: &StepReport,
        training: &Training<'_>,
    ) -> Result<Control> {
        if step.step < self.0 {
            return Ok(Control::Continue);
        }
        let mut snapshot = model.snapshot()?;
        snapshot.checkpoint = Some(training.checkpoint()?);
        snapshot.save(self.1)?;
        Ok(Control::Stop)
    }
}

#[test]
fn every_registered_architecture_goes_on_as_if_it_had_not_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let molecules = &molecules()[..48];
    let mut run = run(2);
    run.params.batch = 16;
    for entry in registry().models() {
        let create = || create(entry.name(), molecules, 3);
        let mut whole = create();
        train::train(&mut *whole, &molecules, &run, &mut ()).unwrap();

        let mut stopped = create();
        train::train(&mut *stopped, &molecules, &run, &mut Stop(2, &path)).unwrap();
        let options = LoadOptions::new().trainable(true);
        let mut resumed = registry().load_with(&path, &options).unwrap();
        let checkpoint = Bundle::open(&path).unwrap().checkpoint().unwrap().unwrap();
        train::resume(&mut *resumed, &molecules, &run, &checkpoint, &mut ()).unwrap();
        let digests = [&whole, &resumed].map(|model| model.digest().unwrap());
        assert_eq!(digests[0], digests[1], "{}", entry.name());
    }
}

#[test]
fn the_training_function_trains_every_registered_architecture() {
    let molecules = molecules();
    let registry = registry();
    let names: Vec<_> = registry.models().map(|entry| entry.name()).collect();
    assert!(
        names.contains(&"flat-autoencoder") && names.contains(&models::DEFAULT_MODEL),
        "{names:?}"
    );
    for name in names {
        let mut model = create(name, &molecules, 3);
        let losses = fit(&mut *model, &molecules[..100], 4);
        assert!(losses[3] < 0.9 * losses[0], "{name}: {losses:?}");
    }
}

#[test]
fn another_architecture_learns_is_saved_and_is_loaded_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flat");
    let molecules = molecules();
    let mut model = create("flat-autoencoder", &molecules, 3);
    let some = &molecules[..100];
    fit(&mut *model, some, 60);
    let decoded = model.decode(&model.encode(some).unwrap()).unwrap();
    let exact = some
        .iter()
        .zip(&decoded)
        .filter(|(smiles, decoded)| smiles.as_str() == *decoded)
        .count();
    assert!(
        exact > 50,
        "{exact} of 100 molecules that it was trained on came back"
    );

    model.snapshot().unwrap().save(&path).unwrap();
    let loaded = registry().load(&path).unwrap();
    assert_eq!(
        (loaded.name(), loaded.digest().unwrap()),
        ("flat-autoencoder", model.digest().unwrap())
    );
    assert_eq!(
        loaded.decode(&loaded.encode(some).unwrap()).unwrap(),
        decoded
    );

    let error = models::registry().load(&path).err().unwrap();
    assert!(error.is_unknown_model(), "{error}");
}

#[test]
fn every_interface_is_usable_as_a_trait_object() {
    let molecules = molecules();
    let create = || {
        let vocabulary = Vocabulary::build(Notation::Atoms, &molecules)
            .unwrap()
            .tokens()
            .to_vec();
        let params = serde_json::json!({ "vocabulary": vocabulary });
        let params = FlatAutoencoderParams::from_overrides(&params).unwrap();
        FlatAutoencoder::create_with(params, CreateOptions::new().seed(3)).unwrap()
    };
    let encoder: Box<dyn Encoder<Input = Smiles>> = Box::new(create());
    let decoder: Box<dyn Decoder<Output = String>> = Box::new(create());
    let sampler: Box<dyn Sampler<Output = String>> = Box::new(create());
    let objective: Box<dyn Objective<Input = Smiles>> = Box::new(create());
    let model: Box<dyn AnyModel> = Box::new(create());

    let latents = encoder.encode(&molecules[..3]).unwrap();
    assert_eq!(latents.dims(), [3, 32]);
    assert_eq!(decoder.decode(&latents).unwrap().len(), 3);
    let draws = Draws { seed: 1, first: 0 };
    let prior = sampler.prior(draws, 5).unwrap();
    assert_eq!(prior.dims(), [5, sampler.latent_size()]);
    assert_eq!(sampler.sample(&prior, draws, 1.0).unwrap().len(), 5);
    assert_eq!(objective.size(&molecules[0]).unwrap(), 1);
    let loss = objective
        .loss(&[&molecules[0]], &mut Step::evaluation())
        .unwrap();
    assert_eq!(loss.total.rank(), 0);
    assert_eq!(
        (model.name(), model.networks().len()),
        ("flat-autoencoder", 2)
    );
}

#[test]
fn equal_seeds_train_equal_models() {
    let molecules = molecules();
    let digest = |seed| {
        let mut model = create("flat-autoencoder", &molecules, seed);
        fit(&mut *model, &molecules[..64], 2);
        model.digest().unwrap()
    };
    assert_eq!(digest(5), digest(5));
    assert_ne!(digest(5), digest(6));
}
