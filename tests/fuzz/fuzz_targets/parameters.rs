//! Any JSON, and any `name=value` texts, as parameters: an error that lists problems, or
//! parameters that come back from what a bundle would store.

#![no_main]

use atlas_core::ParamValue;
use atlas_core::prelude::*;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// A parameter of every kind, with every kind of constraint.
#[derive(Params, Clone, Debug, PartialEq)]
struct Everything {
    #[param(default = true)]
    flag: bool,
    #[param(default = 16, multiple_of = 8)]
    small: u8,
    #[param(default = -4, min = -4, max = 3)]
    signed: i32,
    #[param(default = 1)]
    large: u64,
    #[param(default = 1)]
    wide: u64,
    #[param(default = -1, max = 5)]
    wide_signed: i64,
    #[param(default = 0.5, min = 0.0, max = 1.0)]
    fraction: f32,
    #[param(default = 1e-3)]
    rate: f64,
    #[param(default = "a", len = ..=8)]
    text: String,
    #[param(default = 3, one_of = [1, 3])]
    among: usize,
    #[param(default = None, check = is_even)]
    even: Option<u16>,
    #[param(default = vec![0.0, 1.0], check = is_sorted)]
    sorted: Vec<f32>,
    #[param(default = [1, 2], min = 1)]
    pair: [i64; 2],
    #[param(default = Some(vec!["x"]), len = 1..=3)]
    names: Option<Vec<String>>,
    #[param(default = Cell::Gru)]
    cell: Cell,
    #[param(nested)]
    side: Side,
    #[param(nested)]
    other: Option<Side>,
    #[param(nested, len = ..=4)]
    more: Vec<Side>,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq)]
enum Cell {
    Gru,
    Lstm,
    #[choice(name = "rnn-2")]
    Rnn,
}

#[derive(Params, Clone, Debug, PartialEq)]
#[atlas(validate = is_narrowing)]
struct Side {
    #[param(default = 8, min = 1)]
    wide: usize,
    #[param(default = 4, min = 1)]
    narrow: usize,
}

fn is_even(value: &Option<u16>) -> Result<(), String> {
    match value {
        Some(value) if !value.is_multiple_of(2) => Err(format!("{value} is odd")),
        _ => Ok(()),
    }
}

fn is_sorted(values: &[f32]) -> Result<(), &'static str> {
    if values.is_sorted() {
        Ok(())
    } else {
        Err("expected ascending values")
    }
}

fn is_narrowing(side: &Side) -> Result<(), &'static str> {
    if side.narrow <= side.wide {
        Ok(())
    } else {
        Err("expected a narrowing side")
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match serde_json::from_str::<Value>(text) {
        Ok(value) => from_json(&value),
        Err(_) => from_assignments(text),
    }
});

fn from_json(value: &Value) {
    let overrides = read(Everything::from_overrides(value));
    let stored = read(Everything::from_stored(value));
    let schema = Everything::schema();
    assert_eq!(schema.check_overrides(value).is_ok(), overrides.is_some());
    // What names every parameter is read alike in both ways.
    if let Some(stored) = stored {
        assert_eq!(overrides.as_ref(), Some(&stored));
    }
    if let Some(params) = overrides {
        comes_back(&params);
        assert_eq!(
            Everything::from_stored(&schema.complete(value)).expect("complete parameters"),
            params
        );
    }
}

fn from_assignments(text: &str) {
    let lines = || text.lines().filter(|line| !line.is_empty());
    let schema = Everything::schema();
    let params = read(Everything::from_assignments(lines()));
    let Some(params) = params else { return };
    comes_back(&params);
    let overrides = schema
        .overrides(json!({}), lines())
        .expect("the same overrides");
    assert_eq!(
        Everything::from_overrides(&overrides).expect("the same parameters"),
        params
    );
}

/// The parameters, unless they were refused as they should be.
fn read(result: atlas_core::Result<Everything>) -> Option<Everything> {
    match result {
        Ok(params) => Some(params),
        Err(error) => {
            assert!(error.is_params() && !error.problems().is_empty(), "{error}");
            None
        }
    }
}

fn comes_back(params: &Everything) {
    params.validate().expect("what was read is valid");
    let text = params.to_json().to_string();
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let again = Everything::from_stored(&value).expect("stored parameters");
    assert_eq!(&again, params);
    // Equal parameters, so that a second save has the first one's digest.
    assert_eq!(again.to_json().to_string(), text);
}
