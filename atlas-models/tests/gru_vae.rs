//! What holds of the recurrent variational autoencoder.

use atlas_core::Error;
use atlas_core::prelude::*;
use atlas_models::chem::{Smiles, Vocabulary};
use atlas_models::models::{GruVae, GruVaeParams};
use candle_core::{DType, Tensor};

fn smiles(texts: &[&str]) -> Vec<Smiles> {
    texts
        .iter()
        .map(|text| Smiles::parse(text).unwrap())
        .collect()
}

fn some() -> Vec<Smiles> {
    smiles(&[
        "CCO",
        "c1ccccc1",
        "CC(=O)Nc1ccc(Cl)cc1",
        "C",
        "C[C@@H](N)C(=O)O",
        "BrCC%10CCCC%10",
    ])
}

fn params() -> GruVaeParams {
    let vocabulary = Vocabulary::build(&some()).unwrap().tokens().to_vec();
    let overrides = serde_json::json!({
        "vocabulary": vocabulary,
        "encoder_hidden_size": 24,
        "latent_size": 10,
        "decoder_hidden_size": 20,
        "decoder_layers": 2,
        "longest": 40,
    });
    GruVaeParams::from_overrides(&overrides).unwrap()
}

fn model() -> Model<GruVae> {
    GruVae::create_with(params(), CreateOptions::new().seed(11)).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<Vec<u32>> {
    let rows = tensor.to_vec2::<f32>().unwrap();
    rows.into_iter()
        .map(|row| row.into_iter().map(f32::to_bits).collect())
        .collect()
}

#[test]
fn latents_and_strings_do_not_depend_on_the_rest_of_the_batch() {
    let (model, some) = (model(), some());
    let together = model.encode(&some).unwrap();
    let decoded = model.decode(&together).unwrap();
    for (index, molecule) in some.iter().enumerate() {
        let alone = model.encode(std::slice::from_ref(molecule)).unwrap();
        assert_eq!(bits(&alone)[0], bits(&together)[index], "{molecule}");
        assert_eq!(
            model.decode(&alone).unwrap()[0],
            decoded[index],
            "{molecule}"
        );
    }
}

#[test]
fn a_sample_depends_on_its_seed_and_number_alone() {
    let model = model();
    let sample = |first, count| {
        let draws = Draws { seed: 3, first };
        let latents = model.prior(draws, count).unwrap();
        model.sample(&latents, draws, 1.0).unwrap()
    };
    let all = sample(0, 150);
    for (first, count) in [(0, 1), (0, 149), (7, 1), (7, 100), (149, 1)] {
        let range = first as usize..first as usize + count;
        assert_eq!(sample(first, count), all[range], "{count} from {first}");
    }
    let distinct: std::collections::HashSet<&String> = all.iter().collect();
    assert!(distinct.len() > 100, "{} of 150", distinct.len());
}

#[test]
fn latents_of_another_width_and_temperatures_of_zero_are_refused() {
    let model = model();
    let draws = Draws { seed: 3, first: 0 };
    let narrow = draws.normal(2, model.latent_size() - 1).unwrap();
    let error = model.sample(&narrow, draws, 1.0).unwrap_err().to_string();
    assert_eq!(error, "latents of 9 dimensions; the model's have 10");
    let latents = model.prior(draws, 2).unwrap();
    let error = model.sample(&latents, draws, 0.0).unwrap_err().to_string();
    assert!(error.contains("temperature of 0"), "{error}");
}

#[test]
fn an_unknown_token_is_named_with_its_input_and_byte() {
    let error = model()
        .encode(&smiles(&["CCO", "CCF"]))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("input 1: byte 2: `F` is not in the vocabulary"),
        "{error}"
    );
    // Training asks for the size first.
    let known = smiles(&["CCO", "CCF"]);
    assert_eq!(model().size(&known[0]).unwrap(), 3);
    let error = model().size(&known[1]).unwrap_err().to_string();
    assert!(
        error.starts_with("byte 2: `F` is not in the vocabulary"),
        "{error}"
    );
    let loss = model().loss(&[&known[0], &known[1]], &mut Step::evaluation());
    let error = loss.unwrap_err().to_string();
    assert!(
        error.starts_with("input 1: byte 2: `F` is not in the vocabulary"),
        "{error}"
    );
}

#[test]
fn latents_of_another_width_are_refused() {
    let latents = Tensor::zeros((2, 9), DType::F32, &candle_core::Device::Cpu).unwrap();
    let error = model().decode(&latents).unwrap_err().to_string();
    assert_eq!(error, "latents of 9 dimensions; the model's have 10");
}

#[test]
fn every_variable_receives_a_gradient() {
    let model = model();
    let some = some();
    let batch: Vec<&Smiles> = some.iter().collect();
    let loss = model.loss(&batch, &mut Step::training(1)).unwrap();
    let gradients = loss.total.backward().unwrap();
    for (name, var) in model.vars() {
        let gradient = gradients
            .get(&var)
            .unwrap_or_else(|| panic!("{name} received no gradient"));
        let size = gradient
            .abs()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert!(size > 0.0 && size.is_finite(), "{name}: {size}");
    }
}

