//! [`GruVae`] in its usual shape, that of MOSES, on this machine's CPU: timed as the PyTorch program
//! of the same shape times itself, on the same batches.
//!
//! ```text
//! cargo run --release --example throughput -- molecules.smi --batch 128 --steps 6
//! ```
//!
//! Prints one JSON object a line, with times as PyTorch's program takes them: the mean over all
//! steps, after two that do not count. Batches are consecutive slices of the file shuffled as
//! Python's `random.shuffle` does.
//!
//! - Tokens are those of SMILES, start and end included, where PyTorch's program has characters: a
//!   molecule of ZINC has 39 and two, not 45 and two. Compare molecules a second.
//! - `train` is the whole step: tokens, forward, backward, clipping, optimiser. `product_share` is
//!   its rate in the large products over that of a bare product, measured between the steps.
//! - `sample` ends each molecule at its end token, where PyTorch's program runs all 80 steps.
//! - `peak_mb` is the most memory that the process has held so far.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use atlas_core::prelude::*;
use atlas_core::train::{AdamW, AdamWParams};
use atlas_models::chem::{Lexer, Notation, Smiles, Vocabulary};
use atlas_models::models::{GruVae, GruVaeParams};
use candle_core::{DType, Device, Tensor};
use clap::Parser;
use rand_mt::Mt;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const WARM_UP: usize = 2;
const ENCODED: usize = 8;
const MAX_TOKENS: usize = 80;
const CLIP_NORM: f64 = 50.0;
const LEARNING_RATE: f64 = 3e-4;

#[derive(Parser)]
struct Args {
    /// SMILES file
    data: PathBuf,
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Steps of training that are timed
    #[arg(long, default_value_t = 6)]
    steps: usize,
    /// Seed of the order of the molecules
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// What to time, of train, encode and sample [default: all]
    #[arg(long)]
    only: Option<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let data = Data::read(&args)?;
    let overrides = json!({
        "vocabulary": Vocabulary::build(Notation::Atoms, &data.molecules)?.tokens(),
        "longest": MAX_TOKENS,
    });
    let params = GruVaeParams::from_overrides(&overrides)?;
    let model = GruVae::create_with(params, CreateOptions::new().seed(0))?;
    let wanted = |case| args.only.as_deref().is_none_or(|only| only == case);
    if wanted("train") {
        train(&model, &data, args.steps)?;
    }
    // Encoding and sampling are timed as they are used: on a loaded model, without a graph.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    model.save(&path)?;
    let model = GruVae::load(&path)?;
    if wanted("encode") {
        encode(&model, &data)?;
    }
    if wanted("sample") {
        sample(&model, args.batch)?;
    }
    Ok(())
}

/// The molecules of the file in the order of Python's shuffle.
struct Data {
    molecules: Vec<Smiles>,
    batch: usize,
}

impl Data {
    fn read(args: &Args) -> Result<Self> {
        let text = fs::read_to_string(&args.data)?;
        let words = text
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        let mut molecules = words
            .map(Smiles::parse)
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let needed = (WARM_UP + args.steps).max(ENCODED) * args.batch;
        if molecules.len() < needed {
            return Err(format!("{} molecules, {needed} are needed", molecules.len()).into());
        }
        let mut generator = Mt::new_with_key([args.seed]);
        for last in (1..molecules.len()).rev() {
            molecules.swap(last, below(last + 1, &mut generator));
        }
        Ok(Self {
            molecules,
            batch: args.batch,
        })
    }

    fn batch(&self, index: usize) -> &[Smiles] {
        &self.molecules[index * self.batch..(index + 1) * self.batch]
    }
}

/// A number below `bound` as CPython's `random` draws it: as many bits as `bound` has, again
/// until they are below it.
fn below(bound: usize, generator: &mut Mt) -> usize {
    let bits = usize::BITS - bound.leading_zeros();
    loop {
        let drawn = (generator.next_u32() >> (32 - bits)) as usize;
        if drawn < bound {
            return drawn;
        }
    }
}

/// Tokens of a batch, start and end included.
fn tokens(batch: &[Smiles]) -> usize {
    batch.iter().map(|smiles| smiles.tokens().count() + 2).sum()
}

/// Multiplications and additions of one pass over a token, in the large products of the network
/// that reads, and of the one that writes.
fn products(model: &GruVae) -> (usize, usize) {
    let layers = |layers: usize, hidden: usize| (2 * layers - 1) * 3 * hidden * hidden;
    (
        2 * layers(model.reader.layers, model.reader.hidden_size),
        2 * layers(model.writer.layers, model.writer.hidden_size),
    )
}

