//! What is said of strings that a model draws, for several commands.

use atlas_core::train::Dataset;

use crate::chem::Smiles;
use crate::cli::failure::Result;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::{count, grouped, percent};
use crate::data::Molecules;
use crate::metrics::{Estimate, Generation, Reference};

/// What `--help` says of the figures.
pub const FIGURES: &str = "\
Figures of drawn strings have the names and definitions of MOSES (Polykarpov et al., 2020): valid,
unique@1k and @10k, novelty, internal diversity (IntDiv, IntDiv2), the similarity to the nearest
neighbour (SNN), of fragments (Frag) and of scaffolds (Scaf), and the Wasserstein distances of logP,
SA, QED and weight. Intervals are of 95 %. FCD is not among them: it needs a network that is not
here.";

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
