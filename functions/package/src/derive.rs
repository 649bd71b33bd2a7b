//! From the ledger to the manifest and the status. Pure: the same ledger gives the same answer.

use serde::de::DeserializeOwned;
use toktik_catalog::ledger::{OVERVIEW, Progress, State, StepItem};
use toktik_catalog::results;
use toktik_catalog::videos::Status;
use toktik_events::Function;
use toktik_media::manifest::{Manifest, Rendition, Sound, Variant};
use toktik_media::plan::{Plan, Unit};

/// What the ledger says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing {
    /// Ready once every step is settled, and what is required is there.
    pub(crate) progress: Progress,
    /// The rung is there of which storyboard and preview are made, and nobody has ever begun to: whoever has will come again.
    pub(crate) overview_due: bool,
    /// What it is joined of is there, and it was neither made nor given up.
    pub(crate) download_due: bool,
}

pub(crate) fn standing(plan: &Plan, steps: &[StepItem]) -> Standing {
    let ledger = Ledger { plan, steps };
    let still: Option<results::Still> = ledger.result(Function::Thumbnail, "");
    let overview: Option<results::Overview> = ledger.result(Function::Thumbnail, OVERVIEW);
    let sound: Option<results::Sound> = ledger.result(Function::Audio, "");
    let joined: Option<results::Joined> = ledger.result(Function::Package, "");
    let warnings = ledger.warnings(overview.as_ref(), sound.as_ref(), joined.as_ref());
    let mut variants = ledger.variants();
    let mut sounds = ledger.sounds();
    let is_whole = ledger.is_whole();
    level(plan, is_whole, &mut variants, &mut sounds);
    let is_playable = !variants.is_empty();
    let is_ready = is_whole && is_playable && still.is_some() && ledger.is_settled();
    let status = match (is_ready, is_playable) {
        (true, _) => Status::Ready,
        (false, true) => Status::Playable,
        (false, false) => Status::Processing,
    };
    let (storyboard, preview) = overview.map_or((None, None), |made| (made.storyboard, made.preview));
    let manifest = Manifest {
        complete: is_ready,
        target_duration: plan.target_duration(),
        segments: Some(plan.segments()),
        variants,
        sounds,
        poster: still.map(|made| made.poster),
        storyboard,
        preview,
        mp3: sound.and_then(|made| made.mp3),
        download: joined.and_then(|made| made.download),
    };
    Standing {
        progress: Progress {
            manifest,
            status,
            warnings,
        },
        overview_due: ledger.is_overview_due(),
        download_due: is_playable && ledger.is_download_due(),
    }
}

/// Segments that a clip begins with. A player looks for more when as much time has passed as the last one is long, and would
/// by then have run dry of a single one.
const ENOUGH: usize = 2;

/// While a clip grows, sound and picture end with the same segment: a player waits for neither. Rungs that are made by
/// different units may have come to different ends; each only ever grows, and so does its sound. Of what is whole there
/// will never be more, and so it is enough.
fn level(plan: &Plan, is_whole: bool, variants: &mut Vec<Variant>, sounds: &mut [Sound]) {
    let planned = usize::try_from(plan.segments()).unwrap_or(usize::MAX);
    let segments = |rendition: &Rendition| rendition.segments().count();
    let pictured = variants.iter().map(|variant| segments(&variant.rendition)).max();
    let heard = sounds.iter().map(|sound| segments(&sound.rendition)).min();
    let heard = match heard {
        // What has no sound yet cannot be played, and must not be taken back once it has some.
        _ if sounds.len() < plan.sounds.len() => 0,
        heard => heard.unwrap_or(usize::MAX),
    };
    let enough = if is_whole { 1 } else { ENOUGH.min(planned) };
    let left = Some(pictured.unwrap_or(0).min(heard))
        .filter(|left| *left >= enough)
        .unwrap_or(0);
    let renditions = variants.iter_mut().map(|variant| &mut variant.rendition);
    for rendition in renditions.chain(sounds.iter_mut().map(|sound| &mut sound.rendition)) {
        let mut left = left;
        for part in &mut rendition.parts {
            part.segments.truncate(left);
            left -= part.segments.len();
        }
        rendition.parts.retain(|part| !part.segments.is_empty());
    }
    variants.retain(|variant| !variant.rendition.parts.is_empty());
}

struct Ledger<'a> {
    plan: &'a Plan,
    steps: &'a [StepItem],
}

