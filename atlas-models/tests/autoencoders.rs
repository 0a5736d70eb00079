//! What holds of every autoencoder that is registered.

use atlas_core::prelude::*;
use atlas_core::train::{self, Run, TrainParams};
use atlas_core::{Bundle, Registry};
use atlas_models::chem::{Notation, Smiles, Vocabulary, canonical, is_valid};
use atlas_models::models::{self, MoleculeAutoencoder};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

type Model = Box<dyn MoleculeAutoencoder>;

fn smiles(texts: &[&str]) -> Vec<Smiles> {
    let parsed = texts.iter().map(|text| Smiles::parse(text).unwrap());
    parsed.collect()
}

/// Chains, rings, stereo, charges, a molecule of one token and one of many.
fn molecules() -> Vec<Smiles> {
    smiles(&[
        "CCO",
        "c1ccccc1",
        "CC(=O)Nc1ccc(Cl)cc1",
        "C",
        "C[C@@H](N)C(=O)O",
        "BrCC1CCCC1",
        "C[N+](C)(C)CC(=O)[O-]",
        "CC(=O)Nc1ccc(Cl)cc1CCNC(=O)CCC(=O)Nc1ccc(Cl)cc1",
    ])
}

/// As small as it can be and still have everything: several layers, dropout between them.
fn small(name: &str) -> Value {
    let vocabulary = Vocabulary::build(Notation::Atoms, &molecules()).unwrap();
    let recurrent = json!({ "hidden_size": 12, "layers": 2, "embedding_size": 6 });
    let attending = json!({
        "hidden_size": 12, "layers": 2, "heads": 2, "feed_forward_size": 20,
    });
    let (reader, writer) = match name {
        "transformer-vae" => (attending.clone(), attending),
        "conv-vae" => (
            json!({ "hidden_size": 12, "filters": [5, 4], "kernels": [3, 4] }),
            recurrent,
        ),
        "graph-vae" => (json!({ "hidden_size": 12, "steps": 3 }), recurrent),
        _ => (recurrent.clone(), recurrent),
    };
    json!({
        "vocabulary": vocabulary.tokens(),
        "longest": 60,
        "reader": reader,
        "latent": { "size": 7 },
        "writer": writer,
    })
}

/// The registered autoencoders by name, each in the sizes of [`small`] with `more` on top.
fn each(more: &Value, mut test: impl FnMut(&str, &Value)) {
    for entry in models::registry().models() {
        let mut params = small(entry.name());
        merge(&mut params, more);
        test(entry.name(), &params);
    }
}

fn merge(base: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        if value.is_object() && base.get(name).is_some() {
            merge(&mut base[name], value);
        } else {
            base[name] = value.clone();
        }
    }
}

fn create(name: &str, params: &Value, options: CreateOptions) -> Model {
    let created = models::registry().create(name, params, options.seed(11));
    created.unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn bits(tensor: &Tensor) -> Vec<Vec<u32>> {
    let rows = tensor.to_vec2::<f32>().unwrap();
    let bits = |row: Vec<f32>| row.into_iter().map(f32::to_bits).collect();
    rows.into_iter().map(bits).collect()
}

/// The parameters in which autoencoders differ beside their architecture.
fn variants() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "latent": { "kind": "deterministic" }, "tokens": { "word_dropout": 0.3 } }),
        json!({ "latent": { "kind": "matched" }, "tokens": { "notation": "characters" } }),
        json!({ "latent": { "free_bits": 0.05 }, "tokens": { "read": "random", "write": "canonical" } }),
        json!({ "tokens": { "notation": "selfies" } }),
    ]
}

/// The parameters with the vocabulary of their notation.
fn with_vocabulary(params: &Value) -> Value {
    let mut params = params.clone();
    let notation = params["tokens"]["notation"].as_str().unwrap_or("atoms");
    let notation: Notation = notation.parse().unwrap();
    let mut spelt = molecules();
    spelt.extend(molecules().iter().map(|molecule| {
        let form = canonical(molecule.as_str()).unwrap();
        Smiles::parse(&form).unwrap()
    }));
    let vocabulary = Vocabulary::build(notation, &spelt).unwrap();
    params["vocabulary"] = json!(vocabulary.tokens());
    params
}

