//! ffmpeg's arguments for the renditions, the MP3 and the download. Pure; nothing is run here.
//!
//! A run works in a directory of its own and writes its files there by name. Each rendition is one fragmented MP4,
//! which `cmaf` splits into the objects that are stored.
//!
//! A repeated run gives the same frames and segments, but not always the same bytes: x264's rate control, where it
//! binds, depends on how its threads happen to run (240p at 96 kbit/s with two threads: four runs, four streams).
//! So what two runs made must not be mixed.

use crate::filters::{self, strings};
use crate::plan::{Copied, Plan, Rung, Sound, Unit, Work};
use crate::source::{Audio, Fraction, Source};

/// Exit code of ffmpeg when more than half of the frames did not decode: the clip is corrupt.
pub const CORRUPT: i32 = 69;

/// Hertz of every sound.
pub const SAMPLE_RATE: u32 = 48_000;

/// What [`mp3_runs`] make.
pub const MP3: &str = "audio.mp3";

/// What [`download_args`] writes.
pub const DOWNLOAD: &str = "download.mp4";

/// What a unit's run writes: the name of the rung or sound, and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub name: String,
    pub file: String,
}

pub fn outputs(plan: &Plan, unit: &Unit) -> Vec<Output> {
    let names: Vec<&str> = match &unit.work {
        Work::Video { rungs, .. } => chosen(plan, rungs).into_iter().map(|rung| rung.name.as_str()).collect(),
        Work::Copy { rung } => vec![rung.as_str()],
        Work::Audio => plan.sounds.iter().map(|sound| sound.name.as_str()).collect(),
    };
    names
        .into_iter()
        .map(|name| Output {
            name: name.to_owned(),
            file: file(name),
        })
        .collect()
}

fn file(name: &str) -> String {
    format!("{name}.mp4")
}

/// How a unit comes to the first of its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// From a keyframe before it, where the format has an index. What the index says is not checked here: a unit that
    /// comes out short is to be made again.
    Near,
    /// From the beginning of the file, and whatever does not decode on the way is passed over. Picture by picture the
    /// same as in one run over the whole clip.
    Patient,
}

/// Arguments of each run, one after the other, that make all of a unit's outputs. `input` is the source's path.
///
/// None if there is nothing to make: a silent clip has no sound.
pub fn unit_runs(plan: &Plan, unit: &Unit, reading: Reading, input: &str) -> Vec<Vec<String>> {
    match &unit.work {
        Work::Video {
            rungs,
            first_frame,
            frames,
        } => {
            let range = Range {
                first: *first_frame,
                frames: *frames,
            };
            vec![video_args(
                plan,
                &chosen(plan, rungs),
                range,
                reading,
                (input, Decoding::of(plan, unit)),
            )]
        }
        Work::Copy { rung } => vec![copy_args(plan, rung, input)],
        Work::Audio => sound_runs(plan, input, audio_args),
    }
}

/// Frames of the output's grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u64,
    frames: u64,
}

impl Range {
    /// That of the clip.
    fn whole(plan: &Plan) -> Self {
        Self {
            first: 0,
            frames: plan.frames,
        }
    }

    fn end(self) -> u64 {
        self.first.saturating_add(self.frames)
    }
}

/// A run that makes nothing and says by its exit code whether enough of the clip's picture decodes: exactly the one that
/// a single unit would be judged by, without the encoding.
pub fn judge_args(plan: &Plan, input: &str) -> Vec<String> {
    let range = Range::whole(plan);
    let mut args = filters::input(&plan.source, plan.threads, input);
    let grid = grid(plan, range, true);
    let clock = filters::clock(&plan.source);
    let stream = plan.source.video.stream;
    args.extend([
        "-filter_complex".to_owned(),
        format!("[0:{stream}]{clock},{grid}[judged]"),
    ]);
    args.extend(strings(&[
        "-map",
        "[judged]",
        "-fps_mode",
        "passthrough",
        "-f",
        "null",
        "-",
    ]));
    args
}

/// Highest first, whatever the unit's order.
fn chosen<'a>(plan: &'a Plan, names: &[String]) -> Vec<&'a Rung> {
    plan.rungs.iter().filter(|rung| names.contains(&rung.name)).collect()
}

/// How the source is decoded for a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decoding {
    threads: u32,
    /// Every second picture is left out, and the one before it is shown twice.
    thinned: bool,
}

