//! A model and its networks: what building may ask for, and in which order things are kept.

use atlas_core::NetworkBuilder;
use atlas_core::prelude::*;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};

/// Declared in another order than their names'.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Pair {
    #[param(default = 3, min = 1)]
    width: usize,
    #[network(with = encoder)]
    encoder: Vec<Linear>,
    #[network(with = decoder)]
    decoder: Linear,
}

fn encoder(params: &PairParams, vb: VarBuilder) -> candle_core::Result<Vec<Linear>> {
    ["z", "a", "z"]
        .iter()
        .map(|name| linear(params.width, params.width, vb.pp(name)))
        .collect()
}

fn decoder(params: &PairParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.width, 1, vb)
}

fn pair() -> Model<Pair> {
    Pair::create(PairParams::default()).unwrap()
}

#[test]
fn variables_are_in_the_order_of_networks_then_names() {
    let names: Vec<String> = pair().vars().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "encoder/a.bias",
        "encoder/a.weight",
        "encoder/z.bias",
        "encoder/z.weight",
        "decoder/bias",
        "decoder/weight",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_variable_is_the_tensor_that_the_model_computes_with() {
    let model = pair();
    let inputs = Tensor::ones((1, 3), DType::F32, &Device::Cpu).unwrap();
    for (name, var) in model.vars() {
        if name.starts_with("decoder/") {
            var.set(&var.zeros_like().unwrap()).unwrap();
        }
    }
    assert_eq!(
        model
            .decoder
            .forward(&inputs)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap(),
        [[0.0]]
    );
}

#[test]
fn a_tied_tensor_is_one_tensor() {
    let model = pair();
    assert_eq!(
        model.encoder[0].weight().id(),
        model.encoder[2].weight().id()
    );
    assert_eq!(model.network("encoder").unwrap().tensors().len(), 4);
}

#[test]
fn a_frozen_network_is_not_trained_until_it_is_thawed() {
    let mut model = pair();
    let names = |model: &Model<Pair>| -> Vec<String> {
        model
            .trainable_vars()
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(names(&model).len(), 6);
    model.set_frozen("encoder", true).unwrap();
    assert_eq!(names(&model), ["decoder/bias", "decoder/weight"]);
    assert_eq!(model.vars().len(), 6);
    model.set_frozen("encoder", false).unwrap();
    assert_eq!(names(&model).len(), 6);
}

#[test]
fn freezing_a_network_that_is_not_there_is_refused() {
    let error = pair().set_frozen("encode", true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`pair` has no network `encode`; it has encoder, decoder"
    );
}

#[test]
fn the_model_is_used_through_the_box() {
    let model = pair();
    assert_eq!((model.width, model.params().width), (3, 3));
    assert_eq!(
        (AnyModel::name(&model), AnyModel::version(&model)),
        ("pair", 1)
    );
    assert_eq!(
        model.network("encoder").map(|network| network.elements()),
        Some(24)
    );
    assert!(model.network("none").is_none());
}

#[test]
fn all_broken_constraints_are_reported_before_anything_is_built() {
    let error = Pair::create(PairParams { width: 0 }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`pair`: parameters: `width` = 0: expected at least 1"
    );
}

/// A model whose one network is built by a function that the test gives.
macro_rules! built_by {
    ($build:expr) => {{
        #[derive(AtlasModel)]
        #[atlas(unchecked, name = "custom", build = all)]
        struct Custom {
            #[param(default = 2)]
            width: usize,
            #[network]
            net: Tensor,
        }

        fn all(params: &CustomParams, networks: &NetworkBuilder) -> Result<Tensor> {
            let build: fn(usize, &NetworkBuilder) -> Result<Tensor> = $build;
            build(params.width, networks)
        }

        Custom::create(CustomParams::default()).map(|model| model.net.dims().to_vec())
    }};
}

#[test]
fn a_tensor_without_a_shape_is_refused() {
    let result = built_by!(|_, networks| Ok(networks.builder("net")?.get_unchecked("weight")?));
    assert_eq!(
        result.unwrap_err().to_string(),
        "`custom`: tensor `weight` was asked for without a shape: a model says the shape of each of its tensors"
    );
}

#[test]
fn a_tensor_that_is_asked_for_twice_differently_is_refused() {
    let result = built_by!(|width, networks| {
        let vb = networks.builder("net")?;
        vb.get((width, width), "weight")?;
        Ok(vb.get(width, "weight")?)
    });
    assert_eq!(
        result.unwrap_err().to_string(),
        "`custom`: tensor `weight` was asked for twice, as F32 [2, 2] and as F32 [2]"
    );
}

#[test]
fn a_network_that_is_not_declared_is_refused() {
    let result = built_by!(|width, networks| Ok(networks.builder("nett")?.get(width, "weight")?));
    assert_eq!(
        result.unwrap_err().to_string(),
        "`custom`: the model has no network `nett`; it has net"
    );
}

#[test]
fn a_network_without_tensors_is_refused() {
    let result = built_by!(|width, _| Ok(Tensor::zeros(width, DType::F32, &Device::Cpu)?));
    assert_eq!(
        result.unwrap_err().to_string(),
        "`custom`: network `net` has no tensors: its `VarBuilder` was asked for none"
    );
}

#[test]
fn an_error_of_building_names_the_network() {
    let result =
        built_by!(|_, networks| networks
            .build("net", |_| Err::<Tensor, _>(candle_core::Error::msg("no"))));
    assert_eq!(
        result.unwrap_err().to_string(),
        "`custom`: network `net`: no"
    );
}