#[test]
fn a_saved_model_loads_as_it_was_and_its_behaviour_is_checked() {
    for more in variants() {
        each(&more, |name, params| {
            let model = create(name, &with_vocabulary(params), CreateOptions::new());
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            model.snapshot().unwrap().save(&path).unwrap();
            assert!(Bundle::open(&path).unwrap().has_golden(), "{name}");
            let loaded = models::registry().load(&path).unwrap();
            assert_eq!(loaded.digest().unwrap(), model.digest().unwrap(), "{name}");
            let latents = model.encode(&molecules()).unwrap();
            let again = loaded.encode(&molecules()).unwrap();
            assert_eq!(bits(&latents), bits(&again), "{name}");
            assert!(!again.track_op(), "{name}");
            assert_eq!(
                model.decode(&latents).unwrap(),
                loaded.decode(&again).unwrap(),
                "{name}"
            );
        });
    }
}

#[test]
fn what_a_model_is_to_write_is_the_molecule_in_the_spelling_that_it_learns() {
    let as_given: fn(&Smiles) -> String = |molecule| molecule.to_string();
    let in_canonical_form: fn(&Smiles) -> String = |molecule| canonical(molecule.as_str()).unwrap();
    let by_selfies: fn(&Smiles) -> String = |molecule| {
        let selfies = Vocabulary::build(Notation::Selfies, [molecule]).unwrap();
        let ids = selfies.encode(molecule).unwrap();
        selfies.decode(ids.iter().copied()).unwrap()
    };
    for (tokens, spelt) in [
        (json!({ "write": "as-given" }), as_given),
        (json!({ "write": "random" }), as_given),
        (json!({ "write": "canonical" }), in_canonical_form),
        (
            json!({ "write": "as-given", "notation": "selfies" }),
            by_selfies,
        ),
    ] {
        each(&json!({ "tokens": tokens }), |name, params| {
            let model = create(name, &with_vocabulary(params), CreateOptions::new());
            for molecule in molecules() {
                let target = model.target(&molecule).unwrap();
                assert_eq!(target, spelt(&molecule), "{name}");
                let forms = [&target, molecule.as_str()].map(|text| canonical(text).unwrap());
                assert_eq!(forms[0], forms[1], "{name}: {target}");
            }
        });
    }
}

#[test]
fn what_is_computed_of_a_molecule_does_not_depend_on_the_others() {
    each(&json!({}), |name, params| {
        let model = create(name, params, CreateOptions::new());
        let together = model.encode(&molecules()).unwrap();
        let decoded = model.decode(&together).unwrap();
        let beam = |latents: &Tensor, width| model.decode_by_beam(latents, width).unwrap();
        assert_eq!(beam(&together, 1), decoded, "{name}");
        let searched = beam(&together, 3);
        for (index, molecule) in molecules().iter().enumerate() {
            let alone = model.encode(std::slice::from_ref(molecule)).unwrap();
            let name = format!("{name}: {molecule}");
            assert_eq!(bits(&alone)[0], bits(&together)[index], "{name}");
            assert_eq!(model.decode(&alone).unwrap()[0], decoded[index], "{name}");
            assert_eq!(beam(&alone, 3)[0], searched[index], "{name}");
        }
    });
}

#[test]
fn nothing_encodes_to_no_latents_and_these_decode_to_nothing() {
    each(&json!({}), |name, params| {
        let model = create(name, params, CreateOptions::new());
        let latents = model.encode(&[]).unwrap();
        assert_eq!(
            (latents.dims(), latents.dtype()),
            (&[0, 7][..], DType::F32),
            "{name}"
        );
        assert!(model.decode(&latents).unwrap().is_empty(), "{name}");
        let drawn = model.sample(&latents, Draws { seed: 3, first: 0 }, 1.0);
        assert!(drawn.unwrap().is_empty(), "{name}");
    });
}

#[test]
fn a_sample_depends_on_its_seed_and_number_alone() {
    each(&json!({}), |name, params| {
        let model = create(name, params, CreateOptions::new());
        let sample = |first, count| {
            let draws = Draws { seed: 3, first };
            let latents = model.prior(draws, count).unwrap();
            model.sample(&latents, draws, 1.0).unwrap()
        };
        let all = sample(0, 100);
        for (first, count) in [(0, 1), (0, 99), (7, 1), (7, 60), (99, 1)] {
            let range = first as usize..first as usize + count;
            assert_eq!(sample(first, count), all[range], "{name}");
        }
        let distinct: std::collections::HashSet<&String> = all.iter().collect();
        assert!(distinct.len() > 60, "{name}: {} of 100", distinct.len());
    });
}

