//! The kernels of `nn` against candle's own operations and against the matrix products that they
//! cannot do without.
//!
//! ```text
//! cargo bench -p atlas-models
//! ```
//!
//! A recurrent layer reads dense rows of as many features as it has units, all sequences of one
//! length, which is all that candle's layers can. `backward` is forward and backward together, with
//! gradients of the input and of all weights. `products` is bare products of the same sizes: nothing
//! else, on matrices that are there already.
//!
//! `tests/peers/kernels.py` times PyTorch on the transformer and on the convolutional reader of the same
//! sizes and lengths.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use atlas_models::nn::{
    Convolution, Gru, GruInput, Linear, Packing, TransformerLayers, attention, embed_tokens,
    softmax_cross_entropy,
};
use candle_core::{D, DType, Device, Module, Result, Tensor, Var};
use candle_nn::rnn::{GRUConfig, RNN, gru};
use candle_nn::{VarBuilder, VarMap, loss, ops};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, criterion_group, criterion_main};

const BATCH: usize = 128;
const STEPS: usize = 32;
const WIDTH: usize = 256;
const ROWS: usize = BATCH * STEPS;

const VOCABULARY: usize = 40;

fn random(shape: (usize, usize)) -> Result<Tensor> {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu)
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    group
}

/// Times a layer forward, and forward and backward.
fn layer(criterion: &mut Criterion, name: &str, who: &str, forward: impl Fn() -> Result<Tensor>) {
    group(criterion, &format!("{name} forward")).bench_function(who, |bencher| {
        bencher.iter(|| black_box(forward().unwrap()));
    });
    group(criterion, &format!("{name} backward")).bench_function(who, |bencher| {
        bencher.iter(|| {
            let loss = forward().unwrap().sqr().unwrap().sum_all().unwrap();
            black_box(loss.backward().unwrap())
        });
    });
}

/// Times the products of a layer of some gates, forward, and forward and backward.
fn products(criterion: &mut Criterion, name: &str, gates: usize) -> Result<()> {
    let (rows, step) = (random((ROWS, WIDTH))?, random((BATCH, WIDTH))?);
    let (gate_rows, gate_step) = (
        random((ROWS, gates * WIDTH))?,
        random((BATCH, gates * WIDTH))?,
    );
    let weight = random((WIDTH, gates * WIDTH))?;
    let transposed = weight.t()?;
    let forward = || -> Result<()> {
        black_box(rows.matmul(&weight)?);
        for _ in 0..STEPS {
            black_box(step.matmul(&weight)?);
        }
        Ok(())
    };
    let backward = || -> Result<()> {
        for _ in 0..STEPS {
            black_box(gate_step.matmul(&transposed)?);
        }
        black_box(gate_rows.matmul(&transposed)?);
        for _ in 0..2 {
            black_box(gate_rows.t()?.matmul(&rows)?);
        }
        Ok(())
    };
    group(criterion, &format!("{name} forward")).bench_function("products", |bencher| {
        bencher.iter(|| forward().unwrap());
    });
    group(criterion, &format!("{name} backward")).bench_function("products", |bencher| {
        bencher.iter(|| forward().and_then(|()| backward()).unwrap());
    });
    Ok(())
}

/// The layer's weights, the rows of all sequences step by step, and their packing.
fn setting() -> Result<(VarMap, Var, Arc<Packing>)> {
    let rows = Var::from_tensor(&random((ROWS, WIDTH))?)?;
    Ok((
        VarMap::new(),
        rows,
        Arc::new(Packing::new(&[STEPS; BATCH])?),
    ))
}

fn builder(map: &VarMap) -> VarBuilder<'_> {
    VarBuilder::from_varmap(map, DType::F32, &Device::Cpu)
}

/// The same rows as candle reads them, `[batch, steps, width]`.
fn by_sequence(rows: &Var) -> Result<Var> {
    let rows = rows.reshape((STEPS, BATCH, WIDTH))?.transpose(0, 1)?;
    Var::from_tensor(&rows.contiguous()?)
}

fn bench_gru(criterion: &mut Criterion) {
    let run = |criterion: &mut Criterion| -> Result<()> {
        let (map, rows, packing) = setting()?;
        let ours = Gru::new(WIDTH, WIDTH, 1, builder(&map).pp("atlas"))?;
        layer(criterion, "gru", "atlas", || {
            Ok(ours
                .forward(&packing, GruInput::Rows(&rows), None, None)?
                .rows)
        });
        let sequences = by_sequence(&rows)?;
        let theirs = gru(
            WIDTH,
            WIDTH,
            GRUConfig::default(),
            builder(&map).pp("candle"),
        )?;
        layer(criterion, "gru", "candle", || {
            theirs.states_to_tensor(&theirs.seq(&sequences)?)
        });
        products(criterion, "gru", 3)
    };
    run(criterion).unwrap();
}