fn train(model: &Model<GruVae>, data: &Data, steps: usize) -> Result<()> {
    let variables: Vec<_> = model.vars().into_iter().map(|(_, var)| var).collect();
    let mut optimiser = AdamW::new(variables.clone(), AdamWParams::default())?;
    let (reading, writing) = products(model);
    let (mut seconds, mut counted, mut flops, mut rates) = (0.0, 0, 0.0, Vec::new());
    for index in 0..WARM_UP + steps {
        let start = Instant::now();
        let molecules = data.batch(index);
        let batch: Vec<&Smiles> = molecules.iter().collect();
        let loss = model.loss(&batch, &mut Step::training(index as u64))?;
        let mut store = loss.total.backward()?;
        let gradients = variables
            .iter()
            .map(|var| store.remove(var).ok_or("a variable without a gradient"))
            .collect::<std::result::Result<Vec<Tensor>, _>>()?;
        drop(store);
        let mut norm = 0.0;
        for gradient in &gradients {
            norm += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
        let scale = (CLIP_NORM / norm.sqrt()).min(1.0);
        optimiser.step(&gradients, LEARNING_RATE, scale)?;
        if index >= WARM_UP {
            seconds += start.elapsed().as_secs_f64();
            let tokens = tokens(molecules);
            counted += tokens;
            // Backward is twice the work of forward; the last token is read and not written after.
            let written = tokens - molecules.len();
            flops += 3.0 * (tokens * reading + written * writing) as f64;
        }
        drop((loss, gradients));
        rates.push(product_rate(model.writer.hidden_size)?);
    }
    rates.sort_by(f64::total_cmp);
    let (rate, product) = (flops / seconds / 1e9, rates[rates.len() / 2]);
    let more = json!({
        "seconds_per_step": seconds / steps as f64,
        "gflop_per_s": rate.round(),
        "product_gflop_per_s": product.round(),
        "product_share": (rate / product * 1000.0).round() / 1000.0,
    });
    report(
        "train",
        data.batch,
        steps * data.batch,
        counted,
        seconds,
        more,
    )
}

fn encode(model: &Model<GruVae>, data: &Data) -> Result<()> {
    model.encode(data.batch(0))?;
    let start = Instant::now();
    for index in 0..ENCODED {
        model.encode(data.batch(index))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    report(
        "encode",
        data.batch,
        ENCODED * data.batch,
        (0..ENCODED).map(|index| tokens(data.batch(index))).sum(),
        seconds,
        json!({}),
    )
}

fn sample(model: &Model<GruVae>, batch: usize) -> Result<()> {
    let draws = Draws { seed: 0, first: 0 };
    let latents = model.prior(draws, batch)?;
    let start = Instant::now();
    let molecules = model.sample(&latents, draws, 1.0)?;
    let seconds = start.elapsed().as_secs_f64();
    // The end token was drawn as well, unless the steps ran out before it.
    let drawn: usize = molecules
        .iter()
        .map(|molecule| (Lexer::new(molecule).count() + 1).min(MAX_TOKENS))
        .sum();
    let (_, writing) = products(model);
    let rate = (drawn * writing) as f64 / seconds / 1e9;
    let product = product_rate(model.writer.hidden_size)?;
    let more = json!({ "gflop_per_s": rate.round(), "product_gflop_per_s": product.round() });
    report(
        "sample, to the end token",
        batch,
        batch,
        drawn,
        seconds,
        more,
    )
}

fn report(
    case: &str,
    batch: usize,
    molecules: usize,
    tokens: usize,
    seconds: f64,
    more: Value,
) -> Result<()> {
    let mut line = json!({
        "peer": format!("atlas {}", env!("CARGO_PKG_VERSION")),
        "case": case,
        "batch": batch,
        "molecules_per_s": (molecules as f64 / seconds * 10.0).round() / 10.0,
        "tokens_per_s": (tokens as f64 / seconds).round(),
        "peak_mb": peak_megabytes(),
    });
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    println!("{line}");
    Ok(())
}

/// The most memory that the process has held, where Linux tells it.
fn peak_megabytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024)
}

/// The rate of a bare product of a layer of `hidden` units, in GFLOP/s: the best of several tries.
fn product_rate(hidden: usize) -> Result<f64> {
    let (rows, depth, width) = (5760, hidden, 3 * hidden);
    let a = Tensor::ones((rows, depth), DType::F32, &Device::Cpu)?;
    let b = Tensor::ones((depth, width), DType::F32, &Device::Cpu)?;
    let mut best = f64::MAX;
    for _ in 0..8 {
        let start = Instant::now();
        let product = a.matmul(&b)?;
        best = best.min(start.elapsed().as_secs_f64());
        drop(product);
    }
    Ok(2.0 * (rows * depth * width) as f64 / best / 1e9)
}
