//! What can keep a snapshot from becoming a model.

use std::fmt;

use super::{Error, Kind, Report, suggestion};

pub(super) enum ModelError {
    WrongModel {
        found: String,
        expected: &'static str,
    },
    Version {
        model: &'static str,
        found: u32,
        known: u32,
    },
    Mismatch(Report),
    Behaviour(Report),
    Unknown {
        name: String,
        known: Vec<String>,
    },
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongModel { found, expected } => {
                write!(
                    f,
                    "it holds a `{found}`, and a `{expected}` was to be loaded"
                )
            }
            Self::Version {
                model,
                found,
                known,
            } => {
                write!(f, "it was saved by version {found} of `{model}`; ")?;
                if found > known {
                    write!(f, "this program knows up to {known}")
                } else {
                    write!(
                        f,
                        "this program has no migration from it to version {known}"
                    )
                }
            }
            Self::Mismatch(report) => write!(
                f,
                "it does not hold the tensors that the model asks for: {report}"
            ),
            Self::Behaviour(report) => write!(
                f,
                "the loaded model does not behave as the saved one did: {report}"
            ),
            Self::Unknown { name, known } => {
                write!(f, "there is no model `{name}`")?;
                match suggestion(name, known.iter().map(String::as_str)) {
                    Some(near) => write!(f, "; did you mean `{near}`?"),
                    None if known.is_empty() => write!(f, "; none is registered"),
                    None => write!(f, "; there is {}", known.join(", ")),
                }
            }
        }
    }
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        Kind::Model(error).into()
    }
}

impl Error {
    pub(crate) fn wrong_model(found: &str, expected: &'static str) -> Self {
        let found = found.to_owned();
        ModelError::WrongModel { found, expected }.into()
    }

    pub(crate) fn version(model: &'static str, found: u32, known: u32) -> Self {
        ModelError::Version {
            model,
            found,
            known,
        }
        .into()
    }

    pub(crate) fn mismatch(report: impl Into<Report>) -> Self {
        ModelError::Mismatch(report.into()).into()
    }

    pub(crate) fn behaviour(report: impl Into<Report>) -> Self {
        ModelError::Behaviour(report.into()).into()
    }

    pub(crate) fn unknown_model<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known = known.into_iter().map(str::to_owned).collect();
        let name = name.to_owned();
        ModelError::Unknown { name, known }.into()
    }
}
