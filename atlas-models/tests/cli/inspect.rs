//! `inspect`, `verify` and `diff`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::Scene;

#[test]
fn a_bundle_says_what_it_is() {
    let scene = Scene::trained();
    let json = scene.atlas("inspect bundle --json").json();
    assert_eq!(
        (&json["model"], &json["version"], &json["dtype"]),
        (&"gru-vae".into(), &2.into(), &"f32".into())
    );
    assert_eq!(
        (&json["parameters"]["latent"]["size"], &json["golden"]),
        (&6.into(), &true.into())
    );
    let networks = json["networks"].as_array().unwrap();
    let names: Vec<&str> = networks
        .iter()
        .map(|network| network["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["decoder", "encoder", "prior"]);
    let file = scene.read("bundle/encoder.safetensors");
    assert_eq!(networks[1]["bytes"], file.len());
    let elements = |tensor: &Value| {
        let shape = tensor["shape"].as_array().unwrap().iter();
        shape.map(|size| size.as_u64().unwrap()).product::<u64>()
    };
    let tensors = networks[1]["tensors"].as_array().unwrap();
    let elements: u64 = tensors.iter().map(elements).sum();
    assert_eq!(networks[1]["elements"], elements);

    let text = scene.atlas("inspect bundle").success();
    for part in [
        "gru-vae version 2\n",
        json["digest"].as_str().unwrap(),
        "\nParameters\n",
        "\nNetworks\n",
        "\nProvenance\n",
        "\nTraining\n",
        "\nEpochs\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_whole_bundle_is_verified_and_a_damaged_one_named() {
    let scene = Scene::trained();
    let whole = scene.atlas("verify bundle --json").json();
    assert_eq!(
        (&whole["whole"], &whole["findings"]),
        (&true.into(), &Value::Array(Vec::new()))
    );
    assert!(
        scene
            .atlas("verify bundle")
            .success()
            .starts_with("bundle: whole: gru-vae version 2, 3 networks, ")
    );

    for network in ["decoder", "encoder"] {
        let path = scene.path(format!("bundle/{network}.safetensors"));
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let output = scene.atlas("verify bundle");
    assert_eq!(
        (output.code, output.stdout.lines().count()),
        (Some(1), 2),
        "{output:?}"
    );
    assert!(
        output
            .stdout
            .starts_with("bundle/decoder.safetensors is not as it was saved: "),
        "{output:?}"
    );
    let json: Value = serde_json::from_str(&scene.atlas("verify bundle --json").stdout).unwrap();
    assert_eq!(
        (&json["whole"], json["findings"].as_array().unwrap().len()),
        (&false.into(), 2)
    );
}

#[test]
fn two_bundles_differ_by_what_is_named() {
    let scene = Scene::trained();
    scene
        .atlas(&format!(
            "train {} --out other --set latent.size=8",
            Scene::TINY
        ))
        .success();
    let output = scene.atlas("diff bundle other --json");
    assert_eq!(output.code, Some(1));
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json["equal"], false);
    assert_eq!(json["model"], Value::Array(Vec::new()));
    assert_eq!(
        json["parameters"],
        serde_json::json!([{ "name": "latent.size", "a": 6, "b": 8 }])
    );
    let tensors = json["tensors"].as_array().unwrap();
    let mean = tensors
        .iter()
        .find(|tensor| tensor["name"] == "encoder/mean.bias")
        .unwrap();
    assert_eq!(
        (&mean["a"], &mean["b"]),
        (&"f32 [6]".into(), &"f32 [8]".into())
    );
    let text = scene.atlas("diff bundle other").stdout;
    assert!(text.contains("latent.size  6  8\n"), "{text}");

    assert_eq!(mean["change"], "reshaped");
    let changed = tensors
        .iter()
        .find(|tensor| tensor["name"] == "decoder/embedding.weight");
    let changed = changed.unwrap();
    assert_eq!(changed["change"], "values");
    assert!(changed["distance"].as_f64().unwrap() > 0.0, "{changed}");
    for (side, bundle) in [("a", "bundle"), ("b", "other")] {
        let inspected = scene.atlas(&format!("inspect {bundle} --json")).json();
        assert_eq!(json["digests"][side], inspected["digest"]);
        assert!(
            text.contains(inspected["digest"].as_str().unwrap()),
            "{text}"
        );
    }

    let same = scene.atlas("diff bundle bundle --json").json();
    assert_eq!(same["equal"], true);
}

#[test]
fn tensors_that_only_one_bundle_has_are_added_or_removed() {
    let scene = Scene::trained();
    scene
        .atlas(&format!(
            "train {} --out deeper --set writer.layers=2",
            Scene::TINY
        ))
        .success();
    for (command, change) in [
        ("diff bundle deeper --json", "added"),
        ("diff deeper bundle --json", "removed"),
    ] {
        let json: Value = serde_json::from_str(&scene.atlas(command).stdout).unwrap();
        let tensors = json["tensors"].as_array().unwrap();
        let of_second_layer: Vec<&Value> = tensors
            .iter()
            .filter(|tensor| tensor["name"].as_str().unwrap().ends_with("_l1"))
            .collect();
        assert_eq!(of_second_layer.len(), 4);
        assert!(
            of_second_layer
                .iter()
                .all(|tensor| tensor["change"] == change)
        );
    }
}

/// A bundle of another program's model.
fn foreign(scene: &Scene) {
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../atlas-core/tests/fixtures/format-1");
    fs::create_dir(scene.path("foreign")).unwrap();
    for entry in fs::read_dir(fixture).unwrap() {
        let path = entry.unwrap().path();
        let name = Path::new("foreign").join(path.file_name().unwrap());
        fs::copy(&path, scene.path(name)).unwrap();
    }
}

#[test]
fn a_bundle_without_a_behaviour_check_says_so() {
    let scene = Scene::trained();
    let bundle = atlas_core::Bundle::open(scene.path("bundle")).unwrap();
    let mut snapshot = bundle.snapshot().unwrap();
    snapshot.golden = None;
    snapshot.model = "unchecked".to_owned();
    snapshot.save(scene.path("unchecked")).unwrap();
    let text = scene.atlas("inspect unchecked").success();
    assert!(text.contains("NOT CHECKED"), "{text}");
    let inspected = scene.atlas("inspect unchecked --json").json();
    assert_eq!(inspected["golden"], false);
    let text = scene.atlas("verify unchecked").success();
    assert!(
        text.contains("behaviour not checked: the bundle holds no check"),
        "{text}"
    );
    let verified = scene.atlas("verify unchecked --json").json();
    assert_eq!(verified["behaviour"], false);
}

#[test]
fn a_bundle_of_a_model_that_is_not_known_is_inspected_verified_and_compared() {
    let scene = Scene::trained();
    foreign(&scene);
    let inspected = scene.atlas("inspect foreign --json").json();
    assert_eq!(inspected["model"], "fixture");
    let verified = scene.atlas("verify foreign --json").json();
    assert_eq!(
        (
            &verified["whole"],
            &verified["behaviour"],
            &verified["digest"]
        ),
        (&true.into(), &false.into(), &inspected["digest"])
    );
    let text = scene.atlas("verify foreign").success();
    assert!(
        text.contains("this program has no model `fixture`"),
        "{text}"
    );
    let compared = scene.atlas("diff bundle foreign --json");
    assert_eq!(compared.code, Some(1));

    let mut bytes = scene.read("foreign/weights.safetensors");
    *bytes.last_mut().unwrap() ^= 1;
    scene.write("foreign/weights.safetensors", bytes);
    scene.write("foreign/stray", "");
    let output = scene.atlas("verify foreign --json");
    assert_eq!(output.code, Some(1));
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), 1, "{json}");
    assert_eq!(json["foreign"], serde_json::json!(["stray"]));
}

#[test]
fn what_others_left_in_a_bundle_is_named_and_stays_through_training() {
    let scene = Scene::trained();
    for name in ["README.md", ".DS_Store"] {
        scene.write(&format!("bundle/{name}"), name);
    }
    let assert_named = || {
        let text = scene.atlas("verify bundle").success();
        let last = text.lines().last();
        assert_eq!(last, Some("no part of the bundle: .DS_Store, README.md"));
        let json = scene.atlas("verify bundle --json").json();
        let foreign = serde_json::json!([".DS_Store", "README.md"]);
        assert_eq!((&json["whole"], &json["foreign"]), (&true.into(), &foreign));
    };
    assert_named();
    scene.write("bundle.run/checkpoint/.DS_Store", "");
    scene
        .atlas(&format!("train {} --out bundle --seed 5", Scene::TINY))
        .success();
    assert_named();
    assert_eq!(scene.read("bundle/README.md"), b"README.md");
    assert_eq!(scene.read("bundle.run/checkpoint/.DS_Store"), b"");
    let json = scene.atlas("inspect bundle --json").json();
    assert_eq!(json["provenance"]["seed"], 5);
}

/// As the hub's cache has it.
#[test]
fn a_bundle_whose_files_are_links_is_used_like_any_other() {
    let scene = Scene::trained();
    fs::create_dir(scene.path("blobs")).unwrap();
    for entry in fs::read_dir(scene.path("bundle")).unwrap() {
        let path = entry.unwrap().path();
        let blob = Path::new("../blobs").join(path.file_name().unwrap());
        fs::rename(&path, path.parent().unwrap().join(&blob)).unwrap();
        std::os::unix::fs::symlink(blob, path).unwrap();
    }
    scene.atlas("verify bundle").success();
    scene
        .atlas("evaluate bundle --data tiny.smi --all")
        .success();
    let before = scene.read("blobs/atlas.json");
    scene
        .atlas(&format!("train {} --out bundle --seed 5", Scene::TINY))
        .success();
    let metadata = fs::symlink_metadata(scene.path("bundle/atlas.json")).unwrap();
    assert!(metadata.is_file());
    assert_eq!(scene.read("blobs/atlas.json"), before);
}

#[test]
fn a_damaged_manifest_is_a_finding() {
    let scene = Scene::trained();
    let mut bytes = scene.read("bundle/atlas.json");
    bytes.truncate(bytes.len() - 3);
    scene.write("bundle/atlas.json", bytes);
    let output = scene.atlas("verify bundle --json");
    assert_eq!(output.code, Some(1));
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        (&json["whole"], json["findings"].as_array().unwrap().len()),
        (&false.into(), 1)
    );
    let text = scene.atlas("verify bundle");
    assert_eq!((text.code, text.stdout.lines().count()), (Some(1), 1));
    assert!(
        scene
            .atlas("verify nothing --json")
            .failure()
            .contains("nothing")
    );
}

