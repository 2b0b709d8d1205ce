//! `--progress=tty`: the same lines, and below them one that moves.

use std::thread;
use std::time::Duration;

use crate::terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// Runs that end sooner show no status: it would only flicker.
const DELAY: Duration = Duration::from_millis(250);
const INTERVAL: Duration = Duration::from_millis(100);

/// What goes on, at the bottom of the terminal; cleared in the end.
pub(super) struct Status(ProgressBar);

impl Status {
    /// Appears after a while, unless it was cleared by then.
    pub(super) fn start() -> Self {
        let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
            .with_finish(ProgressFinish::AndClear)
            .with_message("building");
        let later = bar.downgrade();
        thread::spawn(move || {
            thread::sleep(DELAY);
            if let Some(bar) = later.upgrade().filter(|bar| !bar.is_finished()) {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(INTERVAL);
            }
        });
        Self(bar)
    }

    /// Prints a line above it.
    pub(super) fn print(&self, line: &str) {
        self.0.suspend(|| terminal::say(line));
    }

    /// Says what goes on.
    pub(super) fn say(&self, message: String) {
        self.0.set_message(message);
    }

    /// Clears it, for good.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
