//! [`Problems`]: everything that is wrong with a command's input, reported as one failure.

use std::fmt::Display;

use atlas_core::Error;

use crate::cli::failure::{Failure, Result};

/// Collects what is wrong, so that all of it is reported at once.
#[derive(Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// The value, or nothing and its problems noted.
    pub fn take<T>(&mut self, result: Result<T, impl Into<Failure>>) -> Option<T> {
        match result.map_err(Into::into) {
            Ok(value) => return Some(value),
            Err(Failure::Error(error)) => self.note(None, &error),
            Err(Failure::Problems(_, problems)) => self.0.extend(problems),
            Err(_) => {}
        }
        None
    }

    /// Notes a problem.
    pub fn add(&mut self, problem: impl Display) {
        self.0.push(problem.to_string());
    }

    /// Notes every problem of an error, each after its `place`.
    pub fn note(&mut self, place: Option<&str>, error: &Error) {
        let place = place.map_or(String::new(), |place| format!("{place}: "));
        match error.problems() {
            [] => self.add(format_args!("{place}{error}")),
            problems => problems
                .iter()
                .for_each(|problem| self.add(format_args!("{place}{problem}"))),
        }
    }

    /// The value, if there is no problem.
    ///
    /// # Errors
    /// All problems; `prevented` says what they prevented.
    pub fn into_result<T>(self, prevented: &'static str, value: Option<T>) -> Result<T> {
        value
            .filter(|_| self.0.is_empty())
            .ok_or(Failure::Problems(prevented, self.0))
    }
}
