//! Parameters: every type, both ways of reading, and the report of everything that is wrong.

use atlas_core::ParamValue;
use atlas_core::Problem;
use atlas_core::prelude::*;
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Choice, Clone, Copy, Debug, PartialEq)]
enum Cell {
    /// Gated recurrent unit.
    Gru,
    /// Long short-term memory.
    Lstm,
    #[choice(name = "rnn-2")]
    Rnn,
}

/// One of every type.
#[derive(Params, Clone, Debug, PartialEq)]
struct Everything {
    #[param(default = true)]
    flag: bool,
    #[param(default = 1)]
    a_u8: u8,
    #[param(default = 1)]
    a_u16: u16,
    #[param(default = 1)]
    a_u32: u32,
    #[param(default = 1)]
    a_u64: u64,
    #[param(default = 1)]
    a_usize: usize,
    #[param(default = -1)]
    a_i8: i8,
    #[param(default = -1)]
    a_i16: i16,
    #[param(default = -1)]
    a_i32: i32,
    #[param(default = -1)]
    a_i64: i64,
    #[param(default = -1)]
    a_isize: isize,
    #[param(default = 0.5)]
    a_f32: f32,
    #[param(default = 0.5)]
    a_f64: f64,
    #[param(default = "a text")]
    text: String,
    #[param(default = None)]
    option: Option<f32>,
    #[param(default = vec![1, 2])]
    list: Vec<u64>,
    #[param(default = [0.5, -0.0, 1e300])]
    array: [f64; 3],
    #[param(default = Cell::Lstm)]
    cell: Cell,
    #[param(nested)]
    group: Layer,
    #[param(nested)]
    groups: Vec<Layer>,
    #[param(nested)]
    option_group: Option<Layer>,
}

/// One layer.
#[derive(Params, Clone, Debug, PartialEq)]
struct Layer {
    /// Units.
    #[param(default = 64, min = 1, max = 4096, multiple_of = 8)]
    width: usize,
    /// Share of units that training drops.
    #[param(default = 0.0, min = 0.0, max = 1.0)]
    dropout: f64,
}

