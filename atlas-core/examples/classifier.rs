//! A small convolutional network tells horizontal from vertical and from slanting lines: declared,
//! trained, saved, loaded, and served from four threads. It needs no crate but `atlas-core`.
//!
//! ```sh
//! cargo run --release -p atlas-core --example classifier
//! ```

use std::path::Path;
use std::sync::Arc;
use std::thread;

use atlas_core::candle_core::{D, Result as CandleResult, Tensor};
use atlas_core::candle_nn::{
    Conv2d, Conv2dConfig, Linear, Module, VarBuilder, conv2d, linear, loss,
};
use atlas_core::prelude::*;
use atlas_core::random::permutation;
use atlas_core::train::{Control, EpochReport, Observer, Run, TrainParams, Training, train};

/// Pixels of an image's side.
const SIDE: usize = 12;

/// Tells what kind of line an image shows.
#[derive(AtlasModel)]
#[atlas(name = "line-classifier", version = 1)]
pub struct Classifier {
    /// Filters of the first convolution; the second has twice as many.
    #[param(default = 8, min = 1, max = 256)]
    pub filters: usize,
    /// The kinds of lines, by name.
    #[param(default = vec!["horizontal", "vertical", "slanting"], len = 2..=100)]
    pub classes: Vec<String>,

    #[network(golden = [6, 1, SIDE, SIDE])]
    net: Cnn,
}

/// Two convolutions, each followed by a halving of the image, and a linear layer.
struct Cnn {
    first: Conv2d,
    second: Conv2d,
    output: Linear,
}

impl Cnn {
    fn new(params: &ClassifierParams, vb: VarBuilder) -> CandleResult<Self> {
        let (filters, padded) = (
            params.filters,
            Conv2dConfig {
                padding: 1,
                ..Default::default()
            },
        );
        let pixels = (SIDE / 4) * (SIDE / 4);
        Ok(Self {
            first: conv2d(1, filters, 3, padded, vb.pp("first"))?,
            second: conv2d(filters, 2 * filters, 3, padded, vb.pp("second"))?,
            output: linear(2 * filters * pixels, params.classes.len(), vb.pp("output"))?,
        })
    }
}

impl Module for Cnn {
    /// Images `[batch, 1, side, side]` to logits `[batch, classes]`.
    fn forward(&self, images: &Tensor) -> CandleResult<Tensor> {
        let halved = |image: Tensor| image.relu()?.avg_pool2d(2);
        let first = halved(self.first.forward(images)?)?;
        let second = halved(self.second.forward(&first)?)?;
        self.output.forward(&second.flatten_from(1)?)
    }
}

/// An image, and what it shows.
#[derive(Clone)]
pub struct Example {
    pixels: Vec<f32>,
    class: u32,
}

impl Classifier {
    fn images<'a>(&self, images: impl Iterator<Item = &'a Example>) -> CandleResult<Tensor> {
        let pixels: Vec<f32> = images
            .flat_map(|image| image.pixels.iter().copied())
            .collect();
        let count = pixels.len() / (SIDE * SIDE);
        let device = self.net.output.weight().device();
        Tensor::from_vec(pixels, (count, 1, SIDE, SIDE), device)
    }

    /// The name of what the image shows.
    pub fn classify(&self, image: &Example) -> Result<&str> {
        let logits = self.net.forward(&self.images([image].into_iter())?)?;
        let class = logits.argmax(D::Minus1)?.to_vec1::<u32>()?[0];
        Ok(&self.classes[class as usize])
    }
}

/// All that training knows of the model.
impl Objective for Classifier {
    type Input = Example;

    fn loss(&self, batch: &[&Example], _: &mut Step) -> Result<Loss> {
        let logits = self.net.forward(&self.images(batch.iter().copied())?)?;
        let classes: Vec<u32> = batch.iter().map(|example| example.class).collect();
        let classes = Tensor::new(classes, logits.device())?;
        let total = loss::cross_entropy(&logits, &classes)?;
        Ok(Loss {
            total,
            parts: Vec::new(),
        })
    }
}

/// Image `number`: a line somewhere, and some pixels that are lit by chance.
fn draw(number: u64) -> Example {
    let class = (number % 3) as u32;
    let order = permutation(SIDE * SIDE, number);
    let (at, noise) = (order[0] % SIDE, &order[1..7]);
    let mut pixels = vec![0.0; SIDE * SIDE];
    for along in 0..SIDE {
        let (row, column) = match class {
            0 => (at, along),
            1 => (along, at),
            _ => (along, (along + at) % SIDE),
        };
        pixels[row * SIDE + column] = 1.0;
    }
    for &pixel in noise {
        pixels[pixel] = 1.0;
    }
    Example { pixels, class }
}

/// Says how training goes.
struct Progress;

impl Observer<Model<Classifier>> for Progress {
    fn on_epoch(
        &mut self,
        _: &mut Model<Classifier>,
        epoch: &EpochReport,
        _: &Training<'_>,
    ) -> Result<Control> {
        println!(
            "epoch {}/{}  loss {:.4}",
            epoch.epoch, epoch.epochs, epoch.loss
        );
        Ok(Control::Continue)
    }
}

/// Trains a model and saves it at `path`; the share of unseen images that the loaded one gets right.
pub fn run(path: &Path) -> Result<f64> {
    let examples: Vec<Example> = (0..900).map(draw).collect();
    let (unseen, seen) = examples.split_at(300);
    let params = TrainParams {
        epochs: 10,
        batch: 32,
        learning_rate: 1e-2,
        warm_up: 10,
        ..Default::default()
    };
    let run = Run {
        params,
        seed: 1,
        ..Default::default()
    };

    let mut model =
        Classifier::create_with(ClassifierParams::default(), CreateOptions::new().seed(1))?;
    train(&mut model, &seen, &run, &mut Progress)?;
    model.save(path)?;

    // One model, which all threads share.
    let model = Arc::new(Classifier::load(path)?);
    let share = unseen.len().div_ceil(4);
    let servers = unseen.chunks(share).map(|requests| {
        let (model, requests) = (model.clone(), requests.to_vec());
        thread::spawn(move || -> Result<usize> {
            let mut right = 0;
            for request in &requests {
                let answer = model.classify(request)?;
                right += usize::from(answer == model.classes[request.class as usize]);
            }
            Ok(right)
        })
    });
    let servers: Vec<_> = servers.collect();
    let mut right = 0;
    for server in servers {
        right += server
            .join()
            .map_err(|_| Error::new("a server has panicked"))??;
    }
    println!("{right} of {} unseen images are told apart", unseen.len());
    Ok(right as f64 / unseen.len() as f64)
}

fn main() -> Result<()> {
    run(Path::new("runs/line-classifier")).map(drop)
}
