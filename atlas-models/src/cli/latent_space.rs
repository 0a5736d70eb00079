//! What a model makes of its latents, for `evaluate`: strings that it draws, what lies between
//! molecules, and how much of a latent it uses.

use atlas_core::Draws;
use atlas_core::train::Dataset;
use candle_core::Tensor;
use serde_json::{Map, Value, json};

use crate::cli::failure::Result;
use crate::cli::generation::{number_row, reference, share_interval, table_of};
use crate::cli::model::for_model;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::{count, percent};
use crate::cli::terminal::{interrupt, output, progress};
use crate::data::{KnownMolecules, MoleculeKey, Molecules};
use crate::metrics::{
    ActiveUnits, Estimate, Generation, Smoothness, active_units, divergence, generation, smoothness,
};
use crate::models::MoleculeAutoencoder;

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

/// The figures.
pub struct LatentSpace {
    seed: u64,
    generation: Option<Generation>,
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
        let smoothness = (args.interpolations > 0)
            .then(|| smoothness(model, &latents, args.interpolations, STEPS, args.seed));
        Ok(Self {
            seed: args.seed,
            generation: generation.transpose()?,
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

/// What is said of drawn strings beside the molecules.
fn compare(
    args: &LatentSpaceArgs,
    model: &dyn MoleculeAutoencoder,
    molecules: &Molecules,
    known: Option<&KnownMolecules>,
) -> Result<Generation> {
    let strings = draw(model, args)?;
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

/// The strings that `sample` writes.
fn draw(model: &dyn MoleculeAutoencoder, args: &LatentSpaceArgs) -> Result<Vec<String>> {
    let bar = progress::counter(Some(args.samples), "strings");
    let mut strings = Vec::with_capacity(args.samples);
    while strings.len() < args.samples {
        let draws = Draws {
            seed: args.seed,
            first: strings.len() as u64,
        };
        let latents = model.prior(draws, BATCH.min(args.samples - strings.len()))?;
        strings.extend(model.sample(&for_model(model, &latents)?, draws, 1.0)?);
        bar.set_position(strings.len() as u64);
    }
    Ok(strings)
}

/// The latents of molecules, `[molecules, latent]`.
fn encode(model: &dyn MoleculeAutoencoder, molecules: &Molecules) -> Result<Tensor> {
    let indices: Vec<u32> = (0..molecules.len() as u32).collect();
    let latents = indices.chunks(BATCH);
    let latents = latents.map(|indices| model.encode(&molecules.read(indices)?));
    let latents = latents.collect::<atlas_core::Result<Vec<Tensor>>>()?;
    Ok(Tensor::cat(&latents, 0)?)
}
