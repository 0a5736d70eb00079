//! Constraints, and what is said at run time of a value outside them.

use atlas_core::ParamValue;
use atlas_core::prelude::*;
use serde_json::json;

const SMALLEST: i32 = -4;
const NAMES: usize = 2;

fn largest() -> u64 {
    1 << 60
}

fn is_even(value: &usize) -> Result<(), String> {
    if value.is_multiple_of(2) {
        Ok(())
    } else {
        Err(format!("{value} is odd"))
    }
}

fn is_sorted(values: &[f32]) -> Result<(), &'static str> {
    if values.is_sorted() {
        Ok(())
    } else {
        Err("expected ascending values")
    }
}

fn is_ascii(text: &str) -> Result<(), &'static str> {
    if text.is_ascii() {
        Ok(())
    } else {
        Err("expected ASCII")
    }
}

/// A parameter for every kind of constraint.
#[derive(Params, Clone, Debug, PartialEq)]
struct Constrained {
    #[param(default = -4, min = SMALLEST, max = -SMALLEST - 1)]
    by_constants: i32,
    #[param(default = 7, max = largest())]
    by_a_call: u64,
    #[param(default = 0.5, min = 0.0, max = 1.0)]
    fraction: f32,
    #[param(default = 16, multiple_of = 8)]
    multiple: u8,
    #[param(default = 3, one_of = [1, 3, NAMES])]
    among: usize,
    #[param(default = "b", one_of = ["a", "b"])]
    text: String,
    #[param(default = "abc", len = ..4, check = is_ascii)]
    short: String,
    #[param(default = vec!["x", "y"], len = NAMES, one_of = ["x", "y"])]
    names: Vec<String>,
    #[param(default = [1, 2], min = 1)]
    array: [usize; 2],
    #[param(default = Some(vec![2, 4]), len = 1..=NAMES, multiple_of = 2)]
    layers: Option<Vec<u16>>,
    #[param(default = 2, check = is_even)]
    even: usize,
    #[param(default = vec![0.0, 1.0], check = is_sorted)]
    sorted: Vec<f32>,
    #[param(default = u64::MAX)]
    seed: u64,
}

#[test]
fn defaults_within_their_constraints_are_valid() {
    let defaults = Constrained::default();
    defaults.validate().unwrap();
    assert_eq!(
        Constrained::from_stored(&defaults.to_json()).unwrap(),
        defaults
    );
    assert_eq!(Constrained::from_overrides(&json!({})).unwrap(), defaults);
    assert_eq!(defaults.names, ["x", "y"]);
    assert_eq!(defaults.seed, u64::MAX);
}

#[test]
fn the_schema_says_each_constraint() {
    let schema = Constrained::schema();
    let constraint = |name: &str| schema.field(name).unwrap().constraint();
    assert_eq!(constraint("by_constants"), "-4 to 3");
    assert_eq!(constraint("by_a_call"), "at most 1152921504606846976");
    assert_eq!(constraint("multiple"), "a multiple of 8");
    assert_eq!(constraint("among"), "one of 1, 3, 2");
    assert_eq!(constraint("text"), "one of a, b");
    assert_eq!(constraint("short"), "length 0 to 3");
    assert_eq!(constraint("names"), "one of x, y, length 2");
    assert_eq!(constraint("layers"), "a multiple of 2, length 1 to 2");
}

#[test]
fn every_value_outside_its_constraint_is_reported() {
    let overrides = json!({
        "by_constants": 4,
        "by_a_call": u64::MAX,
        "fraction": 1.5,
        "multiple": 12,
        "among": 4,
        "text": "c",
        "short": "abcd",
        "names": ["x"],
        "array": [0, 1],
        "layers": [1, 2, 4],
        "even": 3,
        "sorted": [1.0, 0.0],
    });
    let error = Constrained::from_overrides(&overrides).unwrap_err();
    let paths: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| problem.path().to_owned())
        .collect();
    assert_eq!(
        paths,
        [
            "by_constants",
            "by_a_call",
            "fraction",
            "multiple",
            "among",
            "text",
            "short",
            "names",
            "array[0]",
            "layers",
            "layers[0]",
            "even",
            "sorted",
        ]
    );
}
