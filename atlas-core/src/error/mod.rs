//! The error type of Atlas.
//!
//! One opaque type. Inside, each area of the crate has an enum of what can go wrong there:
//! `bundle.rs` for bundles, `model.rs` for models. Constructors stand beside their enum.

mod bundle;
mod model;
mod report;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bundle::BundleError;
use model::ModelError;

pub use report::Problem;
pub(crate) use report::{Report, suggestion};

/// The result of everything in Atlas that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and where.
///
/// Displayed, it is complete: it names the file, the parameter or the tensor, what was found and
/// what was expected, and its cause. `Debug` shows the same text, because that is what a `main`
/// prints that returns it. The `is_…` methods tell kinds of errors apart;
/// [`problems`](Error::problems) lists what was wrong one by one; `source` is the error of candle,
/// of the system or of your own that caused it.
///
/// The code of a model returns `candle_core::Error`, which converts by `?`, or makes an error of
/// its own:
///
/// ```
/// use atlas_core::Error;
///
/// let error = Error::new("no such atom").within("row 3");
/// assert_eq!(error.to_string(), "row 3: no such atom");
///
/// // An error of another library is kept as the source.
/// let error = Error::other("12a".parse::<u32>().unwrap_err()).within("column 2");
/// assert_eq!(error.to_string(), "column 2: invalid digit found in string");
/// assert!(std::error::Error::source(&error).is_some());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    /// Where it happened, outermost first.
    places: Vec<String>,
    kind: Kind,
}

enum Kind {
    /// A text of a model's or a program's own.
    Message(String),
    /// An error of a model's or a program's own.
    Other(Box<dyn StdError + Send + Sync>),
    Candle(candle_core::Error),
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    Params(Report),
    Bundle(BundleError),
    Model(ModelError),
    /// Files of another program could not be read.
    Import {
        path: PathBuf,
        report: Report,
    },
    TooLarge {
        what: String,
        why: String,
    },
    Internal(String),
}

impl Error {
    /// An error of a model's or a program's own, of a text.
    pub fn new(message: impl fmt::Display) -> Self {
        Kind::Message(message.to_string()).into()
    }

    /// Any other error, which is kept as the source and displayed as it displays itself.
    pub fn other(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        match source.into().downcast::<Self>() {
            Ok(error) => *error,
            Err(source) => Kind::Other(source).into(),
        }
    }

