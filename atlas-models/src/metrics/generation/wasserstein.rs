//! How far two distributions of numbers are from each other.

/// Numbers of generated molecules, ready to be compared again and again.
pub(super) struct Values<'a> {
    /// Each with its molecule, ascending.
    generated: Vec<(f64, usize)>,
    /// Ascending.
    reference: &'a [f64],
}

impl<'a> Values<'a> {
    /// `reference` is ascending.
    pub(super) fn new(generated: impl Iterator<Item = f64>, reference: &'a [f64]) -> Self {
        let numbered = generated.enumerate();
        let mut generated: Vec<(f64, usize)> = numbered.map(|(i, value)| (value, i)).collect();
        generated.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Self {
            generated,
            reference,
        }
    }

    /// The first Wasserstein distance: the area between the two cumulative distributions. Each
    /// generated molecule counts as often as `times` says. `None` if there is nothing on a side.
    pub(super) fn distance(&self, times: &[u32]) -> Option<f64> {
        let total: u32 = times.iter().sum();
        let [generated, reference] = [f64::from(total), self.reference.len() as f64];
        if generated == 0.0 || reference == 0.0 {
            return None;
        }
        let (mut below, mut reference_below) = (0u32, 0);
        let (mut distance, mut before) = (0.0, None);
        let mut values = self.generated.iter().peekable();
        loop {
            let next = match (values.peek(), self.reference.get(reference_below)) {
                (Some((a, _)), Some(b)) => a.min(*b),
                (Some((a, _)), None) => *a,
                (None, Some(b)) => *b,
                (None, None) => return Some(distance),
            };
            if let Some(before) = before {
                let shares = f64::from(below) / generated - reference_below as f64 / reference;
                distance += (next - before) * shares.abs();
            }
            before = Some(next);
            while let Some((_, molecule)) = values.next_if(|(value, _)| *value <= next) {
                below += times[*molecule];
            }
            let others = self.reference[reference_below..].iter();
            reference_below += others.take_while(|value| **value <= next).count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_scipys() {
        // scipy.stats.wasserstein_distance
        let distance = |generated: &[f64], times: &[u32], reference: &[f64]| {
            Values::new(generated.iter().copied(), reference).distance(times)
        };
        assert_eq!(
            distance(&[5.0, 6.0, 8.0], &[1; 3], &[0.0, 1.0, 3.0]),
            Some(5.0)
        );
        assert_eq!(distance(&[1.0, 0.0], &[1, 3], &[0.0, 1.0]), Some(0.25));
        let found = distance(&[3.4, 3.9, 7.5, 7.8], &[1; 4], &[1.4, 4.5]).unwrap();
        assert!((found - 2.7).abs() < 1e-12, "{found}");
        assert_eq!(distance(&[2.0], &[1], &[2.0, 2.0]), Some(0.0));
        assert_eq!(distance(&[], &[], &[1.0]), None);
    }
}