/// The tree of a model with groups in groups.
#[derive(Params, Clone, Debug, PartialEq)]
#[atlas(validate = narrows)]
struct Model {
    #[param(nested)]
    encoder: Encoder,
    /// Width of the latent space.
    #[param(default = 16, min = 1)]
    latent_size: usize,
    #[param(default = "relu", one_of = ["relu", "tanh", "10"])]
    activation: String,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Encoder {
    #[param(nested, default = vec![Layer { width: 64, dropout: 0.1 }, Layer { width: 32, dropout: 0.1 }])]
    layers: Vec<Layer>,
    #[param(nested)]
    head: Option<Layer>,
    #[param(default = "C", len = 1..=3)]
    token: String,
}

fn narrows(model: &Model) -> Result<(), String> {
    match model
        .encoder
        .layers
        .iter()
        .find(|layer| layer.width < model.latent_size)
    {
        None => Ok(()),
        Some(layer) => Err(format!(
            "a layer of {} units is narrower than the latent space",
            layer.width
        )),
    }
}

/// Through the text of a file, as a bundle stores it.
fn round_trip<P: Params>(params: &P) -> P {
    let text = serde_json::to_string(&params.to_json()).unwrap();
    P::from_stored(&serde_json::from_str(&text).unwrap()).unwrap()
}

fn everything() -> Everything {
    Everything::from_overrides(&json!({})).unwrap()
}

fn problems<T: std::fmt::Debug>(result: Result<T>) -> Vec<Problem> {
    let error = result.unwrap_err();
    assert!(error.is_params(), "{error}");
    error.problems().to_vec()
}

/// `(path, found, expected, suggestion)`.
fn parts(problem: &Problem) -> (&str, Option<&str>, &str, Option<&str>) {
    (
        problem.path(),
        problem.found(),
        problem.expected(),
        problem.suggestion(),
    )
}

fn only_problem<T: std::fmt::Debug>(result: Result<T>) -> String {
    let problems = problems(result);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn integers_keep_their_extremes() {
    let extremes = Everything {
        a_u8: u8::MAX,
        a_u16: u16::MAX,
        a_u32: u32::MAX,
        a_u64: u64::MAX,
        a_usize: usize::MAX,
        a_i8: i8::MIN,
        a_i16: i16::MIN,
        a_i32: i32::MIN,
        a_i64: i64::MIN,
        a_isize: isize::MIN,
        list: vec![(1 << 53) + 1, u64::MAX],
        ..everything()
    };
    assert_eq!(round_trip(&extremes), extremes);
}

/// The least and the greatest of each class of finite floats, and their neighbours.
const F64_BITS: [u64; 12] = [
    0x0000_0000_0000_0000, // 0
    0x8000_0000_0000_0000, // -0
    0x0000_0000_0000_0001, // the least subnormal
    0x8000_0000_0000_0001,
    0x000f_ffff_ffff_ffff, // the greatest subnormal
    0x0010_0000_0000_0000, // the least normal
    0x7fef_ffff_ffff_ffff, // the greatest
    0xffef_ffff_ffff_ffff,
    0x3fb9_9999_9999_999a, // 0.1
    0x3ff0_0000_0000_0001, // 1 and one unit in the last place
    0x4340_0000_0000_0001, // 2^53 + 2
    0x44b5_2d02_c7e1_4af7, // about 1e23
];

const F32_BITS: [u32; 10] = [
    0x0000_0000, // 0
    0x8000_0000, // -0
    0x0000_0001, // the least subnormal
    0x8000_0001,
    0x007f_ffff, // the greatest subnormal
    0x0080_0000, // the least normal
    0x7f7f_ffff, // the greatest
    0xff7f_ffff,
    0x3dcc_cccd, // 0.1
    0x3f80_0001, // 1 and one unit in the last place
];

fn assert_floats_survive(small: f32, large: f64) {
    let params = Everything {
        a_f32: small,
        a_f64: large,
        option: Some(small),
        array: [large, -large, 1.0],
        ..everything()
    };
    let read = round_trip(&params);
    assert_eq!(read.a_f32.to_bits(), small.to_bits());
    assert_eq!(read.option.map(f32::to_bits), Some(small.to_bits()));
    assert_eq!(read.a_f64.to_bits(), large.to_bits());
    assert_eq!(read.array.map(f64::to_bits), params.array.map(f64::to_bits));
}

#[test]
fn floats_of_every_class_keep_their_bits() {
    for large in F64_BITS {
        assert_floats_survive(0.5, f64::from_bits(large));
    }
    for small in F32_BITS {
        assert_floats_survive(f32::from_bits(small), 0.5);
    }
}

#[test]
fn an_f32_is_written_as_people_write_it() {
    let params = Everything {
        a_f32: 0.1,
        ..everything()
    };
    assert_eq!(params.to_json()["a_f32"].to_string(), "0.1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_finite_float_keeps_its_bits(small in any::<u32>(), large in any::<u64>()) {
        let (small, large) = (f32::from_bits(small), f64::from_bits(large));
        prop_assume!(small.is_finite() && large.is_finite());
        assert_floats_survive(small, large);
    }

    #[test]
    fn every_integer_survives(a_u64: u64, a_i64: i64, a_i8: i8, list: Vec<u64>) {
        let params = Everything { a_u64, a_i64, a_i8, list, ..everything() };
        prop_assert_eq!(round_trip(&params), params);
    }

    #[test]
    fn every_text_survives(text: String) {
        let params = Everything { text, ..everything() };
        prop_assert_eq!(round_trip(&params), params);
    }

    #[test]
    fn assignments_read_what_they_display(a_u64: u64, a_i64: i64, large in any::<f64>(), width in 1..512usize) {
        prop_assume!(large.is_finite());
        let read = Everything::from_assignments([
            format!("a_u64={a_u64}"),
            format!("a_i64={a_i64}"),
            format!("a_f64={large}"),
            format!("group.width={}", width * 8),
        ]).unwrap();
        prop_assert_eq!((read.a_u64, read.a_i64, read.group.width), (a_u64, a_i64, width * 8));
        prop_assert_eq!(read.a_f64.to_bits(), large.to_bits());
    }
}

#[test]
fn values_that_are_not_finite_are_refused_and_named() {
    for (value, found) in [
        (f64::NAN, "\"NaN\""),
        (f64::INFINITY, "\"inf\""),
        (f64::NEG_INFINITY, "\"-inf\""),
    ] {
        let params = Everything {
            a_f64: value,
            a_f32: value as f32,
            ..everything()
        };
        let problems = problems(params.validate());
        assert_eq!(
            parts(&problems[0]),
            ("a_f32", Some(found), "expected a finite number (f32)", None)
        );
        assert_eq!(
            parts(&problems[1]),
            ("a_f64", Some(found), "expected a finite number (f64)", None)
        );
        assert_eq!(problems.len(), 2);
    }
    assert_eq!(
        only_problem(Everything::from_assignments(["a_f64=nan"])),
        "`a_f64` = \"nan\": expected a finite number (f64)"
    );
    assert_eq!(
        only_problem(Everything::from_assignments(["a_f64=1e400"])),
        "`a_f64` = \"1e400\": expected a finite number (f64)"
    );
    assert_eq!(
        only_problem(Everything::from_overrides(&json!({ "a_f32": 3.5e38 }))),
        "`a_f32` = 3.5e+38: expected a finite number (f32), at most 3.4028235e38 in size"
    );
}

#[test]
fn an_absent_parameter_takes_its_default_among_overrides_alone() {
    let overrides = json!({ "latent_size": 8 });
    let model = Model::from_overrides(&overrides).unwrap();
    assert_eq!((model.latent_size, model.activation.as_str()), (8, "relu"));
    assert_eq!(
        model.encoder.layers[1],
        Layer {
            width: 32,
            dropout: 0.1
        }
    );

    let problems = problems(Model::from_stored(&overrides));
    let paths: Vec<&str> = problems.iter().map(Problem::path).collect();
    assert_eq!(paths, ["encoder", "activation"]);
    assert_eq!(
        problems[1].expected(),
        "missing, and stored parameters never fall back on a default; expected a text"
    );
}

#[test]
fn a_stored_parameter_is_missed_at_every_depth() {
    let mut stored = Model::from_overrides(&json!({})).unwrap().to_json();
    stored["encoder"]["layers"][1]
        .as_object_mut()
        .unwrap()
        .remove("dropout");
    assert!(
        only_problem(Model::from_stored(&stored))
            .starts_with("`encoder.layers[1].dropout`: missing")
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let overrides = json!({
        "latent_sizes": 8,
        "activation": "relus",
        "encoder": {
            "layers": [{}, {}, { "width": 12, "dropout": "none" }],
            "token": "",
            "zzzzzzzzzzzz": 1,
        },
    });
    let problems = problems(Model::from_overrides(&overrides));
    let found: Vec<_> = problems.iter().map(parts).collect();
    assert_eq!(
        found,
        [
            (
                "latent_sizes",
                None,
                "unknown parameter",
                Some("latent_size")
            ),
            (
                "encoder.zzzzzzzzzzzz",
                None,
                "unknown parameter; `Encoder` has `layers`, `head`, `token`",
                None
            ),
            (
                "encoder.layers[2].width",
                Some("12"),
                "expected 1 to 4096, a multiple of 8",
                None
            ),
            (
                "encoder.layers[2].dropout",
                Some("\"none\""),
                "expected a finite number (f64)",
                None
            ),
            (
                "encoder.token",
                Some("\"\""),
                "expected length 1 to 3, found 0",
                None
            ),
            (
                "activation",
                Some("\"relus\""),
                "expected one of relu, tanh, 10",
                Some("relu")
            ),
        ]
    );
}

#[test]
fn the_message_of_a_report_names_each_problem_on_a_line() {
    let error =
        Model::from_overrides(&json!({ "latent_sizes": 8, "activation": "softmax" })).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameters: 2 problems\n  - `latent_sizes`: unknown parameter; did you mean `latent_size`?\n  - \
         `activation` = \"softmax\": expected one of relu, tanh, 10"
    );
}

#[test]
fn the_check_across_parameters_runs_when_each_is_right() {
    assert_eq!(
        only_problem(Model::from_overrides(&json!({ "latent_size": 48 }))),
        "a layer of 32 units is narrower than the latent space"
    );
    assert_eq!(
        only_problem(Model::from_overrides(
            &json!({ "latent_size": 48, "activation": 1 })
        )),
        "`activation` = 1: expected a text"
    );
}

#[test]
fn values_of_another_type_are_refused() {
    for (overrides, message) in [
        (json!({ "flag": 1 }), "`flag` = 1: expected true or false"),
        (
            json!({ "a_u8": 256 }),
            "`a_u8` = 256: expected an integer (u8), 0 to 255",
        ),
        (
            json!({ "a_u8": -1 }),
            "`a_u8` = -1: expected an integer (u8), 0 to 255",
        ),
        (
            json!({ "a_u8": 1.0 }),
            "`a_u8` = 1.0: expected an integer (u8)",
        ),
        (
            json!({ "a_u8": "1" }),
            "`a_u8` = \"1\": expected an integer (u8)",
        ),
        (
            json!({ "a_f64": "0.5" }),
            "`a_f64` = \"0.5\": expected a finite number (f64)",
        ),
        (
            json!({ "a_f64": null }),
            "`a_f64` = null: expected a finite number (f64)",
        ),
        (json!({ "text": 1 }), "`text` = 1: expected a text"),
        (
            json!({ "list": 1 }),
            "`list` = 1: expected a list, each an integer (u64)",
        ),
        (
            json!({ "list": [1, -2] }),
            "`list[1]` = -2: expected an integer (u64), 0 to 18446744073709551615",
        ),
        (
            json!({ "array": [1.0, 2.0] }),
            "`array`: expected 3 elements, found 2",
        ),
        (
            json!({ "cell": "gruu" }),
            "`cell` = \"gruu\": expected one of gru, lstm, rnn-2; did you mean `gru`?",
        ),
        (
            json!({ "group": 1 }),
            "`group` = 1: expected an object of parameters (Layer)",
        ),
        (
            json!([]),
            "[]: expected an object of parameters (Everything)",
        ),
    ] {
        assert_eq!(
            only_problem(Everything::from_overrides(&overrides)),
            message
        );
    }
}

#[test]
fn a_text_that_looks_like_a_number_is_a_text() {
    assert_eq!(
        Model::from_overrides(&json!({ "activation": "10" }))
            .unwrap()
            .activation,
        "10"
    );
    assert_eq!(
        only_problem(Model::from_overrides(&json!({ "activation": "010" }))),
        "`activation` = \"010\": expected one of relu, tanh, 10; did you mean `10`?"
    );
}

#[test]
fn overrides_of_a_group_leave_its_other_parameters() {
    let model = Model::from_overrides(&json!({ "encoder": { "token": "Cl" } })).unwrap();
    assert_eq!(
        (model.encoder.token.as_str(), model.encoder.layers.len()),
        ("Cl", 2)
    );
}

#[test]
fn elements_of_a_list_of_groups_take_the_groups_own_defaults() {
    let model =
        Model::from_overrides(&json!({ "encoder": { "layers": [{ "width": 256 }, {}] } })).unwrap();
    assert_eq!(
        model.encoder.layers,
        [
            Layer {
                width: 256,
                dropout: 0.0
            },
            Layer {
                width: 64,
                dropout: 0.0
            }
        ]
    );
}

#[test]
fn an_optional_group_is_absent_or_completed() {
    let head = |overrides: Value| Model::from_overrides(&overrides).unwrap().encoder.head;
    assert_eq!(head(json!({})), None);
    assert_eq!(head(json!({ "encoder": { "head": null } })), None);
    assert_eq!(
        head(json!({ "encoder": { "head": {} } })),
        Some(Layer {
            width: 64,
            dropout: 0.0
        })
    );
    assert_eq!(
        head(json!({ "encoder": { "head": { "width": 8 } } })),
        Some(Layer {
            width: 8,
            dropout: 0.0
        })
    );
}

/// A field's default for a group that differs from the group's own.
#[derive(Params, Clone, Debug, PartialEq)]
struct Wide {
    #[param(nested, default = Layer { width: 4096, dropout: 0.5 })]
    layer: Layer,
    #[param(nested, default = Some(Layer { width: 2048, dropout: 0.25 }))]
    head: Option<Layer>,
}

#[test]
fn a_group_takes_what_it_leaves_out_from_the_fields_default() {
    let wide =
        Wide::from_overrides(&json!({ "layer": { "width": 8 }, "head": { "dropout": 1.0 } }))
            .unwrap();
    assert_eq!(
        wide.layer,
        Layer {
            width: 8,
            dropout: 0.5
        }
    );
    assert_eq!(
        wide.head,
        Some(Layer {
            width: 2048,
            dropout: 1.0
        })
    );
}

#[test]
fn assignments_reach_every_depth() {
    let model = Model::from_assignments([
        "encoder.layers[1].width=40",
        "encoder.layers[2]={\"width\": 24}",
        "encoder.head.dropout=0.5",
        "encoder.token=\"C\"",
        "activation=10",
        "latent_size = 1_6",
    ])
    .unwrap();
    let widths: Vec<usize> = model
        .encoder
        .layers
        .iter()
        .map(|layer| layer.width)
        .collect();
    assert_eq!(widths, [64, 40, 24]);
    assert_eq!(model.encoder.layers[1].dropout, 0.1);
    assert_eq!(
        model.encoder.head,
        Some(Layer {
            width: 64,
            dropout: 0.5
        })
    );
    assert_eq!((model.activation.as_str(), model.latent_size), ("10", 16));
}

#[test]
fn assignments_read_each_type() {
    let read = Everything::from_assignments([
        "flag=false",
        "a_i64=+9_223_372_036_854_775_807",
        "a_u64=18446744073709551615",
        "list=3,4,5",
        "array=[1, 2.5, -0]",
        "option=none",
        "cell=rnn-2",
        "text=a=b",
    ])
    .unwrap();
    assert_eq!(
        (read.flag, read.a_i64, read.a_u64),
        (false, i64::MAX, u64::MAX)
    );
    assert_eq!(
        (read.list, read.array, read.option),
        (vec![3, 4, 5], [1.0, 2.5, 0.0], None)
    );
    assert_eq!((read.cell, read.text.as_str()), (Cell::Rnn, "a=b"));
}

#[test]
fn all_assignments_that_cannot_be_read_are_reported_at_once() {
    let problems = problems(Model::from_assignments([
        "latent_size",
        "latent_siz=3",
        "latent_size=many",
        "encoder.layers[9].width=8",
        "encoder.layers.width=8",
        "latent_size[0]=8",
        "encoder..token=C",
    ]));
    let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "`latent_size`: expected `name=value`, such as `hidden_size=64`",
            "`latent_siz`: unknown parameter; did you mean `latent_size`?",
            "`latent_size` = `many`: expected an integer (usize)",
            "`encoder.layers[9].width`: there is no element encoder.layers[9]",
            "`encoder.layers.width`: `encoder.layers` is a list, each a group of parameters (Layer), it has no names",
            "`latent_size[0]`: `latent_size` is an integer (usize), not a list",
            "`encoder..token`: expected a dotted path such as `encoder.layers[2].width`",
        ]
    );
}

