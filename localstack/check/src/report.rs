//! What a check has found, for people (`Display`) and for programs (`Serialize`).

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The path of what was checked.
    pub presentation: String,
    /// The presentation still grows: what holds only of a whole one was not asked.
    pub growing: bool,
    /// In the order of the rules.
    pub findings: Vec<Finding>,
    /// As the multivariant playlist lists them.
    pub variants: Vec<Variant>,
    pub sounds: Vec<Sound>,
}

/// A clause that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub clause: &'static str,
    pub severity: Severity,
    /// The path of the playlist or segment, without its query: that may be a signature.
    #[serde(rename = "where")]
    pub place: String,
    pub sentence: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The clause says MUST.
    Broken,
    /// The clause says SHOULD.
    NotMet,
}

/// What a variant was found to be. Bandwidths are bit/s and include the sound it is played with; durations are seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Variant {
    pub place: String,
    pub width: u32,
    pub height: u32,
    pub frame_rate: f64,
    pub codecs: Vec<String>,
    pub declared_peak: Option<u64>,
    /// None where no set of segments is long enough to be measured.
    pub measured_peak: Option<f64>,
    pub declared_average: Option<u64>,
    pub measured_average: f64,
    pub segments: usize,
    pub frames: usize,
    pub duration: f64,
}

/// What a sound was found to be, in the same units.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sound {
    pub place: String,
    pub group: String,
    pub codecs: Vec<String>,
    pub measured_peak: Option<f64>,
    pub measured_average: f64,
    pub segments: usize,
    pub duration: f64,
}

impl Report {
    /// No clause that says MUST is broken.
    pub fn is_clean(&self) -> bool {
        self.count(Severity::Broken) == 0
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let state = if self.growing { ", which still grows" } else { "" };
        writeln!(f, "{}{state}", self.presentation)?;
        for variant in &self.variants {
            writeln!(f, "  {variant}")?;
        }
        for sound in &self.sounds {
            writeln!(f, "  {sound}")?;
        }
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let (broken, unmet) = (self.count(Severity::Broken), self.count(Severity::NotMet));
        write!(f, "{broken} broken, {unmet} recommended and not met")
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            clause,
            severity,
            place,
            sentence,
        } = self;
        write!(f, "{severity}  {clause}  {place}: {sentence}")
    }
}

impl Display for Severity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "MUST  ",
            Self::NotMet => "SHOULD",
        })
    }
}

impl Display for Variant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (width, height, codecs) = (self.width, self.height, self.codecs.join(","));
        write!(f, "{width}x{height} at {:.3} fps, {codecs}, ", self.frame_rate)?;
        bandwidth(f, "peak", self.declared_peak, self.measured_peak)?;
        bandwidth(f, "average", self.declared_average, Some(self.measured_average))?;
        let (segments, frames) = (self.segments, self.frames);
        write!(f, "{segments} segments, {frames} frames, {:.3} s", self.duration)
    }
}

impl Display for Sound {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "sound {}, {}, ", self.group, self.codecs.join(","))?;
        bandwidth(f, "peak", None, self.measured_peak)?;
        bandwidth(f, "average", None, Some(self.measured_average))?;
        write!(f, "{} segments, {:.3} s", self.segments, self.duration)
    }
}

fn bandwidth(f: &mut Formatter<'_>, what: &str, declared: Option<u64>, measured: Option<f64>) -> fmt::Result {
    if let Some(measured) = measured {
        write!(f, "{what} {measured:.0}")?;
    } else {
        write!(f, "{what} not measurable")?;
    }
    if let Some(declared) = declared {
        write!(f, " (declared {declared})")?;
    }
    write!(f, " bit/s, ")
}
