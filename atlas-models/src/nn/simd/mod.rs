//! Vectors of floats: one kernel source, compiled for each instruction set, of which one is chosen
//! when the program runs.
//!
//! A kernel is written once over [`Register`] and started with [`InstructionSet::run`]. All its
//! parts are `#[inline(always)]`, so that they are compiled inside the one function that enables
//! the instruction set.
//!
//! Kernels are safe code. A register is made only with a [`Supported`], which proves that the
//! machine has the register's instructions, and which [`InstructionSet::run`] alone hands out.
//! Memory is read and written through slices.

mod multiply;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use multiply::{const_rows, multiply};

use candle_core::WithDType;
use std::marker::PhantomData;

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
    type Avx512: Register<Real = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2: Register<Real = Self>;
    type Portable: Register<Real = Self>;
}

/// Proves that the machine has the instruction set of a register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Supported<R>(PhantomData<R>);

impl<R: Register> Supported<R> {
    /// A register whose elements are all `x`.
    #[inline(always)]
    pub(crate) fn splat(self, x: R::Real) -> R {
        R::splat(self, x)
    }

    /// The first elements of a slice, then zeros if it has fewer than the register.
    #[inline(always)]
    pub(crate) fn load(self, from: &[R::Real]) -> R {
        if from.len() >= R::LANES {
            // SAFETY: the slice has the elements, and `self` proves the instruction set.
            return unsafe { R::read(from.as_ptr()) };
        }
        let mut all = [R::Real::ZERO; MAX_LANES];
        all[..from.len()].copy_from_slice(from);
        // SAFETY: no register has more elements than the array, and `self` proves the set.
        unsafe { R::read(all.as_ptr()) }
    }
}

/// Floats of the widest register.
const MAX_LANES: usize = 16;

/// One register of floats.
///
/// # Safety
///
/// [`LANES`](Self::LANES) is at most [`MAX_LANES`]; [`read`](Self::read) and
/// [`write`](Self::write) touch no more elements than that.
pub(crate) unsafe trait Register: Copy {
    type Real: Real;
    /// Floats in the register.
    const LANES: usize;
    /// Registers of the instruction set.
    const REGISTERS: usize;

    /// See [`Supported::splat`].
    fn splat(supported: Supported<Self>, x: Self::Real) -> Self;

    /// # Safety
    ///
    /// `from` is readable for [`LANES`](Self::LANES) elements, and the machine has the instruction
    /// set. No alignment is needed.
    unsafe fn read(from: *const Self::Real) -> Self;

    /// # Safety
    ///
    /// `to` is writable for [`LANES`](Self::LANES) elements. No alignment is needed.
    unsafe fn write(self, to: *mut Self::Real);

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    /// `self * factor + term`, rounded once where the instruction set can.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// The nearest integer.
    fn round(self) -> Self;
    /// `2` to the power of an integer, if that is a normal number; else anything.
    fn exp2(self) -> Self;

    /// Stores the first elements, as many as the slice has.
    #[inline(always)]
    fn store(self, to: &mut [Self::Real]) {
        if to.len() >= Self::LANES {
            // SAFETY: the slice has the elements.
            return unsafe { self.write(to.as_mut_ptr()) };
        }
        let mut all = [Self::Real::ZERO; MAX_LANES];
        // SAFETY: no register has more elements than the array.
        unsafe { self.write(all.as_mut_ptr()) };
        to.copy_from_slice(&all[..to.len()]);
    }
}

/// The rows whose products with `columns` registers of a panel are summed at once.
///
/// Beside the sums, the panel's registers and two elements of the rows are held: the compiler
/// fetches one ahead, and would rather keep a sum in memory, on the longest path there is. More
/// rows than a dozen registers' worth hide no more latency.
pub(crate) const fn product_rows<R: Register>(columns: usize) -> usize {
    let room = (R::REGISTERS - columns - 2) / columns;
    let enough = R::REGISTERS * 3 / 4 / columns;
    if room < enough { room } else { enough }
}

/// A computation written over any register.
pub(crate) trait Kernel {
    type Real: Real;
    type Output;

    /// Runs it. Implementations are `#[inline(always)]`.
    fn run<R: Register<Real = Self::Real>>(self, simd: Supported<R>) -> Self::Output;
}

#[cfg(test)]
thread_local! {
    /// What [`InstructionSet::detect`] gives on this thread.
    static FORCED: std::cell::Cell<Option<InstructionSet>> = const { std::cell::Cell::new(None) };
}

/// An instruction set that kernels are compiled for, and that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InstructionSet(Set);

/// Those that kernels are compiled for, widest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl InstructionSet {
    /// The widest of this machine.
    pub(crate) fn detect() -> Self {
        #[cfg(test)]
        if let Some(forced) = FORCED.get() {
            return forced;
        }
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                return Self(Set::Avx512);
            }
            if avx2 {
                return Self(Set::Avx2);
            }
        }
        Self(Set::Portable)
    }

    /// Runs `test` with each instruction set that this machine has in the place of the widest,
    /// on this thread.
    #[cfg(test)]
    pub(crate) fn each(test: impl Fn() -> candle_core::Result<()>) -> candle_core::Result<()> {
        for set in Self::available() {
            FORCED.set(Some(set));
            let result = test();
            FORCED.set(None);
            result?;
        }
        Ok(())
    }

    /// All that this machine has.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        let sets = match Self::detect().0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => vec![Set::Avx512, Set::Avx2, Set::Portable],
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => vec![Set::Avx2, Set::Portable],
            Set::Portable => vec![Set::Portable],
        };
        sets.into_iter().map(Self).collect()
    }

    /// Floats in one register.
    pub(crate) fn lanes<T: Real>(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => T::Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => T::Avx2::LANES,
            Set::Portable => T::Portable::LANES,
        }
    }

    /// See [`product_rows`].
    pub(crate) fn product_rows<T: Real>(self, columns: usize) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => product_rows::<T::Avx512>(columns),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => product_rows::<T::Avx2>(columns),
            Set::Portable => product_rows::<T::Portable>(columns),
        }
    }

    /// Runs a kernel with this instruction set.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            // SAFETY: `detect` and `available` give only sets that the machine has.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { with_avx512(kernel) },
            // SAFETY: see above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { with_avx2(kernel) },
            Set::Portable => kernel.run::<<K::Real as Real>::Portable>(Supported(PhantomData)),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<<K::Real as Real>::Avx512>(Supported(PhantomData))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<<K::Real as Real>::Avx2>(Supported(PhantomData))
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
