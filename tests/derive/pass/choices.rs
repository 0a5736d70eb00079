//! Enums whose variants are names.

#![allow(
    unused_qualifications,
    reason = "a path of more than one segment is tried"
)]

use atlas_core::ParamValue;
use atlas_core::prelude::*;
use serde_json::json;

/// What follows a layer.
#[derive(Choice, Clone, Copy, Debug, PartialEq)]
enum Activation {
    /// max(0, x)
    Relu,
    /// By tanh.
    GeluTanh,
    #[choice(name = "swish")]
    Silu,
    #[allow(non_camel_case_types)]
    r#type,
}

#[test]
fn a_variant_has_its_kebab_case_name_or_the_one_it_is_given() {
    let names: Vec<_> = Activation::ITEMS
        .iter()
        .map(|item| (item.name, item.doc))
        .collect();
    assert_eq!(
        names,
        [
            ("relu", "max(0, x)"),
            ("gelu-tanh", "By tanh."),
            ("swish", ""),
            ("type", "")
        ]
    );
    for item in Activation::ITEMS {
        let variant = Activation::from_name(item.name).unwrap();
        assert_eq!(variant.name(), item.name);
        assert_eq!(variant.to_string(), item.name);
        assert_eq!(item.name.parse::<Activation>().unwrap(), variant);
        assert_eq!(serde_json::to_value(variant).unwrap(), json!(item.name));
        assert_eq!(Activation::from_json(&variant.to_json()), Some(variant));
    }
    assert_eq!(Activation::from_name("Relu"), None);
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest() {
    let error = "gelu_tanh".parse::<Activation>().unwrap_err();
    assert!(error.to_string().contains("gelu-tanh"), "{error}");
}

#[test]
fn a_name_is_padded_like_any_text() {
    assert_eq!(
        format!("{:>6}|{:<6}|", Activation::Relu, Activation::Silu),
        "  relu|swish |"
    );
}

const DEFAULT: Activation = Activation::GeluTanh;

/// Parameters that are choices.
#[derive(Params, Clone, Debug, PartialEq)]
struct Layer {
    #[param(default = Activation::Relu, one_of = [Activation::Relu, Activation::GeluTanh])]
    inner: Activation,
    #[param(default = DEFAULT, one_of = [self::Activation::GeluTanh, Activation::Silu])]
    outer: Activation,
    #[param(default = vec![Activation::Silu], one_of = [Activation::Silu], len = 1..)]
    more: Vec<Activation>,
    #[param(default = Some(Activation::Silu))]
    last: Option<Activation>,
}

#[test]
fn choices_have_defaults_and_constraints() {
    let layer = Layer::default();
    assert_eq!(
        layer.to_json(),
        json!({"inner": "relu", "outer": "gelu-tanh", "more": ["swish"], "last": "swish"})
    );
    assert_eq!(Layer::from_stored(&layer.to_json()).unwrap(), layer);
    let error = Layer::from_overrides(&json!({"inner": "swish", "more": ["relu"]})).unwrap_err();
    let paths: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| problem.path().to_owned())
        .collect();
    assert_eq!(paths, ["inner", "more[0]"]);
}
