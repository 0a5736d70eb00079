//! `sigmoid` and `tanh` over registers, for the gates of a GRU.
//!
//! The same formula for every instruction set. Against correctly rounded
//! values the error is at most 3 units in the last place for `f32` in
//! `sigmoid` and `tanh`, over all arguments whose result is a normal number.
//!
//! Each takes several registers at once: one alone would wait for itself at every operation.

use super::simd::{Real, Register, Supported};

/// `exp(x) - 1` as `(scale, part)` with `exp(x) = scale + scale * part`, for `|x|`
/// within [`Real::EXP_LIMIT`]: the result keeps its relative accuracy about zero.
#[inline(always)]
fn reduced_exp<R: Register, const N: usize>(simd: Supported<R>, x: [R; N]) -> ([R; N], [R; N]) {
    let mut scale = x;
    let mut rest = x;
    for (scale, rest) in scale.iter_mut().zip(&mut rest) {
        let power = scale.mul(simd.splat(R::Real::LOG2_E)).round();
        *rest = power.mul_add(simd.splat(R::Real::ZERO - R::Real::LN_2_HIGH), *rest);
        *rest = power.mul_add(simd.splat(R::Real::ZERO - R::Real::LN_2_LOW), *rest);
        *scale = power.exp2();
    }
    let mut part = [simd.splat(R::Real::EXP_M1[0]); N];
    for &coefficient in &R::Real::EXP_M1[1..] {
        let coefficient = simd.splat(coefficient);
        for (part, rest) in part.iter_mut().zip(rest) {
            *part = part.mul_add(rest, coefficient);
        }
    }
    for (part, rest) in part.iter_mut().zip(rest) {
        *part = part.mul(rest);
    }
    (scale, part)
}

/// `x` between `-limit` and `limit`; NaN stays.
#[inline(always)]
fn clamp<R: Register>(simd: Supported<R>, x: R, limit: R::Real) -> R {
    let x = simd.splat(limit).min(x);
    simd.splat(R::Real::ZERO - limit).max(x)
}

/// `exp(x)`, for `x` within [`Real::EXP_LIMIT`] of zero and clamped to it beyond.
#[inline(always)]
pub(crate) fn exp<R: Register, const N: usize>(simd: Supported<R>, mut x: [R; N]) -> [R; N] {
    for x in &mut x {
        *x = clamp(simd, *x, R::Real::EXP_LIMIT);
    }
    let (mut result, part) = reduced_exp(simd, x);
    for (result, part) in result.iter_mut().zip(part) {
        *result = result.mul_add(part, *result);
    }
    result
}

/// `1 / (1 + exp(-x))`; saturates, never overflows, and passes NaN on.
#[inline(always)]
pub(crate) fn sigmoid<R: Register, const N: usize>(simd: Supported<R>, mut x: [R; N]) -> [R; N] {
    for x in &mut x {
        *x = simd.splat(R::Real::ZERO).sub(*x);
    }
    let mut result = exp(simd, x);
    let one = simd.splat(R::Real::ONE);
    for result in &mut result {
        *result = one.div(one.add(*result));
    }
    result
}

/// The hyperbolic tangent; saturates, never overflows, and passes NaN on.
#[inline(always)]
pub(crate) fn tanh<R: Register, const N: usize>(simd: Supported<R>, mut x: [R; N]) -> [R; N] {
    for x in &mut x {
        *x = clamp(simd, x.add(*x), R::Real::TANH_LIMIT);
    }
    let (mut result, part) = reduced_exp(simd, x);
    let one = simd.splat(R::Real::ONE);
    for (result, part) in result.iter_mut().zip(part) {
        let less_one = result.mul_add(part, result.sub(one));
        *result = less_one.div(less_one.add(one).add(one));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::simd::{InstructionSet, Kernel};

    #[derive(Clone, Copy)]
    enum Function {
        Sigmoid,
        Tanh,
    }

    /// A function over a slice.
    struct Map<'a, T>(Function, &'a mut [T]);

    impl<T: Real> Kernel for Map<'_, T> {
        type Real = T;
        type Output = ();

        #[inline(always)]
        fn run<R: Register<Real = T>>(self, simd: Supported<R>) {
            for chunk in self.1.chunks_mut(R::LANES) {
                let x = simd.load(chunk);
                let [y] = match self.0 {
                    Function::Sigmoid => sigmoid(simd, [x]),
                    Function::Tanh => tanh(simd, [x]),
                };
                y.store(chunk);
            }
        }
    }

    fn arguments() -> Vec<f32> {
        let mut arguments: Vec<f32> = (-80_000..80_000).map(|i| i as f32 * 1e-3).collect();
        arguments.extend((-37..=0).flat_map(|power| {
            (0..97).flat_map(move |i| {
                let x = (1.0 + i as f32 / 97.0) * 10f32.powi(power);
                [x, -x]
            })
        }));
        arguments
    }

    /// The largest error over `arguments`, in units in the last place of the exact result.
    fn worst_ulps(set: InstructionSet, function: Function, exact: impl Fn(f64) -> f64) -> f64 {
        let arguments = arguments();
        let mut results = arguments.clone();
        set.run(Map(function, &mut results));
        arguments
            .iter()
            .zip(&results)
            .map(|(&x, &y)| {
                let exact = exact(x as f64);
                let rounded = exact as f32;
                let ulp = (f32::from_bits(rounded.abs().to_bits() + 1) - rounded.abs()) as f64;
                (y as f64 - exact).abs() / ulp
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn sigmoid_and_tanh_are_within_three_ulps_on_every_instruction_set() {
        for set in InstructionSet::available() {
            let sigmoid = worst_ulps(set, Function::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
            assert!(sigmoid <= 3.0, "sigmoid on {set:?}: {sigmoid} ulps");
            let tanh = worst_ulps(set, Function::Tanh, f64::tanh);
            assert!(tanh <= 3.0, "tanh on {set:?}: {tanh} ulps");
        }
    }

    #[test]
    fn in_double_precision_they_agree_with_the_standard_library() {
        for set in InstructionSet::available() {
            let arguments: Vec<f64> = (-4000..4000).map(|i| i as f64 * 7e-3).collect();
            let (mut sigmoids, mut tanhs) = (arguments.clone(), arguments.clone());
            set.run(Map(Function::Sigmoid, &mut sigmoids));
            set.run(Map(Function::Tanh, &mut tanhs));
            for (i, &x) in arguments.iter().enumerate() {
                let exact = 1.0 / (1.0 + (-x).exp());
                assert!((sigmoids[i] - exact).abs() <= 1e-15 * exact.abs(), "{x}");
                assert!((tanhs[i] - x.tanh()).abs() <= 1e-15 * x.tanh().abs(), "{x}");
            }
        }
    }

    #[test]
    fn saturated_arguments_give_the_limits_and_nan_stays_nan() {
        for set in InstructionSet::available() {
            let arguments = [-1e4f32, 1e4, f32::NEG_INFINITY, f32::INFINITY, f32::NAN];
            let (mut sigmoids, mut tanhs) = (arguments, arguments);
            set.run(Map(Function::Sigmoid, &mut sigmoids));
            set.run(Map(Function::Tanh, &mut tanhs));
            assert!(sigmoids[0] < 1e-37 && sigmoids[2] < 1e-37, "{set:?}");
            assert_eq!([sigmoids[1], sigmoids[3]], [1.0, 1.0], "{set:?}");
            assert_eq!(tanhs[..4], [-1.0, 1.0, -1.0, 1.0], "{set:?}");
            assert!(sigmoids[4].is_nan() && tanhs[4].is_nan(), "{set:?}");
        }
    }
}
