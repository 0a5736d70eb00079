//! Trains a bidirectional LSTM, saves it, loads it and uses it.
//!
//! ```sh
//! cargo run --release -p atlas-core --example tagger
//! ```

mod model;

use atlas_core::candle_core::{D, Device, Result as CandleResult, Tensor};
use atlas_core::prelude::*;
use atlas_core::train::{Run, TrainParams, train};

use model::{Tagger, TaggerParams};

/// What the model's layers are followed by. Change it, and the model that was saved does not load.
fn activation(x: &Tensor) -> CandleResult<Tensor> {
    x.tanh()
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
    let mut model = Tagger::create_with(TaggerParams::default(), options)?;
    train(&mut model, &model::data(320), &run, &mut ())?;
    model.save("runs/tagger")?;

    let loaded = Tagger::load("runs/tagger")?;
    let words = Tensor::new(&[[3u32, 9, 1, 4]], &Device::Cpu)?;
    println!(
        "tags of 3 9 1 4: {}",
        loaded.net.logits(&words)?.argmax(D::Minus1)?
    );
    Ok(())
}
