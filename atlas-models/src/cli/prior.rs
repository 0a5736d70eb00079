//! Fits the prior of a bundle's model, for `fit-prior` and at the end of `train`.

use std::path::Path;

use atlas_core::LoadOptions;
use serde_json::{Value, json};

use super::Models;
use super::failure::Result;
use super::terminal::text::{count, grouped};
use super::terminal::{output, progress};
use crate::data::Molecules;
use crate::models::{self, Fit};

/// The most molecules that are encoded to fit a prior to.
const MOST: usize = 12_000;

/// The topic of the note in a bundle's provenance that says how its prior was fitted.
const NOTE: &str = "prior";

/// Fits the prior of the bundle in `from` to molecules, at most [`MOST`] that the seed draws, and
/// saves the model with it in `to`.
pub fn fit(
    models: &Models,
    [from, to]: [&Path; 2],
    molecules: &Molecules,
    components: &[usize],
    seed: u64,
) -> Result<Value> {
    let model = models.load(from)?;
    let molecules = molecules.sample(MOST, seed);
    let bar = progress::counter(Some(molecules.len()), "molecules");
    let latents = models::latents_of(&*model, &molecules, &mut |done| {
        bar.set_position(done as u64);
    })?;
    drop(bar);
    let (mut snapshot, fit) = models::fit_prior(&*model, &latents, components, seed)?;
    let note = to_json(&fit, seed);
    snapshot.provenance.note(NOTE, note.clone());
    let fitted = models.from_snapshot(snapshot, &LoadOptions::new().golden(false))?;
    fitted.snapshot()?.save(to)?;
    output::say(&to_text(&fit, to));
    Ok(note)
}

fn to_json(fit: &Fit, seed: u64) -> Value {
    json!({
        "components": fit.mixture.as_ref().map_or(0, |mixture| mixture.components()),
        "molecules": fit.fitted,
        "held_out": fit.held_out,
        "tried": fit.tried,
        "seed": seed,
    })
}

fn to_text(fit: &Fit, bundle: &Path) -> String {
    let likelihood = |components: usize| {
        let mut tried = fit.tried.iter();
        let found = tried.find(|candidate| candidate.components == components);
        found.map_or(f64::NAN, |candidate| candidate.log_likelihood)
    };
    let Some(mixture) = &fit.mixture else {
        return format!(
            "no fitted prior describes the latents better than the standard normal, which is now the \
             prior of {}",
            bundle.display()
        );
    };
    let components = mixture.components();
    format!(
        "the prior is fitted to {}: {}, {:.1} nats a latent of {} held out, where the standard normal \
         has {:.1}",
        count(fit.fitted, "molecule"),
        count(components, "component"),
        likelihood(components),
        grouped(fit.held_out),
        likelihood(0),
    )
}
