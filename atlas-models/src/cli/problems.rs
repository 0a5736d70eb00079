//! [`Problems`]: everything that is wrong with a command's input, reported as one failure.

use std::fmt::Display;

use atlas_core::Error;

use crate::cli::failure::{Failure, Result, usage};

/// Collects what is wrong, so that all of it is reported at once.
///
/// It is wrong usage if all of it is: values of the command line or of parameters. A file that
/// cannot be read is not.
#[derive(Default)]
pub struct Problems {
    problems: Vec<String>,
    /// Whether something is wrong beside the command line.
    has_failure: bool,
    /// What ended the command while it looked for problems.
    ended: Option<Failure>,
}

impl Problems {
    /// The value, or nothing and its problems noted.
    pub fn take<T>(&mut self, result: Result<T, impl Into<Failure>>) -> Option<T> {
        match result.map_err(Into::into) {
            Ok(value) => return Some(value),
            Err(Failure::Usage(failure)) => self.extend(*failure),
            Err(failure) => {
                self.extend(failure);
                self.has_failure = true;
            }
        }
        None
    }

    /// Whether there is no problem so far.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty() && self.ended.is_none()
    }

    fn extend(&mut self, failure: Failure) {
        match failure {
            Failure::Error(error) => self.note(None, &error),
            Failure::Problems(_, problems) => self.problems.extend(problems),
            Failure::Usage(failure) => self.extend(*failure),
            Failure::StandardOutput(_) | Failure::Interrupted(_) | Failure::NegativeAnswer => {
                self.ended = Some(failure);
            }
        }
    }

    /// Notes a problem of the command line, once.
    pub fn add(&mut self, problem: impl Display) {
        let problem = problem.to_string();
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Notes a problem that is none of the command line.
    pub fn fail(&mut self, problem: impl Display) {
        self.add(problem);
        self.has_failure = true;
    }

    /// Notes every problem of an error of the command line, each after its `place`.
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
    /// All problems; `prevented` says what they prevented. What ended the command comes first.
    pub fn into_result<T>(self, prevented: &'static str, value: Option<T>) -> Result<T> {
        if let Some(ended) = self.ended {
            return Err(ended);
        }
        value.filter(|_| self.problems.is_empty()).ok_or_else(|| {
            let failure = Failure::Problems(prevented, self.problems);
            if self.has_failure {
                failure
            } else {
                usage(failure)
            }
        })
    }
}
