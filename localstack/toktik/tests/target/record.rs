//! What ran where: each test leaves a file for the table that `cargo xtask test` prints at the end. One that was cut off
//! leaves the word that it began.

use std::path::PathBuf;

use crate::quirks::{Quirk, Target};

pub(crate) struct Record {
    file: Option<PathBuf>,
    /// What the target does otherwise than AWS, and what came of it.
    remarks: Vec<&'static str>,
    applies: bool,
}

impl Record {
    pub(crate) fn begin(test: &str) -> Self {
        let directory = std::env::var_os("TOKTIK_TEST_RECORD").map(PathBuf::from);
        let record = Self {
            file: directory.map(|directory| directory.join(test)),
            remarks: Vec::new(),
            applies: true,
        };
        record.write("did not end");
        record
    }

    /// Whether the target is known to do this, which the table then says.
    pub(crate) fn knows(&mut self, target: Target, quirk: Quirk) -> bool {
        let known = target.has(quirk);
        if known {
            self.remarks.push(quirk.remark());
        }
        known
    }

    /// What the test is about does not exist on this target, for this reason.
    pub(crate) fn does_not_apply(&mut self, why: &'static str) {
        self.applies = false;
        self.remarks.push(why);
    }

    pub(crate) fn passed(&self) {
        self.write(if self.applies { "passed" } else { "n/a" });
    }

    pub(crate) fn failed(&self) {
        self.write("FAILED");
    }

    fn write(&self, verdict: &str) {
        let lines: Vec<&str> = std::iter::once(verdict).chain(self.remarks.iter().copied()).collect();
        if let Some(file) = &self.file {
            std::fs::write(file, lines.join("\n")).unwrap();
        }
    }
}
