//! The GRU against the numbers in `recurrent_torch.json`, which PyTorch made with
//! `recurrent_torch.py`.

use atlas_models::nn::{Gru, GruInput, Packing};
use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::VarBuilder;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

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

fn assert_close(name: &str, found: &Tensor, expected: &Tensor) -> Result<()> {
    assert_eq!(found.shape(), expected.shape(), "{name}");
    let worst = (found - expected)?
        .abs()?
        .flatten_all()?
        .max(0)?
        .to_scalar::<f64>()?;
    let scale = 1.0 + expected.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
    assert!(worst <= TOLERANCE * scale, "{name} differs by {worst}");
    Ok(())
}

/// The sum of the elements times 0.1, 0.2, 0.3, …
fn ramp(tensor: &Tensor) -> Result<Tensor> {
    let count = tensor.elem_count();
    let ramp: Vec<f64> = (1..=count).map(|i| i as f64 / 10.0).collect();
    (tensor.flatten_all()? * Tensor::from_vec(ramp, count, &Device::Cpu)?)?.sum_all()
}

fn assert_case(case: &Value) -> Result<()> {
    let size = |name: &str| case[name].as_u64().expect("a size") as usize;
    let lengths: Vec<usize> = case["lengths"]
        .as_array()
        .expect("lengths")
        .iter()
        .map(|length| length.as_u64().expect("a length") as usize)
        .collect();
    let packing = Arc::new(Packing::new(&lengths)?);
    let weights: HashMap<String, Var> = case["weights"]
        .as_object()
        .expect("weights")
        .iter()
        .map(|(name, value)| Ok((name.clone(), Var::from_tensor(&tensor(value)?)?)))
        .collect::<Result<_>>()?;
    let tensors = weights
        .iter()
        .map(|(n, v)| (n.clone(), v.as_tensor().clone()))
        .collect();
    let vb = VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu);

    let padded = tensor(&case["x"])?;
    let pack = |padded: &Tensor| -> Result<Tensor> {
        let rows = packing
            .elements()
            .map(|(sequence, step)| padded.get(sequence)?.get(step));
        Tensor::stack(&rows.collect::<Result<Vec<_>>>()?, 0)
    };
    let x = Var::from_tensor(&pack(&padded)?)?;
    let layers = size("layers");
    let states = Var::from_tensor(&tensor(&case["states"][0])?)?;
    let initial = (0..layers).map(|layer| states.get(layer));
    let initial = initial.collect::<Result<Vec<_>>>()?;
    let gru = Gru::new(size("input"), size("hidden"), layers, vb)?;
    let output = gru.forward(&packing, GruInput::Rows(&x), Some(&initial), None)?;

    let mut sequences = Vec::new();
    for (sequence, &length) in lengths.iter().enumerate() {
        let steps = (0..length).map(|step| packing.row(sequence, step).expect("a row") as u32);
        let index = Tensor::from_vec(steps.collect::<Vec<_>>(), length, &Device::Cpu)?;
        let rows = output.rows.index_select(&index, 0)?;
        assert_close("output", &rows, &tensor(&case["outputs"][sequence])?)?;
        sequences.push(rows);
    }
    let last = Tensor::stack(&output.last, 0)?;
    assert_close("final", &last, &tensor(&case["final"][0])?)?;
    let loss = (ramp(&Tensor::cat(&sequences, 0)?)? + ramp(&last)?)?;
    assert_close("loss", &loss, &tensor(&case["loss"])?)?;
    let gradients = loss.backward()?;
    let gradient = |var: &Var| gradients.get(var).expect("a gradient").clone();
    for (name, weight) in &weights {
        assert_close(name, &gradient(weight), &tensor(&case["gradients"][name])?)?;
    }
    assert_close("dx", &gradient(&x), &pack(&tensor(&case["dx"])?)?)?;
    assert_close("dstates", &gradient(&states), &tensor(&case["dstates"][0])?)?;
    Ok(())
}

#[test]
fn a_gru_computes_what_pytorch_computes() -> Result<()> {
    let cases: Value =
        serde_json::from_str(include_str!("recurrent_torch.json")).expect("valid JSON");
    let cases = cases.as_array().expect("a list of cases");
    assert_eq!(cases.len(), 6);
    cases.iter().try_for_each(assert_case)
}
