//! A chart of the figures that GitHub draws by itself.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::report::Report;

pub(super) fn write(report: &Report, file: &Path) -> Result<()> {
    fs::write(file, markdown(report)).with_context(|| format!("cannot write {}", file.display()))
}

fn markdown(report: &Report) -> String {
    let clips = Bars {
        title: "Seconds from a complete upload: playable, ready, and the classic chain",
        unit: "seconds",
        section: "clips",
        names: &["classic chain", "complete to ready", "complete to playable"],
    };
    let api = Bars {
        title: "Requests a second at 50 connections, and of what they are measured against",
        unit: "requests a second",
        section: "api",
        names: &["what it is measured against", "at 50 connections"],
    };
    let charts: Vec<String> = [clips, api].iter().filter_map(|bars| bars.of(report)).collect();
    format!("{}.\n\n{}", report.heading(), charts.join("\n"))
}

struct Bars<'a> {
    title: &'a str,
    unit: &'a str,
    section: &'a str,
    /// Each is drawn over the one before, so the largest comes first.
    names: &'a [&'a str],
}

impl Bars<'_> {
    /// None where nothing of it was measured.
    fn of(&self, report: &Report) -> Option<String> {
        let subjects = report.subjects(self.section);
        let values = |name: &&str| -> Option<Vec<f64>> {
            subjects
                .iter()
                .map(|subject| report.value(self.section, subject, name))
                .collect()
        };
        let rows: Vec<Vec<f64>> = self.names.iter().filter_map(values).collect();
        if subjects.is_empty() || rows.len() < self.names.len() {
            return None;
        }
        let labels: Vec<String> = subjects.iter().map(|subject| format!("\"{subject}\"")).collect();
        let mut text = format!(
            "```mermaid\nxychart-beta\n    title \"{}\"\n    x-axis [{}]\n    y-axis \"{}\"\n",
            self.title,
            labels.join(", "),
            self.unit
        );
        for row in rows {
            let row: Vec<String> = row.iter().map(|value| format!("{value:.2}")).collect();
            let _ = writeln!(text, "    bar [{}]", row.join(", "));
        }
        text.push_str("```\n");
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Figure;
    use super::*;

    #[test]
    fn the_largest_is_drawn_first() {
        let mut report = Report::of_this_machine(None, 3).unwrap();
        assert_eq!(markdown(&report).matches("mermaid").count(), 0);
        for (name, value) in [
            ("complete to playable", 0.5),
            ("complete to ready", 20.0),
            ("classic chain", 60.0),
        ] {
            report
                .figures
                .push(Figure::new("clips", "compliant 1080p", name, value, "s"));
        }
        let text = markdown(&report);
        assert!(text.contains("    x-axis [\"compliant 1080p\"]\n"), "{text}");
        assert!(
            text.contains("    bar [60.00]\n    bar [20.00]\n    bar [0.50]\n```\n"),
            "{text}"
        );
    }
}
