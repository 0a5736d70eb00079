//! The parameters of the model that is to be trained.

use std::fs;
use std::path::Path;

use atlas_core::Entry;
use atlas_core::params::Schema;
use atlas_models::data::Molecules;
use atlas_models::models::{self, MoleculeAutoencoder, VOCABULARY};
use serde_json::{Map, Value, json};

use super::Args;
use super::problems::Problems;
use crate::failure::{Failure, Outcome};

/// Parameters that are not to have their defaults: the built-in ones, then those of the file,
/// then those of the command line, and the vocabulary of the data unless one of these has it.
pub fn overrides(
    args: &Args,
    entry: &Entry<dyn MoleculeAutoencoder>,
    data: Option<&Molecules>,
    problems: &mut Problems,
) -> Value {
    let schema = entry.schema();
    let mut overrides = match args.data {
        Some(_) => json!({}),
        None => models::built_in_overrides(entry.name()),
    };
    if let Some(path) = &args.params
        && let Some(given) = problems.take(read_params(path))
    {
        merge(&mut overrides, given);
    }
    // One at a time, so that a slip in one does not hide what is wrong with another.
    for assignment in &args.set {
        match schema.overrides(overrides.clone(), [assignment]) {
            Ok(assigned) => overrides = assigned,
            Err(error) => problems.note(Some("--set"), &error),
        }
    }
    if schema.field(VOCABULARY).is_some() && overrides.get(VOCABULARY).is_none() {
        match data.map(Molecules::vocabulary) {
            Some(Ok(vocabulary)) => overrides[VOCABULARY] = json!(vocabulary),
            Some(Err(error)) => problems.note(None, &error),
            // Without the data nothing is known of its tokens.
            None => return check_rest(&schema, overrides, problems),
        }
    }
    if let Err(error) = schema.check_overrides(&overrides) {
        problems.note(None, &error);
    }
    overrides
}

/// Notes every parameter that the command gives another value than a checkpoint has.
pub fn check_against(args: &Args, schema: &Schema, stored: &Value, problems: &mut Problems) {
    let mut params = stored.clone();
    if let Some(path) = &args.params
        && let Some(given) = problems.take(read_params(path))
    {
        merge(&mut params, given);
    }
    for assignment in &args.set {
        match schema.overrides(params.clone(), [assignment]) {
            Ok(assigned) => params = assigned,
            Err(error) => problems.note(Some("--set"), &error),
        }
    }
    for (name, given) in params.as_object().into_iter().flatten() {
        if stored[name] != *given {
            problems.add(format!(
                "`{name}` = {given}: the run was begun with {}, and --resume goes on with it",
                stored[name]
            ));
        }
    }
}

/// Checks every parameter but the vocabulary.
fn check_rest(schema: &Schema, overrides: Value, problems: &mut Problems) -> Value {
    if let Err(error) = schema.check_overrides(&overrides) {
        let rest = error
            .problems()
            .iter()
            .filter(|problem| problem.path() != VOCABULARY);
        rest.for_each(|problem| problems.add(problem.to_string()));
    }
    overrides
}

fn read_params(path: &Path) -> Outcome<Map<String, Value>> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(format_args!("--params {}: {why}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    match serde_json::from_str(&text).map_err(|error| failed(&error))? {
        Value::Object(params) => Ok(params),
        _ => Err(failed(&"expected a JSON object of parameters")),
    }
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
