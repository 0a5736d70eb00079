//! A model as the design shows it: one struct, one derive.

use atlas_core::prelude::*;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, Sequential, VarBuilder, linear, seq};

/// A perceptron with one hidden layer.
///
/// With ReLU.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Mlp {
    /// Features of one input row.
    #[param(default = 20, min = 1)]
    input_size: usize,
    /// Units of the hidden layer.
    #[param(default = 50, min = 1)]
    hidden_size: usize,
    /// Features of one output row.
    #[param(default = 5, min = 1)]
    output_size: usize,

    #[network(with = build_net)]
    net: Sequential,
}

fn build_net(params: &MlpParams, vb: VarBuilder) -> candle_core::Result<Sequential> {
    Ok(seq()
        .add(linear(params.input_size, params.hidden_size, vb.pp("0"))?)
        .add_fn(Tensor::relu)
        .add(linear(params.hidden_size, params.output_size, vb.pp("2"))?))
}

#[test]
fn a_model_says_what_it_is() {
    assert_eq!(Mlp::NAME, "mlp");
    assert_eq!(Mlp::VERSION, 1);
    assert_eq!(
        Mlp::DOC,
        "A perceptron with one hidden layer.\n\nWith ReLU."
    );
    assert_eq!(Mlp::NETWORKS, ["net"]);
    assert!(Mlp::migrations().is_empty());
    assert!(Mlp::golden().is_none());
}

#[test]
fn a_created_model_holds_its_parameters_and_networks() {
    let model = Mlp::create(MlpParams {
        input_size: 3,
        ..Default::default()
    })
    .unwrap();
    assert_eq!(
        (model.input_size, model.hidden_size, model.output_size),
        (3, 50, 5)
    );
    assert_eq!(
        model.params(),
        &MlpParams {
            input_size: 3,
            hidden_size: 50,
            output_size: 5
        }
    );
    let rows = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(model.net.forward(&rows).unwrap().dims(), [2, 5]);
}

#[test]
fn the_parameters_struct_clones_compares_prints_and_serialises() {
    let params = MlpParams {
        input_size: 3,
        ..Default::default()
    };
    assert_eq!(params.clone(), params);
    assert_ne!(params, MlpParams::default());
    assert_eq!(
        format!("{params:?}"),
        "MlpParams { input_size: 3, hidden_size: 50, output_size: 5 }"
    );
    let json = serde_json::to_string(&params).unwrap();
    assert_eq!(json, r#"{"input_size":3,"hidden_size":50,"output_size":5}"#);
}

#[test]
fn the_schema_keeps_order_names_and_documentation() {
    let schema = MlpParams::schema();
    assert_eq!(schema.name(), "MlpParams");
    assert_eq!(
        schema.doc(),
        "A perceptron with one hidden layer.\n\nWith ReLU."
    );
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| (field.name(), field.doc()))
        .collect();
    assert_eq!(
        fields,
        [
            ("input_size", "Features of one input row."),
            ("hidden_size", "Units of the hidden layer."),
            ("output_size", "Features of one output row."),
        ]
    );
}

/// A linear layer that builds itself.
struct Head(Linear);

impl Head {
    fn new(params: &PairParams, vb: VarBuilder) -> candle_core::Result<Self> {
        linear(params.width, params.words.len(), vb).map(Self)
    }
}

/// Two networks and a value computed from a parameter.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Pair {
    #[network]
    head: Head,
    #[param(default = vec!["a", "bc"])]
    words: Vec<String>,
    #[derived(with = longest)]
    longest: usize,
    #[param(default = 4)]
    width: usize,
    #[network(with = Self::tail)]
    tail: Linear,
}

fn longest(params: &PairParams) -> Result<usize> {
    Ok(params.words.iter().map(String::len).max().unwrap_or(0))
}

impl Pair {
    fn tail(params: &PairParams, vb: VarBuilder<'_>) -> Result<Linear> {
        Ok(linear(params.width, 1, vb)?)
    }
}

#[test]
fn networks_build_themselves_or_with_a_function_and_derived_fields_are_computed() {
    let model = Pair::create(PairParams::default()).unwrap();
    assert_eq!(Pair::NETWORKS, ["head", "tail"]);
    assert_eq!(model.head.0.weight().dims(), [2, 4]);
    assert_eq!(model.tail.weight().dims(), [1, 4]);
    assert_eq!(model.longest, 2);
    assert_eq!(model.width, 4);
}

/// Networks of which one needs the other.
#[derive(AtlasModel)]
#[atlas(unchecked, build = build_tied)]
struct Tied {
    #[param(default = 2)]
    width: usize,
    #[network]
    first: Linear,
    #[network]
    second: Linear,
}

fn build_tied(
    params: &TiedParams,
    networks: &atlas_core::NetworkBuilder,
) -> candle_core::Result<(Linear, Linear)> {
    let first = linear(params.width, 3, networks.builder("first")?)?;
    let outputs = first.weight().dim(0)?;
    Ok((first, linear(outputs, 1, networks.builder("second")?)?))
}

/// One network, built by the model.
#[derive(AtlasModel)]
#[atlas(unchecked, build = build_alone)]
struct Alone {
    #[network]
    net: Linear,
}

fn build_alone(
    _: &AloneParams,
    networks: &atlas_core::NetworkBuilder,
) -> candle_core::Result<Linear> {
    linear(1, 1, networks.builder("net")?)
}

#[test]
fn one_function_builds_all_networks() {
    let model = Tied::create(TiedParams::default()).unwrap();
    assert_eq!(model.first.weight().dims(), [3, 2]);
    assert_eq!(model.second.weight().dims(), [1, 3]);
    assert_eq!(
        Alone::create(AloneParams {}).unwrap().net.weight().dims(),
        [1, 1]
    );
}

/// A field may have the name of anything the generated code has a name for.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Captured {
    #[param(default = 1)]
    params: usize,
    #[param(default = 2)]
    networks: usize,
    #[derived(with = json)]
    json: usize,
    #[network(with = vb)]
    vb: Linear,
}

fn json(params: &CapturedParams) -> Result<usize> {
    Ok(params.params + params.networks)
}

fn vb(_: &CapturedParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(1, 1, vb)
}

#[test]
fn names_of_fields_and_functions_do_not_meet_the_generated_code() {
    let model = Captured::create(CapturedParams::default()).unwrap();
    assert_eq!(model.json, 3);
    assert_eq!(model.vb.weight().dims(), [1, 1]);
}

#[test]
fn a_model_can_be_declared_in_a_function() {
    /// Local.
    #[derive(AtlasModel)]
    #[atlas(unchecked)]
    struct Local {
        #[param(default = WIDTH)]
        width: usize,
        #[network(with = net)]
        net: Linear,
    }
    const WIDTH: usize = 3;
    fn net(params: &LocalParams, vb: VarBuilder) -> candle_core::Result<Linear> {
        linear(params.width, 1, vb)
    }
    assert_eq!(
        Local::create(LocalParams::default())
            .unwrap()
            .net
            .weight()
            .dims(),
        [1, 3]
    );
}