fn bench_cross_entropy(criterion: &mut Criterion) {
    let run = |criterion: &mut Criterion| -> Result<()> {
        let logits = Var::from_tensor(&random((ROWS, VOCABULARY))?)?;
        let targets: Vec<u32> = (0..ROWS).map(|row| (row * 7 % VOCABULARY) as u32).collect();
        let ids = Tensor::new(targets.as_slice(), &Device::Cpu)?;
        let mut group = group(criterion, "cross-entropy backward");
        group.bench_function("atlas", |bencher| {
            bencher.iter(|| {
                let loss = softmax_cross_entropy(&logits, &targets).unwrap();
                black_box(loss.backward().unwrap())
            });
        });
        group.bench_function("candle", |bencher| {
            bencher.iter(|| {
                let loss = loss::cross_entropy(&logits, &ids).unwrap();
                black_box(loss.backward().unwrap())
            });
        });
        Ok(())
    };
    run(criterion).unwrap();
}

const HEADS: usize = 8;

/// As long as the molecules of ZINC are in tokens, nearly.
fn lengths() -> Vec<usize> {
    (0..BATCH).map(|i| 22 + i * 37 % 41).collect()
}

fn bench_attention(criterion: &mut Criterion) {
    let run = |criterion: &mut Criterion| -> Result<()> {
        let packing = Packing::new(&[STEPS; BATCH])?;
        let rows = || Var::from_tensor(&random((ROWS, WIDTH))?);
        let (query, key, value) = (rows()?, rows()?, rows()?);
        layer(criterion, "attention", "atlas", || {
            attention(&packing, &query, &key, &value, HEADS, false)
        });
        // As candle reads them, [batch, heads, steps, width].
        let heads = |rows: &Var| -> Result<Var> {
            let rows = rows.reshape((STEPS, BATCH, HEADS, WIDTH / HEADS))?;
            Var::from_tensor(&rows.permute((1, 2, 0, 3))?.contiguous()?)
        };
        let (query, key, value) = (heads(&query)?, heads(&key)?, heads(&value)?);
        layer(criterion, "attention", "candle", || {
            let scores = (query.matmul(&key.t()?)? / ((WIDTH / HEADS) as f64).sqrt())?;
            ops::softmax(&scores, D::Minus1)?.matmul(&value)
        });
        Ok(())
    };
    run(criterion).unwrap();
}

fn bench_transformer(criterion: &mut Criterion) {
    let run = |criterion: &mut Criterion| -> Result<()> {
        for (name, lengths) in [("equal", vec![42; BATCH]), ("zinc", lengths())] {
            let map = VarMap::new();
            let vb = builder(&map);
            let layers = TransformerLayers::new(WIDTH, HEADS, 4, 4 * WIDTH, vb.pp("layers"))?;
            let logits = Linear::new(WIDTH, VOCABULARY, vb.pp("logits"))?;
            let embedding = Var::from_tensor(&random((VOCABULARY, WIDTH))?)?;
            let constant = Var::from_tensor(&random((BATCH, WIDTH))?)?;
            let packing = Packing::new(&lengths)?;
            let ids: Vec<u32> = (0..packing.rows())
                .map(|row| (row * 7 % VOCABULARY) as u32)
                .collect();
            group(criterion, &format!("transformer {name} backward")).bench_function(
                "atlas",
                |bencher| {
                    let step = || {
                        let rows = embed_tokens(&packing, &ids, &embedding, Some(&constant))?;
                        let rows = layers.forward(&packing, &rows, true, None)?;
                        softmax_cross_entropy(&logits.forward(&rows)?, &ids)?.backward()
                    };
                    bencher.iter(|| black_box(step().unwrap()));
                },
            );
        }
        Ok(())
    };
    run(criterion).unwrap();
}

/// The convolutions of Gómez-Bombarelli et al., "Automatic Chemical Design" (2018), over tokens.
fn bench_convolution(criterion: &mut Criterion) {
    let run = |criterion: &mut Criterion| -> Result<()> {
        for (name, lengths) in [("equal", vec![42; BATCH]), ("zinc", lengths())] {
            let map = VarMap::new();
            let vb = builder(&map);
            let sizes = [(VOCABULARY, 9, 9), (9, 9, 9), (9, 10, 11)].into_iter();
            let convolutions = sizes.enumerate().map(|(index, (input, output, kernel))| {
                Convolution::new(input, output, kernel, vb.pp(index))
            });
            let convolutions = convolutions.collect::<Result<Vec<_>>>()?;
            let embedding = Var::from_tensor(&Tensor::eye(VOCABULARY, DType::F32, &Device::Cpu)?)?;
            let packing = Packing::new(&lengths)?;
            let ids: Vec<u32> = (0..packing.rows())
                .map(|row| (row * 7 % VOCABULARY) as u32)
                .collect();
            layer(criterion, &format!("convolution {name}"), "atlas", || {
                let mut rows = convolutions[0].forward_tokens(&packing, &ids, &embedding)?;
                for convolution in &convolutions[1..] {
                    rows = convolution.forward(&packing, &rows.tanh()?)?;
                }
                rows.tanh()
            });
        }
        Ok(())
    };
    run(criterion).unwrap();
}

criterion_group!(
    benches,
    bench_gru,
    bench_cross_entropy,
    bench_attention,
    bench_transformer,
    bench_convolution
);
criterion_main!(benches);
