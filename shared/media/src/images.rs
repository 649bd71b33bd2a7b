//! ffmpeg's arguments for still and moving thumbnails: the poster, the storyboard's sprite, the animated preview.
//!
//! The poster is made of the source and shows it as the renditions do: rotated, tone-mapped, square pixels. The others
//! are small, and made of a rung.

use crate::cost;
use crate::filters::{self, strings};
use crate::plan::Plan;
use crate::source::{Source, Video};

/// What [`poster_args`] writes.
pub const POSTER_JPEG: &str = "poster.jpg";
pub const POSTER_WEBP: &str = "poster.webp";

/// What [`overview_args`] writes.
pub const STORYBOARD: &str = "storyboard.jpg";
pub const PREVIEW: &str = "preview.webp";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// The frame that is most like the others of the first seconds: neither a black fade-in nor a blur.
    #[default]
    Representative,
    First,
}

/// One picture in both formats, from one decode.
pub fn poster_args(plan: &Plan, moment: Moment, input: &str) -> Vec<String> {
    let video = &plan.source.video;
    let (width, height) = within(video, 1280);
    let picture = filters::picture(&plan.source);
    let look = filters::sdr(video, width, height);
    let graph = format!(
        "{picture},{}{look}{},split=2[a][b];[a]{JFIF}[jpeg];[b]{BT601}[webp]",
        early(plan, moment),
        choice(moment)
    );
    let mut args = strings(&["-skip_frame", passed_over(plan, moment)]);
    args.extend(filters::input(&plan.source, plan.threads, input));
    args.extend(["-filter_complex".to_owned(), graph]);
    args.extend(still(
        "[jpeg]",
        &["-c:v", "mjpeg", "-q:v", "3", "-f", "image2", "-update", "1"],
        POSTER_JPEG,
    ));
    args.extend(still(
        "[webp]",
        &[&["-c:v", "libwebp", "-quality", "80"], &EFFORT[..], &["-f", "webp"]].concat(),
        POSTER_WEBP,
    ));
    args
}

/// Of WebP: the next step takes half as long again for files 1 % (posters) or 5 % (previews) smaller.
const EFFORT: [&str; 2] = ["-compression_level", "2"];

/// Seconds among which a representative frame is looked for.
const EARLY: f64 = 10.0;

/// Candidates are few, since the filter holds them all in memory, and taken before the costly filters.
fn early(plan: &Plan, moment: Moment) -> String {
    match moment {
        Moment::Representative => format!(
            "trim=end={:.3},select='isnan(prev_selected_t)+gte(t-prev_selected_t,0.5)',",
            searched(plan)
        ),
        Moment::First => "trim=end_frame=1,".to_owned(),
    }
}

/// Seconds that are looked at: fewer where each frame has to be decoded for it and that is dear, as with 4k60.
fn searched(plan: &Plan) -> f64 {
    /// Seconds of CPU that a choice is worth.
    const WORTH: f64 = 1.0;
    const LEAST: f64 = 2.0;
    if has_close_keyframes(plan) {
        return EARLY;
    }
    (WORTH / cost::decode(&plan.source)).clamp(LEAST, EARLY)
}

/// Which frames need not be decoded. Keyframes will do where some are close: they cost a tenth. Elsewhere it is what no
/// other frame needs.
fn passed_over(plan: &Plan, moment: Moment) -> &'static str {
    match plan.source.video.codec.as_str() {
        _ if moment == Moment::First => "default",
        "h264" | "hevc" if has_close_keyframes(plan) => "nokey",
        "h264" | "hevc" => "noref",
        _ => "default",
    }
}

/// Whether the decoder can tell keyframes, and there are some to choose from among the first frames, three at least. H.264
/// may call pictures keyframes that its decoder does not take for such, unless probe has looked at them.
fn has_close_keyframes(plan: &Plan) -> bool {
    let Source {
        video, weight, gops, ..
    } = &plan.source;
    let known = match video.codec.as_str() {
        "h264" => !gops.is_empty(),
        codec => codec == "hevc",
    };
    known && weight.keyframe_gap > 0.0 && weight.keyframe_gap * 2.0 <= plan.duration().min(EARLY)
}

fn choice(moment: Moment) -> &'static str {
    match moment {
        Moment::Representative => ",thumbnail=20",
        Moment::First => "",
    }
}

/// JFIF knows one kind of colour: BT.601, full range.
const JFIF: &str = "scale=in_color_matrix=bt709:out_color_matrix=bt601:in_range=tv:out_range=pc:flags=accurate_rnd,\
                    format=yuvj420p";

/// So does WebP (VP8): BT.601, limited range.
const BT601: &str = "scale=in_color_matrix=bt709:out_color_matrix=bt601:in_range=tv:out_range=tv:flags=accurate_rnd,\
                     format=yuv420p";

