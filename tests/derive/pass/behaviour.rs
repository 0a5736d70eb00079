//! The forms in which a model says how its behaviour is checked.

use atlas_core::prelude::*;
use candle_core::{Result as CandleResult, Tensor};
use candle_nn::{BatchNorm, Linear, VarBuilder, batch_norm, linear};

/// By shapes, of parameters, nested ones and derived fields.
#[derive(AtlasModel)]
struct ByShapes {
    #[param(default = 3)]
    width: usize,
    #[param(nested)]
    group: Group,
    #[derived(with = twice)]
    twice: usize,
    #[network(with = first, golden = [2, width])]
    first: Linear,
    #[network(with = second, golden = [group.rows, twice * 2 / 4])]
    second: Linear,
    /// Not a `Module` but a `ModuleT`.
    #[network(with = norm, golden = [2, width, 4])]
    norm: BatchNorm,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Group {
    #[param(default = 5)]
    rows: usize,
}

fn twice(params: &ByShapesParams) -> Result<usize> {
    Ok(2 * params.width)
}

fn first(params: &ByShapesParams, vb: VarBuilder) -> CandleResult<Linear> {
    linear(params.width, 1, vb)
}

fn second(params: &ByShapesParams, vb: VarBuilder) -> CandleResult<Linear> {
    linear(params.width, 1, vb)
}

fn norm(params: &ByShapesParams, vb: VarBuilder) -> CandleResult<BatchNorm> {
    batch_norm(params.width, 1e-5, vb)
}

#[test]
fn each_network_is_checked_on_an_input_of_its_shape() {
    let options = CreateOptions::new().seed(1);
    let model = ByShapes::create_with(ByShapesParams::default(), options).unwrap();
    let golden = model.snapshot().unwrap().golden.unwrap();
    let shapes: Vec<_> = golden
        .inputs
        .tensors()
        .map(|(name, tensor)| (name, tensor.dims()))
        .collect();
    assert_eq!(
        shapes,
        [
            ("first", &[2, 3][..]),
            ("second", &[5, 3]),
            ("norm", &[2, 3, 4])
        ]
    );
    let outputs: Vec<_> = golden
        .outputs
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.dims()))
        .collect();
    assert_eq!(
        outputs,
        [
            ("first", &[2, 1][..]),
            ("norm", &[2, 3, 4]),
            ("second", &[5, 1])
        ]
    );
}

macro_rules! by_function {
    ($model:ident, $params:ident, $function:ident, $outputs:ty, $made:expr) => {
        #[derive(AtlasModel)]
        #[atlas(golden = $function)]
        struct $model {
            #[network(with = one)]
            net: Linear,
        }

        fn $function(model: &$model) -> Result<$outputs, candle_core::Error> {
            $made(model.net.weight().clone())
        }
    };
}

by_function!(One, OneParams, one_output, Tensor, Ok);
by_function!(
    Named,
    NamedParams,
    named_outputs,
    [(&'static str, Tensor); 1],
    |weight| Ok([("weight", weight)])
);
by_function!(
    Many,
    ManyParams,
    many_outputs,
    Vec<(String, Tensor)>,
    |weight| Ok(vec![("weight".to_owned(), weight)])
);

fn one<P>(_: &P, vb: VarBuilder) -> CandleResult<Linear> {
    linear(2, 2, vb)
}

#[test]
fn a_function_gives_a_tensor_or_named_ones() {
    let one = One::create(OneParams {}).unwrap().snapshot().unwrap();
    let named = Named::create(NamedParams {}).unwrap().snapshot().unwrap();
    let many = Many::create(ManyParams {}).unwrap().snapshot().unwrap();
    let names = [one, named, many].map(|snapshot| {
        let golden = snapshot.golden.unwrap();
        assert_eq!(golden.inputs.tensors().len(), 0);
        golden.outputs.into_keys().collect::<Vec<_>>()
    });
    assert_eq!(names, [["output"], ["weight"], ["weight"]]);
}

/// Said to be unchecked.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Unchecked {
    #[network(with = one)]
    net: Linear,
}

#[test]
fn an_unchecked_model_has_no_record() {
    let model = Unchecked::create(UncheckedParams {}).unwrap();
    assert_eq!(model.net.weight().dims(), [2, 2]);
    assert!(model.snapshot().unwrap().golden.is_none());
}
