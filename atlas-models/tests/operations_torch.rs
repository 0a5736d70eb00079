//! Cross-entropy, layer normalisation and linear against the numbers in `operations_torch.json`,
//! which PyTorch made with `operations_torch.py`.

use atlas_core::nn::LayerNorm;
use atlas_models::nn::{Linear, softmax_cross_entropy};
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
