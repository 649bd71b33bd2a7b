//! What a player gets: sizes, times, colours and sound, decoded by ffmpeg from the playlist.
//!
//! Also the film that most clips here are made of. Its corners tell where up is and what colours are, and white flashes in
//! its middle go with beeps, so that picture and sound can be compared.

use reqwest::Url;
use tokio::process::Command;

use super::Ended;
use crate::client::{client, send};
use crate::hls;

pub(crate) type Rgb = [u8; 3];

pub(crate) const RED: Rgb = [255, 0, 0];
pub(crate) const GREEN: Rgb = [0, 255, 0];
pub(crate) const BLUE: Rgb = [0, 0, 255];
pub(crate) const YELLOW: Rgb = [255, 255, 0];

/// Of the film: upper left, upper right, lower left, lower right.
pub(crate) const CORNERS: [Rgb; 4] = [RED, GREEN, BLUE, YELLOW];

/// When the film of 2 s flashes and beeps.
pub(crate) const MOMENTS: [f64; 2] = [0.4, 1.6];

const SAMPLE_RATE: u32 = 48_000;

/// A grey picture with a colour in each corner that flashes at these moments, exact in RGB: a source of `lavfi`.
pub(crate) fn film(size: &str, rate: &str, seconds: f64, moments: &[f64]) -> String {
    let boxes = [
        ("0", "0", "red"),
        ("iw*3/4", "0", "lime"),
        ("0", "ih*3/4", "blue"),
        ("iw*3/4", "ih*3/4", "yellow"),
    ];
    let corners: Vec<String> = boxes
        .iter()
        .map(|(x, y, color)| format!(",drawbox={x}:{y}:iw/4+1:ih/4+1:{color}:fill"))
        .collect();
    let on = during(moments);
    format!(
        "color=c=0x808080:s={size}:r={rate}:d={seconds},format=gbrp{},\
         drawbox=iw*3/8:ih*3/8:iw/4:ih/4:black:fill,drawbox=iw*3/8:ih*3/8:iw/4:ih/4:white:fill:enable='{on}'",
        corners.concat()
    )
}

/// A beep of 1 kHz and 0.1 s at each of these moments: a source of `lavfi`.
pub(crate) fn beeps(seconds: f64, moments: &[f64]) -> String {
    let on = during(moments);
    format!("aevalsrc=exprs='({on})*0.5*sin(6283.19*t)':d={seconds}:s=48000")
}

/// Half a millisecond early, since times are floats.
fn during(moments: &[f64]) -> String {
    let one = |moment: &f64| format!("between(t,{:.4},{:.4})", moment - 0.0005, moment + 0.0995);
    let each: Vec<String> = moments.iter().map(one).collect();
    if each.is_empty() {
        "0".to_owned()
    } else {
        each.join("+")
    }
}

/// Arguments for the film of 2 s at 25 frames a second, with its beeps.
pub(crate) fn film_with_sound() -> String {
    let (film, beeps) = (film("320x240", "25", 2.0, &MOMENTS), beeps(2.0, &MOMENTS));
    format!("-f lavfi -i {film} -f lavfi -i {beeps}")
}

/// A ready clip as its player sees it.
pub(crate) struct Player {
    /// Highest first.
    pub(crate) rungs: Vec<Rung>,
    /// Every frame of the highest rung.
    pub(crate) frames: Vec<Picture>,
    /// When each of them is shown, seconds.
    pub(crate) times: Vec<f64>,
    /// Address of the sound's playlist.
    sound: Option<String>,
}

pub(crate) struct Rung {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Frames a second.
    pub(crate) rate: f64,
    address: String,
    /// The group of its sound.
    group: Option<String>,
}

/// Opens the playlist and plays all of it: every rung and every sound must keep to the HLS specifications, decode
/// without a complaint, and be what the playlist says.
pub(crate) async fn watch(ended: &Ended) -> Player {
    let playlist = ended.playlist();
    ffmpeg(&["-i", playlist, "-map", "0", "-f", "null", "-"]).await;
    hls::assert_clean(playlist).await;
    let text = fetch(playlist).await;
    let rungs = rungs(&text, playlist);
    for rung in &rungs {
        rung.check().await;
    }
    let top = &rungs[0];
    let (frames, times) = (
        pictures(&top.address, "bt709:in_range=tv").await,
        times(&top.address).await,
    );
    assert_eq!(frames.len(), times.len());
    let sound = top.group.as_deref().map(|group| sound(&text, group, playlist));
    let player = Player {
        rungs,
        frames,
        times,
        sound,
    };
    player.check_times(ended).await;
    player
}

