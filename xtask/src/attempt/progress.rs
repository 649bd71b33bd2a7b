//! Progress for people on stderr: a bar on a terminal, a line per tenth anywhere else.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::workspace::say;

pub(crate) struct Progress {
    label: String,
    total: u64,
    told: Option<u64>,
    /// None where stderr is not a terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of `total` bytes.
    pub(crate) fn of_bytes(label: &str, total: u64) -> Self {
        Self::new(
            &format!("{label} {}", HumanBytes(total)),
            total,
            "{msg} {wide_bar} {percent:>3}% {binary_bytes_per_sec}",
        )
    }

    /// Of the whole, as a percentage.
    pub(crate) fn of_work(label: &str) -> Self {
        Self::new(label, 100, "{msg} {wide_bar} {percent:>3}% {elapsed}")
    }

    fn new(label: &str, total: u64, template: &str) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar.set_message(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            label: label.to_owned(),
            total,
            told: None,
            bar,
        }
    }

    pub(crate) fn reach(&mut self, position: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        } else if let Some(tenth) = next_tenth(self.told, position, self.total) {
            self.told = Some(tenth);
            say(&format!("{}: {}%", self.label, tenth * 10));
        }
    }

    /// The same work is called something else from now on.
    pub(crate) fn rename(&mut self, label: &str) {
        if self.label == label {
            return;
        }
        label.clone_into(&mut self.label);
        self.told = None;
        if let Some(bar) = &self.bar {
            bar.set_message(label.to_owned());
        }
    }

    /// Says something without tearing the bar.
    pub(crate) fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The tenth to tell now, if it was not told before.
fn next_tenth(told: Option<u64>, position: u64, total: u64) -> Option<u64> {
    let tenth = position.saturating_mul(10).checked_div(total).unwrap_or(10).min(10);
    (told.is_none_or(|told| tenth > told)).then_some(tenth)
}

#[cfg(test)]
mod tests {
    use super::next_tenth;

    #[test]
    fn each_tenth_is_told_once_and_never_backwards() {
        assert_eq!(next_tenth(None, 0, 200), Some(0));
        assert_eq!(next_tenth(Some(0), 19, 200), None);
        assert_eq!(next_tenth(Some(0), 20, 200), Some(1));
        // A part that is sent again starts further back.
        assert_eq!(next_tenth(Some(5), 60, 200), None);
        assert_eq!(next_tenth(Some(1), 200, 200), Some(10));
        assert_eq!(next_tenth(None, 0, 0), Some(10));
    }
}
