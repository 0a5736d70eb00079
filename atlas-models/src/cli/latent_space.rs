//! What a model makes of its latents, for `evaluate`: strings that it draws, what lies between
//! molecules, and how much of a latent it uses.

use atlas_core::Draws;
use atlas_core::train::Dataset;
use candle_core::Tensor;
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use crate::chem;
use crate::cli::failure::Result;
use crate::cli::generation::{number_row, reference, share_interval, table_of};
use crate::cli::model::{PriorChoice, latents};
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::{count, percent};
use crate::cli::terminal::{interrupt, output, progress};
use crate::data::{KnownMolecules, MoleculeKey, Molecules};
use crate::metrics::{
    ActiveUnits, Estimate, Generation, Smoothness, active_units, divergence, generation, smoothness,
};
use crate::models::MoleculeAutoencoder;
use crate::nn::TokenChoice;

/// The most molecules that are encoded, and that strings are compared with.
const MOLECULES: usize = 10_000;
/// Strings that are drawn, or molecules that are encoded, at a time.
const BATCH: usize = 512;
/// Steps from one molecule to another.
const STEPS: usize = 10;

/// How much is tried.
// A doc comment on it would take the place of the command's own.
#[derive(clap::Args)]
pub struct LatentSpaceArgs {
    /// Draw N strings from the prior, as `sample` does, and compare them with the evaluated molecules,
    /// the first 10,000; 0 draws none
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    samples: usize,
    /// Walk straight between the latents of N pairs of the evaluated molecules, in 10 steps; 0 walks
    /// none
    #[arg(long, value_name = "N", default_value_t = 100)]
    interpolations: usize,
    /// Seed of the strings, the pairs and the intervals
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// How many of the strings are possible molecules that are drawn in one way.
struct Validity {
    prior: PriorChoice,
    is_guided: bool,
    valid: Option<Estimate>,
}

/// The figures.
pub struct LatentSpace {
    seed: u64,
    generation: Option<Generation>,
    /// Of strings that are drawn in each way that the model has.
    validity: Vec<Validity>,
    smoothness: Option<Smoothness>,
    divergence: Option<Estimate>,
    units: ActiveUnits,
}

impl LatentSpace {
    /// Novel is what is not in `known`.
    pub fn new(
        args: &LatentSpaceArgs,
        model: &dyn MoleculeAutoencoder,
        molecules: &Molecules,
        known: Option<&KnownMolecules>,
    ) -> Result<Self> {
        // All that could be lost is written.
        interrupt::set_waiting(true);
        let molecules = molecules.first(MOLECULES);
        let latents = encode(model, &molecules)?;
        let generation = (args.samples > 0).then(|| compare(args, model, &molecules, known));
        let validity = if args.samples > 0 {
            validity(args, model)?
        } else {
            Vec::new()
        };
        let smoothness = (args.interpolations > 0)
            .then(|| smoothness(model, &latents, args.interpolations, STEPS, args.seed));
        Ok(Self {
            seed: args.seed,
            generation: generation.transpose()?,
            validity,
            smoothness: smoothness.transpose()?,
            divergence: divergence(model, &molecules)?,
            units: active_units(&latents)?,
        })
    }

    /// The figures as members of an object, null where they were not asked for.
    pub fn to_json(&self) -> Map<String, Value> {
        let object = json!({
            "seed": self.seed,
            "generation": self.generation,
            "validity": self.validity.iter().map(Validity::to_json).collect::<Vec<_>>(),
            "smoothness": self.smoothness,
            "kl": self.divergence,
            "active_units": self.units.active,
            "latent_size": self.units.latent_size,
        });
        object.as_object().cloned().unwrap_or_default()
    }

    /// Tables with their headings.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some(found) = &self.generation {
            let what = count(found.strings, "string");
            let heading = format!("\n{what} drawn with seed {}", self.seed);
            text += &format!(
                "{}\n{}",
                output::heading(&heading),
                table_of(found).render(None)
            );
        }
        if !self.validity.is_empty() {
            let mut table = Table::new(&[], [2]);
            for way in &self.validity {
                table.row(way.cells());
            }
            let heading = output::heading("\npossible molecules among strings drawn");
            text += &format!("{heading}\n{}", table.render(None));
        }
        let ActiveUnits {
            active,
            latent_size,
        } = self.units;
        let mut table = Table::new(&[], [1]);
        let of = count(latent_size, "dimension");
        table.row([
            "active".to_owned(),
            active.to_string(),
            String::new(),
            format!("of {of}: the variance of their means is above 0.01"),
        ]);
        if let Some(divergence) = &self.divergence {
            let what = "nats from the posterior to the prior, a molecule";
            table.row(number_row("KL", divergence, what.to_owned()));
        }
        if let Some(found) = &self.smoothness {
            let lines = format!("{} of {} steps", count(found.pairs, "line"), found.steps);
            if let Some(valid) = &found.valid {
                let cells = [percent(valid.value), share_interval(valid)];
                let [value, interval] = cells;
                let what = format!("points of {lines} are possible molecules");
                table.row(["valid".to_owned(), value, interval, what]);
            }
            if let Some(distinct) = &found.distinct {
                let what = "different molecules on a line, its ends included";
                table.row(number_row("distinct", distinct, what.to_owned()));
            }
            if let Some(similarity) = &found.similarity {
                let what = "mean similarity of different neighbours on a line";
                table.row(number_row("smooth", similarity, what.to_owned()));
            }
        }
        text + &format!("{}\n{}", output::heading("\nlatents"), table.render(None))
    }
}

