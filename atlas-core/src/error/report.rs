//! The list of everything that is wrong with some values: a path and a message each.

use std::fmt;

use serde_json::Value;

/// One thing wrong with a set of values: where, what was found, what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    path: String,
    found: Option<String>,
    expected: String,
    suggestion: Option<String>,
}

/// A list of [`Problem`]s. Displayed one a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    problems: Vec<Problem>,
}

impl Problem {
    pub(crate) fn new(path: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            found: None,
            expected: expected.into(),
            suggestion: None,
        }
    }

    pub(crate) fn with_value(self, value: &Value) -> Self {
        self.with_found(shorten(value))
    }

    pub(crate) fn with_found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub(crate) fn with_suggestion(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }

    /// Where: a parameter's path such as `encoder.layers[2].width`, or a tensor's name. Empty for
    /// the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What was found there, shortened if it is long.
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }

    /// What was expected instead, or what is wrong.
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// The name that was probably meant.
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), &self.found) {
            ("", None) => {}
            ("", Some(found)) => write!(f, "{found}: ")?,
            (path, None) => write!(f, "`{path}`: ")?,
            (path, Some(found)) => write!(f, "`{path}` = {found}: ")?,
        }
        f.write_str(&self.expected)?;
        match &self.suggestion {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

impl Report {
    /// The problems in the order they were met.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn into_result<E>(self, error: impl FnOnce(Self) -> E) -> Result<(), E> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(error(self))
        }
    }
}

impl FromIterator<Problem> for Report {
    fn from_iter<I: IntoIterator<Item = Problem>>(problems: I) -> Self {
        Self {
            problems: problems.into_iter().collect(),
        }
    }
}

/// One problem of the whole.
impl From<&str> for Report {
    fn from(expected: &str) -> Self {
        Self::from_iter([Problem::new("", expected)])
    }
}

/// Problems beyond this many are counted, not printed.
const PRINTED: usize = 50;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [] => f.write_str("no problems"),
            [problem] => problem.fmt(f),
            problems => {
                write!(f, "{} problems", problems.len())?;
                for problem in problems.iter().take(PRINTED) {
                    write!(f, "\n  - {problem}")?;
                }
                match problems.len().saturating_sub(PRINTED) {
                    0 => Ok(()),
                    more => write!(f, "\n  - and {more} more"),
                }
            }
        }
    }
}

/// The known name nearest to `unknown`, if it is near enough to be a slip of the keyboard.
pub(crate) fn suggestion<'a>(
    unknown: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let normal = |name: &str| name.to_lowercase().replace('-', "_");
    let unknown = normal(unknown);
    let allowed = (unknown.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&unknown, &normal(name)), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name.to_owned())
}

/// A value on one line, cut where it would fill the screen.
fn shorten(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
