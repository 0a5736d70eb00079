//! Hyperparameters: declared once, checked everywhere.
//!
//! A struct that derives [`Params`] (or the parameters that `#[derive(AtlasModel)]` generates)
//! describes itself by a [`Schema`]. Everything else follows from it: reading
//! ([`Params::from_overrides`], [`Params::from_stored`], [`Params::from_assignments`]), checking
//! ([`Params::validate`]), and the JSON Schema that other tools read ([`Schema::to_json_schema`]).
//!
//! # Two ways to read, never confused
//!
//! | | an absent parameter | used by |
//! |---|---|---|
//! | [`from_overrides`](Params::from_overrides) | takes its default | `create` |
//! | [`from_stored`](Params::from_stored) | is an error, because a default may have changed since | `load` |
//!
//! Either way an unknown name, a value of another type and a value outside its constraint are
//! errors, and all of them are reported at once.
//!
//! # How values look in JSON
//!
//! | Rust | JSON |
//! |---|---|
//! | `bool` | `true`, `false` |
//! | integers up to 64 bits | a number without fraction or exponent, exact over the whole range |
//! | `f32`, `f64` | a number that reads back to the same bits; NaN and infinity are refused |
//! | `String` | a string |
//! | `Option<T>` | `null` or the value |
//! | `Vec<T>`, `[T; N]` | an array |
//! | a group (a struct that derives [`Params`]) | an object |
//! | a choice (an enum that derives [`Choice`]) | the variant's name |

mod assign;
mod check;
mod complete;
mod describe;
mod json_schema;
mod schema;
mod value;

use serde_json::Value;

pub use schema::{ChoiceItem, Field, Kind, Schema};
pub use value::{Choice, ParamValue};

use crate::error::{Error, Problem, Report, Result, suggestion};

/// A group of parameters: a struct whose fields are [`ParamValue`]s.
///
/// Implemented by `#[derive(Params)]`, and by `#[derive(AtlasModel)]` for the parameters struct
/// that it generates; not meant to be implemented by hand.
///
/// ```
/// use atlas_core::prelude::*;
///
/// /// How the optimiser moves.
/// #[derive(Params, Clone, Debug, PartialEq)]
/// struct Optimiser {
///     /// Step size.
///     #[param(default = 1e-3, min = 0.0)]
///     learning_rate: f64,
///     /// Steps until the full learning rate.
///     #[param(default = 100)]
///     warm_up: usize,
/// }
///
/// let optimiser = Optimiser::from_assignments(["learning_rate=0.01"])?;
/// assert_eq!(optimiser.warm_up, 100);
///
/// let error = Optimiser::from_assignments(["learning_rat=-1"]).unwrap_err();
/// assert!(error.to_string().contains("did you mean `learning_rate`?"));
/// # Ok::<(), atlas_core::Error>(())
/// ```
pub trait Params: ParamValue + serde::Serialize {
    /// What the parameters are: names, types, defaults, constraints, documentation.
    fn schema() -> Schema;

    /// Reads parameters as a person gives them: an absent parameter takes its default, at every
    /// depth.
    ///
    /// # Errors
    /// A [report](Error::problems) of every unknown name, wrong type, broken constraint, and
    /// absent parameter that has no default.
    fn from_overrides(overrides: &Value) -> Result<Self> {
        let schema = Self::schema();
        read(
            &schema,
            &complete::complete(&schema, overrides),
            Absent::IsRequired,
        )
    }

    /// Reads parameters as a bundle stores them: every parameter must be there.
    ///
    /// # Errors
    /// A [report](Error::problems) of every absent or unknown name, wrong type and broken
    /// constraint.
    fn from_stored(stored: &Value) -> Result<Self> {
        read(&Self::schema(), stored, Absent::WasLost)
    }

