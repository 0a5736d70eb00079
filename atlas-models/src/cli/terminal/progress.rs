//! A line of progress on a terminal, nothing elsewhere.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle};

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
    bar
}
