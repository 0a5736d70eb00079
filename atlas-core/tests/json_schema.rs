//! The JSON Schema of parameters says what the reader does.

use atlas_core::prelude::*;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

#[derive(Choice, Clone, Copy, Debug, PartialEq)]
enum Activation {
    Relu,
    Tanh,
}

/// A group.
#[derive(Params, Clone, Debug, PartialEq)]
struct Layer {
    /// Units.
    #[param(default = 64, min = 1, max = 4096, multiple_of = 8)]
    width: usize,
    #[param(default = 0.0, min = 0.0, max = 1.0)]
    dropout: f32,
}

/// What a schema can say.
#[derive(Params, Clone, Debug, PartialEq)]
struct Network {
    #[param(min = 1)]
    input_size: u32,
    #[param(default = Activation::Relu)]
    activation: Activation,
    #[param(default = "C", len = 1..=3)]
    token: String,
    #[param(default = None, max = 0.5)]
    momentum: Option<f64>,
    #[param(default = vec![1, 2], one_of = [1, 2, 4], len = 1..)]
    strides: Vec<i8>,
    #[param(nested)]
    layer: Layer,
    #[param(nested)]
    more: Vec<Layer>,
    #[param(default = 1)]
    big: u64,
}

#[test]
fn the_schema_refuses_a_negative_number_as_the_reader_does() {
    let overrides = json!({ "input_size": 1, "big": -1 });
    assert!(!passes(&Network::schema().to_json_schema(), &overrides));
    assert!(Network::from_overrides(&overrides).is_err());
}

#[test]
fn the_schema_holds_defaults_bounds_and_documentation() {
    assert_eq!(
        Network::schema().to_json_schema(),
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Network",
            "description": "What a schema can say.",
            "type": "object",
            "properties": {
                "input_size": { "type": "integer", "minimum": 1, "maximum": 4294967295_u64 },
                "activation": { "type": "string", "enum": ["relu", "tanh"], "default": "relu" },
                "token": { "type": "string", "minLength": 1, "maxLength": 3, "default": "C" },
                "momentum": { "anyOf": [{ "type": "number", "maximum": 0.5 }, { "type": "null" }], "default": null },
                "strides": {
                    "type": "array",
                    "items": { "type": "integer", "minimum": -128, "maximum": 127, "enum": [1, 2, 4] },
                    "minItems": 1,
                    "default": [1, 2],
                },
                "layer": layer(Some(json!({ "width": 64, "dropout": 0.0 }))),
                "more": { "type": "array", "items": layer(None), "default": [] },
                "big": { "type": "integer", "minimum": 0, "maximum": 18446744073709551615_u64, "default": 1 },
            },
            "required": ["input_size"],
            "additionalProperties": false,
        })
    );
}

fn layer(default: Option<Value>) -> Value {
    let mut layer = json!({
        "description": "A group.",
        "type": "object",
        "properties": {
            "width": {
                "description": "Units.", "type": "integer",
                "minimum": 1, "maximum": 4096, "multipleOf": 8, "default": 64,
            },
            "dropout": {
                "type": "number",
                "exclusiveMinimum": -3.4028235677973366e38, "exclusiveMaximum": 3.4028235677973366e38,
                "minimum": 0.0, "maximum": 1.0, "default": 0.0,
            },
        },
        "additionalProperties": false,
    });
    if let Some(default) = default {
        layer["default"] = default;
    }
    layer
}

