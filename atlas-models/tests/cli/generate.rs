//! `sample` and `interpolate`.

use std::collections::HashSet;

use atlas_models::chem;

use crate::support::Scene;

#[test]
fn a_draw_is_the_same_however_many_are_drawn() {
    let scene = Scene::trained();
    let many = scene.atlas("sample bundle -n 700 --seed 3").success();
    assert_eq!(many.lines().count(), 700);
    for few in [1, 2, 511, 513] {
        let some = scene
            .atlas(&format!("sample bundle -n {few} --seed 3"))
            .success();
        assert!(some.lines().eq(many.lines().take(few)), "{few}");
    }
    let mut one_thread = scene.command("sample bundle -n 700 --seed 3");
    let output = one_thread.env("RAYON_NUM_THREADS", "1").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), many);
    assert_ne!(scene.atlas("sample bundle -n 700 --seed 4").success(), many);
    assert_ne!(
        scene
            .atlas("sample bundle -n 700 --seed 3 --temperature 0.5")
            .success(),
        many
    );
}

#[test]
fn counts_and_shares_are_those_of_the_strings() {
    let scene = Scene::trained();
    let object = scene
        .atlas("sample bundle -n 300 --temperature 0.7 --json")
        .json();
    let molecules = object["molecules"].as_array().unwrap();
    let smiles = |row: &serde_json::Value| row["smiles"].as_str().unwrap().to_owned();
    let forms: Vec<String> = molecules
        .iter()
        .filter_map(|row| chem::canonical(&smiles(row)).ok())
        .collect();
    let flagged = molecules.iter().filter(|row| row["valid"] == true).count();
    assert!(
        !forms.is_empty() && forms.len() < 300,
        "{} valid",
        forms.len()
    );
    assert_eq!((molecules.len(), flagged), (300, forms.len()));
    let distinct = forms.iter().collect::<HashSet<_>>().len();
    assert_eq!(object["valid"], forms.len());
    assert_eq!(object["unique"], distinct);
    assert_eq!(object["valid_share"], forms.len() as f64 / 300.0);
    assert_eq!(object["unique_share"], distinct as f64 / forms.len() as f64);

    let output = scene.atlas("sample bundle -n 300 --temperature 0.7");
    let said = format!(
        "drew 300 strings with seed 0: {} valid molecule",
        forms.len()
    );
    assert!(output.stderr.starts_with(&said), "{}", output.stderr);
    let lines = molecules.iter().map(smiles);
    let lines: Vec<String> = lines
        .map(|smiles| {
            if smiles.is_empty() {
                "<empty>".to_owned()
            } else {
                smiles
            }
        })
        .collect();
    assert!(
        output
            .success()
            .lines()
            .eq(lines.iter().map(String::as_str))
    );
}

#[test]
fn only_valid_and_new_molecules_are_the_first_of_all() {
    let scene = Scene::trained();
    let all = scene
        .atlas("sample bundle -n 3000 --temperature 0.7")
        .success();
    let mut seen = HashSet::new();
    let expected: Vec<&str> = all
        .lines()
        .filter(|smiles| chem::canonical(smiles).is_ok_and(|form| seen.insert(form)))
        .take(5)
        .collect();
    assert_eq!(expected.len(), 5);
    scene
        .atlas("sample bundle -n 5 --temperature 0.7 --valid --unique -o new.smi")
        .success();
    let new = String::from_utf8(scene.read("new.smi")).unwrap();
    assert!(new.lines().eq(expected));
}

#[test]
fn greedy_strings_are_those_that_the_latents_decode_to() {
    let scene = Scene::trained();
    let object = scene
        .atlas("sample bundle -n 40 --greedy --json -o new.smi")
        .json();
    assert!(object["temperature"].is_null() && object.get("molecules").is_none());
    assert_eq!(object["written"], 40);
    let again = scene.atlas("sample bundle -n 40 --greedy").success();
    assert_eq!(scene.read("new.smi"), again.as_bytes());
}

#[test]
fn drawing_for_what_does_not_come_ends() {
    let scene = Scene::trained();
    scene.write("old.smi", "as it was");
    // Without noise from the logits a model of so few latents soon repeats itself.
    let error = scene
        .atlas("sample bundle -n 100000 --greedy --valid --unique -o old.smi")
        .failure();
    assert!(error.contains(" of 100,000 strings after "), "{error}");
    assert!(error.ends_with(" was valid and new"), "{error}");
    assert_eq!(scene.read("old.smi"), b"as it was");
}