impl Decoding {
    /// Where the host would fall behind who watches if it did anything else, the others wait: their memory is there for
    /// threads that keep all cores busy, and half of the pictures has to do.
    fn of(plan: &Plan, unit: &Unit) -> Self {
        let usual = filters::decoding_threads(&plan.source, plan.threads);
        let is_alone = unit.grows && plan.units.iter().any(|unit| unit.waits);
        Self {
            threads: if is_alone && usual > 1 { usual + 2 } else { usual },
            thinned: is_alone && plan.source.weight.thins,
        }
    }
}

fn video_args(
    plan: &Plan,
    rungs: &[&Rung],
    range: Range,
    reading: Reading,
    (input, decoding): (&str, Decoding),
) -> Vec<String> {
    let near = match reading {
        Reading::Near => near(plan, range.first),
        Reading::Patient => None,
    };
    let mut args: Vec<String> = near.iter().flat_map(|time| seek(*time)).collect();
    if decoding.thinned {
        args.extend(strings(&["-skip_frame", "noref"]));
    }
    args.extend(filters::input_until(
        &plan.source,
        decoding.threads,
        input,
        until(plan, range),
    ));
    if reading == Reading::Patient {
        args.extend(strings(&["-max_error_rate", "1"]));
    }
    args.extend(strings(&["-filter_complex_threads", &plan.threads.to_string()]));
    args.extend([
        "-filter_complex".to_owned(),
        picture_graph(plan, rungs, (range, near.is_none()), decoding.thinned),
    ]);
    for rung in rungs {
        args.extend(rung_args(plan, rung, range));
    }
    args
}

/// Leaves out what no player needs, and may hold what a clip's owner does not know of: SEI, and bytes that fill up. Says of
/// pixels and colors what probe has found them to be, since some sources do not say so themselves. The filters read all of
/// the parameter sets only as streams have them; those are in the header, and no more in the samples.
const AS_IT_IS: &str = "h264_mp4toannexb,filter_units=remove_types=6|7|8|12,h264_metadata=sample_aspect_ratio=1/1:video_full_range_flag=0:\
                        colour_primaries=1:transfer_characteristics=1:matrix_coefficients=1";

/// The picture as it is, from its first frame on.
fn copy_args(plan: &Plan, rung: &str, input: &str) -> Vec<String> {
    let video = &plan.source.video;
    let mut args = filters::input(&plan.source, plan.threads, input);
    args.extend(["-map".to_owned(), format!("0:{}", video.stream)]);
    args.extend(strings(&["-c:v", "copy", "-bsf:v", AS_IT_IS]));
    args.extend(["-output_ts_offset".to_owned(), format!("{:.6}", -video.start)]);
    args.extend(written(plan.frame_rate));
    args.push(file(rung));
    args
}

fn written(frame_rate: Fraction) -> Vec<String> {
    let mut args = strings(&["-video_track_timescale", &timescale(frame_rate).to_string()]);
    // With `delay_moov` the edit list is known when the header is written.
    args.extend(fragmented("+frag_keyframe+delay_moov"));
    args
}

/// Demuxers that find the keyframe before a time. Others land anywhere, as in a transport stream, and their decoder
/// would wait for a keyframe that does not come; they are decoded from the start.
const INDEXED: [&str; 2] = ["mov", "matroska"];

/// Whether a unit in the middle need not be decoded from the start.
pub(crate) fn is_indexed(source: &Source) -> bool {
    INDEXED.contains(&source.demuxer.as_str())
}

/// Seconds by which decoding starts early: keyframes are found by decoding time, and as many pictures as a decoder may
/// hold back are shown later than that. The grid drops what is before the range.
pub(crate) fn early(source: &Source) -> f64 {
    const HELD_BACK: f64 = 16.0;
    1.0 + HELD_BACK / source.video.frame_rate.as_f64().clamp(1.0, 300.0)
}

/// From which time of the file a unit that begins with this frame is read; none for the beginning.
fn near(plan: &Plan, first_frame: u64) -> Option<f64> {
    let ahead = plan.seconds(first_frame) - early(&plan.source);
    (ahead > 0.0 && is_indexed(&plan.source)).then_some(plan.source.video.start + ahead)
}

fn seek(time: f64) -> Vec<String> {
    let time = format!("{time:.6}");
    strings(&["-seek_timestamp", "1", "-noaccurate_seek", "-ss", &time])
}

/// When a unit that is not the last surely has its frames.
fn until(plan: &Plan, range: Range) -> Option<f64> {
    let end = plan.source.video.start + plan.seconds(range.end()) + early(&plan.source);
    (range.end() < plan.frames).then_some(end)
}

