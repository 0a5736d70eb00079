//! Vectors of floats: one kernel source, compiled for each instruction set and
//! chosen when the program runs.
//!
//! A kernel is written once over [`Lanes`] and started with [`Isa::run`]. All
//! its parts are `#[inline(always)]`, so that they are compiled inside the one
//! function that enables the instruction set.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use candle_core::WithDType;

/// A float that the kernels are compiled for.
pub(crate) trait Real: WithDType {
    const ZERO: Self;
    const ONE: Self;
    /// `log2(e)`.
    const LOG2_E: Self;
    /// `ln(2)` rounded to few enough bits that a small integer times it is exact.
    const LN_2_HIGH: Self;
    /// `ln(2) - LN_2_HIGH`.
    const LN_2_LOW: Self;
    /// Coefficients of `(exp(r) - 1) / r` for `|r| <= ln(2) / 2`, highest power first.
    const EXP_M1: &'static [Self];
    /// `exp` of it, and of its negative, is a normal number.
    const EXP_LIMIT: Self;
    /// The hyperbolic tangent of half of it is 1, rounded.
    const TANH_LIMIT: Self;

    #[cfg(target_arch = "x86_64")]
    type Avx512: Lanes<Real = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2: Lanes<Real = Self>;
    type Portable: Lanes<Real = Self>;
}

/// One register of floats.
///
/// # Safety
///
/// Every method may be called only where the instruction set of the
/// implementation is present. Pointers must be valid for [`Lanes::COUNT`]
/// elements; they need no alignment.
pub(crate) trait Lanes: Copy {
    type Real: Real;
    /// Floats in the register.
    const COUNT: usize;
    /// Registers of the instruction set.
    const REGISTERS: usize;

    unsafe fn splat(x: Self::Real) -> Self;
    unsafe fn load(from: *const Self::Real) -> Self;
    unsafe fn store(self, to: *mut Self::Real);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    unsafe fn min(self, other: Self) -> Self;
    unsafe fn max(self, other: Self) -> Self;
    /// `self * factor + term`, rounded once where the instruction set can.
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;
    /// The nearest integer.
    unsafe fn round(self) -> Self;
    /// `2` to the power of an integer that leaves the result a normal number.
    unsafe fn exp2(self) -> Self;

    /// The first `count` elements, then zeros.
    #[inline(always)]
    unsafe fn load_first(from: *const Self::Real, count: usize) -> Self {
        unsafe {
            if count >= Self::COUNT {
                return Self::load(from);
            }
            let mut all = [Self::Real::ZERO; 16];
            std::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), count);
            Self::load(all.as_ptr())
        }
    }

    /// Stores the first `count` elements.
    #[inline(always)]
    unsafe fn store_first(self, to: *mut Self::Real, count: usize) {
        unsafe {
            if count >= Self::COUNT {
                return self.store(to);
            }
            let mut all = [Self::Real::ZERO; 16];
            self.store(all.as_mut_ptr());
            std::ptr::copy_nonoverlapping(all.as_ptr(), to, count);
        }
    }
}

/// The rows whose products with `columns` registers of a panel are summed at once.
///
/// Beside the sums, the panel's registers and two elements of the rows are held: the compiler
/// fetches one ahead, and would rather keep a sum in memory, on the longest path there is. More
/// rows than a dozen registers' worth hide no more latency.
pub(crate) const fn product_rows<V: Lanes>(columns: usize) -> usize {
    let room = (V::REGISTERS - columns - 2) / columns;
    let enough = V::REGISTERS * 3 / 4 / columns;
    if room < enough { room } else { enough }
}

/// A computation written over any register.
pub(crate) trait Kernel {
    type Real: Real;
    type Output;

    /// Runs it.
    ///
    /// # Safety
    ///
    /// The instruction set of `V` is present. Implementations are
    /// `#[inline(always)]`.
    unsafe fn run<V: Lanes<Real = Self::Real>>(self) -> Self::Output;
}

#[cfg(test)]
thread_local! {
    /// What [`Isa::detect`] gives on this thread.
    static FORCED: std::cell::Cell<Option<Isa>> = const { std::cell::Cell::new(None) };
}

/// The instruction sets that kernels are compiled for, widest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// The widest instruction set of this machine.
    pub(crate) fn detect() -> Self {
        #[cfg(test)]
        if let Some(isa) = FORCED.get() {
            return isa;
        }
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if avx2 {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Runs `test` with each instruction set that this machine has in the place of the widest,
    /// on this thread.
    #[cfg(test)]
    pub(crate) fn each(test: impl Fn() -> candle_core::Result<()>) -> candle_core::Result<()> {
        for isa in Self::available() {
            FORCED.set(Some(isa));
            let result = test();
            FORCED.set(None);
            result?;
        }
        Ok(())
    }

    /// Those that this machine can run.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        match Self::detect() {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => vec![Self::Avx512, Self::Avx2, Self::Portable],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => vec![Self::Avx2, Self::Portable],
            Self::Portable => vec![Self::Portable],
        }
    }

    /// Floats in one register.
    pub(crate) fn lanes<T: Real>(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => T::Avx512::COUNT,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => T::Avx2::COUNT,
            Self::Portable => T::Portable::COUNT,
        }
    }

    /// See [`product_rows`].
    pub(crate) fn product_rows<T: Real>(self, columns: usize) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => product_rows::<T::Avx512>(columns),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => product_rows::<T::Avx2>(columns),
            Self::Portable => product_rows::<T::Portable>(columns),
        }
    }

    /// Runs a kernel with this instruction set, which must come from
    /// [`Isa::detect`] or [`Isa::available`].
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: values of `Isa` are only made for sets that were detected.
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { with_avx512(kernel) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { with_avx2(kernel) },
            Self::Portable => unsafe { kernel.run::<<K::Real as Real>::Portable>() },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
    unsafe { kernel.run::<<K::Real as Real>::Avx512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
    unsafe { kernel.run::<<K::Real as Real>::Avx2>() }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LOG2_E: Self = std::f32::consts::LOG2_E;
    const LN_2_HIGH: Self = 0.693_359_4;
    const LN_2_LOW: Self = -2.121_944_4e-4;
    const EXP_M1: &'static [Self] = &[
        1.0 / 5040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        1.0 / 2.0,
        1.0,
    ];
    const EXP_LIMIT: Self = 87.0;
    const TANH_LIMIT: Self = 40.0;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = x86::F32x16;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = x86::F32x8;
    type Portable = portable::Array<f32, 4>;
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LOG2_E: Self = std::f64::consts::LOG2_E;
    const LN_2_HIGH: Self = 6.931_457_519_531_25e-1;
    const LN_2_LOW: Self = 1.428_606_820_309_417_3e-6;
    const EXP_M1: &'static [Self] = &[
        1.0 / 87_178_291_200.0,
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        1.0 / 2.0,
        1.0,
    ];
    const EXP_LIMIT: Self = 708.0;
    const TANH_LIMIT: Self = 40.0;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = x86::F64x8;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = x86::F64x4;
    type Portable = portable::Array<f64, 2>;
}
