//! What ran where, and what is known to be otherwise there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What became of a test, and what it has to say of the target.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcome {
    verdict: String,
    remarks: Vec<String>,
}

/// By the test's name.
pub(super) type Column = BTreeMap<String, Outcome>;

/// What the tests of one run have written: the verdict, then a line for each remark.
pub(super) fn read(directory: &Path) -> Result<Column> {
    let mut column = Column::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        let mut lines = text.lines().map(str::to_owned);
        let outcome = Outcome {
            verdict: lines.next().unwrap_or_default(),
            remarks: lines.collect(),
        };
        column.insert(entry.file_name().to_string_lossy().into_owned(), outcome);
    }
    Ok(column)
}

/// A line for each test that ran anywhere. A test that did not run somewhere is said to have not run.
pub(super) fn shown(columns: &[(&str, Column)]) -> String {
    let tests: BTreeSet<&String> = columns.iter().flat_map(|(_, column)| column.keys()).collect();
    let width = tests.iter().map(|test| test.len()).max().unwrap_or(0);
    let mut text = format!("{:<width$}", "what ran where");
    for (target, _) in columns {
        let _ = write!(text, "  {target:<11}");
    }
    let mut remarks = Vec::new();
    let mut lines = vec![text];
    for test in &tests {
        let mut line = format!("{test:<width$}");
        for (target, column) in columns {
            let outcome = column.get(*test);
            let verdict = outcome.map_or("NOT RUN", |outcome| outcome.verdict.as_str());
            let said = outcome.map_or(&[][..], |outcome| outcome.remarks.as_slice());
            let mut cell = verdict.to_owned();
            for remark in said {
                let _ = write!(cell, " [{}]", note(&mut remarks, format!("{target} {remark}")));
            }
            let _ = write!(line, "  {cell:<11}");
        }
        lines.push(line);
    }
    let numbered = remarks.iter().enumerate();
    lines.extend(numbered.map(|(index, remark)| format!("[{}] {remark}", index + 1)));
    lines.iter().fold(String::new(), |text, line| {
        format!("{text}xtask: {}\n", line.trim_end())
    })
}

/// The number under which it stands below the table.
fn note(remarks: &mut Vec<String>, remark: String) -> usize {
    let known = remarks.iter().position(|known| *known == remark);
    known.unwrap_or_else(|| {
        remarks.push(remark);
        remarks.len() - 1
    }) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_has_a_word_for_every_target() {
        let embedded = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        fs::write(embedded.path().join("a"), "passed").unwrap();
        fs::write(embedded.path().join("bb"), "did not end").unwrap();
        fs::write(other.path().join("a"), "passed\nasks nobody\ntakes all").unwrap();
        let columns = [
            ("embedded", read(embedded.path()).unwrap()),
            ("other", read(other.path()).unwrap()),
        ];
        let expected = "xtask: what ran where  embedded     other\n\
                        xtask: a   passed       passed [1] [2]\n\
                        xtask: bb  did not end  NOT RUN\n\
                        xtask: [1] other asks nobody\n\
                        xtask: [2] other takes all\n";
        assert_eq!(shown(&columns), expected);
    }
}
