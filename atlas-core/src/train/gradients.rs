//! Gradients before they are used: every variable has one, their norm is finite.

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, Storage, Tensor, Var};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// What cuts gradients in candle 0.11, and what to use instead.
const CUTTING: [(&str, &str); 5] = [
    (
        "`candle_nn::LayerNorm`, `ops::layer_norm`",
        "`atlas_core::nn::LayerNorm`, which has the same tensors",
    ),
    (
        "`candle_nn::RmsNorm`, `ops::rms_norm`",
        "`RmsNorm::forward_diff`",
    ),
    ("`ops::softmax_last_dim`, `ops::sdpa`", "`ops::softmax`"),
    (
        "`rotary_emb::rope`, `rope_i` and `rope_thd`",
        "`rope_slow` and `rope_i_slow`",
    ),
    (
        "`floor`, `ceil`, `round`, `sign`, comparisons, `argmax`, `argmin`, casts to integers, a product with the \
         number 0, `detach`, `to_vec` and its like",
        "none of these between the variables and the loss",
    ),
];

/// The gradients of the variables, in their order.
///
/// # Errors
/// If a variable received none: the loss does not depend on it, or an operation on the way has no
/// backward. Training on would leave it at its initial value without a word.
pub(super) fn take(vars: &[(String, Var)], store: &mut GradStore) -> Result<Vec<Tensor>> {
    let gradients: Vec<Option<Tensor>> = vars.iter().map(|(_, var)| store.remove(var)).collect();
    let without: Vec<&str> = vars
        .iter()
        .zip(&gradients)
        .filter(|(_, gradient)| gradient.is_none())
        .map(|((name, _), _)| name.as_str())
        .collect();
    if !without.is_empty() {
        return Err(Error::new(format_args!(
            "{} of {} variables received no gradient and would never be trained:\n  {}\n{}\nfreeze them if that is \
             meant; what is kept and not optimised, `#[network(buffers = …)]` declares",
            without.len(),
            vars.len(),
            without.join("\n  "),
            cause(vars, &without),
        )));
    }
    Ok(gradients.into_iter().flatten().collect())
}

/// Why these variables are likely to have no gradient, and the cure.
fn cause(vars: &[(String, Var)], without: &[&str]) -> String {
    // A normalisation has a vector for its weight; the layers that are products have matrices.
    let norms: Vec<&str> = vars
        .iter()
        .filter(|(name, var)| var.rank() == 1 && without.contains(&name.as_str()))
        .filter_map(|(name, _)| name.strip_suffix(".weight"))
        .collect();
    let list = |cutting: &[(&str, &str)]| {
        let lines = cutting
            .iter()
            .map(|(operation, cure)| format!("  {operation}: use {cure}"));
        lines.collect::<Vec<_>>().join("\n")
    };
    if norms.is_empty() {
        return format!(
            "either the loss does not depend on them, or an operation on the way to it cuts gradients, as these \
             of candle's do:\n{}",
            list(&CUTTING)
        );
    }
    format!(
        "{} may be a normalisation that cuts gradients, as these of candle's do:\n{}",
        norms.join(", "),
        list(&CUTTING[..2])
    )
}

/// The Euclidean length of all gradients together.
pub(super) fn norm(gradients: &[Tensor]) -> Result<f64> {
    if gradients.iter().all(|gradient| gradient.device().is_cpu()) {
        let squares = gradients.iter().map(sum_of_squares);
        return Ok(squares.sum::<Result<f64>>()?.sqrt());
    }
    norm_on_device(gradients)
}

/// The names of the variables whose gradients are not finite.
pub(super) fn not_finite<'a>(
    vars: &'a [(String, Var)],
    gradients: &[Tensor],
) -> Result<Vec<&'a str>> {
    let mut names = Vec::new();
    for ((name, _), gradient) in vars.iter().zip(gradients) {
        if !norm(std::slice::from_ref(gradient))?.is_finite() {
            names.push(name.as_str());
        }
    }
    Ok(names)
}

/// By candle's own operations, in f32, as some devices have no f64: relative to the largest
/// element, whose square f32 need not be able to hold. Numbers are read from the device once.
fn norm_on_device(gradients: &[Tensor]) -> Result<f64> {
    let gradients = gradients.iter().map(|gradient| {
        let gradient = gradient.to_dtype(DType::F32)?;
        gradient.flatten_all()
    });
    let gradients = gradients.collect::<candle_core::Result<Vec<_>>>()?;
    let largest = gradients.iter().map(|gradient| gradient.abs()?.max(0));
    let largest = largest.collect::<candle_core::Result<Vec<_>>>()?;
    // Gradients that are all zero are divided by something else than zero.
    let largest = Tensor::stack(&largest, 0)?
        .max(0)?
        .maximum(f32::MIN_POSITIVE)?;
    // The largest of numbers with a NaN among them may be a number, their sum is none.
    let square = |gradient: &Tensor| gradient.broadcast_div(&largest)?.sqr()?.sum_all();
    let squares = gradients.iter().map(square);
    let squares = squares.collect::<candle_core::Result<Vec<_>>>()?;
    let sum = Tensor::stack(&squares, 0)?.sum_all()?;
    let read = Tensor::stack(&[largest, sum], 0)?.to_vec1::<f32>()?;
    Ok(f64::from(read[0]) * f64::from(read[1]).sqrt())
}