/// One decode. The lower rungs are scaled from the highest one's picture, so that a 4k source is scaled and
/// tone-mapped once.
fn picture_graph(plan: &Plan, rungs: &[&Rung], (range, from_start): (Range, bool), thinned: bool) -> String {
    let Some((top, lower)) = rungs.split_first() else {
        return String::new();
    };
    let video = &plan.source.video;
    let grid = grid(plan, range, from_start);
    let look = filters::sdr(video, top.width, top.height);
    let copies = labels(lower.iter().map(|rung| format!("from-{}", rung.name)));
    let picture = filters::picture(&plan.source);
    // A picture that stands for two is scaled once.
    let (first, then) = if thinned { (look, grid) } else { (grid, look) };
    let mut graph = format!("{picture},{first},{then},split={}[{}]{copies}", rungs.len(), top.name);
    for Rung {
        name, width, height, ..
    } in lower
    {
        let scale = filters::scaled(*width, *height);
        graph.extend([";[from-", name, "]", &scale, ",setsar=1[", name, "]"]);
    }
    graph
}

/// Pads of a filter graph.
fn labels(names: impl Iterator<Item = String>) -> String {
    names.flat_map(|name| ["[".to_owned(), name, "]".to_owned()]).collect()
}

/// Exactly these frames of the clip's grid, numbered from zero: what comes early is dropped, and the last frame stands
/// until the end. The grid is the same for all units, so that each picture falls to the same frame in each.
///
/// The first picture stands from the start of the clip on, however late it comes; but where a unit is read from the
/// middle, it may be that an earlier one should stand there, so nothing does.
fn grid(plan: &Plan, range: Range, from_start: bool) -> String {
    let Fraction { num, den } = plan.frame_rate;
    let start = if from_start { ":start_time=0" } else { "" };
    let fps = format!("fps={num}/{den}{start}:eof_action=pass");
    let (first, end) = (range.first, range.end());
    // Where the first frames may be missing, it is not to go unnoticed.
    let numbers = if from_start {
        "N".to_owned()
    } else {
        format!("PTS-{first}")
    };
    format!("{fps},tpad=stop=-1:stop_mode=clone,trim=start_pts={first}:end_pts={end},setpts={numbers}")
}

fn rung_args(plan: &Plan, rung: &Rung, range: Range) -> Vec<String> {
    let mut args = vec!["-map".to_owned(), format!("[{}]", rung.name)];
    args.extend(x264_args(plan, rung, range));
    args.extend(joining(rung, range));
    args.extend(strings(&[
        "-color_primaries",
        "bt709",
        "-color_trc",
        "bt709",
        "-colorspace",
        "bt709",
    ]));
    args.extend(strings(&["-color_range", "tv", "-fps_mode", "passthrough"]));
    // SEI holds nothing a player needs, but x264's version and settings.
    args.extend(strings(&["-bsf:v", "filter_units=remove_types=6"]));
    args.extend(written(plan.frame_rate));
    args.push(file(&rung.name));
    args
}

fn x264_args(plan: &Plan, rung: &Rung, range: Range) -> Vec<String> {
    let level = format!("{}.{}", rung.level / 10, rung.level % 10);
    let mut args = strings(&[
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-profile:v",
        "high",
        "-level:v",
        &level,
    ]);
    args.extend(strings(&[
        "-refs",
        &rung.reference_frames.to_string(),
        "-crf",
        &rung.crf.to_string(),
    ]));
    args.extend(strings(&[
        "-maxrate",
        &rung.max_rate.to_string(),
        "-bufsize",
        &rung.buffer.to_string(),
    ]));
    if is_tight(rung) {
        args.extend(strings(&["-subq", "6", "-trellis", "1"]));
    }
    args.extend(gop_args(plan, range));
    args.extend(strings(&["-threads", &plan.threads.to_string()]));
    if plan.frame_rate.as_f64() < SLOW {
        args.extend(strings(&["-bf", "0"]));
    }
    args
}

/// Where the cap leaves so little that every bit has to be weighed. A minute of 240 lines costs a second and a half more, and
/// its SSIM is 0.1 % under that of x264's default preset instead of 0.7 % (a film at 80 kbit/s).
fn is_tight(rung: &Rung) -> bool {
    rung.buffer < rung.max_rate
}

