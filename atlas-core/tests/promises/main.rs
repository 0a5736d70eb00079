//! What a model keeps, what training may move, and what is found out before it does harm.

mod freezing;
mod state;
mod threads;
mod training;
mod transfer;
mod versions;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use atlas_core::nn::LayerNorm;
use atlas_core::prelude::*;
use atlas_core::train::{
    Control, EpochReport, Observer, Run, TrainParams, Training, resume, train,
};
use atlas_core::{Bundle, Checkpoint, Growth, Registry, Snapshot};
use candle_core::{DType, Device, Result as CandleResult, Tensor, Var};
use candle_nn::{
    BatchNorm, Dropout, Init, Linear, Module, ModuleT, VarBuilder, batch_norm, layer_norm, linear,
};
use tempfile::TempDir;

/// Rows of three numbers; the sum of each is to be learnt.
type Row = [f32; 3];

fn rows() -> Vec<Row> {
    let row = |number: usize| [0, 1, 2].map(|at| ((number * 7 + at * 5) % 11) as f32 / 11.0);
    (0..24).map(row).collect()
}

/// The mean square of what `forward` gives less the sums of the rows.
fn squares(batch: &[&Row], forward: impl FnOnce(&Tensor) -> CandleResult<Tensor>) -> Result<Loss> {
    let inputs: Vec<f32> = batch.iter().flat_map(|row| row.iter().copied()).collect();
    let inputs = Tensor::from_vec(inputs, (batch.len(), 3), &Device::Cpu)?;
    let sums = inputs.sum_keepdim(1)?;
    Ok(Loss {
        total: (forward(&inputs)? - sums)?.sqr()?.mean_all()?,
        parts: Vec::new(),
    })
}

fn run(epochs: usize) -> Run {
    let params = TrainParams {
        epochs,
        batch: 8,
        warm_up: 1,
        ..Default::default()
    };
    Run {
        params,
        seed: 2,
        ..Default::default()
    }
}

fn create<T: AtlasModel<Params: Default>>() -> Model<T> {
    T::create_with(T::Params::default(), CreateOptions::new().seed(1)).unwrap()
}

/// A batch norm, and a count of the rows that it has been trained on.
#[derive(AtlasModel)]
#[atlas(name = "normed")]
struct Normed {
    #[network(golden = [4, 3], buffers = ["rows"])]
    net: NormedNet,
}

struct NormedNet {
    norm: BatchNorm,
    linear: Linear,
    rows: Var,
}

impl NormedNet {
    fn new(_: &NormedParams, vb: VarBuilder) -> CandleResult<Self> {
        let rows = vb.get_with_hints(1, "rows", Init::Const(0.0))?;
        Ok(Self {
            norm: batch_norm(3, 1e-5, vb.pp("norm"))?,
            linear: linear(3, 1, vb.pp("linear"))?,
            rows: Var::from_tensor(&rows)?,
        })
    }
}

impl ModuleT for NormedNet {
    fn forward_t(&self, x: &Tensor, train: bool) -> CandleResult<Tensor> {
        if train {
            self.rows
                .set(&(self.rows.as_tensor() + x.dim(0)? as f64)?)?;
        }
        self.linear.forward(&self.norm.forward_t(x, train)?)
    }
}

impl Objective for Normed {
    type Input = Row;

    fn loss(&self, batch: &[&Row], step: &mut Step) -> Result<Loss> {
        let is_training = step.is_training();
        squares(batch, |inputs| self.net.forward_t(inputs, is_training))
    }
}

fn names(vars: Vec<(String, Var)>) -> Vec<String> {
    vars.into_iter().map(|(name, _)| name).collect()
}

/// The values of a tensor of the network.
fn values(model: &dyn AnyModel, tensor: &str) -> Vec<f32> {
    let tensor = model.networks()[0].tensor(tensor).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
