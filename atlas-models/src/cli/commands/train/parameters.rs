//! Reads the parameters of the model to train, from its defaults, files and `name=value`.

use std::fs;
use std::path::Path;

use atlas_core::params::Schema;
use atlas_core::{Error, RegisteredModel, Result};
use serde_json::{Map, Value, json};

use super::Args;
use super::settings::add_difference;
use crate::cli::problems::Problems;
use crate::data::Molecules;
use crate::models::{self, MoleculeAutoencoder, VOCABULARY};

/// The parameters that do not have their defaults: those of the model that this one starts from, or
/// those for the built-in molecules if these are trained on; then those of the file, then those of the command line, and the vocabulary of the
/// data unless one of these has it.
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
    let mut overrides = given_over(base, args, &schema, problems);
    let needs_vocabulary =
        schema.field(VOCABULARY).is_some() && overrides.get(VOCABULARY).is_none();
    if needs_vocabulary && let Some(data) = data {
        match data.vocabulary() {
            Ok(vocabulary) => overrides[VOCABULARY] = json!(vocabulary),
            Err(error) => problems.note(None, &error),
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
    let params = given_over(stored.clone(), args, schema, problems);
    for (name, given) in params.as_object().into_iter().flatten() {
        if stored[name] != *given {
            add_difference(format_args!("`{name}` = {given}"), &stored[name], problems);
        }
    }
}

/// The parameters `base` with those of the file and of the command line on top.
fn given_over(base: Value, args: &Args, schema: &Schema, problems: &mut Problems) -> Value {
    let mut params = base;
    if let Some(path) = &args.model.params
        && let Some(given) = problems.take(read_params(path))
    {
        merge(&mut params, given);
    }
    // One at a time, so that a mistake in one does not hide what is wrong with another.
    for assignment in &args.model.set {
        match schema.overrides(params.clone(), [assignment]) {
            Ok(assigned) => params = assigned,
            Err(error) => problems.note(Some("--set"), &error),
        }
    }
    params
}

fn read_params(path: &Path) -> Result<Map<String, Value>> {
    let read = || {
        let text = fs::read_to_string(path).map_err(Error::other)?;
        match serde_json::from_str(&text).map_err(Error::other)? {
            Value::Object(params) => Ok(params),
            _ => Err(Error::new("expected a JSON object of parameters")),
        }
    };
    read().map_err(|error: Error| error.within(format_args!("--params {}", path.display())))
}

/// Puts `given` on top of `base`, group by group.
fn merge(base: &mut Value, given: Map<String, Value>) {
    for (name, value) in given {
        match (base.get_mut(&name), value) {
            (Some(group @ Value::Object(_)), Value::Object(members)) => merge(group, members),
            (_, value) => base[name] = value,
        }
    }
}
