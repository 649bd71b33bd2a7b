//! Sound: present or not, together with the picture, as loud as it was.

use reqwest::StatusCode;

use super::player::{MOMENTS, Player, Sound, beeps, film, film_with_sound, loudness, tone, watch};
use super::{Ended, end_of};
use crate::client::{client, send};

const H264: &str = "-c:v libx264 -preset ultrafast -crf 20 -pix_fmt yuv420p";

/// Of whatever is measured in decibels.
const TOLERANCE: f64 = 0.5;

/// Away from both ends, where encoders fade.
const WITHIN: (f64, f64) = (0.2, 1.8);

/// The film of 2 s with this sound, as arguments of ffmpeg before the codecs.
fn film_and(sound: &str) -> String {
    format!("-f lavfi -i {} {sound}", film("320x240", "25", 2.0, &MOMENTS))
}

/// A source of `lavfi` with one expression a channel.
fn channels(expressions: &[String], layout: &str, rate: u32, seconds: f64) -> String {
    let all = expressions.join("|");
    format!("-f lavfi -i aevalsrc=exprs='{all}':c={layout}:s={rate}:d={seconds}")
}

fn sine(amplitude: f64, hertz: f64) -> String {
    format!("{amplitude}*sin(2*PI*{hertz}*t)")
}

async fn ended(name: &str, arguments: &str) -> (Ended, Player) {
    let ended = end_of(name, arguments).await.ready();
    let player = watch(&ended).await;
    (ended, player)
}

/// What is heard in the playlist and in the MP3.
async fn heard(name: &str, arguments: &str) -> [Sound; 2] {
    let (ended, player) = ended(name, arguments).await;
    [player.sound().await, ended.mp3().await]
}

fn decibels(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}

/// Asserts a level, in decibels below full scale.
#[track_caller]
fn assert_level(channel: &[f32], expected: f64) {
    let level = loudness(channel, WITHIN.0, WITHIN.1);
    assert!(
        (level - expected).abs() < TOLERANCE,
        "{level} dB, expected {expected} dB"
    );
}

