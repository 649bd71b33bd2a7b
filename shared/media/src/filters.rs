//! What every picture and sound passes through before it is encoded: one look for the rungs, the posters and the previews.

use crate::probe::decoder_whitelist;
use crate::source::{Fraction, Source, Transfer, Video};

/// Input options for a source, up to and with `-i`. Nothing but this file, this demuxer.
///
/// Picture and sound are made by different runs and share one clock: the file's own (`-copyts`), or the one that
/// ffmpeg makes of clocks that jump.
pub(crate) fn input(source: &Source, threads: u32, path: &str) -> Vec<String> {
    input_until(source, decoding_threads(source, threads), path, None)
}

/// The same by so many threads, for a run that has all it needs at a time of that clock.
pub(crate) fn input_until(source: &Source, threads: u32, path: &str, until: Option<f64>) -> Vec<String> {
    let mut args = strings(&["-y"]);
    if !source.clock_jumps() {
        args.push("-copyts".to_owned());
    }
    args.extend(strings(&["-protocol_whitelist", "file,pipe"]));
    args.extend(strings(&["-format_whitelist", &source.demuxer, "-f", &source.demuxer]));
    args.extend(["-codec_whitelist".to_owned(), decoder_whitelist()]);
    // ffmpeg counts frames that fail to decode, and ends with `encode::CORRUPT` when they are the greater part.
    args.extend(strings(&["-max_error_rate", "0.5", "-threads", &threads.to_string()]));
    // Where the picture's size changes on the way, the scaler follows; a new filter graph would begin again at zero.
    args.extend(strings(&["-reinit_filter:v", "0", "-i", path]));
    if source.clock_jumps() {
        args.extend(witness(source, until));
    }
    args
}

/// More than encode: what is decoded passes through filters one after the other, and a decoder that is ahead of them keeps all
/// cores busy (the low rungs of 1080p in 4.1 s on two, where as many threads as cores took 4.9). Each thread has a picture of
/// its own, of which the largest take 100 MB and more.
pub(crate) fn decoding_threads(source: &Source, threads: u32) -> u32 {
    const LARGE: u64 = 4_000_000;
    const HUGE: u64 = 10_000_000;
    const LARGEST: u64 = 40_000_000;
    match u64::from(source.video.width) * u64::from(source.video.height) {
        pixels if pixels <= LARGE => threads * 2,
        pixels if pixels <= HUGE => threads + 1,
        pixels if pixels <= LARGEST => threads,
        _ => 1,
    }
}

/// An output that goes nowhere, for which picture and sound are read: ffmpeg closes the gaps of a clock by all streams
/// that a run reads, so all runs read the same.
fn witness(source: &Source, until: Option<f64>) -> Vec<String> {
    let streams = [
        Some(source.video.stream),
        source.audio.as_ref().map(|audio| audio.stream),
    ];
    let mut args: Vec<String> = streams
        .into_iter()
        .flatten()
        .flat_map(|stream| ["-map".to_owned(), format!("0:{stream}")])
        .collect();
    if let Some(time) = until {
        args.extend(["-t".to_owned(), format!("{time:.6}")]);
    }
    args.extend(strings(&["-c", "copy", "-f", "null", "-"]));
    args
}

pub(crate) fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}

/// The source's picture, in whole frames, on a clock that starts at zero with the first of them.
pub(crate) fn picture(source: &Source) -> String {
    let video = &source.video;
    let whole = if video.interlaced { WHOLE_FRAMES } else { "" };
    format!("[0:{}]{whole}{}", video.stream, clock(source))
}

/// Starts at zero with the first frame.
pub(crate) fn clock(source: &Source) -> String {
    let Fraction { num, den } = source.video.frame_rate;
    if source.is_bare() {
        format!("setpts=N*{den}/({num}*TB)")
    } else {
        from_zero(source.video.start)
    }
}

/// Joins the fields of the frames that are marked as interlaced; others pass as they are.
const WHOLE_FRAMES: &str = "bwdif=mode=send_frame:deint=interlaced,";

/// The clock starts at zero with the first frame.
///
/// Rounded, because `setpts` cuts off fractions of a tick, and a cut moves a frame by one.
pub(crate) fn from_zero(start: f64) -> String {
    if start == 0.0 {
        "setpts=PTS".to_owned()
    } else {
        format!("setpts=PTS-round({start}/TB)")
    }
}

/// Scales to what browsers decode and every rung shares: 8-bit 4:2:0, BT.709, limited range, square pixels.
///
/// Rotation is not here: ffmpeg applies the display matrix before the first filter.
pub(crate) fn sdr(video: &Video, width: u32, height: u32) -> String {
    let picture = match video.transfer {
        Transfer::Sdr if video.wide_gamut && !is_rgb(video) => narrowed(video, width, height),
        Transfer::Sdr => converted(video, width, height),
        Transfer::Pq => tone_mapped(video, "smpte2084", width, height),
        Transfer::Hlg => tone_mapped(video, "arib-std-b67", width, height),
    };
    format!("{picture},format=yuv420p,setsar=1,{TAGS}")
}

