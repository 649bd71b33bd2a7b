//! Clips to measure with: made by ffmpeg once, and kept outside the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::{cargo_home, must, say};

/// A clip, and what is asked of us for it.
pub(super) struct Source {
    pub(super) name: &'static str,
    pub(super) seconds: u32,
    /// Its picture is taken as it is.
    pub(super) compliant: bool,
    /// Seconds until it can be watched, at most.
    pub(super) playable: f64,
    size: (u32, u32),
    rate: u32,
    encoder: &'static [&'static str],
    sound: &'static str,
    extension: &'static str,
}

/// H.264 as players take it: closed GOPs of two seconds, 8 Mbit/s.
const COMPLIANT: &[&str] = &[
    "libx264",
    "-preset",
    "veryfast",
    "-profile:v",
    "high",
    "-pix_fmt",
    "yuv420p",
    "-b:v",
    "8M",
    "-maxrate",
    "9M",
    "-bufsize",
    "9M",
    "-g",
    "60",
    "-keyint_min",
    "60",
    "-sc_threshold",
    "0",
    "-flags",
    "+cgop",
];

pub(super) const SOURCES: [Source; 6] = [
    Source {
        name: "compliant 1080p",
        seconds: 59,
        compliant: true,
        playable: 1.0,
        size: (1920, 1080),
        rate: 30,
        encoder: COMPLIANT,
        sound: "aac",
        extension: "mp4",
    },
    Source {
        name: "HEVC 1080p",
        seconds: 20,
        compliant: false,
        playable: 2.0,
        size: (1920, 1080),
        rate: 30,
        encoder: &[
            "libx265",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-b:v",
            "6M",
            "-tag:v",
            "hvc1",
        ],
        sound: "aac",
        extension: "mp4",
    },
    Source {
        name: "VP9 1080p",
        seconds: 20,
        compliant: false,
        playable: 2.0,
        size: (1920, 1080),
        rate: 30,
        encoder: &[
            "libvpx-vp9",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-row-mt",
            "1",
            "-pix_fmt",
            "yuv420p",
            "-b:v",
            "6M",
        ],
        sound: "libopus",
        extension: "webm",
    },
    Source {
        name: "4k60 HEVC HDR",
        seconds: 10,
        compliant: false,
        playable: 5.0,
        size: (3840, 2160),
        rate: 60,
        encoder: &[
            "libx265",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p10le",
            "-b:v",
            "30M",
            "-tag:v",
            "hvc1",
            "-color_primaries",
            "bt2020",
            "-color_trc",
            "smpte2084",
            "-colorspace",
            "bt2020nc",
        ],
        sound: "aac",
        extension: "mp4",
    },
    Source {
        name: "portrait 720p",
        seconds: 30,
        compliant: false,
        playable: 2.0,
        size: (720, 1280),
        rate: 30,
        // As a telephone records: keyframes now and then, B-frames, a GOP of eight seconds.
        encoder: &[
            "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-b:v", "4M", "-g", "240",
        ],
        sound: "aac",
        extension: "mov",
    },
    Source {
        name: SHORT,
        seconds: 5,
        compliant: true,
        playable: 1.0,
        size: (1280, 720),
        rate: 30,
        encoder: COMPLIANT,
        sound: "aac",
        extension: "mp4",
    },
];

pub(super) const LONG: &str = "compliant 1080p";
pub(super) const SHORT: &str = "5 s 720p";

pub(super) fn named(name: &str) -> Result<&'static Source> {
    let found = SOURCES.iter().find(|source| source.name == name);
    found.with_context(|| format!("there is no clip called {name}"))
}

impl Source {
    /// Where it lies; made if it does not.
    pub(super) fn file(&self) -> Result<PathBuf> {
        let folder = cargo_home()?.join("toktik-bench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let name = format!(
            "natural-{}-{}s.{}",
            self.name.replace(' ', "-"),
            self.seconds,
            self.extension
        );
        let file = folder.join(name);
        if !file.exists() {
            say(&format!("making {}", file.display()));
            let unfinished = folder.join(format!("unfinished.{}", self.extension));
            must(&mut self.making(&unfinished))?;
            fs::rename(&unfinished, &file)?;
        }
        Ok(file)
    }

    fn making(&self, file: &Path) -> Command {
        let Self { rate, seconds, .. } = self;
        let picture = self.picture();
        let sound = format!("sine=frequency=220:beep_factor=4:sample_rate=48000:duration={seconds}");
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y"]);
        command.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound]);
        command.args(["-t", &seconds.to_string(), "-r", &rate.to_string()]);
        command.arg("-c:v").args(self.encoder);
        command.args(["-c:a", self.sound, "-b:a", "128k"]);
        command.arg(file);
        command
    }

    /// A surface as rough at every scale as nature's are, before which the camera wanders; a piece of it on a way of its own;
    /// and grain. x264's presets cost on it what they cost on film. On a test card its default preset is hardly dearer than
    /// the fast one, so that nothing could be said of the chain that uses it.
    fn picture(&self) -> String {
        const OCTAVES: [u32; 5] = [48, 24, 12, 6, 3];
        let Self {
            size: (width, height),
            rate,
            ..
        } = self;
        let (wide, high) = (width / 8 * 10, height / 8 * 10);
        let octaves = OCTAVES.iter().enumerate().map(|(seed, part)| {
            let (x, y) = (wide / part, high / part);
            format!(
                "color=gray:s={x}x{y}:r={rate}:d=0.04,noise=alls=100:all_seed={seed},scale={wide}:{high}:flags=bicubic[{seed}];"
            )
        });
        let (right, down) = (wide / 10, high / 10);
        let (thing_width, thing_height) = (width / 16 * 2, height / 16 * 4);
        format!(
            "{}[0][1][2][3][4]mix=inputs=5:weights=16 8 4 2 1,eq=contrast=2:saturation=0.5,format=yuv420p,loop=-1:1,\
             setpts=N/{rate}/TB,setsar=1,split[far][near];\
             [far]crop={width}:{height}:x='{right}*(1+sin(t/1.5))':y='{down}*(1+cos(t/2))'[ground];\
             [near]crop={thing_width}:{thing_height}[thing];\
             [ground][thing]overlay=x='{right}*(3+2*sin(t/3))':y='{down}*(3+2*sin(t*3))',noise=alls=16:allf=t",
            octaves.collect::<String>()
        )
    }
}