impl Ledger<'_> {
    fn step(&self, function: Function, unit: &str) -> Option<&StepItem> {
        self.steps
            .iter()
            .find(|item| item.step == function.name() && item.unit == unit)
    }

    fn result<T: DeserializeOwned>(&self, function: Function, unit: &str) -> Option<T> {
        let item = self.step(function, unit).filter(|item| item.state == State::Done)?;
        serde_json::from_value(item.result.clone()?).ok()
    }

    /// The rungs that have a segment, each with as many of its units as follow one another without a gap.
    fn variants(&self) -> Vec<Variant> {
        let rungs = self.plan.rungs.iter();
        rungs
            .filter_map(|rung| Some(Variant::new(self.plan, rung, self.track(&rung.name)?)))
            .collect()
    }

    fn track(&self, name: &str) -> Option<Rendition> {
        Some(results::made(self.plan, self.steps, name)?.rendition)
    }

    fn sounds(&self) -> Vec<Sound> {
        let sounds = self.plan.sounds.iter();
        sounds
            .filter_map(|sound| Some(Sound::new(sound, self.track(&sound.name)?)))
            .collect()
    }

    fn is_overview_due(&self) -> bool {
        let waits = self
            .step(Function::Thumbnail, OVERVIEW)
            .is_some_and(|item| item.attempts == 0 && item.state == State::Pending);
        let rungs = self.plan.small_rungs().filter(|_| waits);
        rungs.is_some_and(|rungs| rungs.into_iter().all(|rung| self.has_all_of(&rung.name)))
    }

    /// Where the highest rung is the source's own picture, it and its sound are there long before the others. Any other is
    /// among the last to be made, and nothing is gained by not waiting for all.
    fn is_download_due(&self) -> bool {
        let (last, before): (Vec<_>, Vec<_>) = self.steps.iter().partition(|item| item.is_of(Function::Package));
        let waits = last.iter().any(|item| !item.is_settled());
        let all_others = before.iter().all(|item| item.is_settled());
        let best = self
            .plan
            .rungs
            .first()
            .filter(|_| waits && (all_others || self.plan.copied.is_some()));
        best.is_some_and(|rung| self.has_all_of(&rung.name) && rung.sound.iter().all(|sound| self.has_all_of(sound)))
    }

    fn has_all_of(&self, track: &str) -> bool {
        results::made(self.plan, self.steps, track).is_some_and(|made| made.is_whole)
    }

    /// Whether every rung and every sound is there to its end.
    fn is_whole(&self) -> bool {
        let is_done = |unit: &Unit| {
            let item = self.step(Function::Transcode, &unit.id);
            item.is_some_and(|item| item.state == State::Done)
        };
        self.plan.units.iter().all(is_done)
    }

    /// Whether nothing more will come of any step.
    fn is_settled(&self) -> bool {
        self.steps.iter().all(StepItem::is_settled)
    }

    fn warnings(
        &self,
        overview: Option<&results::Overview>,
        sound: Option<&results::Sound>,
        joined: Option<&results::Joined>,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(overview.iter().flat_map(|made| made.warnings.clone()));
        warnings.extend(sound.iter().flat_map(|made| made.warnings.clone()));
        let gave_up = |function, unit| {
            let item = self.step(function, unit);
            item.is_some_and(|item| item.state == State::Failed)
        };
        if gave_up(Function::Thumbnail, OVERVIEW) {
            warnings.extend(["storyboard_failed".to_owned(), "preview_failed".to_owned()]);
        }
        if gave_up(Function::Audio, "") {
            warnings.push("audio_failed".to_owned());
        }
        if gave_up(Function::Package, "") || joined.is_some_and(|made| made.download.is_none()) {
            warnings.push("download_failed".to_owned());
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use toktik_media::plan::{Options, Work, plan};
    use toktik_media::source::{Audio, Fraction, Source, Transfer, Video};

    fn source(audio: bool) -> Source {
        Source {
            demuxer: "mov".into(),
            duration: 8.0,
            video: Video {
                stream: 0,
                codec: "h264".into(),
                width: 640,
                height: 360,
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
            audio: audio.then(|| Audio {
                stream: 1,
                codec: "aac".into(),
                channels: 2,
                sample_rate: 48000,
            }),
            weight: toktik_media::source::Weight::default(),
            gops: Vec::new(),
        }
    }

    fn a_plan(audio: bool) -> Plan {
        plan(
            &source(audio),
            &Options {
                segment_seconds: 4,
                threads: 2,
                ..Options::default()
            },
        )
    }

    fn item(step: &str, unit: &str, result: Option<Value>) -> StepItem {
        StepItem {
            step: step.into(),
            unit: unit.into(),
            state: if result.is_some() { State::Done } else { State::Pending },
            attempts: 1,
            interrupted: 0,
            postponed: 0,
            lease_until: None,
            requested_at: chrono::DateTime::UNIX_EPOCH,
            progress: 0.0,
            result,
            error: None,
        }
    }

    fn unit_result(names: &[&str]) -> Value {
        let tracks: Vec<Value> = names
            .iter()
            .map(|name| {
                let part =
                    json!({"prefix": format!("p/{name}/"), "init_size": 1, "init_hash": 2, "segments": [{"duration": 2.0, "size": 9}, {"duration": 2.0, "size": 9}]});
                json!({"name": name, "codecs": "c", "parts": [part]})
            })
            .collect();
        json!({ "tracks": tracks })
    }

    fn pictures() -> [StepItem; 2] {
        let object = json!({"key": "k", "size": 1});
        let still = json!({"poster": {"jpeg": object, "webp": object}});
        let overview = json!({"storyboard": null, "preview": null, "warnings": ["preview_failed"]});
        [
            item("thumbnail", "", Some(still)),
            item("thumbnail", OVERVIEW, Some(overview)),
        ]
    }

    /// A clip of three segments in as many units, of which these are done, and its sound.
    fn growing(done: [bool; 3]) -> Standing {
        let mut source = source(true);
        source.duration = 12.0;
        let options = Options {
            unit_seconds: Some(4),
            ..Options::default()
        };
        let plan = plan(&source, &options);
        let mut steps = units(&plan, true, false);
        let of_picture = units(&plan, true, true).into_iter().skip(1).zip(done);
        for (place, (made, done)) in of_picture.enumerate() {
            if done {
                steps[place + 1] = made;
            }
        }
        if let Some(result) = &mut steps[0].result {
            for track in result["tracks"].as_array_mut().into_iter().flatten() {
                let segment = track["parts"][0]["segments"][0].clone();
                track["parts"][0]["segments"] = json!(vec![segment; 6]);
            }
        }
        steps.extend(pictures());
        standing(&plan, &steps)
    }

    fn segments(standing: &Standing) -> Vec<usize> {
        let manifest = &standing.progress.manifest;
        let pictures = manifest.variants.iter().map(|variant| &variant.rendition);
        let sounds = manifest.sounds.iter().map(|sound| &sound.rendition);
        pictures
            .chain(sounds)
            .map(|rendition| rendition.segments().count())
            .collect()
    }

    #[test]
    fn a_clip_grows_by_the_units_that_follow_one_another() {
        let begun = growing([true, false, true]);
        assert_eq!(begun.progress.status, Status::Playable);
        assert_eq!(segments(&begun), [2; 4], "sound runs ahead");
        assert_eq!(segments(&growing([true, true, false])), [4; 4]);
        let whole = growing([true, true, true]);
        assert_eq!(segments(&whole), [6; 4]);
        assert_eq!(whole.progress.status, Status::Ready);
        assert!(whole.progress.manifest.complete && !begun.progress.manifest.complete);
    }

    #[test]
    fn a_clip_of_which_one_segment_came_is_playable_once_no_more_will_come() {
        let plan = a_plan(false);
        let mut steps = units(&plan, false, true);
        for item in &mut steps {
            for track in item
                .result
                .iter_mut()
                .filter_map(|made| made["tracks"].as_array_mut())
                .flatten()
            {
                track["parts"][0]["segments"].as_array_mut().unwrap().truncate(1);
            }
        }
        let whole = standing(&plan, &steps);
        assert_eq!(
            (whole.progress.status, segments(&whole)),
            (Status::Playable, vec![1, 1])
        );
        for item in &mut steps {
            item.state = State::Running;
        }
        let growing = standing(&plan, &steps);
        assert_eq!(growing.progress.status, Status::Processing);
    }

    #[test]
    fn what_has_no_beginning_cannot_be_played() {
        let standing = growing([false, true, true]);
        assert_eq!(standing.progress.status, Status::Processing);
        assert!(standing.progress.manifest.variants.is_empty());
    }

    fn units(plan: &Plan, sound_done: bool, picture_done: bool) -> Vec<StepItem> {
        let rungs: Vec<&str> = plan.rungs.iter().map(|rung| rung.name.as_str()).collect();
        let sounds: Vec<&str> = plan.sounds.iter().map(|sound| sound.name.as_str()).collect();
        let of_unit = |unit: &toktik_media::plan::Unit| match unit.work {
            Work::Audio => item("transcode", &unit.id, sound_done.then(|| unit_result(&sounds))),
            _ => item("transcode", &unit.id, picture_done.then(|| unit_result(&rungs))),
        };
        plan.units.iter().map(of_unit).collect()
    }

    #[test]
    fn nothing_is_playable_without_its_sound() {
        let plan = a_plan(true);
        let silent = standing(&plan, &units(&plan, false, true));
        assert_eq!(silent.progress.status, Status::Processing);
        let both = standing(&plan, &units(&plan, true, true));
        assert_eq!(both.progress.status, Status::Playable);
    }

    #[test]
    fn a_silent_clip_needs_no_sound() {
        let plan = a_plan(false);
        let standing = standing(&plan, &units(&plan, false, true));
        assert_eq!(standing.progress.status, Status::Playable);
        assert!(standing.progress.manifest.sounds.is_empty());
    }

    #[test]
    fn an_mp3_that_was_given_up_is_a_warning() {
        let plan = a_plan(true);
        let mut steps = units(&plan, true, true);
        steps.extend(pictures());
        steps.push(item("audio", "", None));
        assert_eq!(
            standing(&plan, &steps).progress.status,
            Status::Playable,
            "the MP3 may still come"
        );
        let mp3 = steps.iter_mut().find(|item| item.step == "audio");
        mp3.unwrap().state = State::Failed;
        let standing = standing(&plan, &steps);
        assert_eq!(standing.progress.status, Status::Ready);
        assert_eq!(standing.progress.warnings, ["preview_failed", "audio_failed"]);
    }

    #[test]
    fn what_is_taken_along_is_joined_once_the_best_picture_and_its_sound_are_whole() {
        let plan = a_plan(true);
        let steps = |sound_done, package: StepItem| {
            let mut steps = units(&plan, sound_done, true);
            steps.extend(pictures());
            steps.push(package);
            steps
        };
        let look = |sound_done, package: StepItem| standing(&plan, &steps(sound_done, package));
        assert!(!look(false, item("package", "", None)).download_due);
        let due = look(true, item("package", "", None));
        assert!(due.download_due);
        assert_eq!(due.progress.status, Status::Playable);
        let object = json!({"key": "k", "size": 1});
        let made = look(true, item("package", "", Some(json!({ "download": object }))));
        assert!(!made.download_due);
        assert_eq!(made.progress.status, Status::Ready);
        assert_eq!(made.progress.manifest.download.unwrap().key, "k");
        assert_eq!(made.progress.warnings, ["preview_failed"]);
        let mut given_up = item("package", "", None);
        given_up.state = State::Failed;
        let impossible = item("package", "", Some(json!({ "download": null })));
        for without in [given_up, impossible] {
            let ready = look(true, without);
            assert!(!ready.download_due);
            assert_eq!(ready.progress.status, Status::Ready);
            assert_eq!(ready.progress.warnings, ["preview_failed", "download_failed"]);
        }
    }

    #[test]
    fn an_overview_is_due_when_its_rung_is_whole_and_nobody_has_begun() {
        let plan = a_plan(false);
        let waits = StepItem {
            attempts: 0,
            ..item("thumbnail", OVERVIEW, None)
        };
        let due = |steps: Vec<StepItem>| standing(&plan, &steps).overview_due;
        let with = |mut steps: Vec<StepItem>, last: StepItem| {
            steps.push(last);
            steps
        };
        assert!(!due(with(units(&plan, true, false), waits.clone())));
        assert!(due(with(units(&plan, true, true), waits.clone())));
        let begun = StepItem { attempts: 1, ..waits };
        assert!(!due(with(units(&plan, true, true), begun)));
        assert!(!due(units(&plan, true, true)), "a plan of before there was one");
    }

    #[test]
    fn an_overview_that_was_given_up_is_a_warning() {
        let plan = a_plan(false);
        let mut steps = units(&plan, true, true);
        steps.extend(pictures());
        let overview = steps.last_mut().unwrap();
        (overview.state, overview.result) = (State::Failed, None);
        let standing = standing(&plan, &steps);
        assert_eq!(standing.progress.status, Status::Ready);
        assert_eq!(standing.progress.warnings, ["storyboard_failed", "preview_failed"]);
    }
}