/// Of an untrained model: that of each variable, against central differences in f64.
#[test]
fn every_variable_receives_the_gradient_that_the_loss_has() {
    for more in variants() {
        each(&more, |name, params| {
            let params = with_vocabulary(params);
            let model = create(name, &params, CreateOptions::new().dtype(DType::F64));
            let molecules = molecules();
            let batch: Vec<&Smiles> = molecules.iter().collect();
            let loss = || model.loss(&batch, &mut Step::training(1)).unwrap().total;
            let gradients = loss().backward().unwrap();
            for (variable, var) in model.vars() {
                let name = format!("{name}: {variable}");
                let gradient = gradients.get(&var).unwrap_or_else(|| panic!("{name}"));
                let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                let largest = |a: &f64, b: &f64| a.abs().total_cmp(&b.abs());
                let place =
                    (0..gradient.len()).max_by(|a, b| largest(&gradient[*a], &gradient[*b]));
                let place = place.unwrap();
                assert!(gradient[place].abs() > 1e-9, "{name} has no effect");
                let values = var.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                let at = |offset: f64| {
                    let mut moved = values.clone();
                    moved[place] += offset;
                    let moved = Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap();
                    var.set(&moved).unwrap();
                    loss().to_scalar::<f64>().unwrap()
                };
                let width = 1e-5;
                let difference = (at(width) - at(-width)) / (2.0 * width);
                at(0.0);
                let error = (difference - gradient[place]).abs();
                assert!(
                    error < 1e-6 * (1.0 + difference.abs()),
                    "{name}: {difference} {}",
                    gradient[place]
                );
            }
        });
    }
}

#[test]
fn evaluation_draws_nothing_and_training_draws_by_its_seed() {
    each(&json!({}), |name, params| {
        let model = create(name, params, CreateOptions::new());
        let molecules = molecules();
        let batch: Vec<&Smiles> = molecules.iter().collect();
        let loss = |mut step: Step| {
            let loss = model.loss(&batch, &mut step).unwrap().total;
            loss.to_scalar::<f32>().unwrap()
        };
        assert_eq!(loss(Step::evaluation()), loss(Step::evaluation()), "{name}");
        assert_eq!(loss(Step::training(4)), loss(Step::training(4)), "{name}");
        assert_ne!(loss(Step::training(4)), loss(Step::training(5)), "{name}");
    });
}

/// Stops after some steps, and keeps the checkpoint that is made then.
struct Interrupted {
    after: u64,
    checkpoint: Option<atlas_core::Checkpoint>,
}