    /// Reads overrides given as `name=value` texts, such as `encoder.layers[2].width=64`.
    ///
    /// The path is dotted, list elements are indexed from zero; the schema decides how the text
    /// of the value is read, so that `name=1` gives a string parameter the text `1`. Lists are
    /// written as JSON (`[64,32]`) or separated by commas (`64,32`).
    ///
    /// # Errors
    /// A [report](Error::problems) of every text without `=`, unknown path and value that cannot be
    /// read as the parameter's type, and of what [`Params::from_overrides`] finds in the others.
    fn from_assignments<S: AsRef<str>>(assignments: impl IntoIterator<Item = S>) -> Result<Self> {
        let schema = Self::schema();
        let mut overrides = Value::Object(Default::default());
        let mut report = Report::default();
        for assignment in assignments {
            assign::assign(&schema, &mut overrides, assignment.as_ref(), &mut report);
        }
        if report.problems().is_empty() {
            return Self::from_overrides(&overrides);
        }
        let complete = complete::complete(&schema, &overrides);
        let found = check::check(&schema, &complete, Absent::IsRequired);
        for problem in found.problems() {
            // What could not be read is not missing.
            let is_said = report.problems().iter().any(|said| {
                said.path() == problem.path() || said.suggestion() == Some(problem.path())
            });
            if !is_said {
                report.push(problem.clone());
            }
        }
        Err(Error::params(report))
    }

    /// Checks the constraints of every parameter and across parameters.
    ///
    /// # Errors
    /// A [report](Error::problems) of every value outside its constraint; a float that is NaN or
    /// infinite is one.
    fn validate(&self) -> Result<()> {
        let report = check::check(&Self::schema(), &self.to_json(), Absent::IsRequired);
        report.into_result(Error::params)
    }
}

/// What an absent parameter means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// It has no default and was not given.
    IsRequired,
    /// The stored parameters were to name every one.
    WasLost,
}

fn read<P: Params>(schema: &Schema, value: &Value, absent: Absent) -> Result<P> {
    check::check(schema, value, absent).into_result(Error::params)?;
    P::from_json(value).ok_or_else(|| {
        Error::internal(format!(
            "`{}` passed its checks and could not be read",
            schema.name()
        ))
    })
}

impl Schema {
    /// Reads `name=value` texts as overrides on top of `base`, a JSON object of overrides.
    ///
    /// The result is for [`Params::from_overrides`] or a registry's `create`; values are typed by
    /// this schema, constraints are left to the reading.
    ///
    /// # Errors
    /// A [report](Error::problems) of every text without `=`, unknown path, and value that cannot
    /// be read as the parameter's type.
    pub fn overrides<S: AsRef<str>>(
        &self,
        base: Value,
        assignments: impl IntoIterator<Item = S>,
    ) -> Result<Value> {
        let mut overrides = base;
        let mut report = Report::default();
        for assignment in assignments {
            assign::assign(self, &mut overrides, assignment.as_ref(), &mut report);
        }
        report.into_result(Error::params).map(|()| overrides)
    }

    /// Checks overrides without reading them into a type.
    ///
    /// # Errors
    /// A [report](Error::problems) of all that [`Params::from_overrides`] would refuse.
    pub fn check_overrides(&self, overrides: &Value) -> Result<()> {
        let complete = complete::complete(self, overrides);
        check::check(self, &complete, Absent::IsRequired).into_result(Error::params)
    }

    /// Overrides with every absent parameter that has a default filled in, unchecked.
    pub fn complete(&self, overrides: &Value) -> Value {
        complete::complete(self, overrides)
    }
}

/// The error of a name that a choice does not have.
pub(crate) fn unknown_choice(name: &str, items: &[ChoiceItem]) -> Error {
    let names: Vec<&str> = items.iter().map(|item| item.name).collect();
    let problem = Problem::new("", format!("expected one of {}", names.join(", ")))
        .with_found(format!("`{name}`"))
        .with_suggestion(suggestion(name, names));
    Error::params(Report::from_iter([problem]))
}