/// The sum of the squares of a gradient on the CPU, in f64: the square of an f32 need not fit into
/// one.
fn sum_of_squares(gradient: &Tensor) -> Result<f64> {
    let gradient = match gradient.dtype() {
        DType::F32 | DType::F64 => gradient.contiguous()?,
        _ => gradient.to_dtype(DType::F64)?.contiguous()?,
    };
    let (storage, layout) = gradient.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => {
            Ok(sum_in_parts(&values[start..end]))
        }
        (Storage::Cpu(CpuStorage::F64(values)), Some((start, end))) => {
            Ok(sum_in_parts(&values[start..end]))
        }
        _ => Err(Error::new("a gradient is not what it was converted to")),
    }
}

/// Elements that one thread takes at a time; fixed, so that the number of threads changes no bit.
const PART: usize = 1 << 14;
/// Sums that a processor takes side by side.
const LANES: usize = 8;

fn sum_in_parts<T: Copy + Into<f64> + Sync>(values: &[T]) -> f64 {
    let part = |values: &[T]| {
        let mut sums = [0.0; LANES];
        let add = |sums: &mut [f64; LANES], values: &[T]| {
            for (sum, &value) in sums.iter_mut().zip(values) {
                let value: f64 = value.into();
                *sum += value * value;
            }
        };
        let chunks = values.chunks_exact(LANES);
        let rest = chunks.remainder();
        chunks.for_each(|values| add(&mut sums, values));
        add(&mut sums, rest);
        sums.iter().sum::<f64>()
    };
    if values.len() <= PART {
        return part(values);
    }
    let parts: Vec<f64> = values.par_chunks(PART).map(part).collect();
    parts.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{D, Device};
    use candle_nn::{Module, ops, rotary_emb};

    fn vars(values: &[&[f32]]) -> Vec<(String, Var)> {
        let var = |(index, values): (usize, &&[f32])| {
            (
                format!("net/{index}"),
                Var::new(*values, &Device::Cpu).unwrap(),
            )
        };
        values.iter().enumerate().map(var).collect()
    }

    #[test]
    fn a_variable_that_the_loss_does_not_reach_is_named() {
        let vars = vars(&[&[1.0, 2.0], &[3.0]]);
        let mut store = vars[0]
            .1
            .sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let error = take(&vars, &mut store).unwrap_err().to_string();
        assert!(
            error.starts_with("1 of 2 variables received no gradient"),
            "{error}"
        );
        assert!(error.contains("\n  net/1\n"), "{error}");
    }

    #[test]
    fn an_operation_without_backward_is_noticed() {
        let vars = vars(&[&[1.0, 2.0]]);
        let softmax = ops::softmax_last_dim(&vars[0].1).unwrap();
        // candle gives an empty store for a loss that depends on no variable.
        let mut store = softmax
            .sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        assert!(
            take(&vars, &mut store)
                .unwrap_err()
                .to_string()
                .contains("softmax_last_dim")
        );
    }

    #[test]
    fn the_norm_is_over_all_variables() {
        let gradients = [
            Tensor::new(&[3f32, 0.0], &Device::Cpu).unwrap(),
            Tensor::new(&[4f32], &Device::Cpu).unwrap(),
        ];
        assert_eq!(norm(&gradients).unwrap(), 5.0);
    }

    #[test]
    fn what_the_message_names_cuts_gradients() {
        let device = Device::Cpu;
        let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, &device).unwrap();
        let angles = ones(&[2, 2]);
        let layer_norm = candle_nn::LayerNorm::new(ones(&[4]), ones(&[4]), 1e-5);
        let rms_norm = candle_nn::RmsNorm::new(ones(&[4]), 1e-5);
        type Cut<'a> = Box<dyn Fn(&Tensor) -> candle_core::Result<Tensor> + 'a>;
        let float = |tensor: Tensor| tensor.to_dtype(DType::F32);
        let cuts: Vec<(&str, Cut)> = vec![
            ("LayerNorm", Box::new(|x| layer_norm.forward(x))),
            ("RmsNorm", Box::new(|x| rms_norm.forward(x))),
            (
                "ops::layer_norm",
                Box::new(|x| ops::layer_norm(x, &ones(&[4]), &ones(&[4]), 1e-5)),
            ),
            (
                "ops::rms_norm",
                Box::new(|x| ops::rms_norm(x, &ones(&[4]), 1e-5)),
            ),
            ("softmax_last_dim", Box::new(ops::softmax_last_dim)),
            ("rope", Box::new(|x| rotary_emb::rope(x, &angles, &angles))),
            (
                "rope_i",
                Box::new(|x| rotary_emb::rope_i(x, &angles, &angles)),
            ),
            (
                "rope_thd",
                Box::new(|x| rotary_emb::rope_thd(&x.reshape((1, 2, 1, 4))?, &angles, &angles)),
            ),
            ("floor", Box::new(|x| x.floor())),
            ("ceil", Box::new(|x| x.ceil())),
            ("round", Box::new(|x| x.round())),
            ("sign", Box::new(|x| x.sign())),
            ("comparisons", Box::new(|x| float(x.gt(0.5)?))),
            ("argmax", Box::new(|x| float(x.argmax(D::Minus1)?))),
            ("argmin", Box::new(|x| float(x.argmin(D::Minus1)?))),
            (
                "casts to integers",
                Box::new(|x| float(x.to_dtype(DType::I64)?)),
            ),
            ("the number 0", Box::new(|x| x * 0.0)),
            ("detach", Box::new(|x| Ok(x.detach()))),
        ];
        for (name, cut) in cuts {
            let values = Tensor::rand(0f32, 2.0, (1, 1, 2, 4), &device).unwrap();
            let vars = [("net/x".to_owned(), Var::from_tensor(&values).unwrap())];
            // A product of the variable's own, so that the operation is not its first.
            let loss = cut(&(vars[0].1.as_tensor() * 1.5).unwrap()).unwrap();
            let mut store = loss.sum_all().unwrap().backward().unwrap();
            let error = take(&vars, &mut store).unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn the_norm_of_what_f32_can_hold_is_finite_and_exact() {
        for dtype in [DType::F32, DType::F64] {
            let large = Tensor::new(&[3e37f32, -4e37], &Device::Cpu).unwrap();
            let large = [large.to_dtype(dtype).unwrap()];
            let norm = norm(&large).unwrap();
            assert!((norm / 5e37 - 1.0).abs() < 1e-7, "{norm}");
            let vars = vars(&[&[0.0, 0.0]]);
            assert_eq!(not_finite(&vars, &large).unwrap(), Vec::<&str>::new());
        }
        // In f32 the sum of so many ones would stop at 2^24.
        let ones = Tensor::ones((1 << 24) + 3, DType::F32, &Device::Cpu).unwrap();
        assert_eq!(sum_of_squares(&ones).unwrap(), f64::from((1 << 24) + 3));
        let halves = Tensor::new(&[3f32, 4.0], &Device::Cpu).unwrap();
        let halves = halves.to_dtype(DType::BF16).unwrap();
        assert_eq!(norm(&[halves]).unwrap(), 5.0);
    }

    #[test]
    fn the_norm_on_a_device_is_the_same() {
        let norm = |gradients: &[&[f32]]| {
            let tensor = |values: &&[f32]| Tensor::new(*values, &Device::Cpu).unwrap();
            let tensors: Vec<Tensor> = gradients.iter().map(tensor).collect();
            norm_on_device(&tensors).unwrap()
        };
        assert_eq!(norm(&[&[3.0, -4.0]]), 5.0);
        assert_eq!(norm(&[&[4.0], &[0.0, 0.0], &[-4.0, 4.0, 4.0]]), 8.0);
        let large = norm(&[&[3e37, -4e37]]);
        assert!((large / 5e37 - 1.0).abs() < 1e-6, "{large}");
        assert_eq!(norm(&[&[0.0, 0.0]]), 0.0);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for values in [[value, 0.0], [0.0, value], [1.0, value]] {
                let alone = norm(&[&values]);
                assert!(!alone.is_finite(), "{values:?}: {alone}");
                let beside = norm(&[&[1e38], &values]);
                assert!(!beside.is_finite(), "{values:?}: {beside}");
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit_of_the_norm() {
        let value = |index: usize| ((index * 7919) % 1013) as f32 * 0.37;
        let values: Vec<f32> = (0..5 * PART + 3).map(value).collect();
        let gradients = [Tensor::new(values, &Device::Cpu).unwrap()];
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let norm = || norm(&gradients).unwrap().to_bits();
            pool.build().unwrap().install(norm)
        };
        assert_eq!([run(2), run(5)], [run(1), run(1)]);
    }
}
