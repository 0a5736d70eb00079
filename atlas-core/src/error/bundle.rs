//! What can be wrong with a bundle.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Error, Kind};

pub(super) enum BundleError {
    NotABundle {
        path: PathBuf,
        why: String,
    },
    Corrupt {
        path: PathBuf,
        why: String,
    },
    NewerFormat {
        path: PathBuf,
        found: u64,
        known: u64,
    },
    Refused {
        path: PathBuf,
        why: String,
    },
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABundle { path, why } => {
                write!(f, "{} is not a bundle: {why}", path.display())
            }
            Self::Corrupt { path, why } => {
                write!(f, "{} is not as it was saved: {why}", path.display())
            }
            Self::NewerFormat { path, found, known } => write!(
                f,
                "{}: it is of format {found}; this program reads up to {known}",
                path.display()
            ),
            Self::Refused { path, why } => {
                write!(f, "refused to save to {}: {why}", path.display())
            }
        }
    }
}

impl From<BundleError> for Error {
    fn from(error: BundleError) -> Self {
        Kind::Bundle(error).into()
    }
}

impl Error {
    pub(crate) fn not_a_bundle(path: &Path, why: impl Into<String>) -> Self {
        let (path, why) = (path.to_owned(), why.into());
        BundleError::NotABundle { path, why }.into()
    }

    pub(crate) fn corrupt(path: &Path, why: impl fmt::Display) -> Self {
        let (path, why) = (path.to_owned(), why.to_string());
        BundleError::Corrupt { path, why }.into()
    }

    pub(crate) fn newer_format(path: &Path, found: u64, known: u64) -> Self {
        let path = path.to_owned();
        BundleError::NewerFormat { path, found, known }.into()
    }

    pub(crate) fn refused(path: &Path, why: impl Into<String>) -> Self {
        let (path, why) = (path.to_owned(), why.into());
        BundleError::Refused { path, why }.into()
    }
}
