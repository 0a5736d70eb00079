//! `train --from`: starting from the weights of another bundle.

use crate::support::Scene;

/// Trains further, a little.
const ON: &str = "--data tiny.smi --epochs 1 --batch 8 --held-out 4";

#[test]
fn a_run_starts_from_all_of_a_bundle_with_its_parameters() {
    let scene = Scene::trained();
    scene
        .atlas(&format!(
            "train {ON} --from bundle --out on --lr 1e-9 --seed 5"
        ))
        .success();
    let (before, after) = (
        scene.atlas("inspect bundle --json").json(),
        scene.atlas("inspect on --json").json(),
    );
    assert_eq!(after["parameters"], before["parameters"]);
    let note = &after["provenance"]["notes"]["started_from"];
    assert_eq!(note["digest"], before["digest"]);
    assert_eq!(note["taken"].as_array().unwrap().len(), 2);
    // It is fitted to what is trained on.
    assert_eq!(note["fresh"], serde_json::json!(["prior"]));
    // At such a rate hardly anything moves.
    let differences = scene.atlas("diff bundle on --json");
    assert_eq!(differences.code, Some(1));
    let differences: serde_json::Value = serde_json::from_str(&differences.stdout).unwrap();
    for row in differences["differences"].as_array().unwrap_or(&Vec::new()) {
        let distance = row["largest_distance"].as_f64();
        assert!(distance.is_none_or(|distance| distance < 1e-6), "{row}");
    }
}

#[test]
fn a_run_starts_from_one_network_of_a_bundle() {
    let scene = Scene::trained();
    scene
        .atlas(&format!(
            "train {ON} --from bundle --take encoder --freeze encoder --out on"
        ))
        .success();
    let (before, after) = (
        scene.atlas("inspect bundle --json").json(),
        scene.atlas("inspect on --json").json(),
    );
    let file = |bundle: &serde_json::Value, name: &str| {
        let mut networks = bundle["networks"].as_array().unwrap().iter();
        networks.find(|network| network["name"] == name).unwrap()["blake3"].clone()
    };
    assert_eq!(file(&after, "encoder"), file(&before, "encoder"));
    assert_ne!(file(&after, "decoder"), file(&before, "decoder"));
    let note = &after["provenance"]["notes"]["started_from"];
    assert_eq!(note["fresh"], serde_json::json!(["decoder", "prior"]));
    assert_eq!(
        after["provenance"]["notes"]["frozen"],
        serde_json::json!(["encoder"])
    );
}

#[test]
fn what_does_not_fit_is_said_before_training() {
    let scene = Scene::trained();
    let error = scene
        .atlas(&format!(
            "train {ON} --from bundle --set latent.size=7 --out on"
        ))
        .wrong_usage();
    assert!(
        error.contains("--from bundle:")
            && error.contains("`encoder/mean.bias`: the model has F32 [7]; F32 [6] there"),
        "{error}"
    );
    let error = scene
        .atlas(&format!("train {ON} --from bundle --take encodr --out on"))
        .wrong_usage();
    assert!(
        error.contains("`encodr`: the model has no such network"),
        "{error}"
    );
    let error = scene
        .atlas(&format!("train {ON} --from absent --out on"))
        .failure();
    assert!(error.contains("absent"), "{error}");
    assert_eq!(scene.atlas("train --take encoder").code, Some(2));
}

#[test]
fn a_vocabulary_grows_by_the_tokens_of_other_data() {
    let scene = Scene::trained();
    let long = "C".repeat(30);
    scene.write(
        "other.smi",
        format!("CCO\nCCI\nCC[Si]\n{long}\nCCC\nCCCC\nCCCCC\n"),
    );
    let other = "--data other.smi --epochs 1 --batch 4 --held-out 1 --lr 1e-9";
    let output = scene.atlas(&format!("train {other} --from bundle --out on"));
    for note in [
        "the vocabulary of --from grows by 2 tokens: `I`, `[Si]`",
        "`longest` = 30, as many tokens as the longest molecule has, instead of 20",
    ] {
        assert!(output.stderr.contains(note), "{}", output.stderr);
    }
    output.success();
    let [before, after] =
        ["bundle", "on"].map(|bundle| scene.atlas(&format!("inspect {bundle} --json")).json());
    let tokens = |bundle: &serde_json::Value| {
        let tokens = bundle["parameters"]["vocabulary"].as_array().unwrap();
        tokens.clone()
    };
    let known = tokens(&before);
    assert_eq!(
        tokens(&after),
        [known.clone(), vec!["I".into(), "[Si]".into()]].concat()
    );
    let note = &after["provenance"]["notes"]["started_from"];
    assert_eq!(
        note["grown"],
        serde_json::json!([
            "encoder/embedding.weight",
            "decoder/embedding.weight",
            "decoder/logits.bias",
            "decoder/logits.weight"
        ])
    );
    // What it knew, it still knows, and it can read the rest.
    let latents = |bundle: &str| {
        let csv = scene
            .atlas(&format!("encode {bundle} -i tiny.smi"))
            .success();
        let numbers = csv.lines().skip(1).flat_map(|line| line.split(',').skip(3));
        let numbers = numbers.map(|number| number.parse::<f64>().unwrap());
        numbers.collect::<Vec<_>>()
    };
    let far = latents("bundle").into_iter().zip(latents("on"));
    assert!(far.into_iter().all(|(a, b)| (a - b).abs() < 1e-4));
    scene.atlas("encode on -i other.smi").success();
}