/// Closed GOPs that are alike in all rungs, so that their segments begin with the same frame: of one length behind the first,
/// or those of the source where its own picture is one of them.
fn gop_args(plan: &Plan, range: Range) -> Vec<String> {
    let forced = forced_keyframes(plan, range);
    let longest = plan.copied.as_ref().map_or(plan.gop_frames, Copied::longest);
    let shortest = if forced.is_empty() { longest } else { 1 };
    let (longest, shortest) = (longest.to_string(), shortest.to_string());
    let mut args = strings(&["-g", &longest, "-keyint_min", &shortest, "-sc_threshold", "0"]);
    args.extend(strings(&["-flags", "+cgop+bitexact"]));
    if !forced.is_empty() {
        // A little early: the first frame that is not before it is made a keyframe.
        let early = 0.25 / plan.frame_rate.as_f64();
        let times = forced
            .iter()
            .map(|frame| (plan.seconds(frame - range.first) - early).max(0.0));
        let times: Vec<String> = times.map(|time| format!("{time:.6}")).collect();
        args.extend(["-force_key_frames".to_owned(), times.join(",")]);
    }
    args
}

/// Keyframes in this range where GOPs are not all of one length.
fn forced_keyframes(plan: &Plan, range: Range) -> Vec<u64> {
    let inside = |frame: &u64| (range.first..range.end()).contains(frame);
    match &plan.copied {
        Some(copied) => copied.keyframes().filter(inside).collect(),
        None if range.first < u64::from(plan.gop_frames) => plan.first_keyframes().into_iter().filter(inside).collect(),
        None => Vec::new(),
    }
}

/// A unit in the middle continues a stream that has left about half of the buffer to it: that is what x264 aims at where
/// the cap binds. A stream of its own would begin with nine tenths.
fn joining(rung: &Rung, range: Range) -> Vec<String> {
    if range.first == 0 {
        return Vec::new();
    }
    strings(&["-rc_init_occupancy", &(rung.buffer / 2).to_string()])
}

/// Frames a second below which nothing is shown before it is decoded: a delay of two frames would be a fifth of a second
/// or more, and players that read no edit list stumble over it at the end.
const SLOW: f64 = 10.0;

/// Ticks a second: a frame is a whole number of them, and audio can be compared with it to 0.1 ms.
pub fn timescale(frame_rate: Fraction) -> u32 {
    const FINE: u32 = 10_000;
    frame_rate.num * FINE.div_ceil(frame_rate.num.max(1)).max(1)
}

/// One MP4 of fragments and nothing else, without the source's metadata or ours.
fn fragmented(flags: &str) -> Vec<String> {
    let flags = format!("+default_base_moof+skip_trailer{flags}");
    let mut args = anonymous();
    args.extend(strings(&["-movflags", &flags, "-f", "mp4"]));
    args
}

fn anonymous() -> Vec<String> {
    strings(&["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"])
}

/// Sound in one form, which [`unify_args`] writes.
const UNIFIED: &str = "sound.nut";

/// The run that makes the sound, and before it, where the sound may change on the way, one that unifies it.
fn sound_runs(plan: &Plan, input: &str, args: impl Fn(&Plan, &Audio, &str) -> Vec<String>) -> Vec<Vec<String>> {
    let Some(audio) = &plan.source.audio else {
        return Vec::new();
    };
    if !plan.source.clock_jumps() {
        return vec![args(plan, audio, input)];
    }
    let unified = Audio {
        stream: 0,
        ..audio.clone()
    };
    let mut of_unified = plan.clone();
    "nut".clone_into(&mut of_unified.source.demuxer);
    vec![unify_args(plan, audio, input), args(&of_unified, &unified, UNIFIED)]
}

/// One rate and two channels throughout. Broadcasts change both between programme and advertisement, and each time a
/// graph of filters would begin again at zero.
fn unify_args(plan: &Plan, audio: &Audio, input: &str) -> Vec<String> {
    let mut args = filters::input(&plan.source, plan.threads, input);
    args.extend(["-map".to_owned(), format!("0:{}", audio.stream)]);
    let rate = SAMPLE_RATE.to_string();
    args.extend(["-af".to_owned(), format!("aresample={rate},{}", downmix(audio))]);
    args.extend(strings(&["-c:a", "pcm_f32le"]));
    args.extend(anonymous());
    args.extend(strings(&["-avoid_negative_ts", "disabled", "-f", "nut", UNIFIED]));
    args
}

fn audio_args(plan: &Plan, audio: &Audio, input: &str) -> Vec<String> {
    let mut args = filters::input(&plan.source, plan.threads, input);
    args.extend(["-filter_complex".to_owned(), sound_graph(plan, audio)]);
    for sound in &plan.sounds {
        args.extend(sound_args(sound));
    }
    args
}

