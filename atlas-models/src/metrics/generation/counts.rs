//! How alike two sets of molecules are in what their molecules are made of.

use std::collections::HashMap;

/// How often things occur in the reference.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    counts: HashMap<String, f64>,
    norm: f64,
}

impl Counts {
    pub(super) fn new<'a>(things: impl IntoIterator<Item = &'a str>) -> Self {
        let mut counts = HashMap::new();
        for thing in things {
            *counts.entry(thing.to_owned()).or_insert(0.0) += 1.0;
        }
        // Whole numbers: their sum is the same in any order.
        let squares: f64 = counts.values().map(|count| count * count).sum();
        Self {
            counts,
            norm: squares.sqrt(),
        }
    }
}

/// What each of the generated molecules is made of, ready to be counted again and again.
pub(super) struct Occurrences {
    /// Numbers of the things of each molecule.
    of: Vec<Vec<u32>>,
    /// How often each thing occurs in the reference.
    reference: Vec<f64>,
    norm: f64,
}

impl Occurrences {
    pub(super) fn new<'a, I>(molecules: impl Iterator<Item = I>, reference: &Counts) -> Self
    where
        I: IntoIterator<Item = &'a str>,
    {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut counts = Vec::new();
        let mut number = |thing: &'a str| {
            *numbers.entry(thing).or_insert_with(|| {
                counts.push(reference.counts.get(thing).copied().unwrap_or(0.0));
                counts.len() as u32 - 1
            })
        };
        let of = molecules.map(|things| things.into_iter().map(&mut number).collect());
        Self {
            of: of.collect(),
            norm: reference.norm,
            reference: counts,
        }
    }

    /// The cosine of the angle between the counts of the generated molecules, each as often as
    /// `times` says, and those of the reference. `None` if either has nothing to count.
    pub(super) fn cosine(&self, times: &[u32]) -> Option<f64> {
        let mut counts = vec![0.0; self.reference.len()];
        for (things, &times) in self.of.iter().zip(times) {
            for &thing in things {
                counts[thing as usize] += f64::from(times);
            }
        }
        let norm = counts.iter().map(|count| count * count).sum::<f64>().sqrt();
        let pairs = counts.iter().zip(&self.reference);
        let product: f64 = pairs
            .map(|(generated, reference)| generated * reference)
            .sum();
        let norms = norm * self.norm;
        (norms > 0.0).then(|| (product / norms).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_proportions_are_as_alike_as_can_be_and_nothing_in_common_is_not_alike() {
        let reference = Counts::new(["a", "a", "b"]);
        let of = |molecules: [&[&'static str]; 2], times: [u32; 2]| {
            let molecules = molecules.into_iter().map(|things| things.iter().copied());
            Occurrences::new(molecules, &reference).cosine(&times)
        };
        assert!((of([&["a", "b"], &["a"]], [1, 1]).unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(of([&["c"], &[]], [1, 1]), Some(0.0));
        // (2, 1) and (1, 0)
        assert_eq!(of([&["a"], &["b"]], [3, 0]), Some(2.0 / 5f64.sqrt()));
        assert_eq!(of([&[], &[]], [1, 1]), None);
    }
}
