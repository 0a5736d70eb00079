//! The parameters of the model to train: its defaults, what the command gives, what the data say.

use std::collections::HashMap;
use std::str::FromStr;

use atlas_core::params::Schema;
use atlas_core::{Growth, RegisteredModel, Result};
use serde_json::{Value, json};

use super::Args;
use super::settings::{Settings, add_difference};
use crate::chem::{Notation, Spelling};
use crate::cli::limits;
use crate::cli::parameters::by_dotted_names;
use crate::cli::problems::Problems;
use crate::cli::terminal::text::count;
use crate::data::{Molecules, TokensInUse};
use crate::models::{self, LONGEST, MoleculeAutoencoder, PRIOR, TOKENS, VOCABULARY};

/// What a model is created with.
pub struct Parameters {
    /// The parameters that do not have their defaults.
    pub overrides: Value,
    /// The growth of the vocabulary since the model that this one starts from.
    pub growth: Option<Growth>,
    /// What is to be said of them.
    pub notes: Vec<String>,
}

impl Parameters {
    /// The parameters of the model that this one starts from, or those for the built-in molecules if
    /// these are trained on; then those of the file, then those of the command line. Where these do
    /// not say it, the data decide on the vocabulary and on how long a molecule can be.
    ///
    /// `None` if a model cannot be created with them; the problems are noted.
    pub fn new(
        args: &Args,
        settings: &Settings,
        model: &RegisteredModel<dyn MoleculeAutoencoder>,
        source: Option<&dyn MoleculeAutoencoder>,
        data: Option<&Molecules>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let schema = model.schema();
        let of_source = source.map_or(json!({}), |source| source.params_json());
        let mut base = match source {
            Some(source) if source.name() == model.name() => of_source.clone(),
            None if args.data.file.is_none() => models::built_in_overrides(model.name()),
            _ => json!({}),
        };
        if let Some(base) = base.as_object_mut() {
            for decided in [VOCABULARY, LONGEST, PRIOR.0] {
                base.remove(decided);
            }
        }
        let mut new = Self {
            overrides: args.model.params.over(base, &schema, problems),
            growth: None,
            notes: Vec::new(),
        };
        let known = tokens(&of_source);
        let spelt = Spelt::of(&schema.complete(&new.overrides)[TOKENS]);
        let in_use = data.and_then(|data| problems.take(spelt.tokens(data)));
        let is_vocabulary_given = new.overrides.get(VOCABULARY).is_some();
        let mut is_usable = true;
        if schema.field(VOCABULARY).is_some() {
            if !is_vocabulary_given {
                new.take_tokens(&known, in_use.as_ref());
            } else if let (Some(data), Some(in_use)) = (data, &in_use)
                && !settings.skip_invalid
            {
                let given = tokens(&new.overrides);
                let checked = limits::check_vocabulary(&given, data, in_use, spelt.notation);
                is_usable = problems.take(checked).is_some();
            }
            new.grow(&known, problems);
        }
        new.make_room(&of_source, &schema, in_use.as_ref());
        let checked = schema.check_overrides(&new.overrides);
        let found = checked
            .as_ref()
            .err()
            .map_or(&[][..], |error| error.problems());
        for problem in found {
            // Without the data nothing is known of its tokens.
            let is_unknown = problem.path() == VOCABULARY && data.is_none() && !is_vocabulary_given;
            if !is_unknown {
                problems.add(problem);
            }
        }
        (checked.is_ok() && is_usable).then_some(new)
    }

    /// Takes the tokens of the model that this one starts from, and after them those of the data.
    fn take_tokens(&mut self, known: &[&str], in_use: Option<&TokensInUse>) {
        let mut added = in_use.map_or_else(Vec::new, |in_use| in_use.vocabulary.clone());
        added.retain(|token| !known.contains(&token.as_str()));
        if known.is_empty() && added.is_empty() {
            return;
        }
        if !known.is_empty() && !added.is_empty() {
            let names: Vec<String> = added.iter().map(|token| format!("`{token}`")).collect();
            self.notes.push(format!(
                "the vocabulary of --from grows by {}: {}",
                count(added.len(), "token"),
                names.join(", ")
            ));
        }
        let known = known.iter().map(|token| (*token).to_owned());
        self.overrides[VOCABULARY] = json!(known.chain(added).collect::<Vec<_>>());
    }

    /// Notes how the vocabulary has grown. Old tokens keep their ids.
    fn grow(&mut self, known: &[&str], problems: &mut Problems) {
        let new = tokens(&self.overrides);
        if known.is_empty() || new.is_empty() {
            return;
        }
        if !new.starts_with(known) {
            problems.add(format_args!(
                "`{VOCABULARY}`: the one of --from is another; further tokens come after its own"
            ));
        }
        let (from, to) = (known.len(), new.len());
        if to > from {
            self.growth = Some(Growth { from, to });
        }
    }

    /// Makes the model write molecules as long as those of the data, unless the command says how
    /// long they may be.
    fn make_room(&mut self, of_source: &Value, schema: &Schema, in_use: Option<&TokensInUse>) {
        let Some(field) = schema.field(LONGEST) else {
            return;
        };
        if self.overrides.get(LONGEST).is_some() {
            return;
        }
        let of_source = of_source.get(LONGEST).and_then(Value::as_u64);
        let usual = of_source.or_else(|| field.default().and_then(Value::as_u64));
        let needed = in_use.map_or(0, |in_use| in_use.longest as u64);
        if let Some(usual) = usual.filter(|usual| *usual < needed) {
            self.overrides[LONGEST] = json!(needed);
            self.notes.push(format!(
                "`{LONGEST}` = {needed}, as many tokens as the longest molecule has, instead of {usual}"
            ));
        } else if let Some(longest) = of_source {
            self.overrides[LONGEST] = json!(longest);
        }
    }
}

/// How a model reads and writes molecules as tokens.
struct Spelt {
    notation: Notation,
    spellings: [Spelling; 3],
}

impl Spelt {
    /// By the parameters of [`TOKENS`]; what is malformed is reported with the others.
    fn of(params: &Value) -> Self {
        let spelling = |name: &str| choice(&params[name]).unwrap_or(Spelling::AsGiven);
        Self {
            notation: choice(&params["notation"]).unwrap_or(Notation::Atoms),
            spellings: [Spelling::AsGiven, spelling("read"), spelling("write")],
        }
    }

    fn tokens(&self, data: &Molecules) -> Result<TokensInUse> {
        data.tokens(self.notation, &self.spellings)
    }
}

fn choice<T: FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.parse().ok()
}

/// The vocabulary among parameters.
fn tokens(params: &Value) -> Vec<&str> {
    let tokens = params.get(VOCABULARY).and_then(Value::as_array);
    tokens
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Notes every parameter that the command gives another value than a checkpoint has.
pub fn check_against(args: &Args, schema: &Schema, stored: &Value, problems: &mut Problems) {
    let params = args.model.params.over(stored.clone(), schema, problems);
    let stored: HashMap<String, Value> = by_dotted_names(stored).into_iter().collect();
    for (name, given) in by_dotted_names(&params) {
        let stored = stored.get(&name).unwrap_or(&Value::Null);
        if *stored != given {
            add_difference(format_args!("`{name}` = {given}"), stored, problems);
        }
    }
}