/// Whether a value passes a schema: the keywords that Atlas writes, and no others.
fn passes(schema: &Value, value: &Value) -> bool {
    let number = |key: &str| schema[key].as_f64();
    schema
        .as_object()
        .unwrap()
        .iter()
        .all(|(keyword, operand)| match keyword.as_str() {
            "$schema" | "title" | "description" | "default" => true,
            "type" => match operand {
                Value::Array(types) => types.iter().any(|kind| is_a(kind, value)),
                kind => is_a(kind, value),
            },
            "enum" => operand.as_array().unwrap().contains(value),
            "anyOf" => operand
                .as_array()
                .unwrap()
                .iter()
                .any(|schema| passes(schema, value)),
            "minimum" => value
                .as_f64()
                .is_none_or(|value| value >= number(keyword).unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|value| value <= number(keyword).unwrap()),
            "exclusiveMinimum" => value
                .as_f64()
                .is_none_or(|value| value > number(keyword).unwrap()),
            "exclusiveMaximum" => value
                .as_f64()
                .is_none_or(|value| value < number(keyword).unwrap()),
            "multipleOf" => value
                .as_f64()
                .is_none_or(|value| value % number(keyword).unwrap() == 0.0),
            "minLength" => length(value).is_none_or(|length| length >= operand.as_u64().unwrap()),
            "maxLength" => length(value).is_none_or(|length| length <= operand.as_u64().unwrap()),
            "minItems" => elements(value)
                .is_none_or(|elements| elements.len() as u64 >= operand.as_u64().unwrap()),
            "maxItems" => elements(value)
                .is_none_or(|elements| elements.len() as u64 <= operand.as_u64().unwrap()),
            "items" => elements(value)
                .is_none_or(|elements| elements.iter().all(|element| passes(operand, element))),
            "properties" => value.as_object().is_none_or(|members| {
                let known = operand.as_object().unwrap();
                members
                    .iter()
                    .all(|(name, value)| known.get(name).is_none_or(|schema| passes(schema, value)))
            }),
            "required" => value.as_object().is_none_or(|members| {
                operand
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|name| members.contains_key(name.as_str().unwrap()))
            }),
            "additionalProperties" => {
                assert_eq!(operand, false);
                let known = schema["properties"].as_object().unwrap();
                value
                    .as_object()
                    .is_none_or(|members| members.keys().all(|name| known.contains_key(name)))
            }
            other => panic!("Atlas writes no `{other}`"),
        })
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("Atlas writes no type `{other}`"),
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn elements(value: &Value) -> Option<&Vec<Value>> {
    value.as_array()
}

/// Values at and around every bound, and of every type.
fn anything() -> impl Strategy<Value = Value> {
    let scalar = select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(3),
        json!(4),
        json!(8),
        json!(64),
        json!(-1),
        json!(127),
        json!(128),
        json!(4096),
        json!(4104),
        json!(u32::MAX),
        json!(1_u64 << 32),
        json!(u64::MAX),
        json!(0.5),
        json!(0.25),
        json!(-0.5),
        json!(1.5),
        json!(1e39),
        json!(-1e39),
        json!(""),
        json!("C"),
        json!("Clé🧪"),
        json!("漢漢漢"),
        json!("relu"),
        json!("gelu"),
        json!("0"),
        json!("12"),
        json!("012"),
        json!("-3"),
        json!("340282366920938463463374607431768211455"),
    ]);
    scalar.prop_recursive(3, 12, 3, |inner| {
        let name = select(vec!["width", "dropout", "input_size", "strides", "unknown"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name, inner), 0..3).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

fn overrides() -> impl Strategy<Value = Value> {
    let names = vec![
        "input_size",
        "activation",
        "token",
        "momentum",
        "strides",
        "layer",
        "more",
        "big",
        "unknown",
    ];
    prop::collection::vec((select(names), anything()), 0..3).prop_map(|members| {
        let mut overrides = json!({ "input_size": 1 });
        for (name, value) in members {
            overrides[name] = value;
        }
        overrides
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn the_schema_and_the_reader_agree(overrides in overrides()) {
        let schema = Network::schema().to_json_schema();
        let read = Network::from_overrides(&overrides);
        if let Ok(path) = std::env::var("ATLAS_SCHEMA_CASES") {
            use std::io::Write;
            let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
            writeln!(file, "{}", json!([schema, overrides, read.is_ok()])).unwrap();
        }
        prop_assert_eq!(passes(&schema, &overrides), read.is_ok(), "{:?}", read);
    }
}
