//! [`ParamArgs`]: the parameters of a model that a command gives, in a file and as `name=value`.

use std::fs;
use std::path::{Path, PathBuf};

use atlas_core::params::Schema;
use atlas_core::{Error, Result, json};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::cli::problems::Problems;

/// The option that names the file.
const PARAMS: &str = "--params";

// A doc comment on it would take the place of the command's own.
#[derive(clap::Args)]
pub struct ParamArgs {
    /// Set a parameter of the model; `atlas params MODEL` lists them. Can be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// JSON object of parameters of the model
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
}

impl ParamArgs {
    /// The parameters `base` with those of the file and of the command line on top.
    pub fn over(&self, base: Value, schema: &Schema, problems: &mut Problems) -> Value {
        let mut params = base;
        if let Some(path) = &self.params
            && let Some(given) = problems.take(read_params(path))
        {
            merge(&mut params, given);
        }
        // One at a time, so that a mistake in one does not hide what is wrong with another.
        for assignment in &self.set {
            match schema.overrides(params.clone(), [assignment]) {
                Ok(assigned) => params = assigned,
                Err(error) => problems.note(Some("--set"), &error),
            }
        }
        params
    }
}

fn read_params(path: &Path) -> Result<Map<String, Value>> {
    match read_json(PARAMS, path)? {
        Value::Object(params) => Ok(params),
        _ => {
            let error = Error::new("expected a JSON object of parameters");
            Err(error.within(format_args!("{PARAMS} {}", path.display())))
        }
    }
}

/// What the JSON file holds that an option names.
pub fn read_json<T: DeserializeOwned>(option: &str, path: &Path) -> Result<T> {
    let read = || {
        let text = fs::read(path).map_err(Error::other)?;
        json::read(&text).map_err(Error::other)
    };
    read().map_err(|error: Error| error.within(format_args!("{option} {}", path.display())))
}

/// Puts `given` on top of `base`, group by group.
pub fn merge(base: &mut Value, given: Map<String, Value>) {
    for (name, value) in given {
        match (base.get_mut(&name), value) {
            (Some(group @ Value::Object(_)), Value::Object(members)) => merge(group, members),
            (_, value) => base[name] = value,
        }
    }
}

/// Every parameter that is no group, by its dotted name.
pub fn by_dotted_names(params: &Value) -> Vec<(String, Value)> {
    let mut named = Vec::new();
    for (name, value) in params.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => {
                let members = by_dotted_names(value).into_iter();
                named.extend(members.map(|(member, value)| (format!("{name}.{member}"), value)));
            }
            value => named.push((name.clone(), value.clone())),
        }
    }
    named
}
