//! Results go to standard output, messages to standard error.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::cli::failure::{Failure, Result};

/// Prints a result.
pub fn print(text: &str) -> Result {
    let mut output = io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(Failure::StandardOutput)
}

/// Prints a result as JSON over several lines.
pub fn print_json(value: &Value) -> Result {
    print(&format!("{value:#}\n"))
}

/// Says something on standard error, which may be closed.
pub fn say(text: &dyn Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says on standard error what is wrong.
pub fn error(what: &dyn Display) {
    let label = if is_coloured(&io::stderr()) {
        "\x1b[1;31merror:\x1b[0m"
    } else {
        "error:"
    };
    say(&format_args!("{label} {what}"));
}

/// A heading of printed results, bold on a terminal.
pub fn heading(text: &str) -> String {
    if is_coloured(&io::stdout()) {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// The columns of the terminal, if results go to one.
pub fn terminal_width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(width.0))
}

/// Whether colours are shown there, and wanted (see no-color.org).
fn is_coloured(to: &impl IsTerminal) -> bool {
    to.is_terminal()
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