/// Frames carry the source's tags through filters that change what the tags describe.
const TAGS: &str = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709";

fn converted(video: &Video, width: u32, height: u32) -> String {
    let matrix = in_matrix(video);
    if let Some(matrix) = matrix.and_then(zimg).filter(|_| is_common(&video.pixel_format)) {
        let (scaled, range) = (scaled(width, height), range(video));
        return format!("{PROGRESSIVE},{scaled}:rin={range}:min={matrix}:m=709:r=limited");
    }
    let matrix = match matrix {
        Some(matrix) => format!(":in_color_matrix={matrix}"),
        None => String::new(),
    };
    let range = match in_range(video) {
        Some(range) => format!(":in_range={range}"),
        None => String::new(),
    };
    format!("scale={width}:{height}:flags={SCALER}{matrix}{range}:out_color_matrix=bt709:out_range=tv")
}

/// What makes a picture of another size, of those that [`sdr`] makes: a third as costly as ffmpeg's own scaler.
pub(crate) fn scaled(width: u32, height: u32) -> String {
    format!("zscale=w={width}:h={height}:f=bicubic:param_a=0:param_b=0.6")
}

/// Fields that were not joined before would be scaled each for itself, which few sizes allow.
const PROGRESSIVE: &str = "setparams=field_mode=prog";

/// Whether the faster scaler takes pictures of this format. Others it would be given by way of the slower one.
fn is_common(format: &str) -> bool {
    let format = format.strip_suffix("le").unwrap_or(format);
    let format = ["10", "12"]
        .iter()
        .find_map(|depth| format.strip_suffix(depth))
        .unwrap_or(format);
    let format = format.strip_prefix("yuvj").or_else(|| format.strip_prefix("yuv"));
    matches!(format, Some("420p" | "422p" | "444p"))
}

/// The faster scaler's name of a matrix that it knows.
fn zimg(matrix: &str) -> Option<&'static str> {
    match matrix {
        "bt709" => Some("709"),
        "bt601" => Some("170m"),
        "bt2020" => Some("2020_ncl"),
        _ => None,
    }
}

/// The plain conversion converts no primaries: red would come out as orange.
fn narrowed(video: &Video, width: u32, height: u32) -> String {
    let (scaled, range) = (scaled(width, height), range(video));
    let matrix = in_matrix(video).and_then(zimg).unwrap_or("170m");
    format!("{PROGRESSIVE},{scaled}:rin={range}:tin=709:pin=2020:min={matrix}:t=709:p=709:m=709:r=limited")
}

fn range(video: &Video) -> &'static str {
    if in_range(video) == Some("pc") {
        "full"
    } else {
        "limited"
    }
}

pub(crate) const SCALER: &str = "bicubic+accurate_rnd";

/// Scaled before it is mapped: the mapping works on floats, three of them a pixel.
fn tone_mapped(video: &Video, transfer: &str, width: u32, height: u32) -> String {
    let (scaled, range) = (scaled(width, height), range(video));
    format!(
        "{PROGRESSIVE},{scaled}:rin={range}:tin={transfer}:pin=2020:min=2020_ncl:t=linear:npl=100:p=709,\
         format=gbrpf32le,tonemap=hable:desat=0,zscale=t=709:m=709:r=limited"
    )
}

/// None for RGB, which has no matrix.
///
/// Untagged pictures are taken as players take them: standard definition is BT.601, larger is BT.709.
fn in_matrix(video: &Video) -> Option<&'static str> {
    if is_rgb(video) {
        return None;
    }
    match video.color_space.as_deref() {
        Some("bt709") => Some("bt709"),
        Some("bt470bg" | "smpte170m") => Some("bt601"),
        Some("smpte240m") => Some("smpte240m"),
        Some("fcc") => Some("fcc"),
        Some("bt2020nc" | "bt2020c") => Some("bt2020"),
        _ if video.width.min(video.height) < 720 => Some("bt601"),
        _ => Some("bt709"),
    }
}

/// Whether players take its colors as they take those of what is encoded here.
pub(crate) fn is_bt709(video: &Video) -> bool {
    in_matrix(video) == Some("bt709")
}

fn in_range(video: &Video) -> Option<&'static str> {
    match video.color_range.as_deref() {
        _ if is_rgb(video) => None,
        _ if video.pixel_format.starts_with("yuvj") => Some("pc"),
        Some("pc") => Some("pc"),
        _ => Some("tv"),
    }
}

fn is_rgb(video: &Video) -> bool {
    const RGB: [&str; 7] = ["rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "pal8"];
    RGB.iter().any(|prefix| video.pixel_format.starts_with(prefix))
}
