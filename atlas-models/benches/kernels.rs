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

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use atlas_models::nn::{Gru, GruInput, Packing, softmax_cross_entropy};
use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::rnn::{GRUConfig, RNN, gru};
use candle_nn::{VarBuilder, VarMap, loss};
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

criterion_group!(benches, bench_gru, bench_cross_entropy);
criterion_main!(benches);
