//! The error type of Atlas.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::params::{ChoiceItem, Problem, Report, suggestion};

/// The result of everything in Atlas that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and where.
///
/// Displayed, it is complete: it names the file, the parameter or the tensor, what was found and
/// what was expected, and its cause. The `is_…` methods tell kinds of errors apart;
/// [`problems`](Error::problems) lists what was wrong one by one.
///
/// Code of a model returns `candle_core::Error`, which converts, or makes an error of its own
/// with [`Error::new`].
#[derive(Debug)]
pub struct Error {
    /// Where it happened, outermost first.
    places: Vec<String>,
    kind: Box<ErrorKind>,
}

#[derive(Debug)]
enum ErrorKind {
    /// An error that a model or a program made.
    Other(String),
    Candle(candle_core::Error),
    Params(Report),
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    NotABundle {
        path: PathBuf,
        why: String,
    },
    Corrupt {
        path: PathBuf,
        why: String,
    },
    WrongModel {
        path: PathBuf,
        found: String,
        expected: String,
    },
    Version {
        path: PathBuf,
        model: String,
        found: u32,
        known: u32,
    },
    Mismatch {
        path: PathBuf,
        report: Report,
    },
    Behaviour {
        path: PathBuf,
        report: Report,
    },
    Import {
        path: PathBuf,
        report: Report,
    },
    Refused {
        path: PathBuf,
        why: String,
    },
    UnknownModel {
        name: String,
        known: Vec<String>,
    },
    TooLarge {
        what: String,
        why: String,
    },
    Internal(String),
}

impl Error {
    /// An error of a model's or a program's own.
    pub fn new(message: impl fmt::Display) -> Self {
        ErrorKind::Other(message.to_string()).into()
    }

    /// The same error, saying where it happened: `row 3: …`.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.places.insert(0, place.to_string());
        self
    }

    /// Whether parameters had unknown names, wrong types or values outside their constraints.
    pub fn is_params(&self) -> bool {
        matches!(*self.kind, ErrorKind::Params(_))
    }

    /// Whether the operating system refused to read or write.
    pub fn is_io(&self) -> bool {
        matches!(*self.kind, ErrorKind::Io { .. })
    }

    /// Whether there is no bundle at the path that was to be loaded.
    pub fn is_not_found(&self) -> bool {
        match &*self.kind {
            ErrorKind::NotABundle { .. } => true,
            ErrorKind::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether a bundle's files are not what was saved: truncated, altered, inconsistent or
    /// malformed.
    pub fn is_corrupt(&self) -> bool {
        matches!(*self.kind, ErrorKind::Corrupt { .. })
    }

    /// Whether a bundle holds another model than the one asked for.
    pub fn is_wrong_model(&self) -> bool {
        matches!(*self.kind, ErrorKind::WrongModel { .. })
    }

    /// Whether a bundle was written by another version of the model than this program can read.
    pub fn is_version(&self) -> bool {
        matches!(*self.kind, ErrorKind::Version { .. })
    }

    /// Whether a bundle's tensors are not those that the model asks for: missing, extra, or of
    /// another shape or dtype.
    pub fn is_mismatch(&self) -> bool {
        matches!(*self.kind, ErrorKind::Mismatch { .. })
    }

    /// Whether a loaded model's golden outputs differ from those stored with it.
    pub fn is_behaviour(&self) -> bool {
        matches!(*self.kind, ErrorKind::Behaviour { .. })
    }

    /// Whether files of the Python system could not be read as a model.
    pub fn is_import(&self) -> bool {
        matches!(*self.kind, ErrorKind::Import { .. })
    }

    /// Whether a save was refused because it would have damaged what is there.
    pub fn is_refused(&self) -> bool {
        matches!(*self.kind, ErrorKind::Refused { .. })
    }

    /// Whether a registry has no model of the name.
    pub fn is_unknown_model(&self) -> bool {
        matches!(*self.kind, ErrorKind::UnknownModel { .. })
    }

    /// Whether something would not fit into memory.
    pub fn is_too_large(&self) -> bool {
        matches!(*self.kind, ErrorKind::TooLarge { .. })
    }

    /// What was wrong, one by one: parameters, tensors or golden outputs. Empty for other errors.
    pub fn problems(&self) -> &[Problem] {
        match &*self.kind {
            ErrorKind::Params(report)
            | ErrorKind::Mismatch { report, .. }
            | ErrorKind::Import { report, .. }
            | ErrorKind::Behaviour { report, .. } => report.problems(),
            _ => &[],
        }
    }

    pub(crate) fn params(report: Report) -> Self {
        ErrorKind::Params(report).into()
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        ErrorKind::Io {
            action,
            path: path.to_owned(),
            source,
        }
        .into()
    }

    pub(crate) fn not_a_bundle(path: &Path, why: impl Into<String>) -> Self {
        ErrorKind::NotABundle {
            path: path.to_owned(),
            why: why.into(),
        }
        .into()
    }

    pub(crate) fn corrupt(path: &Path, why: impl fmt::Display) -> Self {
        ErrorKind::Corrupt {
            path: path.to_owned(),
            why: why.to_string(),
        }
        .into()
    }

    pub(crate) fn wrong_model(path: &Path, found: &str, expected: &str) -> Self {
        ErrorKind::WrongModel {
            path: path.to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
        }
        .into()
    }

    pub(crate) fn version(path: &Path, model: &str, found: u32, known: u32) -> Self {
        ErrorKind::Version {
            path: path.to_owned(),
            model: model.to_owned(),
            found,
            known,
        }
        .into()
    }

    pub(crate) fn mismatch(path: &Path, report: impl Into<Report>) -> Self {
        ErrorKind::Mismatch {
            path: path.to_owned(),
            report: report.into(),
        }
        .into()
    }

    pub(crate) fn behaviour(path: &Path, report: impl Into<Report>) -> Self {
        ErrorKind::Behaviour {
            path: path.to_owned(),
            report: report.into(),
        }
        .into()
    }

    pub(crate) fn import(path: &Path, report: impl Into<Report>) -> Self {
        ErrorKind::Import {
            path: path.to_owned(),
            report: report.into(),
        }
        .into()
    }

    pub(crate) fn refused(path: &Path, why: impl Into<String>) -> Self {
        ErrorKind::Refused {
            path: path.to_owned(),
            why: why.into(),
        }
        .into()
    }

    pub(crate) fn unknown_model<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known = known.into_iter().map(str::to_owned).collect();
        ErrorKind::UnknownModel {
            name: name.to_owned(),
            known,
        }
        .into()
    }

    pub(crate) fn unknown_choice(name: &str, items: &[ChoiceItem]) -> Self {
        let names: Vec<&str> = items.iter().map(|item| item.name).collect();
        let problem = Problem::new("", format!("expected one of {}", names.join(", ")))
            .with_found(format!("`{name}`"))
            .with_suggestion(suggestion(name, names));
        Self::params(Report::from_iter([problem]))
    }

    pub(crate) fn too_large(what: impl Into<String>, why: impl Into<String>) -> Self {
        ErrorKind::TooLarge {
            what: what.into(),
            why: why.into(),
        }
        .into()
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        ErrorKind::Internal(message.into()).into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self {
            places: Vec::new(),
            kind: Box::new(kind),
        }
    }
}

