//! Orders that depend on a seed and on nothing else.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The indices below `len` in an order drawn by `seed`: every order is equally likely (Fisher and
/// Yates, 1938), the same on every machine.
pub fn permutation(len: usize, seed: u64) -> Vec<usize> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..len).collect();
    shuffle(&mut order, &mut generator);
    order
}

/// Puts the items into an order that the generator draws.
pub(crate) fn shuffle<T>(items: &mut [T], generator: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last as u64 + 1, generator) as usize);
    }
}

/// A number below `bound`, each equally likely (Lemire, "Fast Random Integer Generation in an
/// Interval", 2019).
fn below(bound: u64, generator: &mut ChaCha8Rng) -> u64 {
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(generator.next_u64()) * u128::from(bound);
        if product as u64 >= threshold {
            return (product >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = permutation(1000, 3);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn every_order_is_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        let draws = 24_000;
        for seed in 0..draws {
            *counts.entry(permutation(4, seed)).or_insert(0u32) += 1;
        }
        // Chi-squared with 23 degrees of freedom: above 49.7 one time in a thousand.
        let expected = draws as f64 / 24.0;
        let chi_squared: f64 = counts
            .values()
            .map(|&count| (f64::from(count) - expected).powi(2) / expected)
            .sum();
        assert_eq!(counts.len(), 24);
        assert!(chi_squared < 49.7, "{chi_squared}");
    }
}
