//! A directory in which a clip is made, planned, encoded, split, listed and played.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use toktik_media::cmaf::{self, Cut};
use toktik_media::encode::{self, Reading};
use toktik_media::manifest::{Manifest, Rendition, Sound, Variant};
use toktik_media::plan::{self, Options, Plan, Unit, Work};
use toktik_media::playlist::{self, Links, State};
use toktik_media::source::Source;

pub(crate) struct Stage {
    dir: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs ffmpeg, which must succeed and complain of nothing but its input.
    pub(crate) fn ffmpeg(&self, args: &[String]) {
        let output = self.try_ffmpeg(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{args:?}
{stderr}"
        );
        let complaints: Vec<&str> = stderr.lines().filter(|line| !is_expected(line)).collect();
        assert!(
            complaints.is_empty(),
            "{args:?}
{complaints:#?}"
        );
    }

    pub(crate) fn try_ffmpeg(&self, args: &[String]) -> Output {
        self.run(
            "ffmpeg",
            ["-hide_banner", "-nostdin", "-loglevel", "warning"]
                .into_iter()
                .chain(args.iter().map(String::as_str)),
        )
    }

    /// Makes a clip with ffmpeg's own sources; what it warns of is not ours.
    pub(crate) fn generate(&self, args: &str) {
        let args = args.split_whitespace();
        let output = self.run(
            "ffmpeg",
            ["-nostdin", "-loglevel", "error", "-y"].into_iter().chain(args),
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn run<'a>(&self, program: &str, args: impl IntoIterator<Item = &'a str>) -> Output {
        Command::new(program)
            .args(args)
            .current_dir(self.path())
            .output()
            .unwrap()
    }

    /// Standard output of ffmpeg or ffprobe, which must have nothing to warn of.
    pub(crate) fn ask(&self, program: &str, args: &str) -> Vec<u8> {
        let output = self.run(program, ["-v", "warning"].into_iter().chain(args.split_whitespace()));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args}\n{stderr}");
        assert_eq!(complaints(&stderr), [""; 0], "{program} {args}");
        output.stdout
    }

    pub(crate) fn lines(&self, program: &str, args: &str) -> Vec<String> {
        let text = String::from_utf8(self.ask(program, args)).unwrap();
        text.lines()
            .map(str::to_owned)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }

    /// Everything from the plan to the playlists; the clip is `source` in this directory.
    pub(crate) fn produce(&self, source: &Source, clip: &str) -> Made {
        self.produce_plan(plan::plan(source, &Options::default()), clip)
    }

    pub(crate) fn produce_plan(&self, plan: Plan, clip: &str) -> Made {
        let mut made = Made {
            manifest: Manifest {
                complete: true,
                target_duration: plan.target_duration(),
                ..Manifest::default()
            },
            plan,
        };
        for unit in &made.plan.units {
            for run in encode::unit_runs(&made.plan, unit, Reading::Near, clip) {
                self.ffmpeg(&run);
            }
            self.split(unit, &made.plan, &mut made.manifest);
        }
        made.manifest
            .variants
            .sort_by_key(|variant| std::cmp::Reverse(variant.height * variant.width));
        self.list(&made.manifest);
        made
    }

    fn split(&self, unit: &Unit, plan: &Plan, manifest: &mut Manifest) {
        for output in encode::outputs(plan, unit) {
            let prefix = format!("{}/{}/", unit.id, output.name);
            fs::create_dir_all(self.path().join(&prefix)).unwrap();
            let cut = match unit.work {
                Work::Video { first_frame, .. } => Cut::video(plan, first_frame),
                Work::Copy { .. } => Cut::copy(plan),
                Work::Audio => Cut::audio(plan),
            };
            let track = cmaf::split_file(&self.path().join(&output.file), &cut, &self.path().join(&prefix)).unwrap();
            let codecs = track.codecs.clone();
            add(manifest, plan, &output.name, codecs, track.part(prefix));
        }
    }

    pub(crate) fn list(&self, manifest: &Manifest) {
        let state = State::from(manifest);
        let renditions = manifest
            .variants
            .iter()
            .map(|variant| (&variant.name, &variant.rendition));
        for (name, rendition) in renditions.chain(manifest.sounds.iter().map(|sound| (&sound.name, &sound.rendition))) {
            self.write(&format!("{name}.m3u8"), &playlist::media(rendition, state, &Files));
        }
        for variant in &manifest.variants {
            self.write(
                &format!("{}-iframes.m3u8", variant.name),
                &playlist::iframes(&variant.rendition, state, &Files),
            );
        }
        self.write("playlist.m3u8", &playlist::multivariant(manifest, &Files));
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Init and media segments one after the other, as one file.
    pub(crate) fn joined(&self, rendition: &Rendition, name: &str) {
        let mut bytes = Vec::new();
        for (number, part) in rendition.parts.iter().enumerate() {
            if number == 0 {
                bytes.extend(fs::read(self.path().join(part.init_key())).unwrap());
            }
            for index in 0..part.segments.len() {
                bytes.extend(fs::read(self.path().join(part.segment_key(index))).unwrap());
            }
        }
        fs::write(self.path().join(name), bytes).unwrap();
    }

    /// Of each decoded frame of a playlist, its time in seconds.
    pub(crate) fn frame_times(&self, playlist: &str) -> Vec<f64> {
        let args = format!("-select_streams v:0 -show_entries frame=pts_time -of csv=p=0 -i {playlist}");
        self.lines("ffprobe", &args)
            .iter()
            .map(|line| line.trim_end_matches(',').parse().unwrap())
            .collect()
    }

    /// Samples as a player hears them, mixed to one channel, 48 kHz, from time zero.
    pub(crate) fn samples(&self, file: &str) -> Vec<i16> {
        self.pcm(&format!(
            "-copyts -i {file} -map 0:a:0 -af aresample=48000:async=1:first_pts=0"
        ))
    }

    /// Samples of a run, mixed to one channel, 48 kHz.
    pub(crate) fn pcm(&self, args: &str) -> Vec<i16> {
        let pcm = self.ask("ffmpeg", &format!("{args} -ac 1 -ar 48000 -f s16le -"));
        pcm.chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect()
    }

    /// Mean luma of each frame, of the part that `crop` names (`iw:ih:0:0`).
    pub(crate) fn luma(&self, file: &str, crop: &str) -> Vec<u8> {
        let filter = format!("crop={crop},scale=1:1:flags=area,format=yuv420p|yuvj420p,extractplanes=y");
        self.ask(
            "ffmpeg",
            &format!("-i {file} -map 0:v:0 -vf {filter} -fps_mode passthrough -f rawvideo -"),
        )
    }

    /// The middle pixel of the first frame, taken for BT.709 as its tags say.
    pub(crate) fn color(&self, file: &str) -> [u8; 3] {
        let filter = "crop=2:2,scale=in_color_matrix=bt709:in_range=tv:flags=accurate_rnd,format=rgb24";
        let bytes = self.ask(
            "ffmpeg",
            &format!("-i {file} -map 0:v:0 -vf {filter} -frames:v 1 -f rawvideo -"),
        );
        [bytes[0], bytes[1], bytes[2]]
    }
}

/// What ffmpeg says of the clips and measurements of these tests, none of it about our files: mono without a layout,
/// full range, pictures of one pixel, pictures of one colour, clocks that jump, an index without a beginning, pictures
/// that refer to what was not read.
fn is_expected(line: &str) -> bool {
    const EXPECTED: [&str; 10] = [
        "Guessed Channel Layout",
        "deprecated pixel format used",
        "ignoring invalid SAR",
        "bitrate parameter is set too low",
        "EOI missing, emulating",
        "DTS discontinuity in stream",
        "Packet corrupt (stream",
        "corrupt input packet in stream",
        "Dropping apparently-broken index",
        "mmco: unref short failure",
    ];
    EXPECTED.iter().any(|expected| line.contains(expected))
}

fn complaints(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| !is_expected(line)).collect()
}

fn add(manifest: &mut Manifest, plan: &Plan, name: &str, codecs: String, part: toktik_media::manifest::Part) {
    let known = manifest.variants.iter_mut().find(|variant| variant.name == name);
    if let Some(variant) = known {
        assert_eq!(variant.rendition.codecs, codecs);
        variant.rendition.parts.push(part);
        return;
    }
    let rendition = Rendition {
        codecs,
        parts: vec![part],
    };
    if let Some(rung) = plan.rung(name) {
        manifest.variants.push(Variant::new(plan, rung, rendition));
    } else if let Some(sound) = plan.sound(name) {
        manifest.sounds.push(Sound::new(sound, rendition));
    }
}

pub(crate) struct Made {
    pub(crate) plan: Plan,
    pub(crate) manifest: Manifest,
}

/// Local file names.
pub(crate) struct Files;

impl Links for Files {
    fn media(&self, name: &str) -> String {
        format!("{name}.m3u8")
    }

    fn iframes(&self, name: &str) -> String {
        format!("{name}-iframes.m3u8")
    }

    fn object(&self, key: &str) -> String {
        key.to_owned()
    }
}