impl Validity {
    fn way(&self) -> &'static str {
        if self.is_guided { "guided" } else { "raw" }
    }

    fn to_json(&self) -> Value {
        json!({ "prior": self.prior.name(), "way": self.way(), "valid": self.valid })
    }

    fn cells(&self) -> [String; 4] {
        let valid = self.valid.as_ref();
        [
            format!("{} prior", self.prior.name()),
            self.way().to_owned(),
            valid.map_or(String::new(), |valid| percent(valid.value)),
            valid.map_or(String::new(), share_interval),
        ]
    }
}

/// The share of strings that are possible molecules, from each prior that the model has, as it writes
/// them and guided by the grammar.
fn validity(args: &LatentSpaceArgs, model: &dyn MoleculeAutoencoder) -> Result<Vec<Validity>> {
    let fitted = model.has_fitted_prior().then_some(PriorChoice::Fitted);
    let mut found = Vec::new();
    for prior in [Some(PriorChoice::Standard), fitted].into_iter().flatten() {
        for is_guided in [false, true] {
            let Some(strings) = draw(model, args, prior, is_guided)? else {
                continue;
            };
            let valid: Vec<bool> = strings.par_iter().map(|s| chem::is_valid(s)).collect();
            let valid = valid.into_iter().filter(|valid| *valid).count();
            found.push(Validity {
                prior,
                is_guided,
                valid: Estimate::share(valid, strings.len()),
            });
        }
    }
    Ok(found)
}

/// What is said of drawn strings beside the molecules.
fn compare(
    args: &LatentSpaceArgs,
    model: &dyn MoleculeAutoencoder,
    molecules: &Molecules,
    known: Option<&KnownMolecules>,
) -> Result<Generation> {
    let prior = if model.has_fitted_prior() {
        PriorChoice::Fitted
    } else {
        PriorChoice::Standard
    };
    let strings = draw(model, args, prior, false)?.unwrap_or_default();
    let reference = reference(molecules, MOLECULES)?;
    let Some(known) = known else {
        return Ok(generation(&strings, Some(&reference), None, args.seed));
    };
    let is_known = |form: &str| known.contains(MoleculeKey::of(form));
    Ok(generation(
        &strings,
        Some(&reference),
        Some(&is_known),
        args.seed,
    ))
}

/// The strings that `sample` writes; `None` if the model cannot be guided.
fn draw(
    model: &dyn MoleculeAutoencoder,
    args: &LatentSpaceArgs,
    prior: PriorChoice,
    is_guided: bool,
) -> Result<Option<Vec<String>>> {
    let bar = progress::counter(Some(args.samples), "strings");
    let mut strings = Vec::with_capacity(args.samples);
    while strings.len() < args.samples {
        let draws = Draws {
            seed: args.seed,
            first: strings.len() as u64,
        };
        let count = BATCH.min(args.samples - strings.len());
        let latents = latents(model, Some(prior), draws, count)?;
        if is_guided {
            let Some(written) = model.write_guided(&latents, TokenChoice::drawn(draws, 1.0)) else {
                return Ok(None);
            };
            strings.extend(written?);
        } else {
            strings.extend(model.sample(&latents, draws, 1.0)?);
        }
        bar.set_position(strings.len() as u64);
    }
    Ok(Some(strings))
}

/// The latents of molecules, `[molecules, latent]`.
fn encode(model: &dyn MoleculeAutoencoder, molecules: &Molecules) -> Result<Tensor> {
    let indices: Vec<u32> = (0..molecules.len() as u32).collect();
    let latents = indices.chunks(BATCH);
    let latents = latents.map(|indices| model.encode(&molecules.read(indices)?));
    let latents = latents.collect::<atlas_core::Result<Vec<Tensor>>>()?;
    Ok(Tensor::cat(&latents, 0)?)
}