/// A copy of a bundle.
fn copied(scene: &Scene, from: &str, to: &str) {
    fs::create_dir(scene.path(to)).unwrap();
    for entry in fs::read_dir(scene.path(from)).unwrap() {
        let path = entry.unwrap().path();
        let name = Path::new(to).join(path.file_name().unwrap());
        fs::copy(&path, scene.path(name)).unwrap();
    }
}

#[test]
fn bundles_that_say_that_they_are_the_same_are_read_to_the_last_byte() {
    let scene = Scene::trained();
    copied(&scene, "bundle", "copy");
    scene.atlas("diff bundle copy").success();
    for name in ["encoder", "golden"] {
        let file = format!("copy/{name}.safetensors");
        let whole = scene.read(&file);
        let mut bytes = whole.clone();
        *bytes.last_mut().unwrap() ^= 1;
        scene.write(&file, bytes);
        for command in ["diff bundle copy", "diff copy bundle"] {
            let error = scene.atlas(command).failure();
            assert!(
                error.starts_with(&format!("{file} is not as it was saved: ")),
                "{error}"
            );
        }
        scene.write(&file, whole);
    }
    scene.atlas("diff bundle copy").success();
}

#[test]
fn a_stray_file_does_not_hide_what_the_load_finds() {
    let scene = Scene::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gru-vae-1");
    fs::create_dir(scene.path("bundle")).unwrap();
    for entry in fs::read_dir(fixture).unwrap() {
        let path = entry.unwrap().path();
        let name = Path::new("bundle").join(path.file_name().unwrap());
        fs::copy(&path, scene.path(name)).unwrap();
    }
    scene.write("bundle/stray", "");
    // Somebody who can hash has made the model another one.
    let mut golden = scene.read("bundle/golden.safetensors");
    let text = String::from_utf8(scene.read("bundle/atlas.json")).unwrap();
    let old = blake3::hash(&golden).to_hex();
    let start = 8 + u64::from_le_bytes(golden[..8].try_into().unwrap()) as usize;
    golden[start + 3] ^= 0x80;
    let text = text.replace(old.as_str(), blake3::hash(&golden).to_hex().as_str());
    let (head, _) = text.rsplit_once("  \"checksum\"").unwrap();
    let checksum = blake3::hash(head.as_bytes()).to_hex();
    scene.write("bundle/golden.safetensors", golden);
    scene.write(
        "bundle/atlas.json",
        format!("{head}  \"checksum\": \"{checksum}\"\n}}\n"),
    );
    let output = scene.atlas("verify bundle");
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!((output.code, lines.len()), (Some(1), 2), "{output:?}");
    assert!(
        lines[0].contains("does not behave as the saved one did"),
        "{output:?}"
    );
    assert_eq!(lines[1], "no part of the bundle: stray");
}