#[test]
fn a_vocabulary_that_is_given_comes_after_the_one_of_the_bundle() {
    let scene = Scene::trained();
    scene.write(
        "p.json",
        r#"{ "vocabulary": ["<pad>", "<start>", "<end>", "N", "C"] }"#,
    );
    scene.write("cn.smi", "CN\nCCN\nCCCN\n");
    let error = scene
        .atlas("train --data cn.smi --from bundle --params p.json --out on")
        .wrong_usage();
    assert!(
        error.contains("`vocabulary`: the one of --from is another; further tokens come after"),
        "{error}"
    );
}

#[test]
fn a_resumed_run_goes_on_from_what_it_was_begun_from() {
    let scene = Scene::trained();
    let command = format!("train {ON} --from bundle --take encoder --out on");
    scene.atlas(&command).success();
    let digest = |scene: &Scene| scene.atlas("inspect on --json").json()["digest"].clone();
    let ended = digest(&scene);
    scene.atlas(&format!("{command} --resume")).success();
    assert_eq!(digest(&scene), ended);
    let other =
        "train --data tiny.smi --epochs 1 --batch 8 --held-out 4 --from on --out on --resume";
    let error = scene.atlas(other).wrong_usage();
    assert!(
        error.contains("--from on: the run was not begun from this bundle"),
        "{error}"
    );
    let error = scene
        .atlas(&format!(
            "train {ON} --from bundle --take decoder --out on --resume"
        ))
        .wrong_usage();
    assert!(
        error.contains("--take: the run was begun with encoder"),
        "{error}"
    );
    let error = scene
        .atlas(&format!("train {ON} --from bundle --out bundle"))
        .wrong_usage();
    assert!(
        error.contains("a run cannot replace what it starts from"),
        "{error}"
    );
}

#[test]
fn a_bundle_in_half_precision_has_half_the_bytes_and_every_command() {
    let scene = Scene::trained();
    let whole = scene.atlas("inspect bundle --json").json();
    let cast = scene.atlas("cast bundle --out half --json").json();
    assert_eq!(cast["dtype"], "f16");
    assert_eq!(cast["cast_from"], whole["digest"]);
    scene.atlas("verify half").success();
    let half = scene.atlas("inspect half --json").json();
    assert_eq!(half["parameters"], whole["parameters"]);
    let notes = &half["provenance"]["notes"];
    assert_eq!(notes["cast_from"]["digest"], whole["digest"]);
    assert_eq!(notes["training"], whole["provenance"]["notes"]["training"]);
    let size = |folder: &str| {
        let files = std::fs::read_dir(scene.path(folder)).unwrap();
        let sizes = files.map(|file| file.unwrap().metadata().unwrap().len());
        sizes.sum::<u64>() as f64
    };
    assert!(size("half") < 0.7 * size("bundle"));

    let latents = |bundle: &str| {
        let table = scene
            .atlas(&format!("encode {bundle} -i tiny.smi"))
            .success();
        let mut rows = csv::Reader::from_reader(table.as_bytes());
        let rows = rows.records().flat_map(|row| {
            let row = row.unwrap();
            let cells = row.iter().skip(3);
            cells
                .map(|cell| cell.parse::<f64>().unwrap())
                .collect::<Vec<_>>()
        });
        rows.collect::<Vec<_>>()
    };
    let (exact, rounded) = (latents("bundle"), latents("half"));
    assert_ne!(exact, rounded);
    let far = exact.iter().zip(&rounded).map(|(a, b)| (a - b).abs());
    assert!(far.fold(0.0, f64::max) < 0.01);
    let error = scene.atlas("train --data tiny.smi --from half --out more");
    let error = error.wrong_usage();
    assert!(
        error.contains("`atlas cast half --dtype f32 --out DIR`"),
        "{error}"
    );
    scene.atlas("sample half -n 3").success();
    scene.atlas("evaluate half --samples 20").success();

    // What was rounded stays so.
    scene.atlas("cast half --dtype f32 --out again").success();
    let again = latents("again");
    let far = rounded.iter().zip(&again).map(|(a, b)| (a - b).abs());
    assert!(far.fold(0.0, f64::max) < 0.01);
    let error = scene.atlas("cast bundle --dtype u8 --out no").wrong_usage();
    assert!(error.contains("f16, bf16, f32, f64"), "{error}");
}
