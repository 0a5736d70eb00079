//! Trains a small GPT with tied weights, saves it, loads it and uses it.
//!
//! ```sh
//! cargo run --release -p atlas-core --example gpt
//! ```

mod model;

use atlas_core::candle_core::{D, Device, Result as CandleResult, Tensor};
use atlas_core::prelude::*;
use atlas_core::train::{Run, TrainParams, train};

use model::{Gpt, GptParams};

/// What the model's layers are followed by. Change it, and the model that was saved does not load.
fn activation(x: &Tensor) -> CandleResult<Tensor> {
    x.gelu_erf()
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
    let mut model = Gpt::create_with(GptParams::default(), options)?;
    train(&mut model, &model::data(320), &run, &mut ())?;
    model.save("runs/gpt")?;

    let loaded = Gpt::load("runs/gpt")?;
    let ids = Tensor::new(&[[3u32, 4, 5, 6]], &Device::Cpu)?;
    let logits = loaded.net.logits(&ids, 0.0, &mut Step::evaluation())?;
    println!("after 3 4 5 6: {}", logits.argmax(D::Minus1)?);
    Ok(())
}
