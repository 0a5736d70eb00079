//! GRU and LSTM against the numbers in `recurrent_torch.json`, which PyTorch made with
//! `recurrent_torch.py`.

use atlas_models::nn::{Gru, GruInput, Lstm, LstmState, Packing, SequenceInput};
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

/// The outputs of each row, and the final states of each layer, of one kind after the other.
type Run<'a> = dyn Fn(&VarBuilder, &Arc<Packing>, &Tensor, &[Vec<Tensor>]) -> Result<(Tensor, Vec<Vec<Tensor>>)>
    + 'a;

fn assert_case(case: &Value, run: &Run<'_>) -> Result<()> {
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
    let states: Vec<Var> = case["states"]
        .as_array()
        .expect("states")
        .iter()
        .map(|states| Var::from_tensor(&tensor(states)?))
        .collect::<Result<_>>()?;
    let layers = case["layers"].as_u64().expect("layers") as usize;
    let by_layer = |states: &Var| -> Result<Vec<Tensor>> {
        (0..layers).map(|layer| states.get(layer)).collect()
    };
    let initial = states.iter().map(by_layer).collect::<Result<Vec<_>>>()?;
    let (rows, last) = run(&vb, &packing, &x, &initial)?;

    let mut sequences = Vec::new();
    for (sequence, &length) in lengths.iter().enumerate() {
        let steps = (0..length).map(|step| packing.row(sequence, step).expect("a row") as u32);
        let index = Tensor::from_vec(steps.collect::<Vec<_>>(), length, &Device::Cpu)?;
        let output = rows.index_select(&index, 0)?;
        assert_close("output", &output, &tensor(&case["outputs"][sequence])?)?;
        sequences.push(output);
    }
    let mut loss = ramp(&Tensor::cat(&sequences, 0)?)?;
    for (kind, last) in last.iter().enumerate() {
        let last = Tensor::stack(last, 0)?;
        assert_close("final", &last, &tensor(&case["final"][kind])?)?;
        loss = (loss + ramp(&last)?)?;
    }
    assert_close("loss", &loss, &tensor(&case["loss"])?)?;
    let gradients = loss.backward()?;
    let gradient = |var: &Var| gradients.get(var).expect("a gradient").clone();
    for (name, weight) in &weights {
        assert_close(name, &gradient(weight), &tensor(&case["gradients"][name])?)?;
    }
    assert_close("dx", &gradient(&x), &pack(&tensor(&case["dx"])?)?)?;
    for (kind, states) in states.iter().enumerate() {
        assert_close(
            "dstates",
            &gradient(states),
            &tensor(&case["dstates"][kind])?,
        )?;
    }
    Ok(())
}

fn assert_cases(kind: &str, run: impl Fn(usize, usize, usize) -> Box<Run<'static>>) -> Result<()> {
    let cases: Value =
        serde_json::from_str(include_str!("recurrent_torch.json")).expect("valid JSON");
    let cases = cases.as_array().expect("a list of cases");
    let cases: Vec<&Value> = cases.iter().filter(|case| case["kind"] == kind).collect();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let size = |name: &str| case[name].as_u64().expect("a size") as usize;
        assert_case(case, &*run(size("input"), size("hidden"), size("layers")))?;
    }
    Ok(())
}

#[test]
fn a_gru_computes_what_pytorch_computes() -> Result<()> {
    assert_cases("GRU", |input, hidden, layers| {
        Box::new(move |vb, packing, x, initial| {
            let gru = Gru::new(input, hidden, layers, vb.clone())?;
            let output = gru.forward(packing, GruInput::Rows(x), Some(&initial[0]), None)?;
            Ok((output.rows, vec![output.last]))
        })
    })
}

#[test]
fn an_lstm_computes_what_pytorch_computes() -> Result<()> {
    assert_cases("LSTM", |input, hidden, layers| {
        Box::new(move |vb, packing, x, initial| {
            let lstm = Lstm::new(input, hidden, layers, vb.clone())?;
            let states: Vec<LstmState> = initial[0]
                .iter()
                .zip(&initial[1])
                .map(|(hidden, cell)| LstmState {
                    hidden: hidden.clone(),
                    cell: cell.clone(),
                })
                .collect();
            let output = lstm.forward(packing, SequenceInput::Rows(x), Some(&states), None)?;
            let (hidden, cell) = output.last.into_iter().map(|s| (s.hidden, s.cell)).unzip();
            Ok((output.rows, vec![hidden, cell]))
        })
    })
}
