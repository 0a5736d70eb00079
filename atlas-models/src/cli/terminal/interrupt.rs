//! Ctrl-C: the first one asks, the second one ends.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::failure::{Failure, Outcome};
use crate::cli::terminal::output;

static ASKED: AtomicBool = AtomicBool::new(false);

/// From here on the first Ctrl-C is for [`is_asked`] to find; `message` is then shown.
pub fn watch(message: &'static str) -> Outcome {
    let handler = move || {
        if ASKED.swap(true, Ordering::SeqCst) {
            process::exit(130);
        }
        output::say(&format_args!("\n{message}; Ctrl-C again stops at once"));
    };
    ctrlc::set_handler(handler)
        .map_err(|error| Failure::new(format_args!("cannot watch for Ctrl-C: {error}")))
}

/// Whether there was a Ctrl-C.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
