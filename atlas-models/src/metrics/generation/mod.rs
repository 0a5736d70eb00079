//! How good generated molecules are: the figures of MOSES.

mod counts;
mod similarity;
mod wasserstein;

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use serde::Serialize;

use super::estimate::Estimate;
use crate::chem::{self, Descriptors, Fingerprint};
use counts::{Counts, Occurrences};
use wasserstein::Values;

/// Times that the generated molecules are drawn again for an interval.
const REPLICATES: u64 = 200;
/// The numbers whose distributions are compared.
const PROPERTIES: [fn(&Descriptors) -> f64; 4] = [
    |molecule| molecule.log_p,
    |molecule| molecule.sa,
    |molecule| molecule.qed,
    |molecule| molecule.weight,
];

/// Molecules that generated ones are compared with: MOSES' test set.
#[derive(Clone, Debug)]
pub struct Reference {
    molecules: usize,
    fingerprints: Vec<Fingerprint>,
    fragments: Counts,
    scaffolds: Counts,
    /// Of each of [`PROPERTIES`], ascending.
    properties: [Vec<f64>; 4],
}

impl Reference {
    /// Describes the molecules, in about 1 ms of a processor each. Strings that are no molecules are
    /// left out.
    pub fn new<S: AsRef<str> + Sync>(molecules: &[S]) -> Self {
        let described = molecules.par_iter();
        let described = described.filter_map(|smiles| Descriptors::of(smiles.as_ref()).ok());
        let described: Vec<Descriptors> = described.collect();
        Self {
            molecules: described.len(),
            fingerprints: described
                .iter()
                .map(|molecule| molecule.fingerprint)
                .collect(),
            fragments: Counts::new(described.iter().flat_map(fragments)),
            scaffolds: Counts::new(described.iter().flat_map(scaffold)),
            properties: PROPERTIES.map(|property| {
                let mut values: Vec<f64> = described.iter().map(property).collect();
                values.sort_by(f64::total_cmp);
                values
            }),
        }
    }

    /// The number of molecules.
    pub fn len(&self) -> usize {
        self.molecules
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.molecules == 0
    }

    /// Tanimoto's similarity of each of `molecules` to the nearest of the reference, whose mean is
    /// [`Generation::nearest_neighbour`]; zero if the reference is empty.
    pub fn nearest(&self, molecules: &[Fingerprint]) -> Vec<f64> {
        similarity::nearest(molecules, &self.fingerprints)
    }
}

/// What is reported of generated strings, by the names of MOSES: Polykarpov et al., "Molecular Sets
/// (MOSES): A Benchmarking Platform for Molecular Generation Models" (2020). The definitions are those
/// of its program. `None` is what nothing can be said of: there are too few molecules, or nothing to
/// compare with.
///
/// FCD, the Fréchet distance between activations of ChemNet, is not among them: it needs that network,
/// which is not here. Neither are MOSES' filters.
///
/// # Intervals
///
/// They say how the figures would differ had other strings been drawn; the reference is as it is.
/// Shares have Wilson's interval. The means (SNN, IntDiv) have that of their standard error; a molecule
/// is in an average over pairs twice, which doubles its part of the error. For the cosines and the
/// Wasserstein distances the molecules are drawn again 200 times, with replacement, and the standard
/// deviation of the figure is taken (Efron, "Bootstrap Methods", 1979). Redrawing makes these figures
/// worse on average, so their quantiles would be no interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generation {
    /// The strings that were generated.
    pub strings: usize,
    /// Those of them that are valid molecules.
    pub molecules: usize,
    /// The share of strings that are valid molecules.
    pub valid: Option<Estimate>,
    /// The share of distinct molecules in the first 1,000 valid ones, or in all if there are fewer.
    #[serde(rename = "unique@1k")]
    pub unique_at_1k: Option<Estimate>,
    /// The share of distinct molecules in the first 10,000 valid ones, or in all if there are fewer;
    /// `None` if [`unique_at_1k`](Self::unique_at_1k) is of all of them.
    #[serde(rename = "unique@10k")]
    pub unique_at_10k: Option<Estimate>,
    /// The share of distinct molecules that are not known.
    pub novelty: Option<Estimate>,
    /// Internal diversity: one less the mean similarity of all pairs, those of a molecule and itself
    /// included.
    #[serde(rename = "IntDiv")]
    pub internal_diversity: Option<Estimate>,
    /// Internal diversity with p = 2: one less the mean over molecules of the root of the mean square
    /// similarity to all.
    #[serde(rename = "IntDiv2")]
    pub internal_diversity_2: Option<Estimate>,
    /// The mean similarity to the nearest molecule of the reference.
    #[serde(rename = "SNN")]
    pub nearest_neighbour: Option<Estimate>,
    /// Fragment similarity: the cosine of the counts of BRICS fragments.
    #[serde(rename = "Frag")]
    pub fragments: Option<Estimate>,
    /// Scaffold similarity: the cosine of the counts of Murcko scaffolds.
    #[serde(rename = "Scaf")]
    pub scaffolds: Option<Estimate>,
    /// The Wasserstein distance of logP.
    #[serde(rename = "logP")]
    pub log_p: Option<Estimate>,
    /// The Wasserstein distance of the score of synthetic accessibility.
    #[serde(rename = "SA")]
    pub sa: Option<Estimate>,
    /// The Wasserstein distance of the estimate of drug-likeness.
    #[serde(rename = "QED")]
    pub qed: Option<Estimate>,
    /// The Wasserstein distance of the molecular weight, in g/mol.
    pub weight: Option<Estimate>,
}

