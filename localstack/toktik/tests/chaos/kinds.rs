//! The clips that are sent: one for each way that a clip can go.

use std::collections::BTreeSet;
use std::path::Path;

use toktik_catalog::videos::Video;
use toktik_media::manifest::{Manifest, Object};

use crate::clips::{make, tiny_clip};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Sound,
    Silent,
    /// Refused by probe.
    Text,
    /// Refused by transcode: nothing of it decodes.
    Damaged,
    /// Sent in parts, and refused.
    Parts,
}

/// What a kind has become, without what differs from clip to clip: ids, numbers of attempts, sizes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) status: &'static str,
    error: Option<String>,
    warnings: Vec<String>,
    duration: Option<String>,
    size: (Option<u32>, Option<u32>),
    objects: BTreeSet<String>,
}

/// From here on uploads are sent in parts. S3's least size of a part.
pub(crate) const PART: usize = 5 << 20;

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Sound, Self::Damaged, Self::Silent, Self::Text, Self::Parts];

    pub(crate) fn bytes(self, directory: &Path) -> Vec<u8> {
        match self {
            Self::Sound => tiny_clip(directory),
            Self::Silent => silent(directory),
            Self::Text => b"This is not a video.\n".repeat(20),
            Self::Damaged => damaged(silent(directory)),
            Self::Parts => vec![b'x'; PART + 1000],
        }
    }

    pub(crate) fn is_ready(self) -> bool {
        matches!(self, Self::Sound | Self::Silent)
    }

    /// Asserts what this kind has to become, so that a calm run that goes wrong is no measure.
    pub(crate) fn check(self, outcome: &Outcome) {
        let (status, error) = match self {
            Self::Sound | Self::Silent => ("ready", None),
            Self::Text | Self::Parts => ("rejected", Some("not_a_video")),
            Self::Damaged => ("rejected", Some("corrupt")),
        };
        assert_eq!(
            (outcome.status, outcome.error.as_deref()),
            (status, error),
            "{self:?}: {outcome:?}"
        );
        assert_eq!(outcome.objects.is_empty(), status != "ready", "{self:?}: {outcome:?}");
    }
}

fn silent(directory: &Path) -> Vec<u8> {
    let source = "testsrc2=size=160x120:rate=10:duration=1";
    let picture = [
        "-f",
        "lavfi",
        "-i",
        source,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
    ];
    make(directory, "silent.mp4", &picture)
}

/// With its index whole and all of its pictures overwritten: only a decoder notices.
fn damaged(mut clip: Vec<u8>) -> Vec<u8> {
    let place = |name: &[u8]| clip.windows(4).position(|four| four == name).unwrap();
    let (data, index) = (place(b"mdat") + 4, place(b"moov") - 4);
    assert!(data < index, "the index comes first");
    clip[data..index].fill(0);
    clip
}

impl Outcome {
    pub(crate) fn new(video: &Video, objects: &BTreeSet<String>) -> Self {
        let mut warnings = video.warnings.clone();
        warnings.sort();
        Self {
            status: video.status.as_str(),
            error: video.error.as_ref().map(|error| error.code.clone()),
            warnings,
            duration: video.duration.map(|seconds| format!("{seconds:.3}")),
            size: (video.width, video.height),
            objects: objects.iter().map(|key| without_attempt(key)).collect(),
        }
    }
}

/// `videos/ID/1/transcode/video-0/2/120p/init.mp4` as `transcode/video-0/120p/init.mp4`.
fn without_attempt(key: &str) -> String {
    let places: Vec<&str> = key.split('/').skip(3).collect();
    let attempt = places.iter().position(|place| place.parse::<u32>().is_ok());
    let kept = places.iter().enumerate().filter(|(place, _)| Some(*place) != attempt);
    kept.map(|(_, place)| *place).collect::<Vec<_>>().join("/")
}

/// Every key that a manifest names.
pub(crate) fn named(manifest: &Manifest) -> BTreeSet<String> {
    let renditions = manifest.variants.iter().map(|variant| &variant.rendition);
    let renditions = renditions.chain(manifest.sounds.iter().map(|sound| &sound.rendition));
    let in_part = renditions.flat_map(|rendition| &rendition.parts).flat_map(|part| {
        let segments = (0..part.segments.len()).map(|index| part.segment_key(index));
        std::iter::once(part.init_key()).chain(segments)
    });
    let poster = manifest.poster.iter().flat_map(|poster| [&poster.jpeg, &poster.webp]);
    let sprite = manifest.storyboard.iter().map(|storyboard| &storyboard.sprite);
    let files = [&manifest.preview, &manifest.mp3, &manifest.download];
    let objects = poster.chain(sprite).chain(files.into_iter().flatten());
    in_part.chain(objects.map(|Object { key, .. }| key.clone())).collect()
}
