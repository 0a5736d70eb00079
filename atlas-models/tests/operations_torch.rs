//! Cross-entropy, layer normalisation, linear, attention, convolution and transformer layers against
//! the numbers in `operations_torch.json`, which PyTorch made with `operations_torch.py`.

use atlas_core::nn::LayerNorm;
use atlas_models::nn::{
    Convolution, Linear, Packing, TransformerLayers, attention, softmax_cross_entropy,
};
use candle_core::{DType, Device, Module, Result, Tensor, Var};
use candle_nn::VarBuilder;
use serde_json::Value;
use std::collections::HashMap;

const TOLERANCE: f64 = 1e-12;

/// A nested list as a tensor of `f64`.
fn tensor(value: &Value) -> Result<Tensor> {
    fn walk(value: &Value, depth: usize, shape: &mut Vec<usize>, elements: &mut Vec<f64>) {
        match value {
            Value::Array(values) => {
                if shape.len() == depth {
                    shape.push(values.len());
                }
                values
                    .iter()
                    .for_each(|value| walk(value, depth + 1, shape, elements));
            }
            number => elements.push(number.as_f64().expect("a number")),
        }
    }
    let (mut shape, mut elements) = (Vec::new(), Vec::new());
    walk(value, 0, &mut shape, &mut elements);
    Tensor::from_vec(elements, shape, &Device::Cpu)
}

/// Asserts that the elements are those of `expected`, up to rounding that is relative for elements
/// above one.
fn assert_close(name: &str, found: &Tensor, expected: &Value) -> Result<()> {
    let expected = tensor(expected)?;
    assert_eq!(found.shape(), expected.shape(), "{name}");
    let elements = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f64>();
    for (index, (a, b)) in elements(found)?
        .into_iter()
        .zip(elements(&expected)?)
        .enumerate()
    {
        let error = (a - b).abs();
        assert!(
            error <= TOLERANCE * b.abs().max(1.0),
            "{name}[{index}]: {a}, not {b}"
        );
    }
    Ok(())
}

/// What `compute` makes of a case's inputs, as variables.
type Compute = fn(&Value, &HashMap<String, Var>) -> Result<Tensor>;

/// Asserts output and gradients of each case of an operation.
fn assert_cases(operation: &str, count: usize, compute: Compute) -> Result<()> {
    let cases: Value =
        serde_json::from_str(include_str!("operations_torch.json")).expect("valid JSON");
    let cases = cases.as_array().expect("a list of cases").iter();
    let cases: Vec<&Value> = cases
        .filter(|case| case["operation"] == operation)
        .collect();
    assert_eq!(cases.len(), count);
    for (number, case) in cases.into_iter().enumerate() {
        let inputs = case["inputs"].as_object().expect("inputs").iter();
        let inputs: HashMap<String, Var> = inputs
            .map(|(name, value)| Ok((name.clone(), Var::from_tensor(&tensor(value)?)?)))
            .collect::<Result<_>>()?;
        let output = compute(case, &inputs)?;
        assert_close(&format!("{operation} {number}"), &output, &case["output"])?;

        let ramp: Vec<f64> = (1..=output.elem_count()).map(|i| i as f64 / 10.0).collect();
        let ramp = Tensor::from_vec(ramp, output.shape(), &Device::Cpu)?;
        let gradients = (output * ramp)?.sum_all()?.backward()?;
        for (name, input) in &inputs {
            let gradient = gradients.get(input).expect("a gradient");
            let what = format!("{operation} {number}, gradient of {name}");
            assert_close(&what, gradient, &case["gradients"][name])?;
        }
    }
    Ok(())
}

fn builder(inputs: &HashMap<String, Var>) -> VarBuilder<'static> {
    let tensors = inputs
        .iter()
        .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
        .collect();
    VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu)
}

