//! Initial values: candle's distributions, the same whatever the machine does meanwhile.

use atlas_core::prelude::*;
use candle_core::{DType, Device, Tensor};
use candle_nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use candle_nn::{Init, VarBuilder};

/// A model of one tensor, or several, of which tests choose the distribution.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Probe {
    /// Which of [`INITS`].
    #[param(default = 0)]
    init: usize,
    #[param(default = 400)]
    rows: usize,
    #[param(default = 300)]
    columns: usize,
    #[param(default = vec!["weight".to_owned()])]
    names: Vec<String>,
    #[network(with = build)]
    net: Vec<Tensor>,
}

const INITS: [Init; 12] = [
    Init::Const(0.0),
    Init::Const(1.0),
    Init::Const(-2.5),
    Init::Uniform {
        lo: -0.25,
        up: 0.75,
    },
    Init::Randn {
        mean: 0.0,
        stdev: 1.0,
    },
    Init::Randn {
        mean: -3.0,
        stdev: 0.02,
    },
    kaiming(
        NormalOrUniform::Uniform,
        FanInOut::FanIn,
        NonLinearity::ReLU,
    ),
    kaiming(
        NormalOrUniform::Normal,
        FanInOut::FanIn,
        NonLinearity::Linear,
    ),
    kaiming(
        NormalOrUniform::Normal,
        FanInOut::FanOut,
        NonLinearity::Tanh,
    ),
    kaiming(
        NormalOrUniform::Uniform,
        FanInOut::FanOut,
        NonLinearity::Sigmoid,
    ),
    kaiming(
        NormalOrUniform::Uniform,
        FanInOut::FanIn,
        NonLinearity::SELU,
    ),
    kaiming(
        NormalOrUniform::Normal,
        FanInOut::FanIn,
        NonLinearity::ExplicitGain(0.3),
    ),
];

const fn kaiming(dist: NormalOrUniform, fan: FanInOut, non_linearity: NonLinearity) -> Init {
    Init::Kaiming {
        dist,
        fan,
        non_linearity,
    }
}

fn build(params: &ProbeParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
    let shape = (params.rows, params.columns);
    params
        .names
        .iter()
        .map(|name| vb.get_with_hints(shape, name, INITS[params.init]))
        .collect()
}

fn probe(params: ProbeParams) -> Model<Probe> {
    Probe::create_with(params, CreateOptions::new().seed(7)).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor
        .flatten_all()
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap()
        .to_vec1()
        .unwrap()
}

struct Moments {
    mean: f64,
    variance: f64,
    kurtosis: f64,
    least: f64,
    greatest: f64,
}

fn moments(values: &[f64]) -> Moments {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let moment = |power: i32| {
        values
            .iter()
            .map(|value| (value - mean).powi(power))
            .sum::<f64>()
            / count
    };
    let variance = moment(2);
    Moments {
        mean,
        variance,
        kurtosis: moment(4) / variance.powi(2),
        least: values.iter().copied().fold(f64::INFINITY, f64::min),
        greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

#[test]
fn every_distribution_is_candles() {
    for (index, init) in INITS.iter().enumerate() {
        let model = probe(ProbeParams {
            init: index,
            ..Default::default()
        });
        let ours = moments(&values(&model.net[0]));
        let theirs = init.var((400, 300), DType::F32, &Device::Cpu).unwrap();
        let theirs = moments(&values(theirs.as_tensor()));
        // 120,000 draws: five standard errors of a difference of two means.
        let margin = 5.0 * (2.0 * theirs.variance / 120_000.0).sqrt();
        assert!(
            (ours.mean - theirs.mean).abs() <= margin,
            "{init:?}: mean {} and {}",
            ours.mean,
            theirs.mean
        );
        if matches!(init, Init::Const(_)) {
            assert_eq!(
                (ours.least, ours.greatest),
                (theirs.least, theirs.greatest),
                "{init:?}"
            );
            continue;
        }
        let ratio = ours.variance / theirs.variance;
        assert!(
            (ratio - 1.0).abs() < 0.03,
            "{init:?}: variance {} and {}",
            ours.variance,
            theirs.variance
        );
        let is_uniform = theirs.kurtosis < 2.4;
        let kurtosis = if is_uniform { 1.8 } else { 3.0 };
        assert!(
            (ours.kurtosis - kurtosis).abs() < 0.1,
            "{init:?}: kurtosis {}",
            ours.kurtosis
        );
        if is_uniform {
            let width = theirs.greatest - theirs.least;
            assert!(
                (ours.least - theirs.least).abs() < 1e-3 * width,
                "{init:?}: {} {}",
                ours.least,
                theirs.least
            );
            assert!(
                (ours.greatest - theirs.greatest).abs() < 1e-3 * width,
                "{init:?}"
            );
        }
    }
}

#[test]
fn uniform_values_stay_within_their_bounds() {
    let model = probe(ProbeParams {
        init: 3,
        ..Default::default()
    });
    assert!(
        values(&model.net[0])
            .iter()
            .all(|value| (-0.25..=0.75).contains(value))
    );
    // He's bound for a fan-in of 300: √3 · √2 / √300.
    let bound = f64::from(0.02_f64.sqrt() as f32);
    let model = probe(ProbeParams {
        init: 6,
        ..Default::default()
    });
    assert!(
        values(&model.net[0])
            .iter()
            .all(|value| value.abs() <= bound)
    );
}

/// As bytes of little-endian f32.
fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap()
        .into_iter()
        .map(f32::to_bits)
        .collect()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let create = || {
        bits(
            &probe(ProbeParams {
                init: 4,
                ..Default::default()
            })
            .net[0],
        )
    };
    let expected = create();
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        assert!(pool.install(create) == expected, "{threads} threads");
    }
}

