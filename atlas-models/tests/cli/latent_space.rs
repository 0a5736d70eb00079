//! `fit-prior`, `analogues` and `neighbours`.

use std::collections::HashSet;

use atlas_models::chem;
use serde_json::Value;

use crate::support::{MOLECULES, Scene};

fn components(scene: &Scene, bundle: &str) -> Value {
    let bundle = scene.atlas(&format!("inspect {bundle} --json")).json();
    bundle["parameters"]["prior_components"].clone()
}

#[test]
fn the_prior_is_fitted_again_to_other_molecules_and_checked_with_the_model() {
    let scene = Scene::trained();
    let fitted = scene
        .atlas("fit-prior bundle --data tiny.smi --components 1,2 --seed 4 --out other --json")
        .json();
    let tried = fitted["prior"]["tried"].as_array().unwrap();
    assert_eq!(tried[0]["components"], 0);
    assert_eq!(tried[1]["components"], 1);
    assert_eq!(fitted["prior"]["molecules"], MOLECULES.len() - 2);
    assert_eq!(components(&scene, "other"), fitted["prior"]["components"]);
    scene.atlas("verify other").success();
    // The encoder and the decoder stay, and so does what training noted.
    let diff = scene.atlas("diff bundle other --json");
    assert!(!diff.stdout.contains("\"encoder\""), "{}", diff.stdout);
    let notes = scene.atlas("inspect other --json").json();
    assert!(notes["provenance"]["notes"]["training"].is_object());
    assert_eq!(notes["provenance"]["notes"]["prior"]["seed"], 4);
}

#[test]
fn samples_come_from_the_prior_that_is_asked_for() {
    let scene = Scene::trained();
    scene
        .atlas("fit-prior bundle --data tiny.smi --components 1")
        .success();
    if components(&scene, "bundle") == 0 {
        panic!("the standard normal describes the latents of a hardly trained model");
    }
    let sample = |prior: &str| scene.atlas(&format!("sample bundle -n 50 --seed 1 {prior}"));
    let usual = sample("").success();
    assert_eq!(sample("--prior fitted").success(), usual);
    assert_ne!(sample("--prior standard").success(), usual);
}

#[test]
fn what_each_string_is_is_written_to_a_table() {
    let scene = Scene::trained();
    let command = "sample bundle -n 60 --seed 3 --guided --reference tiny.smi --json";
    let with_table = format!("{command} --per-molecule each.csv");
    let found = scene.atlas(&with_table).json();
    assert_eq!(found["prior"], scene.atlas(command).json()["prior"]);
    let mut table = csv::Reader::from_path(scene.path("each.csv")).unwrap();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    let molecules = found["molecules"].as_array().unwrap();
    assert_eq!(rows.len(), molecules.len());
    let (mut nearest, mut novel) = (Vec::new(), HashSet::new());
    for (number, (row, molecule)) in rows.iter().zip(molecules).enumerate() {
        let cells: Vec<&str> = row.iter().collect();
        let [
            index,
            smiles,
            valid,
            canonical,
            properties @ ..,
            similarity,
            known,
        ] = &cells[..]
        else {
            panic!("{row:?}");
        };
        assert_eq!(*index, (number + 1).to_string());
        assert_eq!(*smiles, molecule["smiles"]);
        assert_eq!(*valid, molecule["valid"].to_string());
        match chem::canonical(smiles) {
            Ok(form) => {
                assert_eq!(*canonical, form);
                nearest.push(similarity.parse::<f64>().unwrap());
                let described = chem::Descriptors::of(smiles).unwrap();
                assert_eq!(properties[3], described.weight.to_string());
                if *known == "false" {
                    novel.insert(form);
                }
            }
            Err(_) => assert!(cells[3..].iter().all(|cell| cell.is_empty()), "{row:?}"),
        }
    }
    // The table holds what the figures are made of.
    let figures = &found["generation"];
    let mean = nearest.iter().sum::<f64>() / nearest.len() as f64;
    assert!((figures["SNN"]["value"].as_f64().unwrap() - mean).abs() < 1e-12);
    let distinct = rows
        .iter()
        .map(|row| &row[3])
        .filter(|form| !form.is_empty());
    let distinct = distinct.collect::<HashSet<_>>().len();
    let share = novel.len() as f64 / distinct as f64;
    assert!((figures["novelty"]["value"].as_f64().unwrap() - share).abs() < 1e-12);
}

#[test]
fn a_prior_that_is_not_there_is_refused() {
    let scene = Scene::new();
    scene.write("two.smi", "CCO\nCCN\n");
    let tiny = Scene::TINY.replace("tiny.smi", "two.smi");
    let tiny = tiny.replace("--held-out 4", "--held-out 1");
    scene.atlas(&format!("train {tiny} --out small")).success();
    let error = scene.atlas("sample small --prior fitted").failure();
    assert!(error.contains("atlas fit-prior small"), "{error}");
    let error = scene.atlas("fit-prior small").failure();
    assert_eq!(error, "a density is fitted to at least 2 latents, not to 1");
}

#[test]
fn analogues_are_other_molecules_the_most_similar_first() {
    let scene = Scene::trained();
    let command = "analogues bundle CCO -n 5 --radius 100 --seed 2";
    let found = scene.atlas(&format!("{command} --json")).json();
    let molecules = found["molecules"].as_array().unwrap();
    assert_eq!(molecules.len(), 5);
    let mut distinct = HashSet::from(["CCO"]);
    let mut before = 1.0;
    for molecule in molecules {
        let smiles = molecule["smiles"].as_str().unwrap();
        assert!(
            chem::is_valid(smiles) && distinct.insert(smiles),
            "{smiles}"
        );
        let similarity = molecule["similarity"].as_f64().unwrap();
        assert_eq!(similarity, chem::similarity("CCO", smiles).unwrap());
        assert!(similarity <= before);
        before = similarity;
    }
    scene.atlas(&format!("{command} -o a.csv")).success();
    let table = String::from_utf8(scene.read("a.csv")).unwrap();
    assert_eq!(table.lines().count(), 6);
    assert!(table.starts_with("smiles,similarity,radius\n"));
    let error = scene.atlas("analogues bundle CCI").failure();
    assert!(error.starts_with("`CCI`: "), "{error}");
}

#[test]
fn the_nearest_of_a_file_is_the_molecule_itself() {
    let scene = Scene::trained();
    let command = "neighbours bundle CC(=O)N --among tiny.smi -n 3";
    let found = scene.atlas(&format!("{command} --json")).json();
    let neighbours = found["neighbours"].as_array().unwrap();
    assert_eq!(neighbours.len(), 3);
    assert_eq!(neighbours[0]["smiles"], "CC(=O)N");
    assert_eq!(neighbours[0]["distance"], 0.0);
    assert_eq!(neighbours[0]["similarity"], 1.0);
    assert_eq!(neighbours[0]["line"], 6);
    let distances: Vec<f64> = neighbours
        .iter()
        .map(|neighbour| neighbour["distance"].as_f64().unwrap())
        .collect();
    assert!(distances.is_sorted() && distances[1] > 0.0, "{distances:?}");
    scene.atlas(&format!("{command} -o n.csv")).success();
    let table = String::from_utf8(scene.read("n.csv")).unwrap();
    assert!(
        table
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("CC(=O)N,0.0000,1.0000,")
    );
}
