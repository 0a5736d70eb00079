//! A registered autoencoder in its usual shape on this machine's CPU: timed as the PyTorch program
//! `tests/peers/autoencoders.py` times itself, on the same batches.
//!
//! ```text
//! cargo run --release --example throughput -- molecules.smi --model gru-vae --batch 128 --steps 6
//! ```
//!
//! Prints one JSON object a line, with times as PyTorch's program takes them: the mean over all
//! steps, after two that do not count. Batches are consecutive slices of the file shuffled as
//! Python's `random.shuffle` does.
//!
//! - `train` is the whole step: tokens, forward, backward, clipping, optimiser.
//! - `sample` ends each molecule at its end token, where PyTorch's program runs all 80 steps.
//! - `peak_mb` is the most memory that the process has held so far.
//!
//! `MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_MMAP_THRESHOLD_=33554432` has the GNU allocator keep
//! what a step frees, as `atlas` has it.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use atlas_core::prelude::*;
use atlas_core::train::{AdamW, AdamWParams};
use atlas_models::chem::{Lexer, Notation, Smiles, Vocabulary};
use atlas_models::models::{self, MoleculeAutoencoder};
use candle_core::Tensor;
use clap::Parser;
use rand_mt::Mt;
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const WARM_UP: usize = 2;
const ENCODED: usize = 8;
const MAX_TOKENS: usize = 120;
const CLIP_NORM: f64 = 1.0;
const LEARNING_RATE: f64 = 3e-4;

#[derive(Parser)]
struct Args {
    /// SMILES file
    data: PathBuf,
    /// One that `atlas models` lists
    #[arg(long, default_value = "gru-vae")]
    model: String,
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
    let registry = models::registry();
    let model = registry.create(&args.model, &overrides, CreateOptions::new().seed(0))?;
    let wanted = |case| args.only.as_deref().is_none_or(|only| only == case);
    if wanted("train") {
        train(&*model, &data, args.steps)?;
    }
    // Encoding and sampling are timed as they are used: on a loaded model, without a graph.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    model.snapshot()?.save(&path)?;
    let model = registry.load(&path)?;
    if wanted("encode") {
        encode(&*model, &data)?;
    }
    if wanted("sample") {
        sample(&*model, args.batch)?;
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

fn train(model: &dyn MoleculeAutoencoder, data: &Data, steps: usize) -> Result<()> {
    let variables: Vec<_> = model.vars().into_iter().map(|(_, var)| var).collect();
    let mut optimiser = AdamW::new(variables.clone(), AdamWParams::default())?;
    let (mut seconds, mut counted) = (0.0, 0);
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
            counted += tokens(molecules);
        }
    }
    report("train", data.batch, steps * data.batch, counted, seconds)
}

fn encode(model: &dyn MoleculeAutoencoder, data: &Data) -> Result<()> {
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
    )
}

fn sample(model: &dyn MoleculeAutoencoder, batch: usize) -> Result<()> {
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
    report("sample, to the end token", batch, batch, drawn, seconds)
}

fn report(case: &str, batch: usize, molecules: usize, tokens: usize, seconds: f64) -> Result<()> {
    let line = json!({
        "peer": format!("atlas {}", env!("CARGO_PKG_VERSION")),
        "case": case,
        "batch": batch,
        "molecules_per_s": (molecules as f64 / seconds * 10.0).round() / 10.0,
        "tokens_per_s": (tokens as f64 / seconds).round(),
        "peak_mb": peak_megabytes(),
    });
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