/// An [`Error`] that went through candle comes back as it was.
impl From<candle_core::Error> for Error {
    fn from(source: candle_core::Error) -> Self {
        match unwrapped(source) {
            Ok(error) => error,
            Err(source) => ErrorKind::Candle(source).into(),
        }
    }
}

/// Travels as an I/O error: of candle's variants that one gives the error back.
impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match *error.kind {
            ErrorKind::Candle(source) if error.places.is_empty() => source,
            _ => Self::Io(io::Error::other(error)),
        }
    }
}

/// The error of Atlas inside candle's, if there is one.
fn unwrapped(source: candle_core::Error) -> Result<Error, candle_core::Error> {
    match source {
        candle_core::Error::WithBacktrace { inner, backtrace } => {
            unwrapped(*inner).map_err(|inner| candle_core::Error::WithBacktrace {
                inner: Box::new(inner),
                backtrace,
            })
        }
        candle_core::Error::Io(source) => {
            source.downcast::<Error>().map_err(candle_core::Error::Io)
        }
        other => Err(other),
    }
}

/// The error without the backtrace that candle displays with it.
fn message(error: &candle_core::Error) -> &candle_core::Error {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => message(inner),
        other => other,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in &self.places {
            write!(f, "{place}: ")?;
        }
        match &*self.kind {
            ErrorKind::Other(message) => f.write_str(message),
            ErrorKind::Candle(source) => write!(f, "{}", message(source)),
            ErrorKind::Params(report) => write!(f, "parameters: {report}"),
            ErrorKind::Io {
                action,
                path,
                source,
            } => write!(f, "cannot {action} {}: {source}", path.display()),
            ErrorKind::NotABundle { path, why } => {
                write!(f, "{} is not a bundle: {why}", path.display())
            }
            ErrorKind::Corrupt { path, why } => {
                write!(f, "{} is not as it was saved: {why}", path.display())
            }
            ErrorKind::WrongModel {
                path,
                found,
                expected,
            } => {
                write!(
                    f,
                    "{} holds a `{found}`, and a `{expected}` was to be loaded",
                    path.display()
                )
            }
            ErrorKind::Version {
                path,
                model,
                found,
                known,
            } if found > known => write!(
                f,
                "{}: this bundle was written by version {found} of `{model}`; this program knows up to {known}",
                path.display()
            ),
            ErrorKind::Version {
                path,
                model,
                found,
                known,
            } => write!(
                f,
                "{}: this bundle was written by version {found} of `{model}`; \
                 this program has no migration from it to version {known}",
                path.display()
            ),
            ErrorKind::Mismatch { path, report } => {
                write!(
                    f,
                    "{} does not hold the tensors that the model asks for: {report}",
                    path.display()
                )
            }
            ErrorKind::Behaviour { path, report } => {
                write!(
                    f,
                    "{}: the loaded model does not behave as the saved one did: {report}",
                    path.display()
                )
            }
            ErrorKind::Import { path, report } => {
                write!(f, "cannot import {}: {report}", path.display())
            }
            ErrorKind::Refused { path, why } => {
                write!(f, "refused to save to {}: {why}", path.display())
            }
            ErrorKind::UnknownModel { name, known } => {
                write!(f, "there is no model `{name}`")?;
                match suggestion(name, known.iter().map(String::as_str)) {
                    Some(near) => write!(f, "; did you mean `{near}`?"),
                    None => write!(f, "; there is {}", known.join(", ")),
                }
            }
            ErrorKind::TooLarge { what, why } => write!(f, "{what} is too large: {why}"),
            ErrorKind::Internal(message) => write!(f, "a defect of Atlas itself: {message}"),
        }
    }
}

/// The cause is part of what is displayed; what caused the cause is the source.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.kind {
            ErrorKind::Candle(source) => source.source(),
            ErrorKind::Io { source, .. } => source.source(),
            _ => None,
        }
    }
}