fn sound_graph(plan: &Plan, audio: &Audio) -> String {
    let names = labels(plan.sounds.iter().map(|sound| sound.name.clone()));
    format!(
        "[0:{}]{},asplit={}{names}",
        audio.stream,
        stereo(plan, audio),
        plan.sounds.len()
    )
}

/// Stereo that begins with the first picture and ends with the last: silence where the source has no sound, and
/// nothing of what it has before or after. Sound that is off by 30 ms is brought back; by 40 people notice.
fn stereo(plan: &Plan, audio: &Audio) -> String {
    let zero = filters::from_zero(plan.source.video.start);
    let samples = samples(plan);
    format!(
        "a{zero},aresample={SAMPLE_RATE}:async=1:min_hard_comp=0.03:first_pts=0,{},apad=whole_len={samples},\
         atrim=end_sample={samples}",
        downmix(audio)
    )
}

/// One channel is heard on both sides as loud as it was; ffmpeg's own mixing takes 3 dB off. More than two are mixed
/// as loud as they were, and a limiter takes what then is too much.
fn downmix(audio: &Audio) -> &'static str {
    match audio.channels {
        1 => "pan=stereo|c0=c0|c1=c0,aformat=sample_fmts=fltp",
        2 => "aformat=sample_fmts=fltp:channel_layouts=stereo",
        _ => {
            "aformat=sample_fmts=fltp:channel_layouts=stereo,\
              alimiter=limit=0.89:attack=1:release=50:level=false:latency=true"
        }
    }
}

/// As long as the picture (Apple HLS authoring 8.3).
fn samples(plan: &Plan) -> u64 {
    let num = u64::from(plan.frame_rate.num);
    let ticks = plan
        .frames
        .saturating_mul(u64::from(SAMPLE_RATE) * u64::from(plan.frame_rate.den));
    (ticks.saturating_add(num / 2) / num).max(1)
}

fn sound_args(sound: &Sound) -> Vec<String> {
    let mut args = vec!["-map".to_owned(), format!("[{}]", sound.name)];
    args.extend(strings(&[
        "-c:a",
        "aac",
        "-b:a",
        &sound.bit_rate.to_string(),
        "-flags",
        "+bitexact",
    ]));
    // The encoder's first packet only primes the decoder. Without it sound starts at zero for players that read
    // no edit list, which in HLS is all of them.
    args.extend(strings(&[
        "-bsf:a",
        "noise=drop='eq(n\\,0)'",
        "-frag_duration",
        "1000000",
    ]));
    args.extend(fragmented("+empty_moov"));
    args.push(file(&sound.name));
    args
}

/// Runs that make the sound alone as [`MP3`], variable bit rate at about 190 kbit/s. None for a silent clip.
pub fn mp3_runs(plan: &Plan, input: &str, title: &str, channel: &str) -> Vec<Vec<String>> {
    sound_runs(plan, input, |plan, audio, input| {
        let mut args = mp3_args(plan, audio, input);
        args.extend(["-metadata".to_owned(), format!("title={title}")]);
        args.extend(["-metadata".to_owned(), format!("artist={channel}")]);
        args.extend(strings(&["-id3v2_version", "3", "-write_id3v1", "0", "-f", "mp3", MP3]));
        args
    })
}

fn mp3_args(plan: &Plan, audio: &Audio, input: &str) -> Vec<String> {
    let mut args = filters::input(&plan.source, plan.threads, input);
    args.extend([
        "-filter_complex".to_owned(),
        format!("[0:{}]{}[sound]", audio.stream, stereo(plan, audio)),
    ]);
    args.extend(strings(&[
        "-map",
        "[sound]",
        "-c:a",
        "libmp3lame",
        "-q:a",
        "2",
        "-flags",
        "+bitexact",
    ]));
    args.extend(anonymous());
    args
}

/// Joins renditions into [`DOWNLOAD`], playable while it loads. Each input is a rendition's init and media segments
/// one after the other: only there picture and sound both start at zero.
pub fn download_args(video: &str, audio: Option<&str>) -> Vec<String> {
    let mut args = strings(&["-y"]);
    for input in [Some(video), audio].into_iter().flatten() {
        args.extend(strings(&["-protocol_whitelist", "file,pipe", "-f", "mov", "-i", input]));
    }
    args.extend(strings(&["-map", "0:v:0"]));
    if audio.is_some() {
        args.extend(strings(&["-map", "1:a:0"]));
    }
    args.extend(strings(&["-c", "copy"]));
    args.extend(anonymous());
    args.extend(strings(&["-movflags", "+faststart", "-f", "mp4", DOWNLOAD]));
    args
}

#[cfg(test)]
mod tests;
