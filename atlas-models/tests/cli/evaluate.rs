//! `evaluate`.

use serde_json::Value;

use crate::support::Scene;

#[test]
fn of_the_file_it_was_trained_on_the_held_out_part_is_evaluated() {
    let scene = Scene::trained();
    let text = scene.atlas("evaluate bundle --data tiny.smi").success();
    assert!(
        text.starts_with("bundle on 4 held-out molecules of tiny.smi\n"),
        "{text}"
    );
    let (reconstruction, others) = text.split_once("\n\n").unwrap();
    let names: Vec<&str> = reconstruction
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().next().unwrap())
        .filter(|name| *name != "failures")
        .collect();
    assert_eq!(names, ["exact", "canonical", "valid", "tokens", "seen"]);
    assert!(
        others.starts_with("1,000 strings drawn with seed 0\n  valid "),
        "{others}"
    );
    assert!(others.contains("\n\nlatents\n  active "), "{others}");

    let json = scene.atlas("evaluate bundle --data tiny.smi --json").json();
    assert_eq!(
        (&json["part"], &json["molecules"]),
        (&"held-out".into(), &4.into())
    );
    let noted =
        scene.atlas("inspect bundle --json").json()["provenance"]["notes"]["training"]["metrics"]
            .clone();
    for (name, value) in noted.as_object().unwrap() {
        assert_eq!(&json[name], value, "{name}");
    }
}

#[test]
fn a_copy_of_the_file_is_known_by_its_molecules() {
    let scene = Scene::trained();
    let copy = String::from_utf8(scene.read("tiny.smi"))
        .unwrap()
        .replace('\n', " with a name\n");
    scene.write("copy.smi", copy);
    assert_eq!(
        scene.atlas("evaluate bundle --data copy.smi --json").json()["part"],
        "held-out"
    );
}

#[test]
fn everything_and_other_files_are_evaluated_whole() {
    let scene = Scene::trained();
    let all = scene.atlas("evaluate bundle --data tiny.smi --all --json");
    let all = all.json();
    assert_eq!(all["trained_on"], 20);
    assert_eq!(
        (&all["part"], &all["molecules"]),
        (&"all".into(), &24.into())
    );

    scene.write("other.smi", "CCO\nCQ\nC[Si]\nCCN\nCCC\n");
    let json = scene
        .atlas("evaluate bundle --data other.smi --skip-invalid --limit 2 --json")
        .json();
    assert_eq!(
        (&json["part"], &json["molecules"], &json["skipped"]),
        (&"all".into(), &2.into(), &2.into())
    );
    for share in [
        "exact_share",
        "canonical_share",
        "valid_share",
        "token_share",
    ] {
        assert!(
            json[share]
                .as_f64()
                .is_some_and(|share| (0.0..=1.0).contains(&share)),
            "{share}: {json}"
        );
    }
}

#[test]
fn a_bundle_of_the_built_in_molecules_needs_no_file() {
    let scene = Scene::new();
    // The shortest training that there is.
    let small =
        "--set reader.hidden_size=4 --set writer.hidden_size=4 --set latent.size=2 --set longest=4";
    let trained = scene
        .atlas(&format!(
            "train --max-minutes 0.00001 --held-out 50 --out b {small} --json"
        ))
        .json();
    assert_eq!(
        (&trained["stopped"], &trained["data"]["source"]),
        (&"time-up".into(), &"built-in".into())
    );
    let evaluated: Value = scene.atlas("evaluate b --json").json();
    assert_eq!(
        (&evaluated["data"], &evaluated["part"]),
        (&"built-in".into(), &"held-out".into())
    );
    assert_eq!(
        (&evaluated["molecules"], &evaluated["tokens"]),
        (&50.into(), &trained["held_out"]["tokens"])
    );
    // Molecules of held-out building blocks have figures of their own, which are the same again.
    let of_blocks = &evaluated["of_held_out_blocks"];
    assert_eq!(of_blocks["molecules"], 1000);
    for (name, value) in trained["of_held_out_blocks"].as_object().unwrap() {
        assert_eq!(&of_blocks[name], value, "{name}");
    }
    let few = scene.atlas("evaluate b --limit 3 --per-molecule few.csv --json");
    assert_eq!(few.json()["of_held_out_blocks"]["molecules"], 3);
    let table = String::from_utf8(scene.read("few.csv")).unwrap();
    let parts: Vec<&str> = table
        .lines()
        .map(|line| line.split_once(',').unwrap().0)
        .collect();
    let (known, unknown) = ("held-out", "held-out-blocks");
    assert_eq!(
        parts,
        ["part", known, known, known, unknown, unknown, unknown]
    );
}

