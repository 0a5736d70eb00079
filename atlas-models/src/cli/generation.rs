//! What is said of strings that a model draws, for several commands.

use atlas_core::train::Dataset;
use rayon::prelude::*;

use crate::chem::{self, Descriptors, Fingerprint, Smiles};
use crate::cli::failure::Result;
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::{count, grouped, percent};
use crate::data::{KnownMolecules, MoleculeKey, Molecules};
use crate::metrics::{Estimate, Generation, Reference, generation};

/// What `--help` says of the figures.
pub const FIGURES: &str = "\
Figures of drawn strings have the names and definitions of MOSES (Polykarpov et al., 2020): valid,
unique@1k and @10k, novelty, internal diversity (IntDiv, IntDiv2), the similarity to the nearest
neighbour (SNN), of fragments (Frag) and of scaffolds (Scaf), and the Wasserstein distances of logP,
SA, QED and weight. Similarities are Tanimoto's of Morgan fingerprints of radius 2: of 1024 bits
here, as in MOSES, and of 2048 bits elsewhere. Intervals are of 95 %. FCD is not among the figures:
it needs a network that is not here.";

/// Molecules that drawn strings are compared with, and of which they may be.
pub struct Comparison {
    reference: Reference,
    known: KnownMolecules,
}

impl Comparison {
    pub fn new(molecules: &Molecules) -> Result<Self> {
        Ok(Self {
            reference: reference(molecules, usize::MAX)?,
            known: KnownMolecules::new(molecules.keys()?),
        })
    }

    pub fn figures(&self, strings: &[String], seed: u64) -> Generation {
        let is_known = |form: &str| self.is_known(form);
        generation(strings, Some(&self.reference), Some(&is_known), seed)
    }

    fn is_known(&self, form: &str) -> bool {
        self.known.contains(MoleculeKey::of(form))
    }
}

/// The columns of [`write_each`].
const HEADER: [&str; 10] = [
    "number",
    "smiles",
    "valid",
    "canonical",
    "logP",
    "SA",
    "QED",
    "weight",
    "nearest",
    "known",
];

/// Writes a row of what each string is. What is not known is an empty cell.
pub fn write_each(
    mut table: OutputFile,
    strings: &[String],
    comparison: Option<&Comparison>,
) -> Result {
    let described = strings.par_iter().map(|string| {
        let canonical = chem::canonical(string).ok();
        let descriptors = canonical.as_ref().and(Descriptors::of(string).ok());
        (canonical, descriptors)
    });
    let described: Vec<(Option<String>, Option<Descriptors>)> = described.collect();
    let fingerprints = described.iter().filter_map(|(_, found)| found.as_ref());
    let fingerprints: Vec<Fingerprint> = fingerprints.map(|found| found.fingerprint).collect();
    let mut nearest = comparison
        .map(|with| with.reference.nearest(&fingerprints))
        .unwrap_or_default()
        .into_iter();
    let lacking = described
        .iter()
        .filter(|(form, found)| form.is_some() && found.is_none());
    let lacking = lacking.count();
    if lacking > 0 {
        output::say(&format_args!(
            "{} cannot be described: the cells of logP, SA, QED and weight are empty",
            count(lacking, "valid molecule")
        ));
    }
    table.row(HEADER)?;
    for (number, (string, (canonical, found))) in strings.iter().zip(&described).enumerate() {
        let of = |value: fn(&Descriptors) -> f64| {
            found
                .as_ref()
                .map_or(String::new(), |found| value(found).to_string())
        };
        let known = canonical.as_ref().zip(comparison);
        let nearest = found.as_ref().and_then(|_| nearest.next());
        table.row([
            (number + 1).to_string(),
            string.clone(),
            canonical.is_some().to_string(),
            canonical.clone().unwrap_or_default(),
            of(|found| found.log_p),
            of(|found| found.sa),
            of(|found| found.qed),
            of(|found| found.weight),
            nearest.map_or(String::new(), |similarity| similarity.to_string()),
            known.map_or(String::new(), |(form, with)| {
                with.is_known(form).to_string()
            }),
        ])?;
    }
    table.finish()
}

/// At most `limit` of the molecules, the first, to compare drawn strings with.
pub fn reference(molecules: &Molecules, limit: usize) -> Result<Reference> {
    let indices: Vec<u32> = (0..molecules.len().min(limit) as u32).collect();
    let molecules: Vec<Smiles> = molecules.read(&indices)?;
    Ok(Reference::new(&molecules))
}

/// The figures, each in a row of its own.
pub fn table_of(found: &Generation) -> Table {
    let mut table = Table::new(&[], [1]);
    let mut shares = |name: &str, share: &Option<Estimate>, what: String| {
        if let Some(share) = share {
            let interval = share_interval(share);
            table.row([name.to_owned(), percent(share.value), interval, what]);
        }
    };
    let [valid, strings] = [found.molecules, found.strings].map(grouped);
    shares(
        "valid",
        &found.valid,
        format!("{valid} of {strings} are possible molecules"),
    );
    let first = |number: usize| {
        let of = count(found.molecules.min(number), "valid molecule");
        format!("of the first {of} are distinct")
    };
    shares("unique@1k", &found.unique_at_1k, first(1_000));
    shares("unique@10k", &found.unique_at_10k, first(10_000));
    shares(
        "novelty",
        &found.novelty,
        "of the distinct molecules are not known".to_owned(),
    );
    for (name, figure, what) in [
        (
            "IntDiv",
            &found.internal_diversity,
            "1 - mean similarity of all pairs",
        ),
        (
            "IntDiv2",
            &found.internal_diversity_2,
            "the same of squares",
        ),
        (
            "SNN",
            &found.nearest_neighbour,
            "mean similarity to the nearest molecule",
        ),
        (
            "Frag",
            &found.fragments,
            "cosine of the counts of BRICS fragments",
        ),
        (
            "Scaf",
            &found.scaffolds,
            "cosine of the counts of scaffolds",
        ),
        ("logP", &found.log_p, "Wasserstein distance"),
        ("SA", &found.sa, "Wasserstein distance"),
        ("QED", &found.qed, "Wasserstein distance"),
        ("weight", &found.weight, "Wasserstein distance"),
    ] {
        if let Some(figure) = figure {
            table.row(number_row(name, figure, what.to_owned()));
        }
    }
    table
}

/// A row of a figure that is no share.
pub fn number_row(name: &str, figure: &Estimate, what: String) -> [String; 4] {
    let Estimate { value, low, high } = figure;
    // Weights need fewer decimals than cosines.
    let decimals = if value.abs() < 10.0 { 3 } else { 1 };
    let interval = format!("{low:.decimals$} to {high:.decimals$}");
    [
        name.to_owned(),
        format!("{value:.decimals$}"),
        interval,
        what,
    ]
}

/// `92.0 to 94.1 %`.
pub fn share_interval(share: &Estimate) -> String {
    format!("{:.1} to {:.1} %", share.low * 100.0, share.high * 100.0)
}