/// What is to be said of generated strings, in their order. They are compared with the `reference`;
/// a molecule is novel unless `is_known` says of its canonical form that it is not. Intervals are drawn
/// by `seed`.
pub fn generation<S: AsRef<str> + Sync>(
    strings: &[S],
    reference: Option<&Reference>,
    is_known: Option<&dyn Fn(&str) -> bool>,
    seed: u64,
) -> Generation {
    let canonical = strings.par_iter();
    let canonical = canonical.filter_map(|string| {
        let string = string.as_ref();
        let form = chem::canonical(string).ok()?;
        Some((form, Descriptors::of(string).ok()))
    });
    let (forms, described): (Vec<String>, Vec<Option<Descriptors>>) = canonical.unzip();
    let described: Vec<Descriptors> = described.into_iter().flatten().collect();
    let distinct: HashSet<&str> = forms.iter().map(String::as_str).collect();
    let unique = |first: usize| {
        let first = &forms[..first.min(forms.len())];
        let distinct = first.iter().collect::<HashSet<_>>().len();
        Estimate::share(distinct, first.len())
    };

    let fingerprints: Vec<Fingerprint> = described.iter().map(|m| m.fingerprint).collect();
    let means = similarity::means(&fingerprints);
    let diversity = |power: usize| {
        let mean = Estimate::mean(means.iter().map(|means| means[power]))?;
        let half = 2.0 * (mean.high - mean.value);
        let value = 1.0 - mean.value;
        let (low, high) = (value - half, value + half);
        Some(Estimate { value, low, high }.within(0.0, 1.0))
    };
    let reference = reference.filter(|reference| !reference.is_empty());
    let nearest = reference.and_then(|reference| {
        let nearest = reference.nearest(&fingerprints);
        Some(Estimate::mean(nearest)?.within(0.0, 1.0))
    });
    let [fragments, scaffolds, log_p, sa, qed, weight] =
        reference.map_or([None; 6], |reference| compare(&described, reference, seed));
    Generation {
        strings: strings.len(),
        molecules: forms.len(),
        valid: Estimate::share(forms.len(), strings.len()),
        unique_at_1k: unique(1_000),
        unique_at_10k: unique(10_000).filter(|_| forms.len() > 1_000),
        novelty: is_known.and_then(|is_known| {
            let novel = distinct.iter().filter(|form| !is_known(form)).count();
            Estimate::share(novel, distinct.len())
        }),
        internal_diversity: diversity(0),
        internal_diversity_2: diversity(1),
        nearest_neighbour: nearest,
        fragments,
        scaffolds,
        log_p,
        sa,
        qed,
        weight,
    }
}

/// The cosines, then the distances.
fn compare(molecules: &[Descriptors], reference: &Reference, seed: u64) -> [Option<Estimate>; 6] {
    let fragments = Occurrences::new(molecules.iter().map(fragments), &reference.fragments);
    let scaffolds = Occurrences::new(molecules.iter().map(scaffold), &reference.scaffolds);
    let mut properties = PROPERTIES.iter().zip(&reference.properties);
    let properties: [Values; 4] = std::array::from_fn(|_| {
        let (property, reference) = properties
            .next()
            .unwrap_or((&PROPERTIES[0], &reference.properties[0]));
        Values::new(molecules.iter().map(property), reference)
    });
    let figures = |times: &[u32]| {
        let [log_p, sa, qed, weight] = &properties;
        let cosines = [&fragments, &scaffolds].map(|things| things.cosine(times));
        let distances = [log_p, sa, qed, weight].map(|values| values.distance(times));
        [cosines.as_slice(), distances.as_slice()].concat()
    };
    let values = figures(&vec![1; molecules.len()]);
    let replicates = (0..REPLICATES).into_par_iter();
    let replicates = replicates.map(|number| figures(&drawn_again(molecules.len(), seed, number)));
    let replicates: Vec<Vec<Option<f64>>> = replicates.collect();
    std::array::from_fn(|figure| {
        let drawn = replicates.iter().filter_map(|figures| figures[figure]);
        let greatest = if figure < 2 { 1.0 } else { f64::INFINITY };
        let estimate = Estimate::normal(values[figure]?, deviation(&drawn.collect::<Vec<_>>()));
        Some(estimate.within(0.0, greatest))
    })
}

/// How often each of `count` molecules is drawn in as many draws.
fn drawn_again(count: usize, seed: u64, replicate: u64) -> Vec<u32> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(replicate);
    let mut times = vec![0; count];
    for _ in 0..count {
        // Lemire, "Fast Random Integer Generation in an Interval" (2019), without the rejection.
        let drawn = (u128::from(generator.next_u64()) * count as u128) >> 64;
        times[drawn as usize] += 1;
    }
    times
}

/// The standard deviation of what was drawn, zero of fewer than two.
fn deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (count - 1.0).max(1.0)).sqrt()
}

fn fragments(molecule: &Descriptors) -> impl Iterator<Item = &str> {
    molecule.fragments.iter().map(String::as_str)
}

fn scaffold(molecule: &Descriptors) -> impl Iterator<Item = &str> {
    molecule.scaffold.iter().map(String::as_str)
}

#[cfg(test)]
mod tests;
