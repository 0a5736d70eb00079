//! Registers of AVX2 and AVX-512.

use super::{Register, Supported};
use std::arch::x86_64::*;

macro_rules! register {
    (
        $(#[$doc:meta])*
        $name:ident($raw:ty) of $real:ty, $count:literal lanes, $registers:literal registers:
        $splat:ident $load:ident $store:ident $add:ident $sub:ident $mul:ident $div:ident
        $min:ident $max:ident $mul_add:ident
        round($x:ident) $round:expr;
        exp2($n:ident) $exp2:expr;
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name($raw);

        // SAFETY: its registers have so many elements. That there is one, or a proof of support,
        // says that the machine has the instructions.
        unsafe impl Register for $name {
            type Real = $real;
            const LANES: usize = $count;
            const REGISTERS: usize = $registers;

            #[inline(always)]
            fn splat(_: Supported<Self>, x: $real) -> Self {
                unsafe { Self($splat(x)) }
            }
            #[inline(always)]
            unsafe fn read(from: *const $real) -> Self {
                unsafe { Self($load(from)) }
            }
            #[inline(always)]
            unsafe fn write(self, to: *mut $real) {
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                unsafe { Self($add(self.0, other.0)) }
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                unsafe { Self($sub(self.0, other.0)) }
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                unsafe { Self($mul(self.0, other.0)) }
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                unsafe { Self($div(self.0, other.0)) }
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                unsafe { Self($min(self.0, other.0)) }
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                unsafe { Self($max(self.0, other.0)) }
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, term: Self) -> Self {
                unsafe { Self($mul_add(self.0, factor.0, term.0)) }
            }
            #[inline(always)]
            fn round(self) -> Self {
                let $x = self.0;
                unsafe { Self($round) }
            }
            #[inline(always)]
            fn exp2(self) -> Self {
                let $n = self.0;
                unsafe { Self($exp2) }
            }
        }
    };
}

const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

register! {
    /// Sixteen `f32` of AVX-512.
    F32x16(__m512) of f32, 16 lanes, 32 registers:
    _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps
    _mm512_div_ps _mm512_min_ps _mm512_max_ps _mm512_fmadd_ps
    round(x) _mm512_roundscale_ps::<NEAREST>(x);
    exp2(n) _mm512_scalef_ps(_mm512_set1_ps(1.0), n);
}

register! {
    /// Eight `f64` of AVX-512.
    F64x8(__m512d) of f64, 8 lanes, 32 registers:
    _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_add_pd _mm512_sub_pd _mm512_mul_pd
    _mm512_div_pd _mm512_min_pd _mm512_max_pd _mm512_fmadd_pd
    round(x) _mm512_roundscale_pd::<NEAREST>(x);
    exp2(n) _mm512_scalef_pd(_mm512_set1_pd(1.0), n);
}

register! {
    /// Eight `f32` of AVX2.
    F32x8(__m256) of f32, 8 lanes, 16 registers:
    _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps
    _mm256_div_ps _mm256_min_ps _mm256_max_ps _mm256_fmadd_ps
    round(x) _mm256_round_ps::<NEAREST>(x);
    exp2(n) _mm256_castsi256_ps(_mm256_slli_epi32::<23>(
        _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)),
    ));
}

register! {
    /// Four `f64` of AVX2.
    F64x4(__m256d) of f64, 4 lanes, 16 registers:
    _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_add_pd _mm256_sub_pd _mm256_mul_pd
    _mm256_div_pd _mm256_min_pd _mm256_max_pd _mm256_fmadd_pd
    round(x) _mm256_round_pd::<NEAREST>(x);
    exp2(n) _mm256_castsi256_pd(_mm256_slli_epi64::<52>(
        _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(n)), _mm256_set1_epi64x(1023)),
    ));
}