impl train::Observer<dyn MoleculeAutoencoder> for Interrupted {
    fn on_step(
        &mut self,
        _: &mut (dyn MoleculeAutoencoder + 'static),
        step: &train::StepReport,
        training: &train::Training<'_>,
    ) -> Result<train::Control> {
        if step.step < self.after {
            return Ok(train::Control::Continue);
        }
        self.checkpoint = Some(training.checkpoint()?);
        Ok(train::Control::Stop)
    }
}

#[test]
fn a_run_that_is_resumed_ends_with_the_model_that_it_would_have_ended_with() {
    each(&json!({}), |name, params| {
        let run = Run {
            params: TrainParams {
                epochs: 3,
                batch: 3,
                warm_up: 2,
                ..Default::default()
            },
            seed: 5,
            ..Default::default()
        };
        let data = molecules();
        let mut whole = create(name, params, CreateOptions::new());
        train::train(&mut *whole, &data, &run, &mut ()).unwrap();

        let mut part = create(name, params, CreateOptions::new());
        let mut observer = Interrupted {
            after: 4,
            checkpoint: None,
        };
        train::train(&mut *part, &data, &run, &mut observer).unwrap();
        let mut snapshot = part.snapshot().unwrap();
        snapshot.checkpoint = observer.checkpoint.clone();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        snapshot.save(&path).unwrap();
        let options = LoadOptions::new().trainable(true);
        let registry: Registry<dyn MoleculeAutoencoder> = models::registry();
        let mut resumed = registry.load_with(&path, &options).unwrap();
        let checkpoint = Bundle::open(&path).unwrap().checkpoint().unwrap().unwrap();
        train::resume(&mut *resumed, &data, &run, &checkpoint, &mut ()).unwrap();
        assert_eq!(resumed.digest().unwrap(), whole.digest().unwrap(), "{name}");
    });
}

#[test]
fn a_token_that_is_unknown_is_named_with_its_input() {
    each(
        &json!({ "tokens": { "write": "as-given" } }),
        |name, params| {
            let model = create(name, params, CreateOptions::new());
            let unknown = smiles(&["CCO", "CCF"]);
            let error = model.size(&unknown[1]).unwrap_err().to_string();
            assert!(
                error.contains("`F` is not in the vocabulary"),
                "{name}: {error}"
            );
            let batch: Vec<&Smiles> = unknown.iter().collect();
            let error = model.loss(&batch, &mut Step::evaluation()).unwrap_err();
            assert!(
                error.to_string().starts_with("input 1: "),
                "{name}: {error}"
            );
        },
    );
}

#[test]
fn latents_of_another_width_and_temperatures_of_zero_are_refused() {
    each(&json!({}), |name, params| {
        let model = create(name, params, CreateOptions::new());
        let draws = Draws { seed: 3, first: 0 };
        let narrow = draws.normal(2, 6).unwrap();
        for refused in [model.sample(&narrow, draws, 1.0), model.decode(&narrow)] {
            let error = refused.unwrap_err().to_string();
            assert_eq!(
                error, "latents of 6 dimensions; the model's have 7",
                "{name}"
            );
        }
        let latents = model.prior(draws, 2).unwrap();
        let error = model.sample(&latents, draws, 0.0).unwrap_err().to_string();
        assert!(error.contains("temperature of 0"), "{name}: {error}");
    });
}

/// The latents of molecules whose spelling a reader does not see.
#[test]
fn the_latent_of_a_graph_does_not_depend_on_the_spelling() {
    let model = create("graph-vae", &small("graph-vae"), CreateOptions::new());
    let spellings = [
        "CC(=O)Nc1ccc(Cl)cc1",
        "Clc1ccc(NC(C)=O)cc1",
        "c1cc(ccc1Cl)NC(=O)C",
    ];
    let latents = model.encode(&smiles(&spellings)).unwrap();
    let latents = latents.to_vec2::<f32>().unwrap();
    for other in &latents[1..] {
        for (a, b) in latents[0].iter().zip(other) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
    let other = model.encode(&smiles(&["CC(=O)Nc1cccc(Cl)c1"])).unwrap();
    let other = other.to_vec2::<f32>().unwrap();
    let apart = latents[0]
        .iter()
        .zip(&other[0])
        .any(|(a, b)| (a - b).abs() > 1e-4);
    assert!(apart, "another molecule has the same latent");
}

#[test]
fn a_molecule_of_as_many_tokens_as_the_model_writes_is_known_and_a_longer_one_where_it_can_be() {
    each(&json!({ "longest": 40 }), |name, params| {
        let model = create(name, params, CreateOptions::new());
        let chains = smiles(&[&"C".repeat(40), &"C".repeat(41)]);
        assert_eq!(model.size(&chains[0]).unwrap(), 40, "{name}");
        let loss = model.loss(&[&chains[0]], &mut Step::evaluation()).unwrap();
        assert!(loss.total.to_scalar::<f32>().unwrap() > 0.0, "{name}");
        let decoded = model.decode(&model.encode(&chains[..1]).unwrap()).unwrap();
        assert!(decoded[0].len() <= 40 * 6, "{name}: {}", decoded[0]);
        let longer = model.size(&chains[1]);
        if name == "conv-vae" {
            let error = longer.unwrap_err().to_string();
            assert_eq!(error, "41 tokens; the model reads `longest` = 40 at most");
        } else {
            assert_eq!(longer.unwrap(), 41, "{name}");
        }
    });
}

#[test]
fn attachment_points_are_read_and_written_as_atoms_are() {
    each(&json!({}), |name, params| {
        let fragments = smiles(&["*c1ccccc1", "CC(=O)N*", "*"]);
        let vocabulary = Vocabulary::build(Notation::Atoms, &fragments).unwrap();
        let mut params = params.clone();
        params["vocabulary"] = json!(vocabulary.tokens());
        let model = create(name, &params, CreateOptions::new());
        let batch: Vec<&Smiles> = fragments.iter().collect();
        let loss = model.loss(&batch, &mut Step::training(1)).unwrap();
        assert!(loss.total.to_scalar::<f32>().unwrap().is_finite(), "{name}");
        assert_eq!(model.encode(&fragments).unwrap().dims(), [3, 7], "{name}");
    });
}

#[test]
fn guided_strings_are_molecules() {
    each(&json!({ "longest": 30 }), |name, params| {
        let model = create(name, params, CreateOptions::new());
        let draws = Draws { seed: 3, first: 0 };
        let latents = model.prior(draws, 50).unwrap();
        let choice = atlas_models::nn::TokenChoice::drawn(draws, 1.0);
        let written = model.write_guided(&latents, choice).unwrap().unwrap();
        let valid = written.iter().filter(|string| is_valid(string)).count();
        assert!(valid >= 45, "{name}: {valid} of 50: {written:?}");
    });
}