#[test]
fn strings_are_compared_with_a_file_in_whatever_spelling() {
    let scene = Scene::trained();
    let drawn = scene.atlas("sample bundle -n 200 --json").json();
    let valid = drawn["molecules"].as_array().unwrap().iter();
    let valid = valid.filter(|row| row["valid"] == true);
    let forms: HashSet<String> = valid
        .map(|row| chem::canonical(row["smiles"].as_str().unwrap()).unwrap())
        .collect();
    let some = forms.iter().next().unwrap();
    // A token that the model does not know is no reason to leave a molecule out of a reference.
    scene.write(
        "other.csv",
        format!("name,smiles\nsilane,[SiH4]\none,{some}\n"),
    );
    let options = "sample bundle -n 200 --reference other.csv";
    let object = scene.atlas(&format!("{options} --json")).json();
    assert_eq!(object["reference"], "other.csv");
    let novelty = object["generation"]["novelty"]["value"].as_f64().unwrap();
    assert_eq!(novelty, (forms.len() - 1) as f64 / forms.len() as f64);
    assert_eq!(object["molecules"], drawn["molecules"]);

    let output = scene.atlas(options);
    for name in [
        "novelty", "IntDiv", "SNN", "Frag", "logP", "SA", "QED", "weight",
    ] {
        assert!(
            output.stderr.contains(&format!("\n  {name} ")),
            "{}",
            output.stderr
        );
    }
    assert_eq!(output.success().lines().count(), 200);
    let error = scene.atlas("sample bundle --smiles-column 2").wrong_usage();
    assert!(error.contains("--reference"), "{error}");
}

#[test]
fn samplings_that_cannot_be_are_refused() {
    let scene = Scene::new();
    for usage in [
        "sample",
        "sample bundle -n 0",
        "sample bundle --temperature 0",
        "sample bundle --temperature inf",
        "sample bundle --greedy --temperature 1",
        "interpolate bundle CCO",
        "interpolate bundle CCO CCN --steps 0",
    ] {
        assert_eq!(scene.atlas(usage).code, Some(2), "{usage}");
    }
    let error = scene.atlas("sample nothing").failure();
    assert!(error.contains("nothing"), "{error}");
}

#[test]
fn a_way_starts_and_ends_where_its_molecules_decode_to() {
    let scene = Scene::trained();
    let latents = scene
        .atlas_reading("encode bundle", "CCO\nc1ccccc1\n")
        .success();
    let ends = scene.atlas_reading("decode bundle", &latents).success();
    let ends: Vec<&str> = ends.lines().collect();
    for way in ["linear", "spherical"] {
        let option = if way == "spherical" {
            "--spherical"
        } else {
            ""
        };
        let object = scene
            .atlas(&format!(
                "interpolate bundle CCO c1ccccc1 --steps 4 {option} --json"
            ))
            .json();
        assert_eq!(object["way"], way);
        let steps = object["steps"].as_array().unwrap();
        let shares: Vec<f64> = steps
            .iter()
            .map(|step| step["share"].as_f64().unwrap())
            .collect();
        assert_eq!(shares, [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(
            (&steps[0]["smiles"], &steps[4]["smiles"]),
            (&ends[0].into(), &ends[1].into())
        );
        for step in steps {
            let valid = chem::is_valid(step["smiles"].as_str().unwrap());
            assert_eq!(step["valid"], valid);
        }
    }
    let table = scene
        .atlas("interpolate bundle CCO c1ccccc1 --steps 4")
        .success();
    assert_eq!(table.lines().count(), 6);
    let last = table.lines().last().unwrap();
    assert!(
        last.trim_start().starts_with("4  1.000  ") && last.ends_with(ends[1]),
        "{table}"
    );
}

#[test]
fn a_molecule_that_cannot_exist_or_never_comes_back_is_not_taken_in_silence() {
    let scene = Scene::trained();
    for command in [
        "interpolate bundle CCO CC(C)(C)(C)C",
        "analogues bundle CC(C)(C)(C)C",
        "neighbours bundle CC(C)(C)(C)C --among tiny.smi",
    ] {
        let error = scene.atlas(command).failure();
        assert!(error.contains("valence"), "{command}: {error}");
    }
    let chain = "C".repeat(21);
    let output = scene.atlas(&format!("neighbours bundle {chain} --among tiny.smi"));
    let said = "has 21 tokens and can never come back: decoding gives up after longest = 20";
    assert!(output.stderr.contains(said), "{output:?}");
    output.success();
}

#[test]
fn both_ends_that_are_not_molecules_of_the_model_are_named() {
    let scene = Scene::trained();
    let error = scene.atlas("interpolate bundle CQ C[Si]C").failure();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[0], "there is no way: 2 problems");
    assert!(lines[1].starts_with("  - A: `CQ`: byte 1"), "{error}");
    assert!(
        lines[2].starts_with("  - B: `C[Si]C`: ") && lines[2].contains("`[Si]`"),
        "{error}"
    );
}
