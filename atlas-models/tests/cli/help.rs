//! Help, versions, exit codes, and what says what there is.

use serde_json::Value;

use crate::support::Scene;

const COMMANDS: [&str; 18] = [
    "train",
    "evaluate",
    "encode",
    "decode",
    "sample",
    "interpolate",
    "analogues",
    "neighbours",
    "fit-prior",
    "map",
    "molecules",
    "models",
    "params",
    "inspect",
    "verify",
    "diff",
    "cast",
    "import",
];

#[test]
fn every_command_has_help_with_examples() {
    let scene = Scene::new();
    let overview = scene.atlas("--help").success();
    for command in COMMANDS {
        assert!(
            overview.contains(&format!("\n  {command}  ")),
            "{command}: {overview}"
        );
        let help = scene.atlas(&format!("{command} --help")).success();
        assert!(
            help.contains(&format!("Examples:\n  atlas {command}")),
            "{help}"
        );
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
}

#[test]
fn the_version_is_the_crates() {
    assert_eq!(
        Scene::new().atlas("--version").success(),
        format!("atlas {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_usage_exits_with_2_and_failures_with_1() {
    let scene = Scene::new();
    for usage in [
        "",
        "trian",
        "train --epohcs 3",
        "train --epochs many",
        "train --weight kl",
        "encode",
        "diff a",
        "params gru-va",
        "train --data tiny.smi --model gru-va",
        "train --data tiny.smi --lr -1",
        "train --data tiny.smi --batch 0",
        "train --data tiny.smi --set nosuch=1",
        "train --data tiny.smi --set writer.dropout=2",
        "train --data tiny.smi --train-set nosuch=1",
        "train --data tiny.smi --weight nosuch=1",
        "train --data tiny.smi --freeze nosuch",
        "train --data tiny.smi --held-out 99",
        "train --data tiny.smi --max-minutes 0",
        "train --data tiny.smi --checkpoint-minutes -1",
        "import w --model gru-va --out o",
        "encode b -o z.txt",
        "decode b -i z.txt",
        "sample b --temperature 0",
    ] {
        assert_eq!(scene.atlas(usage).code, Some(2), "{usage}");
    }
    for failure in [
        "inspect nothing",
        "encode nothing",
        "train --data nothing.smi",
        // Of several problems one is a failure.
        "train --data nothing.smi --lr -1",
        "train --data tiny.smi --params nothing.json",
    ] {
        assert_eq!(scene.atlas(failure).code, Some(1), "{failure}");
    }
}

#[test]
fn models_are_listed_in_a_line_each() {
    let scene = Scene::new();
    let text = scene.atlas("models").success();
    let models = scene.atlas("models --json").json();
    let names: Vec<&str> = models
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"gru-vae"));
    assert_eq!(text.lines().count(), names.len() + 1);
    let default = models
        .as_array()
        .unwrap()
        .iter()
        .filter(|model| model["default"] == true)
        .count();
    assert_eq!(default, 1);
    assert!(models[0]["version"].is_u64() && models[0]["doc"].is_string());
}

#[test]
fn parameters_are_listed_with_type_default_constraint_and_doc() {
    let scene = Scene::new();
    let text = scene.atlas("params gru-vae").success();
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with("latent.size"))
        .unwrap();
    let cells: Vec<&str> = line
        .split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect();
    assert_eq!(
        cells,
        [
            "latent.size",
            "integer",
            "128",
            "1 to 65536",
            "Dimensions of the latent."
        ]
    );

    let json = scene.atlas("params gru-vae --json").json();
    assert_eq!(json["model"], "gru-vae");
    let parameters = json["parameters"].as_array().unwrap();
    let latent_size = parameters
        .iter()
        .find(|parameter| parameter["name"] == "latent.size")
        .unwrap();
    assert_eq!(
        (&latent_size["default"], &latent_size["required"]),
        (&Value::from(128), &Value::from(false))
    );
    let vocabulary = parameters
        .iter()
        .find(|parameter| parameter["name"] == "vocabulary")
        .unwrap();
    assert_eq!(vocabulary["required"], true);
}

#[test]
fn the_schema_of_parameters_is_json_schema() {
    let schema = Scene::new().atlas("params gru-vae --schema").json();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["longest"]["default"], 200);
    assert_eq!(schema["required"], serde_json::json!(["vocabulary"]));
}