impl Rung {
    /// As the playlist says, and in what every browser decodes.
    async fn check(&self) {
        let entries = "stream=width,height,sample_aspect_ratio,pix_fmt,color_range,color_space,\
                       color_transfer,color_primaries:stream_side_data_list";
        let found = ask(&self.address, &["-select_streams", "v", "-show_entries", entries]).await;
        let size = format!("{},{}", self.width, self.height);
        assert_eq!(found, format!("{size},1:1,yuv420p,tv,bt709,bt709,bt709"));
    }
}

impl Player {
    /// Sizes of all rungs, highest first.
    pub(crate) fn sizes(&self) -> Vec<(u32, u32)> {
        self.rungs.iter().map(|rung| (rung.width, rung.height)).collect()
    }

    /// Asserts that so many frames are shown at this constant rate.
    #[track_caller]
    pub(crate) fn assert_frames(&self, frames: usize, rate: f64) {
        assert!(
            (self.rungs[0].rate - rate).abs() < 0.001,
            "{} a second",
            self.rungs[0].rate
        );
        assert_eq!(self.frames.len(), frames);
    }

    /// Frames stand where the rate has them, and playlist and API say how long they last.
    async fn check_times(&self, ended: &Ended) {
        let rate = self.rungs[0].rate;
        for (number, time) in self.times.iter().enumerate() {
            let expected = float(number) / rate;
            assert!((time - expected).abs() < 0.001, "frame {number} is at {time}");
        }
        let length = float(self.frames.len()) / rate;
        let told = ended.video["duration"].as_f64().unwrap();
        assert!((told - length).abs() < 0.5 / rate + 0.001, "{told} for {length} s");
        for rung in &self.rungs {
            let listed: f64 = fetch(&rung.address).await.lines().filter_map(extinf).sum();
            assert!((listed - length).abs() < 0.001, "{listed} listed for {length} s");
        }
    }

    /// The frame that is shown at a time.
    #[track_caller]
    pub(crate) fn at(&self, time: f64) -> &Picture {
        let later = self.times.partition_point(|start| *start <= time + 0.001);
        &self.frames[later.max(1) - 1]
    }

    /// When the film's middle turns white.
    pub(crate) fn flashes(&self) -> Vec<f64> {
        let white: Vec<bool> = self.frames.iter().map(|frame| frame.color(0.5, 0.5)[1] > 128).collect();
        let begins = |number: &usize| white[*number] && (*number == 0 || !white[*number - 1]);
        (0..white.len())
            .filter(begins)
            .map(|number| self.times[number])
            .collect()
    }

    /// Asserts that the film flashes at these moments, to the frame.
    #[track_caller]
    pub(crate) fn assert_flashes(&self, moments: &[f64]) {
        let seen = self.flashes();
        let near = |(seen, moment): (&f64, &f64)| (seen - moment).abs() < 0.5 / self.rungs[0].rate + 0.001;
        let all = seen.len() == moments.len() && seen.iter().zip(moments).all(near);
        assert!(all, "flashes at {seen:?}, expected at {moments:?}");
    }

    /// Asserts that the film flashes at these moments, and beeps within 40 ms of them.
    pub(crate) async fn assert_in_sync(&self, moments: &[f64]) {
        self.assert_flashes(moments);
        self.sound().await.assert_beeps(moments);
    }

    pub(crate) fn has_sound(&self) -> bool {
        self.sound.is_some()
    }

    pub(crate) async fn sound(&self) -> Sound {
        let address = self.sound.as_deref().expect("the playlist has sound");
        let entries = "stream=codec_name,profile,sample_rate,channels,channel_layout";
        assert_eq!(ask(address, &["-show_entries", entries]).await, "aac,LC,48000,2,stereo");
        samples(address).await
    }
}

impl Ended {
    /// The poster, decoded.
    pub(crate) async fn poster(&self) -> Picture {
        let address = self.address("poster.jpg").await;
        // JFIF: BT.601 and full range.
        pictures(&address, "bt601:in_range=pc").await.remove(0)
    }

    /// The MP3, decoded.
    pub(crate) async fn mp3(&self) -> Sound {
        samples(&self.address("audio.mp3").await).await
    }

    async fn address(&self, name: &str) -> String {
        let answer = self
            .house
            .get(&format!("/videos/{}/{name}", self.id), Some(&self.user))
            .await;
        assert_eq!(answer.status, reqwest::StatusCode::FOUND, "{name}: {answer:?}");
        answer.header("location").to_owned()
    }
}

