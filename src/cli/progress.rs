//! What shows on a terminal that long work goes on.
//!
//! Owns the one look of all bars. Elsewhere than on a terminal nothing is drawn, nor before one
//! would begin to wonder.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::Session;

/// How long work may take before something is drawn.
const PATIENCE: Duration = Duration::from_millis(300);

/// How often it is drawn anew in a second, and how often what only waits tells the time.
const RATE: u8 = 10;
const TICK: Duration = Duration::from_millis(250);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Bytes that are read, of so many; or of nobody knows how many.
    Bytes(Option<u64>),
    /// Domains that are looked at.
    Domains(usize),
}

/// How far work has come; any thread may say so.
pub struct Progress {
    bar: ProgressBar,
    is_shown: AtomicBool,
}

impl Session {
    /// Begins to count.
    pub fn progress(&self, measure: Measure) -> Progress {
        let (length, template) = match measure {
            Measure::Bytes(Some(length)) => (
                Some(length),
                "reading {bar:40} {bytes} of {total_bytes}, {eta} left",
            ),
            Measure::Bytes(None) => (None, "{spinner} reading, {bytes} so far"),
            Measure::Domains(count) => (
                Some(u64::try_from(count).unwrap_or(u64::MAX)),
                "{wide_bar} {pos} of {len} domains, {eta} left",
            ),
        };
        Progress {
            bar: drawn_by(template, length),
            is_shown: AtomicBool::new(!self.is_terminal),
        }
    }

    /// Begins a line that tells what is waited for; `None` where there is no terminal.
    pub fn waiting(&self) -> Option<Waiting> {
        self.is_terminal.then(|| {
            let line = drawn_by("{spinner} {wide_msg}", None);
            line.set_draw_target(ProgressDrawTarget::stderr_with_hz(RATE));
            line.enable_steady_tick(TICK);
            Waiting(line)
        })
    }
}

fn drawn_by(template: &str, length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
    // The templates are ours, and right.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

impl Progress {
    /// So much more is done.
    pub fn more(&self, done: u64) {
        self.bar.inc(done);
        if !self.is_shown.load(Ordering::Relaxed)
            && self.bar.elapsed() > PATIENCE
            && !self.is_shown.swap(true, Ordering::Relaxed)
        {
            let target = ProgressDrawTarget::stderr_with_hz(RATE);
            self.bar.set_draw_target(target);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line that tells what is waited for.
pub struct Waiting(ProgressBar);

impl Waiting {
    /// Says what it is.
    pub fn say(&self, text: String) {
        self.0.set_message(text);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
