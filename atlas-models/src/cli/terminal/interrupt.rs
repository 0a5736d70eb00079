//! Ctrl-C: the first one asks the command to stop, the second one ends the process.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::failure::{Failure, Result};
use crate::cli::terminal::output;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From here on the first Ctrl-C shows `message` and is for [`is_requested`] to find.
pub fn watch(message: &'static str) -> Result {
    let handler = move || {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            process::exit(130);
        }
        output::say(&format_args!("\n{message}; Ctrl-C again stops at once"));
    };
    ctrlc::set_handler(handler)
        .map_err(|error| Failure::new(format_args!("cannot watch for Ctrl-C: {error}")))
}

/// Whether there was a Ctrl-C.
pub fn is_requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
