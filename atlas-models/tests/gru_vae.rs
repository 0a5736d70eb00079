//! What holds of the recurrent variational autoencoder.

use atlas_core::Error;
use atlas_core::prelude::*;
use atlas_models::chem::{Notation, Smiles, Vocabulary};
use atlas_models::models::{GruVae, GruVaeParams};

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
    let vocabulary = Vocabulary::build(Notation::Atoms, &some())
        .unwrap()
        .tokens()
        .to_vec();
    let overrides = serde_json::json!({
        "vocabulary": vocabulary,
        "reader": { "hidden_size": 24 },
        "latent": { "size": 10 },
        "writer": { "hidden_size": 20, "layers": 2 },
        "longest": 40,
    });
    GruVaeParams::from_overrides(&overrides).unwrap()
}

fn model() -> Model<GruVae> {
    GruVae::create_with(params(), CreateOptions::new().seed(11)).unwrap()
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
        "73ab10bf255dbddc8c8db4a96f939227ee95a958524169f1b43ec14decd06cc9"
    );
    let latents = loaded.encode(&smiles(&["CCO", "CCCl"])).unwrap();
    assert_eq!(latents.dims(), [2, 3]);
}
