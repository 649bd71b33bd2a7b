//! What was measured, each figure with the bar that it is held against.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Report {
    machine: Machine,
    /// Medians of so many.
    runs: u32,
    pub(super) figures: Vec<Figure>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Machine {
    processor: String,
    cores: usize,
    ffmpeg: String,
    /// Of cargo's.
    profile: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Figure {
    pub(super) section: String,
    /// Which clip, request or function.
    pub(super) subject: String,
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bar: Option<Bar>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    pub(super) fn new(section: &str, subject: &str, name: &str, value: f64, unit: &str) -> Self {
        Self {
            section: section.to_owned(),
            subject: subject.to_owned(),
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            bar: None,
        }
    }

    pub(super) fn at_most(self, bar: f64) -> Self {
        let bar = Some(Bar::AtMost(bar));
        Self { bar, ..self }
    }

    pub(super) fn at_least(self, bar: f64) -> Self {
        let bar = Some(Bar::AtLeast(bar));
        Self { bar, ..self }
    }

    fn keeps_its_bar(&self) -> bool {
        match self.bar {
            None => true,
            Some(Bar::AtMost(most)) => self.value <= most,
            Some(Bar::AtLeast(least)) => self.value >= least,
        }
    }
}

impl Report {
    pub(super) fn of_this_machine(profile: Option<&str>, runs: u32) -> Result<Self> {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
        let processor = model.map_or("unknown", |line| line.trim_start_matches([' ', '\t', ':']));
        let version = Command::new("ffmpeg")
            .arg("-version")
            .output()
            .context("cannot start ffmpeg")?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let machine = Machine {
            processor: processor.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            ffmpeg: version.split_whitespace().nth(2).unwrap_or("unknown").to_owned(),
            profile: profile.unwrap_or("dist").to_owned(),
        };
        Ok(Self {
            machine,
            runs,
            figures: Vec::new(),
        })
    }

    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} holds no figures", file.display()))
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    pub(super) fn missed(&self) -> usize {
        self.figures.iter().filter(|figure| !figure.keeps_its_bar()).count()
    }

    pub(super) fn value(&self, section: &str, subject: &str, name: &str) -> Option<f64> {
        let is_it = |figure: &&Figure| (&*figure.section, &*figure.subject, &*figure.name) == (section, subject, name);
        self.figures.iter().find(is_it).map(|figure| figure.value)
    }

    /// In the order in which they were measured.
    pub(super) fn subjects(&self, section: &str) -> Vec<&str> {
        let mut subjects: Vec<&str> = Vec::new();
        for figure in self.figures.iter().filter(|figure| figure.section == section) {
            if !subjects.contains(&figure.subject.as_str()) {
                subjects.push(&figure.subject);
            }
        }
        subjects
    }
}

/// Where it was measured, in a line.
impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            processor,
            cores,
            ffmpeg,
            profile,
        } = self;
        write!(f, "{cores} cores of {processor}, ffmpeg {ffmpeg}, profile {profile}")
    }
}

impl Report {
    pub(super) fn heading(&self) -> String {
        format!("Medians of {} on {}", self.runs, self.machine)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading())?;
        let mut section = "";
        for figure in &self.figures {
            if figure.section != section {
                section = &figure.section;
                writeln!(f, "\n{section}")?;
            }
            writeln!(f, "  {figure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = format!("{} {}", rounded(self.value), self.unit);
        write!(f, "{:<22} {:<42} {value:>16}", self.subject, self.name)?;
        let verdict = if self.keeps_its_bar() { "ok" } else { "OVER" };
        match self.bar {
            None => Ok(()),
            Some(Bar::AtMost(most)) => write!(f, "   at most {:<8} {verdict}", rounded(most)),
            Some(Bar::AtLeast(least)) => write!(f, "   at least {:<7} {verdict}", rounded(least)),
        }
    }
}

/// As many digits as mean something.
fn rounded(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64) -> Figure {
        Figure::new("clips", "short", "ready", value, "s")
    }

    #[test]
    fn a_figure_is_shown_with_its_bar() {
        let over = figure(1.205).at_most(1.1);
        assert!(!over.keeps_its_bar());
        let shown = over.to_string();
        assert!(shown.contains("1.21 s") || shown.contains("1.20 s"), "{shown}");
        assert!(shown.ends_with("at most 1.10     OVER"), "{shown}");
        assert!(figure(2.3).at_least(2.2).to_string().ends_with("at least 2.20    ok"));
        assert!(figure(0.0).keeps_its_bar());
    }

    #[test]
    fn figures_come_back_from_json_as_they_were() {
        let figure = figure(1.5).at_most(2.0);
        let json = serde_json::to_string(&figure).unwrap();
        assert!(json.contains(r#""bar":{"at_most":2.0}"#), "{json}");
        assert_eq!(serde_json::from_str::<Figure>(&json).unwrap(), figure);
    }
}
