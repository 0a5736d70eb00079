//! What `nn` computes row by row, against candle's operations that have gradients.
//!
//! ```text
//! cargo bench -p atlas-models --bench rows
//! ```
//!
//! `backward` is forward and backward together, with gradients of the input and of all weights; the
//! loss, a sum of squares, is of candle's operations for both.

use std::hint::black_box;
use std::time::Duration;

use atlas_models::nn::{LayerNorm, embedding, softmax};
use candle_core::{DType, Device, Module, Result, Tensor, Var};
use candle_nn::ops::{self, layer_norm_slow};
use candle_nn::{VarBuilder, VarMap};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};

const ROWS: usize = 4096;

/// The widths of a vocabulary and of a hidden layer.
const WIDTHS: [usize; 2] = [40, 256];

fn random(shape: (usize, usize)) -> Result<Var> {
    Var::from_tensor(&Tensor::randn(0f32, 1.0, shape, &Device::Cpu)?)
}

/// Times a function forward, and forward and backward.
fn both(criterion: &mut Criterion, name: &str, who: &str, forward: impl Fn() -> Result<Tensor>) {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(20)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    group.bench_function(format!("forward {who}"), |bencher| {
        bencher.iter(|| black_box(forward().unwrap()));
    });
    group.bench_function(format!("backward {who}"), |bencher| {
        bencher.iter(|| {
            let loss = forward().unwrap().sqr().unwrap().sum_all().unwrap();
            black_box(loss.backward().unwrap())
        });
    });
}

fn bench_softmax(criterion: &mut Criterion) {
    for width in WIDTHS {
        let x = random((ROWS, width)).unwrap();
        let name = format!("softmax {width}");
        both(criterion, &name, "atlas", || softmax(&x));
        both(criterion, &name, "candle", || ops::softmax(&x, 1));
    }
}

fn bench_layer_norm(criterion: &mut Criterion) {
    for width in WIDTHS {
        let x = random((ROWS, width)).unwrap();
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        let norm = LayerNorm::new(width, 1e-5, vb).unwrap();
        let name = format!("layer norm {width}");
        both(criterion, &name, "atlas", || norm.forward(&x));
        both(criterion, &name, "candle", || {
            layer_norm_slow(&x, norm.weight(), norm.bias(), 1e-5)
        });
    }
}

fn bench_embedding(criterion: &mut Criterion) {
    let ids: Vec<u32> = (0..ROWS as u32).map(|row| row * 7 % 40).collect();
    let index = Tensor::new(ids.as_slice(), &Device::Cpu).unwrap();
    for width in WIDTHS {
        let weight = random((40, width)).unwrap();
        let name = format!("embedding {width}");
        both(criterion, &name, "atlas", || embedding(&ids, &weight, None));
        both(criterion, &name, "candle", || {
            weight.index_select(&index, 0)
        });
    }
}

criterion_group!(benches, bench_softmax, bench_layer_norm, bench_embedding);
criterion_main!(benches);
