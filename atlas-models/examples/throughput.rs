//! A GRU-VAE of MOSES' shape on this machine's CPU, timed as the PyTorch program of the same
//! shape times itself, on the same batches.
//!
//! ```text
//! cargo run --release --example throughput -- molecules.smi --batch 128 --steps 6
//! ```
//!
//! Prints one JSON object a line, with times as PyTorch's program takes them: the mean over all
//! steps, after two that do not count. Tokens are characters; batches are consecutive slices of
//! the file shuffled as Python's `random.shuffle` does, each sorted by length.
//!
//! - `train` is the whole step: forward, backward, clipping, optimiser. `product_share` is its
//!   rate in the large products over that of a bare product, measured between the steps.
//! - `sample` ends each molecule at its end token, where PyTorch's program runs all 80 steps:
//!   compare tokens a second for the speed of a step, molecules a second for what a user sees.
//! - `peak_mb` is the most memory that the process has held so far.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use atlas_core::train::{AdamW, AdamWParams};
use atlas_models::nn::{
    Choice, Decoding, Gru, GruDecoder, GruInput, Linear, Packing, decode, softmax_cross_entropy,
};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Init, Module, VarBuilder, VarMap};
use clap::Parser;
use rand_mt::Mt;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const BEGIN: u32 = 1;
const END: u32 = 2;
/// The ids below it are special.
const FIRST_CHARACTER: u32 = 4;

const LATENT: usize = 128;
const ENCODER: usize = 256;
const DECODER: usize = 512;
const LAYERS: usize = 3;

const WARM_UP: usize = 2;
const ENCODED: usize = 8;
const LONGEST: usize = 80;
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
    let map = VarMap::new();
    let model = GruVae::new(
        data.vocabulary,
        VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
    )?;
    let wanted = |case| args.only.as_deref().is_none_or(|only| only == case);
    if wanted("train") {
        train(&model, map.all_vars(), &data, args.steps)?;
    }
    let model = model.without_graph(&map, data.vocabulary)?;
    if wanted("encode") {
        encode(&model, &data)?;
    }
    if wanted("sample") {
        sample(&model, args.batch)?;
    }
    Ok(())
}

/// The molecules of the file in the order of Python's shuffle, as character ids.
struct Data {
    lines: Vec<String>,
    characters: Vec<char>,
    vocabulary: usize,
    batch: usize,
}

impl Data {
    fn read(args: &Args) -> Result<Self> {
        let text = fs::read_to_string(&args.data)?;
        let words = text
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        let mut lines: Vec<String> = words.map(str::to_owned).collect();
        let mut characters: Vec<char> = lines.concat().chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let needed = (WARM_UP + args.steps).max(ENCODED) * args.batch;
        if lines.len() < needed {
            return Err(format!("{} molecules, {needed} are needed", lines.len()).into());
        }
        let mut generator = Mt::new_with_key([args.seed]);
        for last in (1..lines.len()).rev() {
            lines.swap(last, below(last + 1, &mut generator));
        }
        Ok(Self {
            lines,
            vocabulary: characters.len() + FIRST_CHARACTER as usize,
            characters,
            batch: args.batch,
        })
    }

    fn batch(&self, index: usize) -> Vec<Vec<u32>> {
        let mut rows: Vec<&str> = self.lines[index * self.batch..(index + 1) * self.batch]
            .iter()
            .map(String::as_str)
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.len()));
        let id = |character| match self.characters.binary_search(&character) {
            Ok(place) | Err(place) => place as u32 + FIRST_CHARACTER,
        };
        let framed = |row: &str| {
            [BEGIN]
                .into_iter()
                .chain(row.chars().map(id))
                .chain([END])
                .collect()
        };
        rows.into_iter().map(framed).collect()
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

fn tokens(batch: &[Vec<u32>]) -> usize {
    batch.iter().map(Vec::len).sum()
}

struct GruVae {
    embedding: Tensor,
    encoder: Gru,
    mu: Linear,
    logvar: Linear,
    latent_to_hidden: Linear,
    decoder: Gru,
    logits: Linear,
}

impl GruVae {
    fn new(vocabulary: usize, vb: VarBuilder) -> Result<Self> {
        let shape = (vocabulary, vocabulary);
        let normal = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        Ok(Self {
            embedding: vb.get_with_hints(shape, "embedding.weight", normal)?,
            encoder: Gru::new(vocabulary, ENCODER, 1, vb.pp("encoder"))?,
            mu: Linear::new(ENCODER, LATENT, vb.pp("mu"))?,
            logvar: Linear::new(ENCODER, LATENT, vb.pp("logvar"))?,
            latent_to_hidden: Linear::new(LATENT, DECODER, vb.pp("latent_to_hidden"))?,
            decoder: Gru::new(vocabulary + LATENT, DECODER, LAYERS, vb.pp("decoder"))?,
            logits: Linear::new(DECODER, vocabulary, vb.pp("logits"))?,
        })
    }

    /// The same weights, which gradients are not asked of.
    fn without_graph(&self, map: &VarMap, vocabulary: usize) -> Result<Self> {
        let variables = map.data().lock().map_err(|error| error.to_string())?;
        let tensors = variables
            .iter()
            .map(|(name, var)| (name.clone(), var.as_detached_tensor()))
            .collect();
        let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        Self::new(vocabulary, vb)
    }

