//! Progress on a terminal, nothing elsewhere.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cli::terminal::output;
use crate::cli::terminal::text::grouped;

/// A line on standard error that says how far work is, if somebody may be watching.
pub struct Progress {
    bar: ProgressBar,
}

/// What fills the bar of work whose progress is a share.
const WHOLE: u64 = 10_000;

impl Progress {
    /// Counts things; `total` is `None` if their number is not known.
    pub fn counting(total: Option<usize>, things: &str) -> Self {
        let template = match total {
            Some(_) => format!(
                "{{bar:30}} {{human_pos}} of {{human_len}} {things}  {{rate}}/s  {{eta}} left"
            ),
            None => format!("{{spinner}} {{human_pos}} {things}  {{rate}}/s"),
        };
        Self::new(total.map(|total| total as u64), &template)
    }

    /// Shows a share and a message.
    pub fn share() -> Self {
        Self::new(Some(WHOLE), "{bar:12} {percent:>3} %  {wide_msg}")
    }

    fn new(length: Option<u64>, template: &str) -> Self {
        let bar = match io::stderr().is_terminal() {
            true => ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr()),
            false => ProgressBar::hidden(),
        };
        // The templates are this file's own; were one wrong, the usual bar would do.
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, to: &mut dyn fmt::Write| {
                // There is nowhere to say that it cannot be shown.
                let _ = to.write_str(&grouped(state.per_sec().round() as usize));
            });
        bar.set_style(style);
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar }
    }

    /// This many things are done.
    pub fn done(&self, count: usize) {
        self.bar.set_position(count as u64);
    }

    /// A share of the work is done.
    pub fn done_share(&self, share: f64, message: String) {
        self.bar.set_position((share * WHOLE as f64) as u64);
        self.bar.set_message(message);
    }

    /// Says something above the line.
    pub fn say(&self, text: &dyn Display) {
        self.bar.suspend(|| output::say(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
