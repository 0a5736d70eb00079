//! The parameters of the model to train: its defaults, what the command gives, what the data say.

use atlas_core::RegisteredModel;
use atlas_core::params::Schema;
use serde_json::{Value, json};

use super::Args;
use super::settings::add_difference;
use crate::cli::problems::Problems;
use crate::data::Molecules;
use crate::models::{self, MoleculeAutoencoder, VOCABULARY};

/// The parameters that do not have their defaults: those of the model that this one starts from, or
/// those for the built-in molecules if these are trained on; then those of the file, then those of
/// the command line, and the vocabulary of the data unless one of these has it.
pub fn overrides(
    args: &Args,
    model: &RegisteredModel<dyn MoleculeAutoencoder>,
    source: Option<&dyn MoleculeAutoencoder>,
    data: Option<&Molecules>,
    problems: &mut Problems,
) -> Value {
    let schema = model.schema();
    let base = match source {
        Some(source) if source.name() == model.name() => source.params_json(),
        // Its tensors know no other tokens.
        Some(source) if schema.field(VOCABULARY).is_some() => {
            let params = source.params_json();
            let vocabulary = params.get(VOCABULARY).cloned();
            vocabulary.map_or(json!({}), |vocabulary| json!({ VOCABULARY: vocabulary }))
        }
        None if args.data.file.is_none() => models::built_in_overrides(model.name()),
        _ => json!({}),
    };
    let mut overrides = args.model.params.over(base, &schema, problems);
    let needs_vocabulary =
        schema.field(VOCABULARY).is_some() && overrides.get(VOCABULARY).is_none();
    if needs_vocabulary && let Some(data) = data {
        match data.vocabulary() {
            Ok(vocabulary) => overrides[VOCABULARY] = json!(vocabulary),
            Err(error) => problems.fail(error),
        }
    }
    if let Err(error) = schema.check_overrides(&overrides) {
        // Without the data nothing is known of its tokens.
        let is_unknown = |path: &str| needs_vocabulary && data.is_none() && path == VOCABULARY;
        for problem in error.problems() {
            if !is_unknown(problem.path()) {
                problems.add(problem);
            }
        }
    }
    overrides
}

/// Notes every parameter that the command gives another value than a checkpoint has.
pub fn check_against(args: &Args, schema: &Schema, stored: &Value, problems: &mut Problems) {
    let params = args.model.params.over(stored.clone(), schema, problems);
    for (name, given) in params.as_object().into_iter().flatten() {
        if stored[name] != *given {
            add_difference(format_args!("`{name}` = {given}"), &stored[name], problems);
        }
    }
}