/// A decoded frame.
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    pub(crate) fn pixel(&self, x: usize, y: usize) -> Rgb {
        let at = (y * self.width + x) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// The mean color around a place, each coordinate from 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the picture"
    )]
    pub(crate) fn color(&self, x: f64, y: f64) -> Rgb {
        let range = |middle: f64, side: usize| {
            let first = ((middle - 0.04) * float(side)).round() as usize;
            first..(((middle + 0.04) * float(side)).round() as usize).max(first + 1)
        };
        let mut sums = [0; 3];
        let mut count = 0;
        for y in range(y, self.height) {
            for x in range(x, self.width) {
                let pixel = self.pixel(x, y);
                (0..3).for_each(|channel| sums[channel] += u32::from(pixel[channel]));
                count += 1;
            }
        }
        sums.map(|sum| ((sum + count / 2) / count) as u8)
    }

    /// Upper left, upper right, lower left, lower right.
    pub(crate) fn corners(&self) -> [Rgb; 4] {
        const NEAR: f64 = 0.0625;
        const FAR: f64 = 1.0 - NEAR;
        const PLACES: [(f64, f64); 4] = [(NEAR, NEAR), (FAR, NEAR), (NEAR, FAR), (FAR, FAR)];
        PLACES.map(|(x, y)| self.color(x, y))
    }

    /// Asserts these colors in the corners: upper left, upper right, lower left, lower right.
    #[track_caller]
    pub(crate) fn assert_corners(&self, expected: [Rgb; 4], tolerance: u8) {
        let seen = self.corners();
        let all = seen
            .iter()
            .zip(&expected)
            .all(|(seen, expected)| off(*seen, *expected) <= tolerance);
        assert!(all, "corners {seen:?}, expected {expected:?}");
    }
}

/// The largest difference of a channel.
pub(crate) fn off(left: Rgb, right: Rgb) -> u8 {
    (0..3)
        .map(|channel| left[channel].abs_diff(right[channel]))
        .max()
        .unwrap_or_default()
}

/// Decoded sound on the player's clock, one value from -1 to 1 a sample.
pub(crate) struct Sound {
    pub(crate) left: Vec<f32>,
    pub(crate) right: Vec<f32>,
}

impl Sound {
    pub(crate) fn seconds(&self) -> f64 {
        float(self.left.len()) / f64::from(SAMPLE_RATE)
    }

    /// When it becomes loud after 50 ms of quiet, on either side.
    pub(crate) fn beeps(&self) -> Vec<f64> {
        let loud = |number: &usize| self.left[*number].abs().max(self.right[*number].abs()) > 0.1;
        let mut begins: Vec<f64> = Vec::new();
        let mut last = None::<f64>;
        for number in (0..self.left.len()).filter(loud) {
            let time = float(number) / f64::from(SAMPLE_RATE);
            if last.is_none_or(|last| time - last > 0.05) {
                begins.push(time);
            }
            last = Some(time);
        }
        begins
    }

    /// Asserts a beep within 40 ms of each of these moments, and no others.
    #[track_caller]
    pub(crate) fn assert_beeps(&self, moments: &[f64]) {
        let heard = self.beeps();
        let near = |(heard, moment): (&f64, &f64)| (heard - moment).abs() < 0.040;
        let all = heard.len() == moments.len() && heard.iter().zip(moments).all(near);
        assert!(all, "beeps at {heard:?}, expected at {moments:?}");
    }
}

/// How loud a stretch of a channel is, in decibels below full scale.
pub(crate) fn loudness(channel: &[f32], from: f64, to: f64) -> f64 {
    let stretch = stretch(channel, from, to);
    let power: f64 = stretch.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    10.0 * (power / float(stretch.len()) + 1e-12).log10()
}

/// Amplitude of one frequency in a stretch of a channel (Goertzel).
pub(crate) fn tone(channel: &[f32], hertz: f64, from: f64, to: f64) -> f64 {
    let stretch = stretch(channel, from, to);
    let turn = std::f64::consts::TAU * hertz / f64::from(SAMPLE_RATE);
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (number, sample) in stretch.iter().enumerate() {
        let angle = turn * float(number);
        real += f64::from(*sample) * angle.cos();
        imaginary += f64::from(*sample) * angle.sin();
    }
    2.0 * real.hypot(imaginary) / float(stretch.len())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a short clip"
)]
fn stretch(channel: &[f32], from: f64, to: f64) -> &[f32] {
    let sample = |time: f64| (time * f64::from(SAMPLE_RATE)).round() as usize;
    &channel[sample(from)..sample(to)]
}

#[expect(clippy::cast_precision_loss, reason = "frames and samples of a short clip")]
pub(crate) fn float(number: usize) -> f64 {
    number as f64
}

/// The rungs of a multivariant playlist, highest first.
fn rungs(playlist: &str, base: &str) -> Vec<Rung> {
    let lines: Vec<&str> = playlist.lines().collect();
    let pairs = lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("#EXT-X-STREAM-INF:"));
    let mut rungs: Vec<Rung> = pairs.map(|pair| rung(pair[0], join(base, pair[1]))).collect();
    rungs.sort_by_key(|rung| std::cmp::Reverse(rung.width * rung.height));
    assert!(!rungs.is_empty(), "{playlist}");
    rungs
}

