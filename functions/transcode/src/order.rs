//! Who goes first: which units are begun before others, whose ffmpeg steps back for whose, and who waits until others are
//! made. Pure.

use toktik_catalog::ledger::StepItem;
use toktik_events::Function;
use toktik_media::plan::{Plan, Unit, Work};
use toktik_runtime::Urgency;
use toktik_runtime::workshop::LATER;

/// Seconds of a clip that is done before anybody has to wait for it.
const SHORT: f64 = 15.0;

/// What makes a clip playable goes before what completes another, and a short clip before long ones.
pub(crate) fn urgency(plan: &Plan, unit: &Unit) -> Urgency {
    match (plan.duration() <= SHORT, makes_playable(plan, unit)) {
        (true, true) => Urgency::Short,
        (false, true) => Urgency::First,
        (true, false) if unit.grows => Urgency::First,
        (_, false) => Urgency::Later,
    }
}

/// Whether nobody can watch before it has begun. Where the source's own picture is there at once, no other is waited for.
fn makes_playable(plan: &Plan, unit: &Unit) -> bool {
    match unit.work {
        Work::Audio | Work::Copy { .. } => true,
        Work::Video { .. } => unit.grows && plan.copied.is_none(),
    }
}

/// How far a unit's encoder stands behind others.
pub(crate) fn behind(plan: &Plan, unit: &Unit) -> i32 {
    const A_LITTLE: i32 = 5;
    const A_LITTLE_MORE: i32 = 3;
    let waited_for = match urgency(plan, unit) {
        Urgency::Later => return LATER,
        Urgency::Short => 0,
        Urgency::First => A_LITTLE,
    };
    match unit.work {
        // Done in no time, as a copy is, which steps back for the sound.
        Work::Audio if plan.copied.is_some() => 0,
        // Made far faster than it is heard, it steps back for the picture.
        Work::Audio => waited_for + A_LITTLE_MORE,
        Work::Copy { .. } => A_LITTLE_MORE,
        Work::Video { .. } => waited_for,
    }
}

/// What is still to be made of the picture that is watched while it is made.
pub(crate) fn growing<'a>(plan: &Plan, steps: &'a [StepItem]) -> impl Iterator<Item = &'a StepItem> {
    let grows = |id: &str| {
        let mut units = plan.units.iter();
        units.any(|unit| unit.id == id && unit.grows && matches!(unit.work, Work::Video { .. }))
    };
    let steps = steps
        .iter()
        .filter(|item| item.is_of(Function::Transcode) && !item.is_settled());
    steps.filter(move |item| grows(&item.unit))
}

#[cfg(test)]
mod tests {
    use toktik_catalog::ledger::State;
    use toktik_media::cost::Host;
    use toktik_media::plan::{Options, plan};
    use toktik_media::source::{Audio, Fraction, Gop, Source, Transfer, Video, Weight};

    use super::*;

    fn source(seconds: u32, gops: Vec<Gop>) -> Source {
        Source {
            demuxer: "mov".into(),
            duration: f64::from(seconds),
            video: Video {
                stream: 0,
                codec: "h264".into(),
                width: 1920,
                height: 1080,
                start: 0.0,
                frame_rate: Fraction::new(30, 1),
                variable_frame_rate: false,
                interlaced: false,
                transfer: Transfer::Sdr,
                pixel_format: "yuv420p".into(),
                color_range: None,
                color_space: None,
                wide_gamut: false,
            },
            audio: Some(Audio {
                stream: 1,
                codec: "aac".into(),
                channels: 2,
                sample_rate: 48_000,
            }),
            weight: Weight::default(),
            gops,
        }
    }

    /// With a keyframe every two seconds, as every player takes it.
    fn compliant(seconds: u32) -> Plan {
        let gop = Gop {
            frames: 60,
            bytes: 2_000_000,
        };
        plan(&source(seconds, vec![gop; seconds as usize / 2]), &Options::default())
    }

    fn any_other(seconds: u32) -> Plan {
        plan(&source(seconds, Vec::new()), &Options::default())
    }

    fn order(plan: &Plan) -> Vec<(&str, Urgency, i32)> {
        let units = plan.units.iter();
        units
            .map(|unit| (unit.id.as_str(), urgency(plan, unit), behind(plan, unit)))
            .collect()
    }

    #[test]
    fn what_makes_a_clip_playable_goes_first() {
        let [first, later] = [Urgency::First, Urgency::Later];
        assert_eq!(
            order(&compliant(30)),
            [("audio", first, 0), ("copy", first, 3), ("video-0", later, 19)]
        );
        assert_eq!(
            order(&any_other(30)),
            [("audio", first, 8), ("low-0", first, 5), ("video-0", later, 19)]
        );
    }

    #[test]
    fn short_clips_go_before_long_ones() {
        let [short, first, later] = [Urgency::Short, Urgency::First, Urgency::Later];
        assert_eq!(
            order(&compliant(4)),
            [("audio", short, 0), ("copy", short, 3), ("video-0", first, 5)]
        );
        assert_eq!(
            order(&any_other(4)),
            [("audio", short, 3), ("low-0", short, 0), ("video-0", later, 19)]
        );
    }

    fn step(unit: &str, state: State) -> StepItem {
        StepItem {
            step: Function::Transcode.to_string(),
            unit: unit.into(),
            state,
            attempts: 1,
            interrupted: 0,
            postponed: 0,
            lease_until: None,
            requested_at: chrono::DateTime::UNIX_EPOCH,
            progress: 0.0,
            result: None,
            error: None,
        }
    }

    #[test]
    fn the_picture_that_grows_is_waited_for_until_it_is_decided() {
        let host = Host {
            cpus: 0.1,
            ..Host::default()
        };
        let options = Options {
            host,
            ..Options::default()
        };
        let plan = plan(&source(4, Vec::new()), &options);
        let waits: Vec<bool> = plan.units.iter().map(|unit| unit.waits).collect();
        assert_eq!(waits, [false, false, true]);
        let left = |low: State| {
            let [audio, video] = ["audio", "video-0"].map(|unit| step(unit, State::Running));
            growing(&plan, &[audio, step("low-0", low), video]).count()
        };
        let decided = [State::Pending, State::Running, State::Done, State::Failed].map(left);
        assert_eq!(decided, [1, 1, 0, 0]);
    }
}