/// A sine's level is 3 dB below its peak.
fn level(amplitude: f64) -> f64 {
    decibels(amplitude) - decibels(2.0) / 2.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_clip_has_no_sound_and_no_mp3() {
    let (ended, player) = ended("clip.mp4", &format!("{} {H264}", film_and(""))).await;
    assert!(!player.has_sound());
    let playlist = send(client().get(ended.playlist())).await.text();
    assert!(!playlist.contains("AUDIO") && !playlist.contains("mp4a"), "{playlist}");
    assert!(ended.video["urls"].get("audio").is_none(), "{}", ended.video);
    let mp3 = ended.house.get(&format!("/videos/{}/audio.mp3", ended.id), None).await;
    mp3.problem(StatusCode::NOT_FOUND.as_u16(), "not_found");
    player.assert_flashes(&MOMENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn mono_is_as_loud_on_both_sides() {
    let sound = channels(&[sine(0.25, 440.0)], "mono", 48_000, 2.0);
    let arguments = format!("{} {H264} -c:a aac -b:a 128k", film_and(&sound));
    for sound in heard("clip.mp4", &arguments).await {
        assert_level(&sound.left, level(0.25));
        assert_level(&sound.right, level(0.25));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn left_stays_left() {
    let sound = channels(&[sine(0.25, 440.0), sine(0.125, 1000.0)], "stereo", 48_000, 2.0);
    let arguments = format!("{} {H264} -c:a pcm_s16le", film_and(&sound));
    for sound in heard("clip.mov", &arguments).await {
        assert_level(&sound.left, level(0.25));
        assert_level(&sound.right, level(0.125));
        let strayed = [tone(&sound.left, 1000.0, 0.5, 1.5), tone(&sound.right, 440.0, 0.5, 1.5)];
        assert!(strayed.iter().all(|amplitude| *amplitude < 0.0025), "{strayed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loud_stereo_is_not_made_quieter() {
    let sound = channels(&[sine(0.9, 440.0), sine(0.9, 440.0)], "stereo", 48_000, 2.0);
    let arguments = format!("{} {H264} -c:a pcm_s16le", film_and(&sound));
    for sound in heard("clip.mov", &arguments).await {
        assert_level(&sound.left, level(0.9));
        assert_level(&sound.right, level(0.9));
    }
}

/// One frequency a channel, which are whole numbers of turns in the stretch that is measured.
fn pitches(count: u32) -> Vec<f64> {
    (0..count).map(|channel| 300.0 + 150.0 * f64::from(channel)).collect()
}

/// Asserts where each channel of a layout with these pitches is heard, the fourth (for the deepest tones) aside, and
/// that nothing is clipped.
fn check_surround(sound: &Sound, pitches: &[f64], sides: &[&str]) {
    for (pitch, side) in pitches.iter().zip(sides) {
        let [left, right] = [&sound.left, &sound.right].map(|channel| tone(channel, *pitch, 0.5, 1.5));
        let heard = match *side {
            "left" => left > 0.04 && right < left / 4.0,
            "right" => right > 0.04 && left < right / 4.0,
            "both" => left > 0.04 && (left / right - 1.0).abs() < 0.1,
            _ => true,
        };
        assert!(heard, "{pitch} Hz should be {side}, but is {left} and {right}");
    }
    let peak = sound
        .left
        .iter()
        .chain(&sound.right)
        .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    assert!(peak <= 1.0, "clipped at {peak}");
}

async fn check_layout(layout: &str, codec: &str, sides: &[&str]) {
    let pitches = pitches(u32::try_from(sides.len()).unwrap());
    let each: Vec<String> = pitches.iter().map(|pitch| sine(0.2, *pitch)).collect();
    let sound = channels(&each, layout, 48_000, 2.0);
    let arguments = format!("{} {H264} {codec}", film_and(&sound));
    for sound in heard("clip.mkv", &arguments).await {
        check_surround(&sound, &pitches, sides);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn surround_is_heard_from_both_sides() {
    let sides = ["left", "right", "both", "", "left", "right"];
    check_layout("5.1", "-c:a ac3 -b:a 448k", &sides).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn surround_of_eight_channels_is_heard_from_both_sides() {
    let sides = ["left", "right", "both", "", "left", "right", "left", "right"];
    check_layout("7.1", "-c:a flac", &sides).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quadraphony_is_heard_from_both_sides() {
    check_layout("quad", "-c:a flac", &["left", "right", "left", "right"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn surround_at_full_scale_is_not_clipped() {
    let each: Vec<String> = (0..6).map(|_| sine(0.99, 300.0)).collect();
    let sound = channels(&each, "5.1", 48_000, 2.0);
    for sound in heard("clip.mkv", &format!("{} {H264} -c:a flac", film_and(&sound))).await {
        // What a player sends to its loudspeakers ends at full scale, and what is cut off there becomes harmonics.
        let sent: Vec<f32> = sound.left.iter().map(|sample| sample.clamp(-1.0, 1.0)).collect();
        let [tone, harmonic] = [300.0, 900.0].map(|hertz| tone(&sent, hertz, 0.5, 1.5));
        assert!(tone > 0.5 && harmonic < 0.01, "{tone}, distorted by {harmonic}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_in_the_middle_of_surround_stays_as_loud_as_in_stereo() {
    // In films all that is said is in the centre; at -3 dB on each side it is as loud as it was.
    let each: Vec<String> = (0..6)
        .map(|channel| {
            if channel == 2 {
                sine(0.25, 440.0)
            } else {
                "0".to_owned()
            }
        })
        .collect();
    let sound = channels(&each, "5.1", 48_000, 2.0);
    for sound in heard("clip.mkv", &format!("{} {H264} -c:a flac", film_and(&sound))).await {
        let level = loudness(&sound.left, WITHIN.0, WITHIN.1) - self::level(0.25);
        assert!((-3.5..=0.5).contains(&level), "{level} dB");
    }
}

/// Two tracks, of 440 and 880 Hz, with these dispositions; asserts which is heard.
async fn check_tracks(dispositions: [&str; 2], expected: f64) {
    let sounds = [440.0, 880.0]
        .map(|hertz| channels(&[sine(0.25, hertz)], "mono", 48_000, 2.0))
        .join(" ");
    let [first, second] = dispositions;
    let arguments = format!(
        "{} -map 0 -map 1 -map 2 {H264} -c:a aac -disposition:a:0 {first} -disposition:a:1 {second}",
        film_and(&sounds)
    );
    for sound in heard("clip.mkv", &arguments).await {
        let [low, high] = [440.0, 880.0].map(|hertz| tone(&sound.left, hertz, 0.5, 1.5));
        let (heard, other) = if expected < 500.0 { (low, high) } else { (high, low) };
        assert!(heard > 0.15 && other < 0.01, "440 Hz: {low}, 880 Hz: {high}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tracks_the_first_is_heard() {
    check_tracks(["default", "0"], 440.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tracks_the_default_is_heard() {
    check_tracks(["0", "default"], 880.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_ends_with_the_picture() {
    let sound = format!("-f lavfi -i {}", beeps(6.0, &[0.4, 1.6, 3.0, 5.0]));
    let arguments = format!("{} {H264} -c:a aac", film_and(&sound));
    let (ended, player) = ended("clip.mp4", &arguments).await;
    player.assert_frames(50, 25.0);
    player.assert_in_sync(&MOMENTS).await;
    for sound in [player.sound().await, ended.mp3().await] {
        sound.assert_beeps(&MOMENTS);
        assert!((sound.seconds() - 2.0).abs() < 0.06, "{} s", sound.seconds());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_that_ends_early_is_followed_by_silence() {
    let sound = format!("-f lavfi -i {}", beeps(0.8, &[0.4]));
    let (ended, player) = ended("clip.mp4", &format!("{} {H264} -c:a aac", film_and(&sound))).await;
    for sound in [player.sound().await, ended.mp3().await] {
        sound.assert_beeps(&[0.4]);
        assert!((sound.seconds() - 2.0).abs() < 0.06, "{} s", sound.seconds());
        let level = loudness(&sound.left, 1.0, 1.9);
        assert!(level < -80.0, "{level} dB");
    }
    player.assert_flashes(&MOMENTS);
}

/// Sound that starts 0.8 s after the picture, in this container.
async fn check_late(name: &str, codec: &str) {
    let sound = format!("-itsoffset 0.8 -f lavfi -i {}", beeps(1.2, &[0.8]));
    let (ended, player) = ended(name, &format!("{} {H264} {codec}", film_and(&sound))).await;
    player.assert_flashes(&MOMENTS);
    for sound in [player.sound().await, ended.mp3().await] {
        sound.assert_beeps(&[1.6]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_that_starts_late_in_mp4_stays_late() {
    check_late("clip.mp4", "-c:a aac").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_that_starts_late_in_matroska_stays_late() {
    check_late("clip.mkv", "-c:a flac").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_that_starts_late_in_a_transport_stream_stays_late() {
    check_late("clip.ts", "-c:a aac").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_before_the_first_picture_is_left_out() {
    let film = film("320x240", "25", 2.0, &MOMENTS);
    let beeps = beeps(2.8, &[0.2, 0.4 + 0.8, 1.6 + 0.8]);
    let arguments =
        format!("-itsoffset 0.8 -f lavfi -i {film} -f lavfi -i {beeps} -fps_mode passthrough {H264} -c:a aac");
    let (ended, player) = ended("clip.mkv", &arguments).await;
    player.assert_in_sync(&MOMENTS).await;
    ended.mp3().await.assert_beeps(&MOMENTS);
}

/// Beeps at the start and near the end are together with the flashes, in a clip of 5 s.
async fn check_sync(name: &str, codec: &str) {
    let moments = [0.2, 4.6];
    let (film, beeps) = (film("320x240", "25", 5.0, &moments), beeps(5.0, &moments));
    let (ended, player) = ended(name, &format!("-f lavfi -i {film} -f lavfi -i {beeps} {H264} {codec}")).await;
    player.assert_frames(125, 25.0);
    player.assert_in_sync(&moments).await;
    ended.mp3().await.assert_beeps(&moments);
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_of_a_compact_disc_stays_in_time() {
    check_sync("clip.mp4", "-c:a aac -ar 44100").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_of_a_telephone_stays_in_time() {
    check_sync("clip.3gp", "-c:a aac -ar 8000 -ac 1 -b:a 12k").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_of_a_studio_stays_in_time() {
    check_sync("clip.mov", "-c:a pcm_s24le -ar 96000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_of_a_dictaphone_stays_in_time() {
    check_sync("clip.avi", "-c:a adpcm_ima_wav -ar 11025").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mp3_is_in_time() {
    let ended = end_of("clip.mp4", &format!("{} {H264} -c:a aac", film_with_sound())).await;
    ended.ready().mp3().await.assert_beeps(&MOMENTS);
}
