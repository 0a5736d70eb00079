//! [`Failure`]: the error of a command, with its message and exit code.

use std::io;

use atlas_core::Error;

use crate::cli::terminal::{interrupt, output};

/// The result of a command and of its parts.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// The exit code of a command that did not succeed.
const FAILURE: u8 = 1;
/// The exit code of wrong usage, as clap has it.
const WRONG_USAGE: u8 = 2;

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// Something is wrong.
    Error(Error),
    /// Several things are wrong; the first text says what they prevented.
    Problems(&'static str, Vec<String>),
    /// The command line asks for what cannot be: a value that no run could take.
    Usage(Box<Failure>),
    /// Standard output cannot be written to.
    StandardOutput(io::Error),
    /// A signal asked to stop; the text says what was left.
    Interrupted(String),
    /// The answer is no, and the command has printed it.
    NegativeAnswer,
}

impl Failure {
    /// An error of a message.
    pub fn new(message: impl std::fmt::Display) -> Self {
        Self::Error(Error::new(message))
    }

    /// Says what is wrong on standard error and returns the exit code.
    pub fn report(self) -> u8 {
        match self {
            Self::Error(error) => output::error(&error),
            Self::Problems(_, problems) if problems.len() == 1 => output::error(&problems[0]),
            Self::Problems(what, problems) => {
                let list: String = problems
                    .iter()
                    .map(|problem| format!("\n  - {}", problem.replace('\n', "\n    ")))
                    .collect();
                output::error(&format_args!("{what}: {} problems{list}", problems.len()));
            }
            // Whoever read the output has read enough.
            Self::StandardOutput(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return 0;
            }
            Self::StandardOutput(error) => {
                output::error(&format_args!("cannot write to standard output: {error}"))
            }
            Self::Interrupted(what) => {
                output::say(&what);
                return interrupt::exit_code();
            }
            Self::Usage(failure) => {
                failure.report();
                return WRONG_USAGE;
            }
            Self::NegativeAnswer => {}
        }
        FAILURE
    }
}

/// An error as a fault of the command line, for `map_err`.
pub fn usage(error: impl Into<Failure>) -> Failure {
    Failure::Usage(Box::new(error.into()))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// An error of candle that did not come from the model.
impl From<candle_core::Error> for Failure {
    fn from(error: candle_core::Error) -> Self {
        Self::Error(error.into())
    }
}
