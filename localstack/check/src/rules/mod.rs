//! The clauses, each a function that looks at the presentation and says what is wrong. None asks for anything more.

mod bandwidth;
mod delivery;
mod iframes;
mod multivariant;
mod pictures;
mod playlists;
mod timing;
mod variants;

use crate::fetch::Exchange;
use crate::init::Kind;
use crate::presentation::{Presentation, Track};
use crate::report::{Finding, Report, Severity, Sound, Variant};

type Rule = fn(&Presentation, &mut Findings);

/// What answers say comes first.
const RULES: [&[Rule]; 8] = [
    delivery::RULES,
    multivariant::RULES,
    variants::RULES,
    bandwidth::RULES,
    playlists::RULES,
    timing::RULES,
    pictures::RULES,
    iframes::RULES,
];

/// Times that are meant to be the same, in seconds.
const SAME: f64 = 0.001;

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn must(&mut self, clause: &'static str, place: &str, sentence: impl Into<String>) {
        self.add(clause, Severity::Broken, place, sentence.into());
    }

    fn should(&mut self, clause: &'static str, place: &str, sentence: impl Into<String>) {
        self.add(clause, Severity::NotMet, place, sentence.into());
    }

    fn add(&mut self, clause: &'static str, severity: Severity, place: &str, sentence: String) {
        let place = place.to_owned();
        self.0.push(Finding {
            clause,
            severity,
            place,
            sentence,
        });
    }
}

pub(crate) fn judge(presentation: &Presentation) -> Report {
    let mut findings = Findings::default();
    // Of what did not come only that can be said.
    let there = presentation.exchanges.first().is_some_and(Exchange::succeeded);
    let judged = if there { &RULES[..] } else { &RULES[..1] };
    for rule in judged.iter().copied().flatten() {
        rule(presentation, &mut findings);
    }
    Report {
        presentation: presentation.place().to_owned(),
        growing: presentation.is_growing(),
        findings: findings.0,
        variants: variants(presentation),
        sounds: sounds(presentation),
    }
}

fn variants(presentation: &Presentation) -> Vec<Variant> {
    let mut variants = Vec::new();
    for (attributes, track) in presentation.variants() {
        let sounds = presentation.sounds_of(attributes, track);
        let (width, height) = track
            .header()
            .and_then(|header| header.entries.first())
            .map_or((0, 0), |entry| entry.size);
        let mut codecs = track.codecs();
        codecs.extend(sounds.iter().flat_map(|sound| sound.codecs()));
        codecs.dedup();
        variants.push(Variant {
            place: track.place().to_owned(),
            width,
            height,
            frame_rate: track.frame_rate().filter(|_| track.is(Kind::Video)).unwrap_or_default(),
            codecs,
            declared_peak: attributes.integer("BANDWIDTH"),
            measured_peak: bandwidth::peak_with(track, &sounds),
            declared_average: attributes.integer("AVERAGE-BANDWIDTH"),
            measured_average: bandwidth::average_with(track, &sounds),
            segments: track.segments.len(),
            frames: track.samples().count(),
            duration: track.duration(),
        });
    }
    variants
}

fn sounds(presentation: &Presentation) -> Vec<Sound> {
    let mut sounds = Vec::new();
    for media in &presentation.multivariant.media {
        let track = media.get("URI").and_then(|uri| presentation.track(uri));
        let Some(track) = track else { continue };
        sounds.push(Sound {
            place: track.place().to_owned(),
            group: media.get("GROUP-ID").unwrap_or_default().to_owned(),
            codecs: track.codecs(),
            measured_peak: bandwidth::peak_with(track, &[]),
            measured_average: bandwidth::average_with(track, &[]),
            segments: track.segments.len(),
            duration: track.duration(),
        });
    }
    sounds
}

/// What a playlist calls the segment at this position.
fn segment_place(track: &Track, position: usize) -> &str {
    track
        .segments
        .get(position)
        .map_or(track.place(), |segment| &segment.place)
}

#[cfg(test)]
mod tests {
    use crate::Error;
    use crate::testing::{MAIN, Show, Site};

    #[test]
    fn what_is_made_by_hand_is_clean() {
        let report = Show::new().site().report();
        assert_eq!(report.findings, []);
        assert!(report.is_clean());
        assert_eq!(report.presentation, "/show/main.m3u8");
        let variant = &report.variants[0];
        assert_eq!(
            (variant.width, variant.height, variant.segments, variant.frames),
            (640, 360, 2, 240)
        );
        assert_eq!(variant.codecs, ["avc1.64001e", "mp4a.40.2"]);
        assert!((variant.duration - 8.0).abs() < 1e-9 && (variant.frame_rate - 30.0).abs() < 1e-9);
        assert_eq!((report.sounds[0].group.as_str(), report.sounds[0].segments), ("a0", 2));
    }

    #[test]
    fn a_silent_one_is_clean() {
        let mut show = Show::new();
        show.tracks.truncate(2);
        show.site().clean();
    }

    #[test]
    fn a_signature_is_never_shown() {
        let site = Show::new()
            .site()
            .edit("v0.m3u8", "v0/1.m4s", "v0/9.m4s?signature=secret");
        let report = site.report();
        assert!(!report.is_clean());
        assert!(!report.to_string().contains("secret"), "{report}");
    }

    #[test]
    fn what_is_not_there_cannot_be_judged() {
        let mut site = Show::new().site();
        site.remove(MAIN);
        let url = "https://example.com/show/main.m3u8".parse().unwrap();
        let outcome = futures::executor::block_on(crate::check_at(&site, &url));
        assert!(matches!(outcome, Err(Error::Status { status: 404, .. })));
        let outcome = futures::executor::block_on(crate::check("file:///etc/passwd"));
        assert!(matches!(outcome, Err(Error::Address(_))));
    }

    /// A presentation that lacks any one thing is judged all the same.
    #[test]
    fn whatever_is_missing_is_survived() {
        let whole = Show::new().site();
        for path in whole.answers.keys().filter(|path| !path.ends_with(MAIN)) {
            let mut site: Site = whole.clone();
            site.answers.remove(path);
            assert!(!site.report().is_clean(), "{path}");
            let mut site = whole.clone();
            site.answers.get_mut(path).unwrap().1.clear();
            assert!(!site.report().is_clean(), "{path}");
        }
    }

    proptest::proptest! {
        /// Whoever serves it may be anybody.
        #[test]
        fn whatever_is_damaged_is_survived(which in 0_usize..12, at in 0_usize..9000, bytes in proptest::collection::vec(proptest::num::u8::ANY, 1..6)) {
            let mut site = Show::new().site();
            let mut paths: Vec<String> = site.answers.keys().cloned().collect();
            paths.sort();
            let body = &mut site.answers.get_mut(&paths[which % paths.len()]).unwrap().1;
            let at = at % body.len();
            let end = (at + bytes.len()).min(body.len());
            body[at..end].copy_from_slice(&bytes[..end - at]);
            site.report().to_string();
        }
    }
}
