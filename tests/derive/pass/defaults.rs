//! Defaults of every form, and when `Default` exists.

use atlas_core::ParamValue;
use atlas_core::prelude::*;
use serde_json::json;

const WIDTH: usize = 8;
const RATES: [f64; 2] = [0.1, 0.2];
static LAYERS: usize = 3;

mod sizes {
    pub(super) const fn hidden() -> usize {
        64
    }
}

type Width = usize;
type Widths = [usize; 2];
type Text = String;

/// A default of every form.
#[derive(Params, Clone, Debug, PartialEq)]
struct Defaults {
    #[param(default = true)]
    flag: bool,
    #[param(default = i64::MIN)]
    least: i64,
    #[param(default = 0xff)]
    byte: u8,
    #[param(default = 1e-3)]
    rate: f64,
    #[param(default = -0.25)]
    shift: f32,
    #[param(default = WIDTH * 2 + 1, min = WIDTH)]
    constant: usize,
    #[param(default = LAYERS)]
    from_static: usize,
    #[param(default = sizes::hidden(), min = 1)]
    call: usize,
    #[param(default = "text")]
    text: String,
    #[param(default = String::from("owned"))]
    owned: String,
    #[param(default = "alias", one_of = ["alias", "other"])]
    alias: Text,
    #[param(default = WIDTH, min = 1)]
    width: Width,
    #[param(default = [1, 2], min = 1)]
    widths: Widths,
    #[param(default = None)]
    none: Option<usize>,
    #[param(default = Some(3))]
    some: Option<usize>,
    #[param(default = ::core::option::Option::Some("deep"))]
    some_text: Option<String>,
    #[param(default = vec![])]
    empty: Vec<u8>,
    #[param(default = vec!["a"; 2])]
    texts: Vec<String>,
    #[param(default = [[0.5; 2]; 2], min = 0.0)]
    matrix: [[f32; 2]; 2],
    #[param(default = RATES, min = 0.0)]
    rates: [f64; 2],
    #[param(default = RATES.to_vec())]
    more_rates: Vec<f64>,
    #[param(default = vec![vec!["a"], vec![]])]
    nested_texts: Vec<Vec<String>>,
}

#[test]
fn a_default_of_every_form_is_taken() {
    let defaults = Defaults::default();
    assert_eq!(
        defaults.to_json(),
        json!({
            "flag": true,
            "least": i64::MIN,
            "byte": 255,
            "rate": 0.001,
            "shift": -0.25,
            "constant": 17,
            "from_static": 3,
            "call": 64,
            "text": "text",
            "owned": "owned",
            "alias": "alias",
            "width": 8,
            "widths": [1, 2],
            "none": null,
            "some": 3,
            "some_text": "deep",
            "empty": [],
            "texts": ["a", "a"],
            "matrix": [[0.5, 0.5], [0.5, 0.5]],
            "rates": [0.1, 0.2],
            "more_rates": [0.1, 0.2],
            "nested_texts": [["a"], []],
        })
    );
    assert_eq!(Defaults::schema().complete(&json!({})), defaults.to_json());
}

/// A group with a required parameter has no `Default`.
#[derive(Params, Clone, Debug, PartialEq)]
struct Required {
    #[param]
    given: usize,
    #[param(default = 2)]
    absent: usize,
}

/// Says whether a type has a `Default`, by which of two methods is found.
struct Probe<T>(std::marker::PhantomData<T>);

trait HasNone {
    const DEFAULT: bool = false;
}

impl<T> HasNone for Probe<T> {}

impl<T: Default> Probe<T> {
    const DEFAULT: bool = true;
}

/// A group inside that has no `Default`, so neither has this.
#[derive(Params, Clone, Debug, PartialEq)]
struct Outer {
    #[param(nested)]
    inner: Required,
}

/// An optional group needs no default of its own.
#[derive(Params, Clone, Debug, PartialEq)]
struct Optional {
    #[param(nested)]
    inner: Option<Required>,
    #[param(nested)]
    more: Vec<Required>,
}

#[test]
#[allow(clippy::assertions_on_constants)]
fn default_exists_exactly_if_every_parameter_has_one() {
    assert!(Probe::<Defaults>::DEFAULT);
    assert!(!Probe::<Required>::DEFAULT);
    assert!(!Probe::<Outer>::DEFAULT);
    assert!(Probe::<Optional>::DEFAULT);
    assert_eq!(
        Optional::default(),
        Optional {
            inner: None,
            more: Vec::new()
        }
    );
    assert_eq!(
        Optional::from_overrides(&json!({})).unwrap(),
        Optional::default()
    );
}

#[test]
fn an_absent_parameter_without_default_is_an_error() {
    assert_eq!(
        Required::from_overrides(&json!({"given": 1})).unwrap(),
        Required {
            given: 1,
            absent: 2
        }
    );
    let error = Required::from_overrides(&json!({})).unwrap_err();
    assert_eq!(error.problems().len(), 1);
    assert_eq!(error.problems()[0].path(), "given");
}