fn still(label: &str, codec: &[&str], file: &str) -> Vec<String> {
    let mut args = strings(&["-map", label, "-frames:v", "1"]);
    args.extend(strings(codec));
    args.extend(strings(&[
        "-flags",
        "+bitexact",
        "-fflags",
        "+bitexact",
        "-map_metadata",
        "-1",
        file,
    ]));
    args
}

/// How the storyboard's sprite is laid out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sheet {
    pub tile_width: u32,
    pub tile_height: u32,
    pub columns: u32,
    pub rows: u32,
    pub tiles: u32,
    /// Seconds that a tile stands for; it shows what they begin with.
    pub interval: f64,
}

const MOST_TILES: u32 = 100;
const TILE_SIDE: u32 = 160;

/// A tile a second, or as many as cover the clip.
pub fn sheet(plan: &Plan) -> Sheet {
    let duration = plan.duration();
    let interval = (duration / f64::from(MOST_TILES)).max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most MOST_TILES"
    )]
    let tiles = ((duration / interval).ceil() as u32).clamp(1, MOST_TILES);
    let columns = tiles.min(10);
    let (tile_width, tile_height) = within(&plan.source.video, TILE_SIDE);
    Sheet {
        tile_width,
        tile_height,
        columns,
        rows: tiles.div_ceil(columns),
        tiles,
        interval,
    }
}

const PREVIEW_SECONDS: f64 = 3.0;
const PREVIEW_SIDE: u32 = 320;
/// Pictures a second of the preview.
const RATE: f64 = 10.0;

/// All tiles of the sheet in one picture, and three moving seconds from a third into the clip, or a shorter clip whole,
/// that repeat for ever. `inputs` are the paths of [`Plan::small_rungs`].
pub fn overview_args(plan: &Plan, sheet: &Sheet, inputs: [&str; 2]) -> Vec<String> {
    let rung = [
        "-protocol_whitelist",
        "file,pipe",
        "-f",
        "mov",
        "-threads",
        &plan.threads.to_string(),
    ]
    .map(str::to_owned);
    let [lowest, good] = inputs.map(|input| ["-i".to_owned(), input.to_owned()]);
    let start = ((plan.duration() - PREVIEW_SECONDS) / 3.0).max(0.0);
    let seconds = [
        "-ss".to_owned(),
        format!("{start:.6}"),
        "-t".to_owned(),
        PREVIEW_SECONDS.to_string(),
    ];
    let graph = format!("[0:v:0]{}[sheet];[1:v:0]{}[preview]", tiled(sheet), moving(plan));
    let mut args = strings(&["-y"]);
    args.extend(rung.iter().cloned().chain(lowest));
    args.extend(rung.iter().cloned().chain(seconds).chain(good));
    args.extend(["-filter_complex".to_owned(), graph]);
    args.extend(still(
        "[sheet]",
        &["-c:v", "mjpeg", "-q:v", "5", "-f", "image2", "-update", "1"],
        STORYBOARD,
    ));
    args.extend(strings(&["-map", "[preview]", "-c:v", "libwebp", "-quality", "60"]));
    args.extend(strings(&EFFORT));
    args.extend(strings(&["-loop", "0"]));
    args.extend(strings(&["-flags", "+bitexact", "-fflags", "+bitexact"]));
    args.extend(strings(&["-map_metadata", "-1", "-f", "webp", PREVIEW]));
    args
}

fn tiled(sheet: &Sheet) -> String {
    let Sheet {
        tile_width,
        tile_height,
        columns,
        rows,
        tiles,
        interval,
    } = *sheet;
    // Rounding up shows what is on screen at the start of the interval, and not what is nearest to its middle.
    format!(
        "fps=1/{interval:.6}:start_time=0:round=up:eof_action=pass,tpad=stop=-1:stop_mode=clone,trim=end_frame={tiles},\
         scale={tile_width}:{tile_height}:flags={},{JFIF},setsar=1,tile={columns}x{rows}",
        filters::SCALER
    )
}

fn moving(plan: &Plan) -> String {
    let (width, height) = within(&plan.source.video, PREVIEW_SIDE);
    let frames = PREVIEW_SECONDS * RATE;
    format!(
        "fps={RATE}:eof_action=pass,trim=end_frame={frames},\
         scale={width}:{height}:flags={},{BT601},setsar=1",
        filters::SCALER
    )
}

/// The even size with this long side and the source's aspect, never larger than the source.
fn within(video: &Video, long_side: u32) -> (u32, u32) {
    let longest = video.width.max(video.height).max(1);
    let to = long_side.min(longest);
    let scaled = |side: u32| {
        let half = u64::from(side) * u64::from(to) / (u64::from(longest) * 2);
        u32::try_from(half).unwrap_or(1).max(1) * 2
    };
    (scaled(video.width), scaled(video.height))
}