#[test]
fn a_cross_entropy_is_what_pytorch_computes() -> Result<()> {
    assert_cases("cross_entropy", 5, |case, inputs| {
        let targets = case["targets"].as_array().expect("a list of targets");
        // PyTorch leaves out the rows whose target is `ignored`.
        let (rows, targets): (Vec<u32>, Vec<u32>) = (0u32..)
            .zip(targets)
            .filter(|(_, target)| **target != case["ignored"])
            .map(|(row, target)| (row, target.as_u64().expect("a target") as u32))
            .unzip();
        let rows = Tensor::new(rows, &Device::Cpu)?;
        softmax_cross_entropy(&inputs["logits"].index_select(&rows, 0)?, &targets)
    })
}

#[test]
fn a_layer_normalisation_is_what_pytorch_computes() -> Result<()> {
    assert_cases("layer_norm", 4, |case, inputs| {
        let size = inputs["weight"].dims1()?;
        let epsilon = case["epsilon"].as_f64().expect("an epsilon");
        LayerNorm::new(size, epsilon, builder(inputs))?.forward(&inputs["x"])
    })
}

#[test]
fn a_linear_layer_is_what_pytorch_computes() -> Result<()> {
    assert_cases("linear", 3, |_, inputs| {
        let (output, input) = inputs["weight"].dims2()?;
        Linear::new(input, output, builder(inputs))?.forward(&inputs["x"])
    })
}

/// The packing of a case's sequences, whose rows lie one sequence after the other; which of those
/// is each packed row, and where each of those is packed.
fn packing(case: &Value) -> Result<(Packing, Tensor, Tensor)> {
    let lengths = case["lengths"].as_array().expect("lengths").iter();
    let lengths: Vec<usize> = lengths
        .map(|length| length.as_u64().expect("a length") as usize)
        .collect();
    let packing = Packing::new(&lengths)?;
    let start = |sequence: usize| lengths[..sequence].iter().sum::<usize>();
    let packed: Vec<u32> = packing
        .elements()
        .map(|(sequence, step)| (start(sequence) + step) as u32)
        .collect();
    let mut places = vec![0u32; packed.len()];
    for (row, &place) in packed.iter().enumerate() {
        places[place as usize] = row as u32;
    }
    let index = |rows: Vec<u32>| Tensor::new(rows, &Device::Cpu);
    Ok((packing, index(packed)?, index(places)?))
}

fn size(case: &Value, name: &str) -> usize {
    case[name].as_u64().expect("a size") as usize
}

fn causal(case: &Value) -> bool {
    case["causal"].as_bool().expect("true or false")
}

#[test]
fn attention_is_what_pytorch_computes() -> Result<()> {
    assert_cases("attention", 3, |case, inputs| {
        let (packing, packed, places) = packing(case)?;
        let [query, key, value] =
            ["query", "key", "value"].map(|name| inputs[name].index_select(&packed, 0));
        let heads = size(case, "heads");
        let output = attention(&packing, &query?, &key?, &value?, heads, causal(case))?;
        output.index_select(&places, 0)
    })
}

#[test]
fn a_convolution_is_what_pytorch_computes() -> Result<()> {
    assert_cases("convolution", 3, |case, inputs| {
        let (packing, packed, places) = packing(case)?;
        let (output, input, kernel) = inputs["weight"].dims3()?;
        let convolution = Convolution::new(input, output, kernel, builder(inputs))?;
        let rows = inputs["rows"].index_select(&packed, 0)?;
        convolution
            .forward(&packing, &rows)?
            .index_select(&places, 0)
    })
}

#[test]
fn transformer_layers_are_what_pytorch_computes() -> Result<()> {
    assert_cases("transformer", 2, |case, inputs| {
        let (packing, packed, places) = packing(case)?;
        let (feed_forward, width) = inputs["layers.0.linear1.weight"].dims2()?;
        let (heads, layers) = (size(case, "heads"), size(case, "layers"));
        let layers = TransformerLayers::new(width, heads, layers, feed_forward, builder(inputs))?;
        let rows = inputs["rows"].index_select(&packed, 0)?;
        let output = layers.forward(&packing, &rows, causal(case), None)?;
        output.index_select(&places, 0)
    })
}
