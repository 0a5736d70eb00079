//! The forms in which a model says how its behaviour is checked.

use atlas_core::prelude::*;
use candle_core::{Result as CandleResult, Tensor};
use candle_nn::{BatchNorm, Linear, VarBuilder, batch_norm, linear};

/// By a shape, of parameters, nested ones and derived fields.
#[derive(AtlasModel)]
struct ByShape {
    #[param(default = 3)]
    width: usize,
    #[param(nested)]
    group: Group,
    #[derived(with = twice)]
    twice: usize,
    #[network(with = net, golden = [group.rows, twice * 2 / 4])]
    net: Linear,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Group {
    #[param(default = 5)]
    rows: usize,
}

fn twice(params: &ByShapeParams) -> Result<usize> {
    Ok(2 * params.width)
}

fn net(params: &ByShapeParams, vb: VarBuilder) -> CandleResult<Linear> {
    linear(params.width, 1, vb)
}

/// By a shape, of a network that is not a `Module` but a `ModuleT`.
#[derive(AtlasModel)]
struct Normed {
    #[param(default = 3)]
    width: usize,
    #[network(with = norm, golden = [2, width, 4])]
    net: BatchNorm,
}

fn norm(params: &NormedParams, vb: VarBuilder) -> CandleResult<BatchNorm> {
    batch_norm(params.width, 1e-5, vb)
}

/// The shapes of the input and the output of the check.
fn shapes(model: &dyn AnyModel) -> (Vec<usize>, Vec<usize>) {
    let golden = model.snapshot().unwrap().golden.unwrap();
    assert_eq!(
        (golden.inputs.tensors().len(), golden.outputs.len()),
        (1, 1)
    );
    let input = golden.inputs.tensor("input").unwrap().dims().to_vec();
    (input, golden.outputs["output"].dims().to_vec())
}

#[test]
fn the_network_is_checked_on_an_input_of_its_shape() {
    let model = ByShape::create(ByShapeParams::default()).unwrap();
    assert_eq!(
        (model.group.rows, model.net.weight().dims()),
        (5, &[1, 3][..])
    );
    assert_eq!(shapes(&model), (vec![5, 3], vec![5, 1]));
    let model = Normed::create(NormedParams::default()).unwrap();
    assert_eq!((model.width, model.net.eps()), (3, 1e-5));
    assert_eq!(shapes(&model), (vec![2, 3, 4], vec![2, 3, 4]));
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
