//! When a picture is shown that may be made more slowly than it is played.

use std::time::Instant;

use tokio::sync::watch;
use toktik_media::plan::{Plan, Unit, Work};

/// Seconds of a clip. Who has waited for so many would rather begin and stand still later, and what nobody was told of is
/// made once more after an interruption.
const MOST: f64 = 16.0;

/// How fast the beginning of a clip is made.
pub(crate) struct Pace {
    /// Seconds of the clip up to the end of each segment.
    ends: Vec<f64>,
    /// Seconds that were made when the first segment was there, and when that was. What came before is the way to the first
    /// picture, and says nothing of the others.
    first: Option<(f64, Instant)>,
}

impl Pace {
    /// Of a unit that a clip begins with, where others wait for it: the plan doubts that the host keeps ahead of who watches.
    pub(crate) fn of(plan: &Plan, unit: &Unit) -> Option<Self> {
        let begins = unit.grows && matches!(unit.work, Work::Video { first_frame: 0, .. });
        let doubted = plan.units.iter().any(|unit| unit.waits);
        (begins && doubted).then(|| Self {
            ends: plan.ends().into_iter().map(|end| plan.seconds(end)).collect(),
            first: None,
        })
    }

    /// Whether who begins to watch now never stands still, if the rest is made as fast as what there is: so many segments,
    /// and so many seconds with what is no segment yet.
    pub(crate) fn keeps_ahead(&mut self, segments: usize, made: f64, now: Instant) -> bool {
        if segments == 0 {
            return false;
        }
        let (first, then) = *self.first.get_or_insert((made, now));
        let slowness = (now - then).as_secs_f64() / (made - first);
        // Each segment has to be there when the one before ends.
        let in_time = |[begin, end]: &[f64; 2]| (end - made) * slowness <= *begin;
        made >= MOST || self.ends.array_windows().skip(segments - 1).all(in_time)
    }
}

/// What is made of a unit, looked at while it is made.
pub(crate) struct Watched {
    pub(crate) pace: Pace,
    /// Seconds of the clip.
    pub(crate) made: watch::Receiver<f64>,
}

impl Watched {
    /// Until more is made; none when nothing more will be.
    pub(crate) async fn more(&mut self) -> Option<()> {
        self.made.changed().await.ok()
    }

    /// With so many segments there.
    pub(crate) fn keeps_ahead(&mut self, segments: usize) -> bool {
        let made = *self.made.borrow();
        self.pace.keeps_ahead(segments, made, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Of a clip of so many seconds. The first segments are shorter than the others.
    fn pace(seconds: u32) -> Pace {
        let short = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0];
        let long = (1..).map(|number| 16.0 + 4.0 * f64::from(number));
        let whole = short.into_iter().chain(long);
        Pace {
            ends: whole.take_while(|end| *end <= f64::from(seconds)).collect(),
            first: None,
        }
    }

    /// When a viewer begins, in seconds after the first segment, and by how much the latest segment comes too late, where a
    /// second of the clip takes so many. Somebody looks every tenth of a second.
    fn watched(seconds: u32, slowness: f64) -> (f64, f64) {
        let mut pace = pace(seconds);
        let (ends, origin) = (pace.ends.clone(), Instant::now());
        let looks = (0..).map(|tenth| f64::from(tenth) / 10.0);
        let mut begun = looks.skip_while(|now| {
            let made = (1.0 + now / slowness).min(f64::from(seconds));
            let segments = ends.iter().filter(|end| **end <= made).count();
            !pace.keeps_ahead(segments, made, origin + Duration::from_secs_f64(*now))
        });
        let begun = begun.next().unwrap();
        let late = ends
            .array_windows()
            .map(|[begin, end]| (end - 1.0) * slowness - begun - begin);
        (begun, late.fold(f64::NEG_INFINITY, f64::max))
    }

    #[test]
    fn what_is_made_in_time_is_shown_with_the_second_segment() {
        for slowness in [0.1, 0.5, 0.85] {
            let (begun, late) = watched(60, slowness);
            assert!(begun <= slowness + 1e-6 && late <= 1e-6, "{slowness}: {begun}, {late}");
        }
    }

    #[test]
    fn what_is_made_slowly_is_shown_when_a_viewer_never_stands_still_and_no_later() {
        for (seconds, slowness) in [(4, 1.3), (10, 1.15), (30, 1.2), (60, 1.1), (60, 1.2)] {
            let (_, late) = watched(seconds, slowness);
            assert!((-0.11..1e-6).contains(&late), "{seconds} s, {slowness}: {late}");
        }
    }

    #[test]
    fn nobody_waits_for_more_than_a_while() {
        let (begun, late) = watched(60, 5.0);
        assert!((begun - 75.0).abs() < 0.11 && late > 0.0, "{begun}, {late}");
    }

    #[test]
    fn as_long_as_nobody_knows_nobody_is_told() {
        let (mut pace, now) = (pace(10), Instant::now());
        assert!(!pace.keeps_ahead(0, 0.0, now));
        assert!(!pace.keeps_ahead(0, 0.5, now));
        assert!(!pace.keeps_ahead(1, 1.0, now));
        assert!(
            !pace.keeps_ahead(1, 1.0, now + Duration::from_secs(1)),
            "nothing more is made"
        );
        assert!(pace.keeps_ahead(1, 9.0, now + Duration::from_secs(2)));
    }
}
