//! Registers for any machine: short arrays that the compiler vectorises.

use super::{Real, Register, Supported};

/// An array used as a register.
#[derive(Clone, Copy)]
pub(crate) struct Array<T, const N: usize>([T; N]);

/// Whether the target multiplies and adds in one instruction; where it does
/// not, `mul_add` would be a slow library call.
const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

macro_rules! array {
    ($real:ty, $count:literal, $bits:ty, $int:ty, $bias:literal, $mantissa:literal) => {
        // SAFETY: it reads and writes as many elements as it has.
        unsafe impl Register for Array<$real, $count> {
            type Real = $real;
            const LANES: usize = $count;
            const REGISTERS: usize = 16;

            #[inline(always)]
            fn splat(_: Supported<Self>, x: $real) -> Self {
                Self([x; $count])
            }
            #[inline(always)]
            unsafe fn read(from: *const $real) -> Self {
                Self(unsafe { from.cast::<[$real; $count]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn write(self, to: *mut $real) {
                unsafe { to.cast::<[$real; $count]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] - other.0[i]))
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] * other.0[i]))
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] / other.0[i]))
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| {
                    if self.0[i] < other.0[i] {
                        self.0[i]
                    } else {
                        other.0[i]
                    }
                }))
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| {
                    if self.0[i] > other.0[i] {
                        self.0[i]
                    } else {
                        other.0[i]
                    }
                }))
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, term: Self) -> Self {
                Self(std::array::from_fn(|i| {
                    if FUSED {
                        self.0[i].mul_add(factor.0[i], term.0[i])
                    } else {
                        self.0[i] * factor.0[i] + term.0[i]
                    }
                }))
            }
            #[inline(always)]
            fn round(self) -> Self {
                // Adding 1.5 times two to the width of the mantissa pushes the fraction
                // out; enough for the magnitudes that `exp` reduces.
                let shift = 1.5 / <$real>::EPSILON;
                Self(std::array::from_fn(|i| (self.0[i] + shift) - shift))
            }
            #[inline(always)]
            fn exp2(self) -> Self {
                Self(std::array::from_fn(|i| {
                    let biased = (self.0[i] as $int).wrapping_add($bias);
                    <$real>::from_bits((biased as $bits) << $mantissa)
                }))
            }
        }
    };
}

array!(f32, 4, u32, i32, 127, 23);
array!(f64, 2, u64, i64, 1023, 52);

const _: () = assert!(<f32 as Real>::EXP_LIMIT < 87.3);
