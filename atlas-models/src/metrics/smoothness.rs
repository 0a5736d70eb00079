//! What lies between the latents of molecules.

use atlas_core::random::permutation;
use atlas_core::{Decoder, Error, Result};
use candle_core::Tensor;
use rayon::prelude::*;
use serde::Serialize;

use super::estimate::{Estimate, Ratio};
use crate::chem::{self, Fingerprint};

/// Latents that are decoded at a time.
const BATCH: usize = 512;

/// What straight lines between the latents of pairs of molecules decode to. The field has no common
/// definition; like the perceptual path length (Karras et al., "A Style-Based Generator Architecture
/// for Generative Adversarial Networks", 2019) this compares what neighbouring steps give.
///
/// Intervals are over pairs: steps of one line are not independent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Smoothness {
    /// Lines that were walked.
    pub pairs: usize,
    /// Steps of each, from one end to the other.
    pub steps: usize,
    /// The share of points strictly between the ends that decode to valid molecules.
    pub valid: Option<Estimate>,
    /// The mean Tanimoto similarity of neighbouring steps that decode to different valid molecules, by
    /// Morgan fingerprints of 1,024 bits: near 1 where molecules change little by little. `None` if
    /// there are no such steps.
    pub similarity: Option<Estimate>,
    /// How many different valid molecules a line meets, its ends included.
    pub distinct: Option<Estimate>,
}

/// Walks between molecules with these latents, `[molecules, latent]`: from each of at most `pairs`
/// disjoint pairs that `seed` draws, in `steps` equal steps, from one to the other.
///
/// # Errors
/// If the latents are no matrix, the model cannot decode them, or gives another number of strings than
/// it was given latents.
pub fn smoothness<M>(
    model: &M,
    latents: &Tensor,
    pairs: usize,
    steps: usize,
    seed: u64,
) -> Result<Smoothness>
where
    M: ?Sized + Decoder<Output = String>,
{
    let (molecules, _) = latents.dims2()?;
    let steps = steps.max(1);
    let drawn = permutation(molecules, seed);
    let drawn: Vec<&[usize]> = drawn.chunks_exact(2).take(pairs).collect();
    let points = steps + 1;
    let mut lines = Vec::with_capacity(drawn.len());
    for drawn in drawn.chunks((BATCH / points).max(1)) {
        let latents = drawn
            .iter()
            .map(|pair| line(latents, [pair[0], pair[1]], steps));
        let latents = Tensor::cat(&latents.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        let strings = model.decode(&latents)?;
        if strings.len() != drawn.len() * points {
            return Err(Error::new(format_args!(
                "the model decoded {} latents to {} strings",
                drawn.len() * points,
                strings.len()
            )));
        }
        lines.par_extend(strings.par_chunks(points).map(Line::new));
    }
    let (mut valid, mut similarity) = (Ratio::default(), Ratio::default());
    for line in &lines {
        valid.add(line.valid as f64, (points - 2) as f64);
        similarity.add(line.similarity, line.changes as f64);
    }
    let distinct = lines.iter().map(|line| line.distinct as f64);
    Ok(Smoothness {
        pairs: lines.len(),
        steps,
        valid: valid.estimate().map(|share| share.within(0.0, 1.0)),
        similarity: similarity.estimate().map(|mean| mean.within(0.0, 1.0)),
        distinct: Estimate::mean(distinct).map(|mean| mean.within(0.0, points as f64)),
    })
}

/// The points from one latent to another, `[steps + 1, latent]`.
fn line(latents: &Tensor, ends: [usize; 2], steps: usize) -> candle_core::Result<Tensor> {
    let [from, to] = ends.map(|end| latents.narrow(0, end, 1));
    let shares: Vec<f64> = (0..=steps).map(|step| step as f64 / steps as f64).collect();
    let shares = Tensor::from_vec(shares, (steps + 1, 1), latents.device())?;
    let shares = shares.to_dtype(latents.dtype())?;
    let rest = shares.affine(-1.0, 1.0)?;
    rest.broadcast_mul(&from?)? + shares.broadcast_mul(&to?)?
}

/// What a line decodes to.
struct Line {
    /// Points between the ends that decode to valid molecules.
    valid: usize,
    /// Different valid molecules.
    distinct: usize,
    /// Neighbours that are different valid molecules.
    changes: usize,
    /// The sum of their similarities.
    similarity: f64,
}

impl Line {
    fn new(strings: &[String]) -> Self {
        let forms: Vec<Option<String>> = strings.iter().map(|s| chem::canonical(s).ok()).collect();
        let between = forms.iter().skip(1).take(forms.len().saturating_sub(2));
        let mut distinct: Vec<&String> = forms.iter().flatten().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let neighbours = forms.windows(2).filter_map(|neighbours| match neighbours {
            [Some(one), Some(other)] if one != other => Some([one, other]),
            _ => None,
        });
        let changes = neighbours.filter_map(|neighbours| {
            let [one, other] = neighbours.map(|form| Fingerprint::of(form).ok());
            Some(one?.tanimoto(&other?))
        });
        let changes: Vec<f64> = changes.collect();
        Self {
            valid: between.flatten().count(),
            distinct: distinct.len(),
            changes: changes.len(),
            similarity: changes.iter().sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Decodes a latent to a chain of as many carbon atoms as it says.
    struct Chains;

    impl Decoder for Chains {
        type Output = String;

        fn decode(&self, latents: &Tensor) -> Result<Vec<String>> {
            let latents = latents.to_vec2::<f32>()?;
            let chain = |latent: &Vec<f32>| match latent[0].round() as usize {
                0 => "not a molecule".to_owned(),
                length => "C".repeat(length),
            };
            Ok(latents.iter().map(chain).collect())
        }
    }

    fn of(latents: &[f32], pairs: usize, steps: usize) -> Smoothness {
        let latents = Tensor::new(latents, &Device::Cpu).unwrap();
        let latents = latents.unsqueeze(1).unwrap();
        smoothness(&Chains, &latents, pairs, steps, 0).unwrap()
    }

    #[test]
    fn a_line_meets_what_lies_between_its_ends() {
        let line = of(&[1.0, 4.0], 9, 3);
        assert_eq!((line.pairs, line.steps), (1, 3));
        assert_eq!(line.valid.unwrap().value, 1.0);
        assert_eq!(line.distinct.unwrap().value, 4.0);
        let chains = ["C", "CC", "CCC", "CCCC"].map(|chain| Fingerprint::of(chain).unwrap());
        let neighbours = chains.windows(2).map(|pair| pair[0].tanimoto(&pair[1]));
        let mean = neighbours.sum::<f64>() / 3.0;
        assert!((line.similarity.unwrap().value - mean).abs() < 1e-12);
    }

    #[test]
    fn steps_that_stay_or_are_no_molecules_are_not_compared() {
        let stays = of(&[2.0, 2.0], 1, 10);
        assert_eq!(stays.distinct.unwrap().value, 1.0);
        assert_eq!(stays.similarity, None);
        // 0, 0.5, 1: the middle rounds to 1.
        let starts_outside = of(&[0.0, 1.0], 1, 2);
        assert_eq!(starts_outside.valid.unwrap().value, 1.0);
        assert_eq!(starts_outside.similarity, None);
        assert_eq!(of(&[2.0, 2.0], 1, 1).valid, None);
    }

    #[test]
    fn pairs_are_disjoint_and_no_more_than_there_are() {
        assert_eq!(of(&[1.0; 7], 100, 2).pairs, 3);
        assert_eq!(of(&[1.0; 700], 100, 10).pairs, 100);
        assert_eq!(of(&[1.0], 100, 10).valid, None);
    }
}
