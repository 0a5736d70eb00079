//! Results go to standard output, messages to standard error.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use serde_json::Value;

use crate::cli::failure::{Failure, Result};
use crate::cli::terminal::progress;
use crate::cli::terminal::text::escaped;

const BOLD: &str = "\x1b[1m";
const BOLD_RED: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

/// Prints lines of a result, in which names of others may be: see [`shown`].
pub fn print(text: &str) -> Result {
    write(&shown(text))
}

/// Prints a result as JSON over several lines.
pub fn print_json(value: &Value) -> Result {
    write(&format!("{value:#}\n"))
}

/// Prints a result as JSON on one line.
pub fn print_json_line(value: &Value) -> Result {
    write(&format!("{value}\n"))
}

fn write(text: &str) -> Result {
    let mut output = io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(Failure::StandardOutput)
}

/// What this process is called, if only its errors are shown.
static SILENT: OnceLock<String> = OnceLock::new();

/// From here on errors alone are said, as those of `process`.
#[cfg(feature = "mpi")]
pub fn be_silent(process: String) {
    SILENT.get_or_init(|| process);
}

/// Says something on standard error, which may be closed.
pub fn say(text: &dyn Display) {
    if SILENT.get().is_none() {
        write_message(text);
    }
}

fn write_message(text: &dyn Display) {
    let text = shown(&text.to_string());
    progress::suspended(|| {
        let _ = writeln!(io::stderr(), "{text}");
    });
}

/// Says on standard error what is wrong.
pub fn error(what: &dyn Display) {
    let process = SILENT
        .get()
        .map_or(String::new(), |process| format!("{process}: "));
    if is_coloured(&io::stderr()) {
        write_message(&format_args!("{BOLD_RED}error:{PLAIN} {process}{what}"));
    } else {
        write_message(&format_args!("error: {process}{what}"));
    }
}

/// A text in which a terminal obeys the ends of lines and this program's own styles alone.
fn shown(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escaped).collect();
    let mut text = lines.join("\n");
    for style in [BOLD, BOLD_RED, PLAIN] {
        text = text.replace(&*escaped(style), style);
    }
    text
}

/// A heading of printed results, bold on a terminal.
pub fn heading(text: &str) -> String {
    if is_coloured(&io::stdout()) {
        format!("{BOLD}{text}{PLAIN}")
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