    /// The operating system refused to `action` (`read`, `create the folder`) what is at `path`.
    ///
    /// ```
    /// use atlas_core::Error;
    ///
    /// let source = std::fs::read("no/such/file").unwrap_err();
    /// let error = Error::io("read", "no/such/file", source);
    /// assert!(error.is_io() && error.is_not_found());
    /// assert!(error.to_string().starts_with("cannot read no/such/file: "));
    /// ```
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_owned();
        Kind::Io {
            action,
            path,
            source,
        }
        .into()
    }

    /// The same error, saying where it happened: `row 3: …`.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.0.places.insert(0, place.to_string());
        self
    }

    /// Whether parameters had unknown names, wrong types or values outside their constraints.
    pub fn is_params(&self) -> bool {
        matches!(self.0.kind, Kind::Params(_))
    }

    /// Whether the operating system refused to read or write: itself, or as the cause of an error
    /// that a program made.
    pub fn is_io(&self) -> bool {
        match &self.0.kind {
            Kind::Io { .. } => true,
            Kind::Candle(error) => matches!(without_backtrace(error), candle_core::Error::Io(_)),
            Kind::Other(error) => {
                let mut cause = Some(&**error as &(dyn StdError + 'static));
                while let Some(error) = cause {
                    if error.is::<io::Error>() {
                        return true;
                    }
                    cause = error.source();
                }
                false
            }
            _ => false,
        }
    }

    /// Whether there is nothing, or no bundle, at the path that was to be read.
    pub fn is_not_found(&self) -> bool {
        match &self.0.kind {
            Kind::Bundle(error) => matches!(error, BundleError::NotABundle { .. }),
            Kind::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether a bundle's files are not what was saved: truncated, altered, inconsistent or
    /// malformed.
    pub fn is_corrupt(&self) -> bool {
        matches!(&self.0.kind, Kind::Bundle(BundleError::Corrupt { .. }))
    }

    /// Whether a bundle is newer than this program: its format, or its model's version. Also
    /// whether the model's version is older and there is no migration from it.
    pub fn is_version(&self) -> bool {
        matches!(
            &self.0.kind,
            Kind::Bundle(BundleError::NewerFormat { .. }) | Kind::Model(ModelError::Version { .. })
        )
    }

    /// Whether a save was refused because it would have damaged what is there.
    pub fn is_refused(&self) -> bool {
        matches!(&self.0.kind, Kind::Bundle(BundleError::Refused { .. }))
    }

    /// Whether a bundle holds another model than the one asked for.
    pub fn is_wrong_model(&self) -> bool {
        matches!(&self.0.kind, Kind::Model(ModelError::WrongModel { .. }))
    }

    /// Whether a bundle's tensors are not those that the model asks for: missing, extra, or of
    /// another shape or dtype.
    pub fn is_mismatch(&self) -> bool {
        matches!(&self.0.kind, Kind::Model(ModelError::Mismatch(_)))
    }

    /// Whether a loaded model's golden outputs differ from those stored with it.
    pub fn is_behaviour(&self) -> bool {
        matches!(&self.0.kind, Kind::Model(ModelError::Behaviour(_)))
    }

    /// Whether a registry has no model of the name.
    pub fn is_unknown_model(&self) -> bool {
        matches!(&self.0.kind, Kind::Model(ModelError::Unknown { .. }))
    }

    /// Whether files of another program could not be read, or their tensors not be mapped.
    pub fn is_import(&self) -> bool {
        matches!(self.0.kind, Kind::Import { .. })
    }

    /// Whether something would not fit into memory.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0.kind, Kind::TooLarge { .. })
    }

    /// What was wrong, one by one: parameters, tensors or golden outputs. Empty for other errors.
    pub fn problems(&self) -> &[Problem] {
        match &self.0.kind {
            Kind::Params(report) => report.problems(),
            Kind::Model(ModelError::Mismatch(report) | ModelError::Behaviour(report)) => {
                report.problems()
            }
            Kind::Import { report, .. } => report.problems(),
            _ => &[],
        }
    }

    pub(crate) fn params(report: Report) -> Self {
        Kind::Params(report).into()
    }

    pub(crate) fn import(path: &Path, report: impl Into<Report>) -> Self {
        let (path, report) = (path.to_owned(), report.into());
        Kind::Import { path, report }.into()
    }

    pub(crate) fn too_large(what: impl Into<String>, why: impl Into<String>) -> Self {
        let (what, why) = (what.into(), why.into());
        Kind::TooLarge { what, why }.into()
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Kind::Internal(message.into()).into()
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self(Box::new(Inner {
            places: Vec::new(),
            kind,
        }))
    }
}

/// An [`Error`] that went through candle comes back as it was.
impl From<candle_core::Error> for Error {
    fn from(source: candle_core::Error) -> Self {
        match unwrapped(source) {
            Ok(error) => error,
            Err(source) => Kind::Candle(source).into(),
        }
    }
}

/// Travels as an I/O error: of candle's variants that one gives the error back.
impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match *error.0 {
            Inner {
                kind: Kind::Candle(source),
                places,
            } if places.is_empty() => source,
            inner => Self::Io(io::Error::other(Error(Box::new(inner)))),
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
fn without_backtrace(error: &candle_core::Error) -> &candle_core::Error {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => without_backtrace(inner),
        other => other,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in &self.0.places {
            write!(f, "{place}: ")?;
        }
        match &self.0.kind {
            Kind::Message(message) => f.write_str(message),
            Kind::Other(error) => error.fmt(f),
            Kind::Candle(source) => without_backtrace(source).fmt(f),
            Kind::Io {
                action,
                path,
                source,
            } => write!(f, "cannot {action} {}: {source}", path.display()),
            Kind::Params(report) => write!(f, "parameters: {report}"),
            Kind::Bundle(error) => error.fmt(f),
            Kind::Model(error) => error.fmt(f),
            Kind::Import { path, report } => {
                write!(f, "cannot import {}: {report}", path.display())
            }
            Kind::TooLarge { what, why } => write!(f, "{what} is too large: {why}"),
            Kind::Internal(message) => write!(f, "a defect of Atlas itself: {message}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.kind {
            Kind::Other(source) => Some(&**source),
            Kind::Candle(source) => Some(source),
            Kind::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
