//! A GRU-VAE of MOSES' shape on this machine's CPU, timed.
//!
//! ```text
//! cargo run --release --example throughput -- molecules.smi --batch 128 --steps 6
//! ```
//!
//! Training is timed without the optimizer's update. Sampling stops at the end token, where
//! PyTorch's program runs all 80 steps: compare tokens a second for the speed of a step, and
//! molecules a second for what a user sees.
//!
//! Prints one JSON object a line. Tokens are characters; batches are consecutive slices of the
//! file.

use atlas_models::nn::{
    Choice, Decoding, Gru, GruDecoder, GruInput, Linear, Packing, decode, softmax_cross_entropy,
};
use candle_core::{DType, Device, Result, Tensor, Var, bail};
use candle_nn::{AdamW, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BEGIN: u32 = 1;
const END: u32 = 2;
const LATENT: usize = 128;
const ENCODER: usize = 256;
const DECODER: usize = 512;
const LAYERS: usize = 3;

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
        let embedding = vb.get_with_hints(
            (vocabulary, vocabulary),
            "embedding.weight",
            candle_nn::init::DEFAULT_KAIMING_UNIFORM,
        )?;
        Ok(Self {
            embedding,
            encoder: Gru::new(vocabulary, ENCODER, 1, vb.pp("encoder"))?,
            mu: Linear::new(ENCODER, LATENT, vb.pp("mu"))?,
            logvar: Linear::new(ENCODER, LATENT, vb.pp("logvar"))?,
            latent_to_hidden: Linear::new(LATENT, DECODER, vb.pp("latent_to_hidden"))?,
            decoder: Gru::new(vocabulary + LATENT, DECODER, LAYERS, vb.pp("decoder"))?,
            logits: Linear::new(DECODER, vocabulary, vb.pp("logits"))?,
        })
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
        (loss.sum * (1.0 / loss.count as f64))? + (kl * 0.01)?
    }

    /// Multiplications and additions of one training step in the large products.
    fn flops(molecules: &[Vec<u32>]) -> f64 {
        let tokens: usize = molecules.iter().map(Vec::len).sum();
        let rows = tokens - molecules.len();
        let encoder = 3 * ENCODER * ENCODER;
        let decoder = (2 * LAYERS - 1) * 3 * DECODER * DECODER;
        6.0 * (tokens * encoder + rows * decoder) as f64
    }
}

/// The processor time of the whole process so far, where Linux tells it.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

fn report(case: &str, batch: usize, molecules: usize, tokens: usize, times: &[Duration]) {
    let mut times: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!(
        "{{\"peer\": \"atlas\", \"case\": \"{case}\", \"batch\": {batch}, \
         \"molecules_per_s\": {:.1}, \"tokens_per_s\": {:.0}, \"median_s\": {median:.4}, \
         \"best_s\": {:.4}}}",
        molecules as f64 / median,
        tokens as f64 / median,
        times[0],
    );
}