/// The whole loss, through both recurrent networks, against central differences in f64.
#[test]
fn the_gradient_of_the_loss_is_right() {
    let options = CreateOptions::new().seed(11).dtype(DType::F64);
    let model = GruVae::create_with(params(), options).unwrap();
    let some = some();
    let batch: Vec<&Smiles> = some.iter().collect();
    let loss = || model.loss(&batch, &mut Step::training(1)).unwrap().total;
    let gradients = loss().backward().unwrap();
    for (name, var) in model.vars() {
        let gradient = gradients
            .get(&var)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f64>()
            .unwrap();
        let values = var.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for index in [0, values.len() / 2, values.len() - 1] {
            let at = |offset: f64| {
                let mut moved = values.clone();
                moved[index] += offset;
                var.set(&Tensor::from_vec(moved, var.shape(), var.device()).unwrap())
                    .unwrap();
                loss().to_scalar::<f64>().unwrap()
            };
            let width = 1e-5;
            let difference = (at(width) - at(-width)) / (2.0 * width);
            at(0.0);
            let error = (difference - gradient[index]).abs();
            assert!(
                error < 1e-6 * (1.0 + difference.abs()),
                "{name}[{index}]: {difference} {}",
                gradient[index]
            );
        }
    }
}

#[test]
fn evaluation_draws_nothing_and_training_draws_by_its_seed() {
    let model = model();
    let some = some();
    let batch: Vec<&Smiles> = some.iter().collect();
    let loss = |mut step: Step| {
        model
            .loss(&batch, &mut step)
            .unwrap()
            .total
            .to_scalar::<f32>()
            .unwrap()
    };
    assert_eq!(loss(Step::evaluation()), loss(Step::evaluation()));
    assert_eq!(loss(Step::training(4)), loss(Step::training(4)));
    assert_ne!(loss(Step::training(4)), loss(Step::training(5)));
}

#[test]
fn the_loss_is_its_weighted_parts() {
    let model = model();
    let some = some();
    let batch: Vec<&Smiles> = some.iter().collect();
    let loss = model
        .loss(&batch, &mut Step::evaluation().with_weight("kl", 0.25))
        .unwrap();
    let part = |wanted: &str| {
        let (_, part) = loss.parts.iter().find(|(name, _)| *name == wanted).unwrap();
        part.to_scalar::<f32>().unwrap()
    };
    let total = loss.total.to_scalar::<f32>().unwrap();
    assert!((total - (part("reconstruction") + 0.25 * part("kl"))).abs() < 1e-4 * total);
    // An untrained model knows nothing: each token costs about the logarithm of the vocabulary.
    let sizes = some.iter().map(|smiles| model.size(smiles).unwrap() + 1);
    let tokens: usize = sizes.sum();
    let expected = (model.vocabulary.len() as f32).ln() * tokens as f32 / some.len() as f32;
    assert!(
        (part("reconstruction") / expected - 1.0).abs() < 0.1,
        "{} {expected}",
        part("reconstruction")
    );
}

#[test]
fn a_loaded_model_gives_the_same_bits_and_builds_no_graph() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vae");
    let model = model();
    model.save(&path).unwrap();
    let loaded = GruVae::load(&path).unwrap();
    let (before, after) = (
        model.encode(&some()).unwrap(),
        loaded.encode(&some()).unwrap(),
    );
    assert_eq!(bits(&before), bits(&after));
    assert_eq!(
        model.decode(&before).unwrap(),
        loaded.decode(&after).unwrap()
    );
    assert!(loaded.vars().is_empty());
    assert!(!after.track_op());
    assert_eq!(model.digest().unwrap(), loaded.digest().unwrap());
}

#[test]
fn a_vocabulary_that_is_none_is_refused_with_every_reason() {
    let overrides =
        serde_json::json!({ "vocabulary": ["<pad>", "<start>", "<end>", "C", "C", "Q"] });
    let error: Error = GruVaeParams::from_overrides(&overrides).unwrap_err();
    assert_eq!(error.problems()[0].path(), "vocabulary");
    let text = error.to_string();
    assert!(
        text.contains("\"C\" repeats token 3") && text.contains("`Q` is not a SMILES token"),
        "{text}"
    );
}

/// `atlas train` wrote it from ten molecules; its behaviour check starts from SMILES.
#[test]
fn a_bundle_of_version_1_loads_for_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gru-vae-1");
    let loaded = GruVae::load(path).unwrap();
    assert_eq!(
        loaded.digest().unwrap(),
        "6d8bd6eb8618eef90ed42dacad48a5e7d3c28194b2e2d62e2a34b855e6e25ed9"
    );
    let latents = loaded.encode(&smiles(&["CCO", "CCCl"])).unwrap();
    assert_eq!(latents.dims(), [2, 3]);
}
