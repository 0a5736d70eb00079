//! Trains a convolutional network with batch norm, saves it, loads it and uses it.
//!
//! ```sh
//! cargo run --release -p atlas-core --example cnn
//! ```

mod model;

use atlas_core::candle_core::{DType, Device, Result as CandleResult, Tensor};
use atlas_core::candle_nn::ModuleT;
use atlas_core::prelude::*;
use atlas_core::train::{Run, TrainParams, train};

use model::{Cnn, CnnParams};

/// What the model's layers are followed by. Change it, and the model that was saved does not load.
fn activation(x: &Tensor) -> CandleResult<Tensor> {
    x.relu()
}

fn main() -> Result<()> {
    let params = TrainParams {
        epochs: 20,
        batch: 16,
        learning_rate: 1e-2,
        ..Default::default()
    };
    let run = Run {
        params,
        seed: 1,
        ..Default::default()
    };
    let options = CreateOptions::new().seed(1);
    let mut model = Cnn::create_with(CnnParams::default(), options)?;
    train(&mut model, &model::data(320), &run, &mut ())?;
    model.save("runs/cnn")?;

    let loaded = Cnn::load("runs/cnn")?;
    let images = Tensor::zeros((2, 1, 8, 8), DType::F32, &Device::Cpu)?;
    println!("{}", loaded.net.forward_t(&images, false)?);
    Ok(())
}
