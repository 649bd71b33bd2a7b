//! What ran where: each test leaves a file for the table that `cargo xtask test` prints at the end. One that was cut off
//! leaves the word that it began.

use std::path::PathBuf;

pub(crate) struct Record {
    file: Option<PathBuf>,
    /// What the target does otherwise than AWS, and what came of it.
    remarks: Vec<String>,
}

impl Record {
    pub(crate) fn begin(test: &str) -> Self {
        let directory = std::env::var_os("TOKTIK_TEST_RECORD").map(PathBuf::from);
        let record = Self {
            file: directory.map(|directory| directory.join(test)),
            remarks: Vec::new(),
        };
        record.write("did not end");
        record
    }

    pub(crate) fn remark(&mut self, remark: &str) {
        self.remarks.push(remark.to_owned());
    }

    pub(crate) fn passed(&self) {
        self.write("passed");
    }

    pub(crate) fn failed(&self) {
        self.write("FAILED");
    }

    fn write(&self, verdict: &str) {
        let lines: Vec<&str> = std::iter::once(verdict)
            .chain(self.remarks.iter().map(String::as_str))
            .collect();
        if let Some(file) = &self.file {
            std::fs::write(file, lines.join("\n")).unwrap();
        }
    }
}
