//! What was found, in lines that a person reads.

use std::fmt;

use anyhow::bail;

#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Report {
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug)]
pub struct Finding {
    /// For example `queue toktik-probe`.
    pub what: String,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    AsWanted,
    /// To be made, once it is known that nothing differs.
    Missing,
    Created,
    /// This store knows no such thing, and it works without.
    NotServed(&'static str),
    Differs(Difference),
}

/// Somebody made it otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub there: String,
    pub wanted: String,
    pub mend: String,
}

impl Report {
    pub(super) fn note(&mut self, what: String, state: State) {
        self.findings.push(Finding { what, state });
    }

    pub fn differs(&self) -> bool {
        self.findings
            .iter()
            .any(|found| matches!(found.state, State::Differs(_)))
    }

    pub(super) fn lacks(&self) -> bool {
        self.findings.iter().any(|found| found.state == State::Missing)
    }

    /// For whoever cannot go on where something differs.
    pub fn settled(self) -> anyhow::Result<()> {
        if self.differs() {
            bail!("the account is not as it has to be:\n{self}");
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.findings.iter().map(|found| found.what.len()).max().unwrap_or(0);
        for Finding { what, state } in &self.findings {
            writeln!(f, "{what:<width$}  {state}")?;
        }
        if self.differs() {
            // Whether it is another's can show only once ours is there.
            let made = self.findings.iter().any(|found| found.state == State::Created);
            let changed = if made {
                "What was missing is made."
            } else {
                "Nothing was changed."
            };
            writeln!(f, "{changed} Once what differs is mended, run this again.")?;
        }
        Ok(())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsWanted => f.write_str("as it should be"),
            Self::Missing => f.write_str("missing"),
            Self::Created => f.write_str("created"),
            Self::NotServed(why) => write!(f, "not needed: {why}"),
            Self::Differs(Difference { there, wanted, mend }) => {
                write!(f, "differs: {there}\n    wanted: {wanted}\n    to mend: {mend}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_what_is_there_what_is_wanted_and_how_to_mend_it() {
        let mut report = Report::default();
        report.note("table toktik".to_owned(), State::Missing);
        assert!(report.lacks() && !report.differs());
        let difference = Difference {
            there: "A".to_owned(),
            wanted: "B".to_owned(),
            mend: "C".to_owned(),
        };
        report.note("queue toktik-probe".to_owned(), State::Differs(difference));
        let text = "table toktik        missing\n\
                    queue toktik-probe  differs: A\n    wanted: B\n    to mend: C\n\
                    Nothing was changed. Once what differs is mended, run this again.\n";
        assert_eq!(report.to_string(), text);
        assert!(report.settled().is_err());
    }
}