#[test]
fn neither_the_order_of_building_nor_another_tensor_changes_a_bit() {
    let create = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        probe(ProbeParams {
            init: 4,
            rows: 3,
            columns: 3,
            names,
        })
    };
    let one = create(&["a", "b"]);
    let other = create(&["new", "b", "a"]);
    for name in ["a", "b"] {
        let tensor =
            |model: &Model<Probe>| bits(model.network("net").unwrap().tensor(name).unwrap());
        assert_eq!(tensor(&one), tensor(&other));
    }
}

#[test]
fn every_tensor_and_every_seed_has_values_of_its_own() {
    let names = vec!["a".to_owned(), "b".to_owned()];
    let params = ProbeParams {
        init: 4,
        rows: 2,
        columns: 2,
        names,
    };
    let seeded =
        |seed| Probe::create_with(params.clone(), CreateOptions::new().seed(seed)).unwrap();
    let (seven, eight) = (seeded(7), seeded(8));
    assert_ne!(bits(&seven.net[0]), bits(&seven.net[1]));
    assert_ne!(bits(&seven.net[0]), bits(&eight.net[0]));
    assert_eq!(bits(&seven.net[0]), bits(&seeded(7).net[0]));
}

#[test]
fn without_a_seed_one_is_drawn_and_recorded() {
    let params = ProbeParams {
        init: 4,
        rows: 2,
        columns: 2,
        ..Default::default()
    };
    let drawn = Probe::create(params.clone()).unwrap();
    let seed = drawn.provenance().seed().unwrap();
    let again = Probe::create_with(params.clone(), CreateOptions::new().seed(seed)).unwrap();
    assert_eq!(bits(&drawn.net[0]), bits(&again.net[0]));
    assert_ne!(
        Probe::create(params).unwrap().provenance().seed(),
        Some(seed)
    );
}

/// BLAKE3 of all distributions' first values: what a seed gives, it gives for ever.
#[test]
fn a_seed_gives_these_values_on_every_machine() {
    let mut hasher = blake3::Hasher::new();
    for init in 0..INITS.len() {
        let model = probe(ProbeParams {
            init,
            rows: 8,
            columns: 8,
            ..Default::default()
        });
        for bits in bits(&model.net[0]) {
            hasher.update(&bits.to_le_bytes());
        }
    }
    assert_eq!(
        hasher.finalize().to_hex().as_str(),
        "c543ce824d76673cea1440ff22b216a92fab9be48b55fc326472de7430485b3c"
    );
}

#[test]
fn every_float_dtype_is_the_same_draw_rounded() {
    let params = || ProbeParams {
        init: 4,
        rows: 20,
        columns: 20,
        ..Default::default()
    };
    let create = |dtype| {
        let model =
            Probe::create_with(params(), CreateOptions::new().seed(7).dtype(dtype)).unwrap();
        assert_eq!(model.net[0].dtype(), dtype);
        values(&model.net[0])
    };
    let exact = create(DType::F64);
    for (dtype, rounding) in [
        (DType::F32, 2f64.powi(-24)),
        (DType::F16, 2f64.powi(-11)),
        (DType::BF16, 2f64.powi(-8)),
    ] {
        for (exact, rounded) in exact.iter().zip(create(dtype)) {
            assert!(
                (exact - rounded).abs() <= exact.abs().max(1e-4) * rounding,
                "{dtype:?}: {exact} became {rounded}"
            );
        }
    }
}

#[test]
fn a_model_of_integers_is_refused() {
    let error = Probe::create_with(
        ProbeParams::default(),
        CreateOptions::new().dtype(DType::U32),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a model is of dtype F32, F64, F16 or BF16, not U32"
    );
}

#[test]
fn parameters_that_ask_for_a_terabyte_are_refused_before_any_is_taken() {
    let error = Probe::create(ProbeParams {
        rows: 1_000_000_000_000,
        columns: 1,
        ..Default::default()
    })
    .unwrap_err();
    assert!(error.is_too_large(), "{error}");
    assert_eq!(
        error.to_string(),
        "`probe`: network `net`: tensor `net/weight` of F32 [1000000000000, 1] is too large: a model may take \
         137438953472 bytes in all, unless `CreateOptions::max_bytes` allows more"
    );
}

#[test]
fn shapes_that_overflow_are_refused() {
    for (rows, columns) in [
        (1 << 62, 1 << 62),
        (usize::MAX, 1),
        (1 << 61, 2),
        (usize::MAX, 0),
    ] {
        let options = CreateOptions::new().max_bytes(u64::MAX);
        let error = Probe::create_with(
            ProbeParams {
                rows,
                columns,
                ..Default::default()
            },
            options,
        )
        .unwrap_err();
        assert!(error.is_too_large(), "{error}");
    }
}

#[test]
fn the_limit_holds_for_all_tensors_together() {
    let names = vec!["a".to_owned(), "b".to_owned()];
    let params = ProbeParams {
        rows: 10,
        columns: 10,
        names,
        ..Default::default()
    };
    let create = |bytes| Probe::create_with(params.clone(), CreateOptions::new().max_bytes(bytes));
    assert_eq!(create(800).unwrap().net.len(), 2);
    assert!(
        create(799)
            .unwrap_err()
            .to_string()
            .contains("tensor `net/b` of F32 [10, 10] is too large")
    );
}
