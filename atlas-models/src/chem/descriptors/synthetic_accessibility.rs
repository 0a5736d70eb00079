//! How hard a molecule is to make.

use std::sync::OnceLock;

use chematic_chem::{num_bridgehead_atoms, num_spiro_atoms};
use chematic_core::Molecule;
use chematic_perception::all_ring_list;
use chematic_smiles::{rdkit_chiral_centers, rdkit_num_atoms};

use crate::chem::error::Result;
use crate::chem::validity::into_error;

/// The scores of 705,292 fragments, from their frequency in PubChem: the file `fpscores.pkl.gz` of
/// RDKit's `Contrib/SA_Score`, packed by `fragment_scores.py`. © 2013 Novartis Institutes for
/// BioMedical Research Inc.; `fragment_scores.LICENSE` (BSD, 3 clauses) is its licence.
const FRAGMENT_SCORES: &[u8] = include_bytes!("fragment_scores.bin");
/// The score of a fragment that the table lacks.
const UNKNOWN: f64 = -4.0;
/// The atoms of the largest ring that is no macrocycle.
const LARGEST_RING: usize = 8;
/// The least and the greatest raw score, which become 10 and 1.
const RANGE: [f64; 2] = [-4.0, 2.5];

/// The score of a molecule with these fragments, each with how often it occurs, ascending: 1 is easy,
/// 10 is hard.
pub(super) fn score(molecule: &Molecule, fragments: &[(u32, u32)]) -> Result<f64> {
    let scores = fragment_scores();
    let mut sum = 0.0;
    for (fragment, count) in fragments {
        let known = scores.binary_search_by_key(fragment, |(fragment, _)| *fragment);
        sum += known.map_or(UNKNOWN, |at| scores[at].1) * f64::from(*count);
    }
    let count: u32 = fragments.iter().map(|(_, count)| count).sum();
    let mean = sum / f64::from(count);

    let atoms = rdkit_num_atoms(molecule).map_err(into_error)? as f64;
    let centres = rdkit_chiral_centers(molecule, true).map_err(into_error)?;
    let rings = all_ring_list(molecule);
    let has_macrocycle = rings.iter().any(|ring| ring.len() > LARGEST_RING);
    let penalty = |count: usize| (count as f64 + 1.0).log10();
    // In the order of the reference, for its very bits.
    let features = 0.0
        - (atoms.powf(1.005) - atoms)
        - penalty(centres.len())
        - penalty(num_spiro_atoms(molecule))
        - penalty(num_bridgehead_atoms(molecule))
        - penalty(usize::from(has_macrocycle));

    // Symmetry makes a molecule easier to make: it has few distinct fragments.
    let distinct = fragments.len() as f64;
    let symmetry = if atoms > distinct {
        (atoms / distinct).ln() * 0.5
    } else {
        0.0
    };
    let [least, greatest] = RANGE;
    let score = 11.0 - (mean + features + symmetry - least + 1.0) / (greatest - least) * 9.0;
    let smoothed = if score > 8.0 {
        8.0 + (score + 1.0 - 9.0).ln()
    } else {
        score
    };
    Ok(smoothed.clamp(1.0, 10.0))
}

/// Every fragment's identifier and score, ascending.
fn fragment_scores() -> &'static [(u32, f64)] {
    static SCORES: OnceLock<Vec<(u32, f64)>> = OnceLock::new();
    SCORES.get_or_init(|| {
        let mut scores = Vec::new();
        let mut numbers = numbers(FRAGMENT_SCORES);
        while let (Some(score), Some(count)) = (numbers.next(), numbers.next()) {
            let minus =
                (score >> 1) as f64 * if score & 1 == 0 { 1.0 } else { -1.0 } - (score & 1) as f64;
            let mut fragment = 0;
            for step in numbers.by_ref().take(count as usize) {
                fragment += step as u32;
                scores.push((fragment, -minus / 10_000.0));
            }
        }
        scores.sort_unstable_by_key(|(fragment, _)| *fragment);
        scores
    })
}

/// Numbers in LEB128.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut bytes = bytes.iter();
    std::iter::from_fn(move || {
        let (mut number, mut shift) = (0, 0);
        for byte in bytes.by_ref() {
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
            shift += 7;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_references() {
        let scores = fragment_scores();
        assert_eq!(scores.len(), 705_292);
        assert!(scores.windows(2).all(|pair| pair[0].0 < pair[1].0));
        // fpscores.pkl.gz
        let ends = [scores[0], scores[scores.len() - 1]];
        assert_eq!(ends, [(1301, -2.1265), (4_294_962_778, -3.1265)]);
        let of = |fragment| scores[scores.binary_search_by_key(&fragment, |s| s.0).unwrap()].1;
        assert_eq!((of(2_246_728_737), of(98_513_984)), (2.7752, 2.5981));
    }
}
