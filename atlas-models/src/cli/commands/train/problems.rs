//! Everything that is wrong, said at once.

use atlas_core::Error;

use crate::cli::failure::{Failure, Outcome};

/// What is wrong, collected so that all of it is said at once.
#[derive(Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// The value, or nothing and its problems noted.
    pub fn take<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        match result {
            Ok(value) => return Some(value),
            Err(Failure::Error(error)) => self.note(None, &error),
            Err(Failure::Problems(_, problems)) => self.0.extend(problems),
            Err(_) => {}
        }
        None
    }

    /// Notes a problem.
    pub fn add(&mut self, problem: String) {
        self.0.push(problem);
    }

    /// Notes every problem of an error, a line for each.
    pub fn note(&mut self, place: Option<&str>, error: &Error) {
        let place = place.map_or(String::new(), |place| format!("{place}: "));
        match error.problems() {
            [] => self.0.push(format!("{place}{error}")),
            problems => self
                .0
                .extend(problems.iter().map(|problem| format!("{place}{problem}"))),
        }
    }

    /// # Errors
    /// If there is a problem.
    pub fn into_outcome(self) -> Outcome {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Failure::Problems("nothing was trained", self.0))
        }
    }
}
