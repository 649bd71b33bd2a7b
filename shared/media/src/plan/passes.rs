//! In which passes over the source the picture is made, and what people wait for first.

use super::{Options, Plan, Rung, Unit, Work, units};
use crate::cost::{self, Costs, Host};

impl Plan {
    /// What people wait for first, in the order in which it is wanted: sound, since nothing is playable without it; the
    /// source's own picture, which costs nothing, or else the lowest rungs; then what completes the clip. Each in the order
    /// of time.
    pub(super) fn cut(&self, options: &Options) -> Vec<Unit> {
        let mut units = Vec::new();
        if !self.sounds.is_empty() {
            units.push(unit("audio".to_owned(), true, Work::Audio));
        }
        let mut rungs = self.rungs.iter().collect::<Vec<_>>();
        if self.copied.is_some() {
            let rung = rungs.remove(0).name.clone();
            units.push(unit("copy".to_owned(), true, Work::Copy { rung }));
        }
        let low = self.go_first(&rungs, options.host);
        let (high, low) = rungs.split_at(rungs.len() - low);
        // They share what one transaction can take.
        let groups = 1 + u64::from(!high.is_empty() && !low.is_empty());
        let most = units::MOST / groups;
        if high.is_empty() || low.is_empty() {
            // All that is encoded, in one pass.
            units.extend(self.pieces("video", !low.is_empty(), &rungs, most, options));
        } else {
            let waits = options.parallelism <= 1 && !self.keeps_ahead(low, options.host);
            let high = self.pieces("video", false, high, most, options);
            units.extend(self.pieces("low", true, low, most, options));
            units.extend(high.into_iter().map(|unit| Unit { waits, ..unit }));
        }
        units
    }

    /// Whether a host makes these rungs faster than they are played, though others are made beside them.
    fn keeps_ahead(&self, rungs: &[&Rung], host: Host) -> bool {
        /// Seconds of work for a second of the clip, by a reckoning for the worst: mostly it is half of that.
        const AHEAD: f64 = 2.0;
        cost::work(self, rungs) <= host.cpus * AHEAD
    }

    /// How many of these rungs, the lowest ones, get a pass of their own, so that a clip can be played before its higher
    /// rungs are made. All of them, where one pass keeps ahead of who watches; it saves decoding the source twice.
    fn go_first(&self, rungs: &[&Rung], host: Host) -> usize {
        /// Seconds of work for a second of the clip, by a reckoning for the worst: mostly it is half of that.
        const AHEAD: f64 = 0.85;
        const LOW: u32 = 360;
        if self.copied.is_some() || Costs::of(self, rungs, host).a_second() <= AHEAD {
            return rungs.len();
        }
        let low = rungs.iter().filter(|rung| rung.width.min(rung.height) <= LOW).count();
        low.max(1)
    }

    /// Units of these rungs, from the beginning to the end of the clip.
    fn pieces(&self, name: &str, grows: bool, rungs: &[&Rung], most: u64, options: &Options) -> Vec<Unit> {
        if rungs.is_empty() {
            return Vec::new();
        }
        let ends = self.ends();
        let names: Vec<String> = rungs.iter().map(|rung| rung.name.clone()).collect();
        let mut units = Vec::new();
        let mut segments = ends.into_iter();
        let mut first_frame = 0;
        for (number, length) in self.lengths(rungs, most, options).into_iter().enumerate() {
            let last = usize::try_from(length.saturating_sub(1)).unwrap_or(usize::MAX);
            let Some(end) = segments.nth(last) else { break };
            let work = Work::Video {
                rungs: names.clone(),
                first_frame,
                frames: end - first_frame,
            };
            units.push(unit(format!("{name}-{number}"), grows, work));
            first_frame = end;
        }
        units
    }

    /// Segments of each unit of these rungs.
    fn lengths(&self, rungs: &[&Rung], most: u64, options: &Options) -> Vec<u64> {
        let begins: Vec<f64> = [0]
            .into_iter()
            .chain(self.ends())
            .map(|frame| self.seconds(frame))
            .collect();
        let begin = |segment: u64| {
            let begin = usize::try_from(segment).ok().and_then(|segment| begins.get(segment));
            begin.copied().unwrap_or(self.duration())
        };
        let segments = self.segments();
        if let Some(seconds) = options.unit_seconds {
            let bounds = units::Bounds {
                limit: f64::from(seconds),
                least: 1,
                most,
            };
            return units::cut(segments, bounds, |first, segments| {
                begin(first + segments) - begin(first)
            });
        }
        let costs = Costs::of(self, rungs, options.host);
        let bounds = units::Bounds {
            limit: options.host.share(),
            least: u64::from(options.parallelism).min(units::worthwhile(self.duration())),
            most,
        };
        units::cut(segments, bounds, |first, segments| {
            costs.seconds(begin(first), begin(first + segments))
        })
    }
}

fn unit(id: String, grows: bool, work: Work) -> Unit {
    Unit {
        id,
        grows,
        waits: false,
        work,
    }
}