/// The rate of a large product, in GFLOP/s: the better of several tries.
fn product_rate() -> Result<f64> {
    let a = Tensor::ones((5760, 512), DType::F32, &Device::Cpu)?;
    let b = Tensor::ones((512, 1536), DType::F32, &Device::Cpu)?;
    let mut best = f64::MAX;
    for _ in 0..8 {
        let start = Instant::now();
        let product = a.matmul(&b)?;
        best = best.min(start.elapsed().as_secs_f64());
        drop(product);
    }
    Ok(2.0 * 5760.0 * 512.0 * 1536.0 / best / 1e9)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: usize| {
        let value = arguments
            .iter()
            .position(|a| a == name)
            .and_then(|i| arguments.get(i + 1));
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let Some(path) = arguments.first() else {
        bail!("usage: gru_vae MOLECULES.smi [--batch N] [--steps N]")
    };
    let (batch, steps) = (option("--batch", 128), option("--steps", 6));
    let text = std::fs::read_to_string(path)?;
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut characters: Vec<char> = lines.concat().chars().collect();
    characters.sort_unstable();
    characters.dedup();
    let vocabulary = characters.len() + 4;
    let molecules: Vec<Vec<u32>> = lines
        .iter()
        .map(|line| {
            let id = |c| characters.binary_search(&c).unwrap_or(0) as u32 + 4;
            std::iter::once(BEGIN)
                .chain(line.chars().map(id))
                .chain([END])
                .collect()
        })
        .collect();
    let batches: Vec<&[Vec<u32>]> = molecules.chunks_exact(batch).take(steps + 2).collect();
    let tokens = |batch: &[Vec<u32>]| -> usize { batch.iter().map(Vec::len).sum() };
    let mean_tokens = batches.iter().map(|b| tokens(b)).sum::<usize>() / batches.len();

    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let model = GruVae::new(vocabulary, vb)?;
    let variables: Vec<Var> = map.all_vars();
    let parameters = ParamsAdamW {
        lr: 3e-4,
        weight_decay: 0.0,
        ..Default::default()
    };
    let mut optimizer = AdamW::new(variables, parameters)?;
    let mut times = Vec::new();
    for (index, molecules) in batches.iter().enumerate() {
        let (start, processor) = (Instant::now(), processor_seconds());
        let loss = model.loss(molecules)?;
        let forward = start.elapsed();
        let gradients = loss.backward()?;
        let both = start.elapsed();
        let processor = processor_seconds() - processor;
        optimizer.step(&gradients)?;
        if index >= 2 {
            let rate = GruVae::flops(molecules) / both.as_secs_f64() / 1e9;
            eprintln!(
                "loss {:.4}  forward {:.3} s  backward {:.3} s  processor {processor:.2} s  \
                 {rate:.0} GFLOP/s, candle's products {:.0}",
                loss.to_scalar::<f32>()?,
                forward.as_secs_f64(),
                (both - forward).as_secs_f64(),
                product_rate()?,
            );
            times.push(both);
        }
    }
    report(
        "train, forward and backward",
        batch,
        batch,
        mean_tokens,
        &times,
    );
    if option("--train-only", 0) == 1 {
        return Ok(());
    }

    let tensors = map
        .data()
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let tensors = tensors
        .iter()
        .map(|(n, v)| (n.clone(), v.as_detached_tensor()))
        .collect();
    let model = GruVae::new(
        vocabulary,
        VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu),
    )?;
    let (mut times, processor) = (Vec::new(), processor_seconds());
    for molecules in batches.iter().cycle().take(batches.len() * 3) {
        let start = Instant::now();
        model.encode(molecules)?;
        times.push(start.elapsed());
    }
    let processor = (processor_seconds() - processor) / times.len() as f64;
    eprintln!("encoding a batch: processor {processor:.4} s");
    report("encode", batch, batch, mean_tokens, &times);

    let z = Tensor::randn(0f32, 1.0, (batch, LATENT), &Device::Cpu)?;
    let max_steps = 80;
    let (mut times, mut written, processor) = (Vec::new(), 0, processor_seconds());
    for seed in 0..3 {
        let start = Instant::now();
        let decoder = GruDecoder::new(&model.decoder, &model.embedding, &model.logits)?;
        let initial = vec![model.latent_to_hidden.forward(&z)?; LAYERS];
        let state = decoder.start(batch, Some(&initial), Some(&z))?;
        let sample = Choice::Sample {
            temperature: 1.0,
            seed,
            first_stream: 0,
        };
        let decoding = Decoding {
            begin: BEGIN,
            end: END,
            max_steps,
            choice: sample,
        };
        let molecules = decode(&decoder, &state, &decoding)?;
        written = molecules.iter().map(|molecule| molecule.len() + 1).sum();
        times.push(start.elapsed());
    }
    let processor = (processor_seconds() - processor) / 3.0;
    eprintln!("{written} tokens sampled: processor {processor:.3} s");
    report("sample, at most 80 steps", batch, batch, written, &times);
    Ok(())
}