#[test]
fn a_list_of_many_problems_is_cut_and_counted() {
    let list: Vec<i64> = vec![-1; 60];
    let error = Everything::from_overrides(&json!({ "list": list })).unwrap_err();
    assert_eq!(error.problems().len(), 60);
    assert!(error.to_string().ends_with("- and 10 more"));
}

/// Sizes, one of them required.
#[derive(Params, Clone, Debug, PartialEq)]
struct Sizes {
    #[param(default = 4, min = 1)]
    inputs: usize,
    #[param(min = 1)]
    outputs: usize,
    #[param(default = 0.5, max = 1.0)]
    rate: f64,
}

#[test]
fn assignments_that_can_be_read_are_checked_beside_those_that_cannot() {
    let error = Sizes::from_assignments(["hiden=3", "inputs=0", "rate=x"]).unwrap_err();
    let paths: Vec<&str> = error.problems().iter().map(Problem::path).collect();
    assert_eq!(paths, ["hiden", "rate", "inputs", "outputs"]);
    // What is meant, or could not be read, is not missing as well.
    for assignment in ["output=3", "outputs=x"] {
        let error = Sizes::from_assignments([assignment]).unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
    }
}

#[test]
fn an_assigned_group_with_a_key_twice_is_refused() {
    let assign = |text| Model::schema().overrides(json!({}), [text]);
    assert!(assign(r#"encoder={"token":"C"}"#).is_ok());
    assert!(assign(r#"encoder={"token":"C","token":"Cl"}"#).is_err());
}