#[test]
fn a_beam_is_as_wide_as_it_is_asked_to_be() {
    let scene = Scene::trained();
    let evaluate = |beam: &str| {
        let command = format!("evaluate bundle --samples 0 --interpolations 0 --json {beam}");
        scene.atlas(&command).json()
    };
    let usual = evaluate("");
    assert_eq!((&usual["beam"], &usual), (&1.into(), &evaluate("--beam 1")));
    assert_eq!(evaluate("--beam 4")["beam"], 4);
    scene.atlas("encode bundle -i tiny.smi -o z.npy").success();
    let decode = |beam: &str| {
        scene
            .atlas(&format!("decode bundle -i z.npy {beam}"))
            .success()
    };
    assert_eq!(decode("--beam 1"), decode(""));
    assert_eq!(
        decode("--beam 9").lines().count(),
        decode("").lines().count()
    );
    let error = scene.atlas("decode bundle -i z.npy --beam 0").wrong_usage();
    assert!(error.contains("1..=1000"), "{error}");
}

#[test]
fn built_in_molecules_that_the_model_does_not_know_count_neither_in_training_nor_after() {
    let scene = Scene::new();
    // Most built-in molecules have a token that this vocabulary lacks.
    scene.write(
        "p.json",
        r#"{ "vocabulary": ["<pad>", "<start>", "<end>", "(", ")", "1", "=", "C", "N", "O", "c", "n"],
             "reader": { "hidden_size": 4 }, "writer": { "hidden_size": 4 }, "latent": { "size": 2 }, "longest": 4 }"#,
    );
    let trained = scene
        .atlas("train --max-minutes 0.00001 --held-out 5 --skip-invalid --params p.json --out b --json")
        .json();
    let data = &trained["data"];
    assert!(
        data["molecules"].as_u64() > Some(5) && data["skipped"].as_u64() > Some(0),
        "{data}"
    );
    let evaluated = scene.atlas("evaluate b --json").json();
    assert_eq!(
        (&evaluated["part"], &evaluated["molecules"]),
        (&"held-out".into(), &5.into())
    );
    assert_eq!(evaluated["skipped"], data["skipped"]);
    assert_eq!(evaluated["tokens"], trained["held_out"]["tokens"]);
}

#[test]
fn without_a_file_what_it_was_trained_on_is_found_again() {
    let scene = Scene::trained();
    let json = scene.atlas("evaluate bundle --json").json();
    assert_eq!(
        (&json["data"], &json["part"]),
        (&"tiny.smi".into(), &"held-out".into())
    );

    scene.write("tiny.smi", "CCO\nCCN\n");
    let error = scene.atlas("evaluate bundle").failure();
    assert_eq!(
        error,
        "tiny.smi has changed since bundle was trained on it; name molecules by --data"
    );
    std::fs::remove_file(scene.path("tiny.smi")).unwrap();
    let error = scene.atlas("evaluate bundle").failure();
    assert_eq!(
        error,
        "bundle was trained on tiny.smi, which is not here; name molecules by --data"
    );
}

#[test]
fn figures_of_new_molecules_are_those_of_what_sample_draws() {
    let scene = Scene::trained();
    let evaluate = |options: &str| {
        let command =
            format!("evaluate bundle --data tiny.smi --all --samples 300 {options} --json");
        scene.atlas(&command).json()
    };
    let found = evaluate("--seed 3");
    let drawn = scene
        .atlas("sample bundle -n 300 --seed 3 --reference tiny.smi --json")
        .json();
    let (evaluated, sampled) = (&found["generation"], &drawn["generation"]);
    assert_eq!(evaluated["molecules"], drawn["valid"]);
    for name in [
        "valid",
        "unique@1k",
        "IntDiv",
        "IntDiv2",
        "SNN",
        "Frag",
        "logP",
        "SA",
        "QED",
    ] {
        assert_eq!(evaluated[name], sampled[name], "{name}");
        let [low, value, high] =
            ["low", "value", "high"].map(|member| evaluated[name][member].as_f64().unwrap());
        assert!(low <= value && value <= high, "{name}: {evaluated}");
    }
    // 20 of the 24 molecules of the file were trained on.
    let novelty = |figures: &Value| figures["novelty"]["value"].as_f64().unwrap();
    assert!(novelty(evaluated) >= novelty(sampled));
    assert_ne!(evaluated, &evaluate("--seed 4")["generation"]);
    assert_eq!(found, evaluate("--seed 3"));
}

#[test]
fn figures_of_latents_have_bounds_and_can_be_left_out() {
    let scene = Scene::trained();
    let found = scene
        .atlas("evaluate bundle --data tiny.smi --all --interpolations 5 --json")
        .json();
    let smoothness = &found["smoothness"];
    assert_eq!(
        (&smoothness["pairs"], &smoothness["steps"]),
        (&5.into(), &10.into())
    );
    assert!(found["kl"]["value"].as_f64() > Some(0.0), "{found}");
    assert!(found["active_units"].as_u64() <= found["latent_size"].as_u64());
    let exact = &found["intervals"]["exact_share"];
    let share = found["exact_share"].as_f64().unwrap();
    assert!(exact[0].as_f64().unwrap() <= share && share <= exact[1].as_f64().unwrap());

    let without = "evaluate bundle --data tiny.smi --samples 0 --interpolations 0";
    let none = scene.atlas(&format!("{without} --json")).json();
    assert!(none["generation"].is_null() && none["smoothness"].is_null());
    assert!(!scene.atlas(without).success().contains("drawn"));
}