fn rung(line: &str, address: String) -> Rung {
    let resolution = attribute(line, "RESOLUTION").unwrap();
    let (width, height) = resolution.split_once('x').unwrap();
    Rung {
        width: width.parse().unwrap(),
        height: height.parse().unwrap(),
        rate: attribute(line, "FRAME-RATE").unwrap().parse().unwrap(),
        address,
        group: attribute(line, "AUDIO").map(str::to_owned),
    }
}

/// Where a group of sound has its playlist.
fn sound(playlist: &str, group: &str, base: &str) -> String {
    let mut media = playlist
        .lines()
        .filter(|line| line.starts_with("#EXT-X-MEDIA:TYPE=AUDIO"));
    let line = media.find(|line| attribute(line, "GROUP-ID") == Some(group)).unwrap();
    join(base, attribute(line, "URI").unwrap())
}

/// The value of an attribute, without its quotation marks.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let begins = [format!(",{name}="), format!(":{name}=")];
    let (_, rest) = begins.iter().find_map(|begin| line.split_once(begin.as_str()))?;
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(',').next(),
    }
}

fn extinf(line: &str) -> Option<f64> {
    line.strip_prefix("#EXTINF:")?.trim_end_matches(',').parse().ok()
}

fn join(base: &str, address: &str) -> String {
    Url::parse(base).unwrap().join(address).unwrap().into()
}

async fn fetch(address: &str) -> String {
    let answer = send(client().get(address)).await;
    assert_eq!(answer.status, reqwest::StatusCode::OK, "{answer:?}");
    answer.text()
}

/// Every frame of a file or playlist, whose matrix and range are these.
async fn pictures(address: &str, matrix: &str) -> Vec<Picture> {
    let size = ask(
        address,
        &["-select_streams", "v", "-show_entries", "stream=width,height"],
    )
    .await;
    let sides: Vec<usize> = size.split(',').map(|side| side.parse().unwrap()).collect();
    let (width, height) = (sides[0], sides[1]);
    let filter = format!(
        "scale=in_color_matrix={matrix}:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,\
         format=rgb24"
    );
    let decoded = [
        "-map",
        "0:v:0",
        "-vf",
        &filter,
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-",
    ];
    let bytes = ffmpeg(&[&["-i", address], &decoded[..]].concat()).await;
    let frames = bytes.chunks_exact(width * height * 3);
    let picture = |rgb: &[u8]| Picture {
        width,
        height,
        rgb: rgb.to_vec(),
    };
    frames.map(picture).collect()
}

/// When each frame is shown; none may be interlaced.
async fn times(address: &str) -> Vec<f64> {
    let entries = "frame=pts_time,interlaced_frame";
    let arguments = [
        "-select_streams",
        "v",
        "-show_entries",
        entries,
        "-of",
        "csv=p=0",
        address,
    ];
    let text = String::from_utf8(run("ffprobe", &arguments).await).unwrap();
    let frames = text.lines().filter(|line| !line.is_empty());
    let time = |line: &str| {
        let time = line.trim_end_matches(',').strip_suffix(",0").expect("a whole picture");
        time.parse().unwrap()
    };
    frames.map(time).collect()
}

async fn samples(address: &str) -> Sound {
    let filter = "aresample=48000:async=1:first_pts=0";
    let decoded = ["-map", "0:a:0", "-af", filter, "-ac", "2", "-f", "f32le", "-"];
    let bytes = ffmpeg(&[&["-copyts", "-i", address], &decoded[..]].concat()).await;
    let values: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    Sound {
        left: values.iter().copied().step_by(2).collect(),
        right: values.iter().copied().skip(1).step_by(2).collect(),
    }
}

/// What ffprobe has to say of the first stream, as one line.
async fn ask(address: &str, arguments: &[&str]) -> String {
    let text = run("ffprobe", &[arguments, &["-of", "csv=p=0", address]].concat()).await;
    let text = String::from_utf8(text).unwrap();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.next().unwrap_or_default().to_owned()
}

async fn ffmpeg(arguments: &[&str]) -> Vec<u8> {
    run("ffmpeg", &[&["-nostdin"], arguments].concat()).await
}

/// Standard output; a warning fails the test.
async fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(["-hide_banner", "-v", "warning"])
        .args(arguments)
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<&str> = printed.lines().filter(|line| !is_about_jpeg(line)).collect();
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints:#?} of {program} {arguments:?}"
    );
    output.stdout
}

/// ffmpeg warns of its own name for JPEG's range, and of pictures so plain that they end before it expects it.
fn is_about_jpeg(line: &str) -> bool {
    line.contains("deprecated pixel format used") || line.contains("EOI missing, emulating")
}
