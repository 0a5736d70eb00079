//! How alike molecules are, all with all: on every processor, and the same on any number of them.

use rayon::prelude::*;

use crate::chem::Fingerprint;

/// For each of `molecules` the similarity to the nearest of `others`, zero if there is none.
pub(super) fn nearest(molecules: &[Fingerprint], others: &[Fingerprint]) -> Vec<f64> {
    let nearest = |molecule: &Fingerprint| {
        let similarities = others.iter().map(|other| molecule.tanimoto(other));
        similarities.fold(0.0, f64::max)
    };
    molecules.par_iter().map(nearest).collect()
}

/// For each of `molecules` the mean of its similarities to all of them, itself included, and the root
/// of the mean of their squares.
pub(super) fn means(molecules: &[Fingerprint]) -> Vec<[f64; 2]> {
    let count = molecules.len() as f64;
    let means = |molecule: &Fingerprint| {
        let similarities = molecules.iter().map(|other| molecule.tanimoto(other));
        let [sum, squares] = similarities.fold([0.0; 2], |[sum, squares], similarity| {
            [sum + similarity, squares + similarity * similarity]
        });
        [sum / count, (squares / count).sqrt()]
    };
    molecules.par_iter().map(means).collect()
}
