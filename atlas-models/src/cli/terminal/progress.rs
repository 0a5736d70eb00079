//! A line of progress on a terminal, nothing elsewhere.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{
    ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle, WeakProgressBar,
};

use crate::cli::terminal::text::grouped;

/// The position of a [`share`] bar when all is done.
const WHOLE: u64 = 10_000;

/// A bar that counts things; `total` is `None` if their number is not known.
pub fn counter(total: Option<usize>, things: &str) -> ProgressBar {
    let template = match total {
        Some(_) => {
            format!("{{bar:30}} {{human_pos}} of {{human_len}} {things}  {{rate}}/s  {{eta}} left")
        }
        None => format!("{{spinner}} {{human_pos}} {things}  {{rate}}/s"),
    };
    bar(total.map(|total| total as u64), &template)
}

/// A bar that shows a share and a message, by [`show_share`].
pub fn share() -> ProgressBar {
    bar(Some(WHOLE), "{bar:12} {percent:>3} %  {wide_msg}")
}

/// Shows that a share of the work is done.
pub fn show_share(bar: &ProgressBar, share: f64, message: String) {
    bar.set_position((share * WHOLE as f64) as u64);
    bar.set_message(message);
}

/// A bar for what is read from a file. `is_known` says whether it is known how much is left.
pub fn reading(is_known: bool, things: &str) -> ProgressBar {
    if is_known {
        let template = format!("{{bar:30}} {{human_pos}} {things}  {{rate}}/s  {{eta}} left");
        bar(Some(0), &template)
    } else {
        counter(None, things)
    }
}

/// Shows how many things have been read, and which share of the file they are, where that is known.
pub fn show_read(bar: &ProgressBar, done: usize, share: Option<f64>) {
    if let Some(share) = share.filter(|share| *share > 0.0) {
        bar.set_length((done as f64 / share).round() as u64);
    }
    bar.set_position(done as u64);
}

/// The bars that are shown.
static SHOWN: Mutex<Vec<WeakProgressBar>> = Mutex::new(Vec::new());

fn shown() -> Vec<ProgressBar> {
    let bars = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    bars.iter().filter_map(WeakProgressBar::upgrade).collect()
}

/// Does something to standard error while no bar is there.
pub fn suspended(write: impl FnOnce()) {
    match shown().last() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Takes every bar away, where the process ends at once.
pub fn clear() {
    shown().iter().for_each(ProgressBar::finish_and_clear);
}

/// A bar on standard error, which hides itself where that is no terminal and goes when it is
/// dropped.
fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    // The templates are this file's own; were one wrong, the usual bar would do.
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, to: &mut dyn Write| {
            // There is nowhere to say that it cannot be shown.
            let _ = to.write_str(&grouped(state.per_sec().round() as usize));
        });
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr())
        .with_style(style)
        .with_finish(ProgressFinish::AndClear);
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut bars = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    bars.retain(|bar| bar.upgrade().is_some());
    bars.push(bar.downgrade());
    bar
}
