//! Files of molecules as users have them, for every command that reads some.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{MOLECULES, Scene};

/// What a shell prints that runs `atlas` in the folder of a scene.
#[track_caller]
fn shell(scene: &Scene, script: &str) -> String {
    let atlas = env!("CARGO_BIN_EXE_atlas");
    let output = Command::new("bash")
        .args(["-c", &script.replace("atlas ", &format!("{atlas} "))])
        .current_dir(scene.path("."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_same_molecules_have_the_same_latents_from_whatever_file_they_come() {
    let scene = Scene::trained();
    let expected = scene.atlas("encode bundle -i tiny.smi").success();
    let latents = |text: &str| -> Vec<String> {
        let places = [0, 1, 2];
        let cells = text.lines().skip(1).map(|line| {
            let cells = line.split(',').enumerate();
            let kept = cells.filter(|(place, _)| !places.contains(place));
            kept.map(|(_, cell)| cell).collect::<Vec<_>>().join(",")
        });
        cells.collect()
    };
    let table: String = MOLECULES
        .iter()
        .enumerate()
        .map(|(row, smiles)| format!("m{row};{row}.5;\"{smiles}\"\r\n"))
        .collect();
    scene.write("table.csv", format!("id;activity;Smiles\r\n{table}"));
    scene.write("returns.smi", MOLECULES.join("\r"));
    for command in [
        "atlas encode bundle -i table.csv",
        "atlas encode bundle -i returns.smi",
        "gzip -k tiny.smi && atlas encode bundle --data tiny.smi.gz",
        "cat tiny.smi.gz | atlas encode bundle",
        "atlas encode bundle -i <(zcat tiny.smi.gz)",
        "mkfifo fifo && (cat table.csv > fifo &) && atlas encode bundle -i fifo --smiles-column Smiles",
    ] {
        let found = shell(&scene, command);
        assert_eq!(latents(&found), latents(&expected), "{command}");
    }
}

#[test]
fn a_bad_row_is_known_before_any_molecule_is_encoded_and_named_in_a_pipe_as_in_a_file() {
    let scene = Scene::trained();
    let rows = format!("{}CCO[Xe]\n", "CCO\n".repeat(3000));
    scene.write("late.smi", &rows);
    let error = scene.atlas("encode bundle -i late.smi -o z.npy").failure();
    assert!(
        error.starts_with("late.smi:3001: byte 3: `[Xe]` is not in the vocabulary"),
        "{error}"
    );
    assert!(!scene.path("z.npy").exists());
    let error = scene.atlas_reading("encode bundle", &rows).failure();
    assert!(
        error.starts_with("standard input:3001: byte 3: `[Xe]`"),
        "{error}"
    );
}

#[test]
fn rows_that_are_left_out_are_written_to_a_file_with_their_reasons() {
    let scene = Scene::trained();
    scene.write(
        "some.csv",
        "smiles,name\nCCO,a\nCQ,b\nCC[Xe],c\nCCN,d\nCC\n",
    );
    let output =
        scene.atlas("encode bundle -i some.csv -o z.csv --skip-invalid --skipped skipped.csv");
    output.success();
    let text = String::from_utf8(scene.read("skipped.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], "row,line,text,why");
    assert!(lines[1].starts_with("2,3,CQ,"), "{text}");
    assert!(lines[2].starts_with("3,4,CC[Xe],"), "{text}");
    assert!(lines[3].starts_with("5,6,"), "{text}");
    let usage = scene.atlas("encode bundle -i some.csv --skipped skipped.csv");
    assert_eq!(usage.code, Some(2));
}

#[test]
fn what_was_not_read_of_a_file_is_said() {
    let scene = Scene::trained();
    for (rows, said) in [
        (
            "CCO |w:1.0| a\nCCN\n",
            "the extensions (`|…|`) of 1 SMILES are not read",
        ),
        (
            "CCO CO\nCCN amine\nCC ethane\n",
            "1 of 3 names are SMILES, such as `CO` in line 1",
        ),
        (
            "CCO\nCC(C)(C)(C)C\n",
            "1 molecule cannot exist, which alone leaves no row out; the first is in line 2",
        ),
    ] {
        scene.write("odd.smi", rows);
        let output = scene.atlas("encode bundle -i odd.smi");
        assert!(output.stderr.contains(said), "{output:?}");
        output.success();
    }
    for (rows, why) in [
        ("CCO CCN\nCC CCC\n", "rows of several molecules"),
        ("C C O\n", "tokens that blanks separate"),
        ("id,mol\n1,CCO\n", "column 2 (`mol`, …) in 1 of 2 rows"),
    ] {
        scene.write("odd.csv", rows);
        scene.write("odd.smi", rows);
        for command in [
            "encode bundle -i",
            "evaluate bundle --data",
            "train --out new --data",
        ] {
            let file = if why.contains("column 2") {
                "odd.csv"
            } else {
                "odd.smi"
            };
            let output = scene.atlas(&format!("{command} {file}"));
            assert!(output.stderr.contains(why), "{output:?}");
            assert_ne!(output.code, Some(0));
        }
    }
}

#[test]
fn molecules_that_were_trained_on_are_known_one_by_one() {
    let scene = Scene::trained();
    let training = scene.atlas("molecules bundle --part training").success();
    let held_out = scene.atlas("molecules bundle").success();
    assert_eq!(
        (training.lines().count(), held_out.lines().count()),
        (20, 4)
    );
    // Ethanol in another spelling is the molecule that was trained on, or held out.
    let some: String = training
        .lines()
        .take(5)
        .map(|line| format!("{line}\n"))
        .collect();
    scene.write("other.smi", format!("{some}{held_out}CCCO\n"));
    let seen = |more: &str| {
        let command = format!("evaluate bundle --data other.smi --json{more}");
        scene.atlas(&command).json()["trained_on"].clone()
    };
    assert_eq!(seen(""), json!(5));
    assert_eq!(seen(" --train tiny.smi"), json!(5));
    // The run folder remembers it where the file is gone.
    fs::rename(scene.path("tiny.smi"), scene.path("away.smi")).unwrap();
    assert_eq!(seen(""), json!(5));
    fs::remove_dir_all(scene.path("bundle.run")).unwrap();
    assert_eq!(seen(""), Value::Null);
    assert_eq!(seen(" --train away.smi"), json!(5));
    let output = scene.atlas("evaluate bundle --data other.smi");
    assert!(
        output.stderr.contains("--train names what it saw"),
        "{output:?}"
    );
}

#[test]
fn what_became_of_each_molecule_is_written_to_a_table() {
    let scene = Scene::trained();
    scene.write("named.smi", "CCO ethanol\n\nCCN \"amine, primary\"\n");
    let scores = scene
        .atlas("evaluate bundle --data named.smi --per-molecule table.csv --json")
        .json();
    assert_eq!(scores["molecules"], 2);
    let mut table = csv::Reader::from_path(scene.path("table.csv")).unwrap();
    let header: Vec<_> = table.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(
        header,
        [
            "part",
            "row",
            "line",
            "name",
            "smiles",
            "decoded",
            "exact",
            "same",
            "valid",
            "tanimoto",
            "trained_on"
        ]
    );
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    let start: Vec<&str> = rows[1].iter().take(5).collect();
    assert_eq!(start, ["all", "2", "3", "\"amine, primary\"", "CCN"]);
    for row in &rows {
        assert_eq!(&row[6] == "true", row[4] == row[5]);
        if &row[7] == "true" {
            assert_eq!(&row[9], "1.0000");
        }
    }
}

#[test]
fn the_built_in_molecules_can_be_written_and_read() {
    let scene = Scene::new();
    scene.atlas("molecules -o built-in.smi").success();
    let text = String::from_utf8(scene.read("built-in.smi")).unwrap();
    assert_eq!(text.lines().count(), atlas_models::chem::molecules().len());
    let unseen = scene.atlas("molecules --part held-out-blocks").success();
    assert_eq!(unseen.lines().count(), 1000);
    scene.atlas("molecules --part training").wrong_usage();
    scene
        .atlas("molecules some --part held-out-blocks")
        .wrong_usage();
}

#[test]
fn what_molecules_were_trained_on_decides_how_those_are_drawn_that_are_encoded() {
    let scene = Scene::new();
    let salts: String = MOLECULES
        .iter()
        .map(|smiles| format!("[Na+].{smiles}\n"))
        .collect();
    scene.write("salts.smi", salts);
    let train = Scene::TINY.replace("tiny.smi", "salts.smi");
    scene
        .atlas(&format!(
            "train {train} --out bundle --standardise largest-fragment"
        ))
        .success();
    let note = scene.atlas("inspect bundle --json").json();
    let rows = &note["provenance"]["notes"]["training"]["data"]["rows"];
    assert_eq!(rows["standardise"], json!(["largest-fragment"]));
    scene.write("one.smi", "OCC.Cl\n");
    let output = scene.atlas("encode bundle -i one.smi");
    assert!(
        output
            .stderr
            .contains("drawn as those were that the bundle was trained on"),
        "{output:?}"
    );
    assert!(output.success().lines().any(|line| line.contains("CCO")));
    let why = scene
        .atlas("encode bundle -i one.smi --standardise none")
        .failure();
    assert!(why.contains("`.` is not in the vocabulary"), "{why}");
    // What it was trained on is read as it was then.
    assert_eq!(
        scene.atlas("evaluate bundle --json").json()["part"],
        "held-out"
    );
    for other in ["canonical", "none"] {
        let command = format!("train --resume --out bundle --standardise {other}");
        let why = scene.atlas(&command).wrong_usage();
        assert!(why.contains("begun with \"largest-fragment\""), "{why}");
    }
}

#[test]
fn rows_of_a_table_count_as_much_as_their_column_of_weights_says() {
    let scene = Scene::new();
    let rows: String = MOLECULES
        .iter()
        .enumerate()
        .map(|(row, smiles)| format!("{smiles}\t{}\n", 1 + row * row))
        .collect();
    scene.write("counts.tsv", &rows);
    let train = Scene::TINY.replace("tiny.smi", "counts.tsv");
    let digest = |more: &str| {
        let command = format!("train {train} --restart --out bundle --json {more}");
        scene.atlas(&command).json()["digest"].clone()
    };
    let plain = digest("");
    let weighted = digest("--weight-column 2");
    assert_ne!(plain, weighted);
    assert_eq!(weighted, digest("--weight-column 2"));
    scene.write("counts.tsv", rows.replace("\t1\n", "\t0\n"));
    let why = scene.atlas(&format!("train {train} --out other --weight-column 2"));
    assert!(
        why.stderr
            .contains("the weight `0` is not a finite number above zero"),
        "{why:?}"
    );
}

#[test]
fn options_that_say_how_a_file_is_read_are_refused_where_none_is() {
    let scene = Scene::trained();
    for command in [
        "evaluate bundle --standardise no-stereo",
        "evaluate bundle --smiles-column 2",
        "train --out new --standardise canonical",
        "train --out new --weight-column 2",
    ] {
        let error = scene.atlas(command).wrong_usage();
        assert!(
            error.contains("say how --data is read"),
            "{command}: {error}"
        );
    }
}

#[test]
fn molecules_in_many_rows_are_trained_on_with_a_limit_of_time_too() {
    let scene = Scene::new();
    let rows = MOLECULES.join("\n") + "\n";
    scene.write("many.smi", rows.repeat(50));
    let output = scene.atlas("train --data many.smi --max-minutes 0.0001 --out bundle --json");
    // Of the 24 molecules a tenth, and of no other row.
    assert_eq!(output.json()["held_out"]["molecules"], 3);
}

#[test]
fn a_resume_that_is_refused_leaves_what_is_known_of_the_run() {
    let scene = Scene::trained();
    scene.write("sub.smi", "CCO\nCCN\n");
    fs::rename(scene.path("tiny.smi"), scene.path("moved.smi")).unwrap();
    let seen = || scene.atlas("evaluate bundle --data sub.smi --json").json()["trained_on"].clone();
    let before = seen();
    assert!(before.is_number());
    let refused = scene.atlas("train --resume --data sub.smi --out bundle");
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert_eq!(seen(), before);
}

#[test]
fn a_file_that_is_called_as_the_built_in_molecules_are_is_not_taken_for_them() {
    let scene = Scene::new();
    fs::rename(scene.path("tiny.smi"), scene.path("built-in")).unwrap();
    let train = Scene::TINY.replace("tiny.smi", "built-in");
    scene
        .atlas(&format!("train {train} --out bundle"))
        .success();
    let scores = scene.atlas("evaluate bundle --json").json();
    assert_eq!(
        (&scores["part"], &scores["molecules"]),
        (&json!("held-out"), &json!(4))
    );
    assert_eq!(scores["of_held_out_blocks"], Value::Null);
}

#[test]
fn what_training_saw_is_taken_from_the_file_that_is_named_for_it() {
    let scene = Scene::trained();
    scene.write("one.smi", "CCO\n");
    let output = scene.atlas("evaluate bundle --data tiny.smi --all --train one.smi --json");
    let said = "one.smi: these are not the 24 molecules of tiny.smi that bundle was trained on";
    assert!(output.stderr.contains(said), "{output:?}");
    let scores = output.json();
    assert_eq!(
        (&scores["molecules"], &scores["trained_on"]),
        (&json!(24), &json!(1))
    );
}
