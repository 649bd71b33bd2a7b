//! Frame rates, gaps, edit lists and clocks: the clip's time is what its player shows.

use super::player::{MOMENTS, Picture, Player, beeps, film, film_with_sound, float, watch};
use super::{Ended, end, end_of, made};

const H264: &str = "-c:v libx264 -preset ultrafast -crf 12 -pix_fmt yuv420p";
/// With frames that are not shown in the order in which they are decoded.
const REORDERED: &str = "-c:v libx264 -preset veryfast -bf 2 -crf 12 -pix_fmt yuv420p";

/// The film without sound, at this rate.
async fn film_at(rate: &str, seconds: f64, moments: &[f64]) -> Player {
    let film = film("320x240", rate, seconds, moments);
    let ended = end_of("clip.mp4", &format!("-f lavfi -i {film} {H264}")).await.ready();
    watch(&ended).await
}

/// The film with sound, of 50 frames, plays as it was.
async fn check_film(ended: Ended) {
    let ended = ended.ready();
    let player = watch(&ended).await;
    player.assert_frames(50, 25.0);
    player.assert_in_sync(&MOMENTS).await;
}

async fn check_coded(name: &str, codecs: &str) {
    check_film(end_of(name, &format!("{} {codecs}", film_with_sound())).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_120_frames_a_second_60_are_shown() {
    let player = film_at("120", 2.0, &MOMENTS).await;
    player.assert_frames(120, 60.0);
    player.assert_flashes(&MOMENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_50_frames_a_second_are_shown() {
    let player = film_at("50", 2.0, &MOMENTS).await;
    player.assert_frames(100, 50.0);
    player.assert_flashes(&MOMENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn broadcast_rates_are_kept_exactly() {
    let frame = 1001.0 / 30_000.0;
    let moments = [12.0 * frame, 48.0 * frame];
    let player = film_at("30000/1001", 2.0, &moments).await;
    player.assert_frames(60, 1.0 / frame);
    player.assert_flashes(&moments);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_frame_a_second_is_enough() {
    let player = film_at("1", 4.0, &[2.0]).await;
    player.assert_frames(4, 1.0);
    player.assert_flashes(&[2.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_frame_is_enough() {
    let film = film("320x240", "25", 1.0, &[0.0]);
    let ended = end_of("clip.mp4", &format!("-f lavfi -i {film} {H264} -frames:v 1")).await;
    let player = watch(&ended.ready()).await;
    player.assert_frames(1, 25.0);
    player.assert_flashes(&[0.0]);
}

/// Of the film at this rate, the frames that the expression selects, each at its own time.
async fn some_frames(name: &str, rate: &str, seconds: f64, moments: &[f64], selected: &str) -> Player {
    let film = film("320x240", rate, seconds, moments);
    let arguments = format!("-f lavfi -i {film},select='{selected}' -fps_mode vfr {H264}");
    watch(&end_of(name, &arguments).await.ready()).await
}

/// Asserts flashes at these moments and this length, as exactly as the source's shortest frame says them.
#[track_caller]
fn assert_exact(player: &Player, moments: &[f64], seconds: f64, frame: f64) {
    let seen = player.flashes();
    let near = |(seen, moment): (&f64, &f64)| (seen - moment).abs() < frame + 0.001;
    let all = seen.len() == moments.len() && seen.iter().zip(moments).all(near);
    assert!(all, "flashes at {seen:?}, expected at {moments:?}");
    let length = float(player.frames.len()) / player.rungs[0].rate;
    assert!(
        (length - seconds).abs() < frame + 0.001,
        "{length} s, expected {seconds} s"
    );
}

/// Frames at 0, 0.04, 1.52, 1.56 and 3 s.
async fn check_gaps(name: &str) {
    let selected = "eq(n,0)+eq(n,1)+eq(n,38)+eq(n,39)+eq(n,75)";
    let player = some_frames(name, "25", 4.0, &[1.56], selected).await;
    assert_exact(&player, &[1.56], 3.04, 0.04);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_gaps_between_frames_stay_as_long_in_mp4() {
    check_gaps("clip.mp4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_gaps_between_frames_stay_as_long_in_matroska() {
    check_gaps("clip.mkv").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_frames_is_shown_as_fast_as_it_was() {
    // As a screen recorder has it: a second of motion, then nothing changes for three.
    let moments = [1.0 / 3.0, 17.0 / 30.0];
    let player = some_frames("clip.mp4", "30", 5.0, &moments, "lt(n,30)+eq(n,120)").await;
    assert_exact(&player, &moments, 121.0 / 30.0, 1.0 / 30.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changing_rate_keeps_time() {
    // 25 frames a second, and in the second half every other frame is missing.
    let player = some_frames("clip.mp4", "25", 4.0, &[0.4, 3.2], "lt(n,50)+not(mod(n,2))").await;
    assert_exact(&player, &[0.4, 3.2], 3.96, 0.04);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_below_zero_count() {
    let codecs =
        "-output_ts_offset -0.5 -avoid_negative_ts disabled -c:v mjpeg -q:v 2 -pix_fmt yuvj420p -c:a pcm_s16le";
    check_coded("clip.mkv", codecs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decoding_times_below_zero_do_not_count() {
    check_coded(
        "clip.mp4",
        &format!("{REORDERED} -movflags negative_cts_offsets -c:a aac"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_edit_list_skips_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("whole.mp4");
    made(
        directory.path(),
        "whole.mp4",
        &format!("{} {H264} -g 100 -c:a aac", film_with_sound()),
    );
    let cut = made(
        directory.path(),
        "clip.mp4",
        &format!("-ss 0.2 -i {} -c copy", source.display()),
    );
    let ended = end(cut).await.ready();
    let player = watch(&ended).await;
    player.assert_frames(45, 25.0);
    player.assert_in_sync(&MOMENTS.map(|moment| moment - 0.2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_edit_list_delays_begins_with_the_first_picture() {
    let codecs = format!("{REORDERED} -c:a aac -output_ts_offset 0.5");
    check_coded("clip.mp4", &codecs).await;
}

/// The sound runs for half a second before the picture does.
async fn check_late(name: &str, codecs: &str) {
    let film = film("320x240", "25", 2.0, &MOMENTS);
    let beeps = beeps(2.5, &MOMENTS.map(|moment| moment + 0.5));
    let arguments = format!("-itsoffset 0.5 -f lavfi -i {film} -f lavfi -i {beeps} -fps_mode passthrough {codecs}");
    check_film(end_of(name, &arguments).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_starts_late_in_mp4_stays_with_its_sound() {
    check_late("clip.mp4", &format!("{REORDERED} -c:a aac")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_starts_late_in_matroska_stays_with_its_sound() {
    check_late("clip.mkv", &format!("{REORDERED} -c:a libopus -b:a 64k")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_starts_late_in_a_transport_stream_stays_with_its_sound() {
    check_late("clip.ts", &format!("{REORDERED} -c:a mp2")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matroska_file_may_start_at_any_time() {
    check_coded("clip.mkv", &format!("{REORDERED} -c:a aac -output_ts_offset 5")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_stream_may_start_at_any_time() {
    check_coded("clip.ts", &format!("{REORDERED} -c:a aac -output_ts_offset 50000")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_streams_clock_wraps_around_unnoticed() {
    // 2^33 ticks of 90 kHz are 95443.718 s, which comes a second after the start.
    check_coded("clip.ts", &format!("{REORDERED} -c:a aac -output_ts_offset 95441.3")).await;
}

/// The film as a recording whose clock begins at this time.
fn recording(start: u32, codecs: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let arguments = format!("{} {codecs} -output_ts_offset {start}", film_with_sound());
    made(directory.path(), "clip.ts", &arguments)
}

/// The film twice, one recording after the other.
async fn check_joined(starts: [u32; 2], codecs: &str) {
    let ended = end(starts.map(|start| recording(start, codecs)).concat()).await.ready();
    let player = watch(&ended).await;
    player.assert_frames(100, 25.0);
    let [first, second] = MOMENTS;
    player.assert_in_sync(&[first, second, 2.0 + first, 2.0 + second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_forward_by_hours_is_no_gap() {
    check_joined([0, 10_800], &format!("{REORDERED} -c:a aac")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_by_hours_is_no_gap() {
    check_joined([10_800, 0], &format!("{REORDERED} -c:a aac")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_begins_again_is_no_gap() {
    check_joined([0, 0], &format!("{REORDERED} -c:a aac")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_of_mpeg_2_may_jump_too() {
    check_joined([0, 10_800], "-c:v mpeg2video -q:v 2 -bf 2 -c:a mp2").await;
}

/// As where a programme in wide format and surround sound follows an advertisement.
#[tokio::test(flavor = "multi_thread")]
async fn recordings_of_another_size_and_other_sound_may_follow() {
    let first = recording(10_800, &format!("{REORDERED} -c:a aac -ac 1 -ar 44100"));
    let second = recording(0, &format!("{REORDERED} -vf scale=480:270 -c:a aac -ac 2 -ar 48000"));
    let ended = end([first, second].concat()).await.ready();
    let player = watch(&ended).await;
    player.assert_frames(100, 25.0);
    let [first, second] = MOMENTS;
    player.assert_in_sync(&[first, second, 2.0 + first, 2.0 + second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_in_whole_milliseconds_are_no_variable_rate() {
    for (rate, exact) in [("30000/1001", 30_000.0 / 1001.0), ("60", 60.0)] {
        let moments = [24.0 / exact, 96.0 / exact];
        let film = film("320x240", rate, 120.0 / exact, &moments);
        let ended = end_of("clip.mkv", &format!("-f lavfi -i {film} {REORDERED}")).await;
        let player = watch(&ended.ready()).await;
        player.assert_frames(120, exact);
        player.assert_flashes(&moments);
    }
}

/// A white bar that moves by 12 pixels a field, 50 fields a second, in 576 lines.
async fn interlaced(first: &str, top: u8) -> Player {
    let bar = "geq=lum='if(between(mod(X-N*12,720),0,80),235,16)':cb=128:cr=128";
    let arguments = format!(
        "-f lavfi -i color=s=720x576:r=50:d=2,{bar},interlace=scan={first}:lowpass=0 \
         -c:v mpeg2video -q:v 2 -flags +ilme+ildct -top {top} -aspect 4:3"
    );
    watch(&end_of("clip.ts", &arguments).await.ready()).await
}

/// Of pixels away from the border, the share that differ much from the one below: none where bars stand upright.
fn combing(picture: &Picture) -> f64 {
    let (mut differ, mut all) = (0, 0);
    for y in picture.height / 10..picture.height * 9 / 10 {
        for x in 0..picture.width {
            all += 1;
            differ += usize::from(picture.pixel(x, y)[1].abs_diff(picture.pixel(x, y + 1)[1]) > 40);
        }
    }
    float(differ) / float(all)
}

/// The middle of the bar, from 0 to 1.
fn bar(picture: &Picture) -> Option<f64> {
    let white: Vec<usize> = (0..picture.width)
        .filter(|x| picture.pixel(*x, picture.height / 2)[1] > 128)
        .collect();
    let (first, last) = (*white.first()?, *white.last()?);
    let whole = last - first < picture.width / 2;
    whole.then(|| float(first + last) / 2.0 / float(picture.width))
}

async fn check_interlaced(first: &str, top: u8) {
    let player = interlaced(first, top).await;
    assert_eq!(player.sizes()[0], (640, 480));
    let rate = player.rungs[0].rate;
    let length = float(player.frames.len()) / rate;
    assert!((length - 2.0).abs() < 0.041, "{length} s");
    // The first and last pictures have no neighbour to be made whole with.
    for (number, frame) in player.frames.iter().enumerate().skip(2).take(player.frames.len() - 4) {
        let combing = combing(frame);
        assert!(combing < 0.002, "frame {number}: {combing} of the pixels are combed");
    }
    let steps: Vec<f64> = player
        .frames
        .windows(2)
        .filter_map(|pair| Some(bar(&pair[1])? - bar(&pair[0])?))
        .collect();
    // 600 pixels a second, and never back.
    let step = 600.0 / rate / 720.0;
    let steady = steps.iter().filter(|seen| (*seen - step).abs() < step * 0.6).count();
    assert!(steady + 8 > steps.len(), "the bar moves by {steps:?} instead of {step}");
}

#[tokio::test(flavor = "multi_thread")]
async fn interlaced_pictures_are_made_whole() {
    check_interlaced("tff", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interlaced_pictures_with_the_lower_field_first_are_made_whole() {
    check_interlaced("bff", 0).await;
}