    /// The means and log-variances, `[batch, latent]`.
    fn encode(&self, molecules: &[Vec<u32>]) -> Result<(Tensor, Tensor)> {
        let lengths: Vec<usize> = molecules.iter().map(Vec::len).collect();
        let packing = Arc::new(Packing::new(&lengths)?);
        let input = GruInput::Tokens {
            ids: &packing.pack(molecules)?,
            embedding: &self.embedding,
            constant: None,
        };
        let output = self.encoder.forward(&packing, input, None, None)?;
        let last = &output.last[0];
        Ok((self.mu.forward(last)?, self.logvar.forward(last)?))
    }

    fn loss(&self, molecules: &[Vec<u32>]) -> Result<Tensor> {
        let (mu, logvar) = self.encode(molecules)?;
        let z = (&mu + ((&logvar * 0.5)?.exp()? * mu.randn_like(0.0, 1.0)?)?)?;
        let kl = ((logvar.exp()? + mu.sqr()?)? - 1.0 - &logvar)?;
        let kl = (kl.sum_all()? * (0.5 / molecules.len() as f64))?;

        let inputs: Vec<&[u32]> = molecules.iter().map(|m| &m[..m.len() - 1]).collect();
        let targets: Vec<&[u32]> = molecules.iter().map(|m| &m[1..]).collect();
        let lengths: Vec<usize> = inputs.iter().map(|m| m.len()).collect();
        let packing = Arc::new(Packing::new(&lengths)?);
        let input = GruInput::Tokens {
            ids: &packing.pack(&inputs)?,
            embedding: &self.embedding,
            constant: Some(&z),
        };
        let initial = vec![self.latent_to_hidden.forward(&z)?; LAYERS];
        let output = self
            .decoder
            .forward(&packing, input, Some(&initial), None)?;
        let logits = self.logits.forward(&output.rows)?;
        let loss = softmax_cross_entropy(&logits, &packing.pack(&targets)?, None)?;
        Ok(((loss.sum * (1.0 / loss.count as f64))? + (kl * 0.01)?)?)
    }

    /// Multiplications and additions of one training step in the large products.
    fn flops(molecules: &[Vec<u32>]) -> f64 {
        let tokens = tokens(molecules);
        let rows = tokens - molecules.len();
        let encoder = 3 * ENCODER * ENCODER;
        let decoder = (2 * LAYERS - 1) * 3 * DECODER * DECODER;
        6.0 * (tokens * encoder + rows * decoder) as f64
    }
}

fn train(model: &GruVae, variables: Vec<Var>, data: &Data, steps: usize) -> Result<()> {
    let mut optimiser = AdamW::new(variables.clone(), AdamWParams::default())?;
    let (mut seconds, mut counted, mut flops, mut rates) = (0.0, 0, 0.0, Vec::new());
    for index in 0..WARM_UP + steps {
        let start = Instant::now();
        let molecules = data.batch(index);
        let loss = model.loss(&molecules)?;
        let mut store = loss.backward()?;
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
            counted += tokens(&molecules);
            flops += GruVae::flops(&molecules);
        }
        drop((loss, gradients));
        rates.push(product_rate()?);
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

fn encode(model: &GruVae, data: &Data) -> Result<()> {
    model.encode(&data.batch(0))?;
    let (start, mut counted) = (Instant::now(), 0);
    for index in 0..ENCODED {
        let molecules = data.batch(index);
        counted += tokens(&molecules);
        model.encode(&molecules)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    report(
        "encode",
        data.batch,
        ENCODED * data.batch,
        counted,
        seconds,
        json!({}),
    )
}

fn sample(model: &GruVae, batch: usize) -> Result<()> {
    let z = Tensor::randn(0f32, 1.0, (batch, LATENT), &Device::Cpu)?;
    let start = Instant::now();
    let decoder = GruDecoder::new(&model.decoder, &model.embedding, &model.logits)?;
    let initial = vec![model.latent_to_hidden.forward(&z)?; LAYERS];
    let state = decoder.start(batch, Some(&initial), Some(&z))?;
    let decoding = Decoding {
        begin: BEGIN,
        end: END,
        max_steps: LONGEST,
        choice: Choice::Sample {
            temperature: 1.0,
            seed: 0,
            first_stream: 0,
        },
    };
    let molecules = decode(&decoder, &state, &decoding)?;
    let seconds = start.elapsed().as_secs_f64();
    // The end token was drawn as well, unless the steps ran out before it.
    let drawn: usize = molecules
        .iter()
        .map(|molecule| (molecule.len() + 1).min(LONGEST))
        .sum();
    let products = (2 * LAYERS - 1) * 3 * DECODER * DECODER;
    let rate = 2.0 * (drawn * products) as f64 / seconds / 1e9;
    let more =
        json!({ "gflop_per_s": rate.round(), "product_gflop_per_s": product_rate()?.round() });
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

/// The rate of a bare product of the decoder's size, in GFLOP/s: the best of several tries.
fn product_rate() -> Result<f64> {
    let (rows, depth, width) = (5760, DECODER, 3 * DECODER);
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
