//! Every container and codec that people's devices and editors write.

use super::player::{CORNERS, MOMENTS, Player, film, film_with_sound, watch};
use super::{Ended, end_of, made};

/// Saturated edges in 4:2:0, twice.
const TOLERANCE: u8 = 16;

const H264: &str = "-c:v libx264 -preset ultrafast -crf 12 -pix_fmt yuv420p";
const H265: &str = "-c:v libx265 -preset ultrafast -x265-params log-level=error -crf 12 -pix_fmt yuv420p";
/// For codecs whose files say that they are BT.709.
const BT709: &str = "-vf scale=out_color_matrix=bt709:out_range=tv";

/// Asserts that all of the film's frames are there, in time and color.
async fn film_of(ended: &Ended) -> Player {
    let player = watch(ended).await;
    player.assert_frames(50, 25.0);
    for time in [0.0, 1.0, 1.96] {
        player.at(time).assert_corners(CORNERS, TOLERANCE);
    }
    player.assert_flashes(&MOMENTS);
    player
}

/// The film of 2 s in this container with these codecs.
async fn plays(name: &str, codecs: &str) {
    let ended = end_of(name, &format!("{} {codecs}", film_with_sound())).await.ready();
    let player = film_of(&ended).await;
    player.assert_in_sync(&MOMENTS).await;
}

async fn plays_silently(name: &str, codecs: &str) {
    let film = film("320x240", "25", 2.0, &MOMENTS);
    let ended = end_of(name, &format!("-f lavfi -i {film} {codecs}")).await.ready();
    assert!(!film_of(&ended).await.has_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn mp4_in_fragments() {
    let flags = "-movflags frag_keyframe+delay_moov+default_base_moof -g 25";
    plays("clip.mp4", &format!("{H264} -c:a aac {flags}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mp4_with_its_index_at_the_end() {
    plays("clip.mp4", &format!("{H264} -bf 2 -c:a aac")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mp4_with_its_index_at_the_start() {
    plays("clip.mp4", &format!("{H264} -c:a aac -movflags faststart")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mp4_with_hevc() {
    plays("clip.mp4", &format!("{H265} -tag:v hvc1 -c:a aac")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mp4_with_av1() {
    let codec = "-c:v libaom-av1 -usage realtime -cpu-used 8 -row-mt 1 -b:v 2M -pix_fmt yuv420p";
    plays("clip.mp4", &format!("{codec} -c:a aac")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mp4_with_mpeg_4() {
    plays("clip.mp4", "-c:v mpeg4 -q:v 2 -pix_fmt yuv420p -c:a libmp3lame").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mov_with_prores() {
    plays(
        "clip.mov",
        "-c:v prores_ks -profile:v standard -pix_fmt yuv422p10le -c:a pcm_s16le",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mov_with_prores_4444() {
    plays(
        "clip.mov",
        "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le -c:a pcm_s24le",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mov_with_dnxhd() {
    plays(
        "clip.mov",
        &format!("{BT709} -c:v dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p -c:a pcm_s16le"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mov_with_jpegs() {
    plays("clip.mov", "-c:v mjpeg -q:v 2 -pix_fmt yuvj422p -c:a pcm_s16le").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mov_with_animation() {
    plays("clip.mov", "-c:v qtrle -c:a pcm_s16be").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn matroska_with_h264() {
    plays("clip.mkv", &format!("{H264} -c:a libopus -b:a 64k")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn matroska_with_hevc() {
    plays("clip.mkv", &format!("{H265} -c:a ac3")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn matroska_with_ffv1() {
    plays("clip.mkv", "-c:v ffv1 -pix_fmt yuv420p -c:a flac").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webm_with_vp8() {
    plays(
        "clip.webm",
        "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M -c:a libvorbis",
    )
    .await;
}

const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M";

#[tokio::test(flavor = "multi_thread")]
async fn webm_with_vp9() {
    plays("clip.webm", &format!("{VP9} -pix_fmt yuv420p -c:a libopus -b:a 64k")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webm_with_vp9_and_transparency() {
    plays("clip.webm", &format!("{VP9} -pix_fmt yuva420p -c:a libopus -b:a 64k")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webm_with_av1() {
    plays(
        "clip.webm",
        "-c:v libsvtav1 -preset 12 -crf 20 -pix_fmt yuv420p -c:a libopus -b:a 64k",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn avi_with_mpeg_4() {
    // Else ffmpeg moves the picture to make room for the MP3's priming.
    let codecs = "-c:v mpeg4 -q:v 2 -pix_fmt yuv420p -c:a libmp3lame -avoid_negative_ts disabled";
    plays("clip.avi", codecs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn avi_with_jpegs() {
    plays("clip.avi", "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p -c:a pcm_s16le").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn avi_without_compression() {
    plays("clip.avi", "-c:v rawvideo -pix_fmt bgr24 -c:a pcm_s16le").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transport_stream_with_h264() {
    plays("clip.ts", &format!("{H264} -bf 2 -c:a aac")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transport_stream_with_hevc() {
    plays("clip.ts", &format!("{H265} -c:a aac")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transport_stream_with_mpeg_2() {
    plays("clip.ts", "-c:v mpeg2video -q:v 2 -bf 2 -pix_fmt yuv420p -c:a mp2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transport_stream_of_192_byte_packets() {
    plays(
        "clip.m2ts",
        &format!("{H264} -bf 2 -c:a ac3 -f mpegts -mpegts_m2ts_mode 1"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn program_stream_of_a_dvd() {
    plays("clip.vob", "-c:v mpeg2video -q:v 2 -bf 2 -pix_fmt yuv420p -c:a ac3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn program_stream_with_mpeg_1() {
    plays("clip.mpg", "-c:v mpeg1video -q:v 2 -pix_fmt yuv420p -c:a mp2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flv_with_h264() {
    plays("clip.flv", &format!("{H264} -bf 2 -c:a aac")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flv_with_sorenson() {
    plays("clip.flv", "-c:v flv -q:v 2 -pix_fmt yuv420p -c:a libmp3lame -ar 44100").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phone_of_2005() {
    plays(
        "clip.3gp",
        "-s 176x144 -c:v h263 -q:v 2 -pix_fmt yuv420p -c:a aac -ar 8000 -ac 1 -b:a 12k",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ogg_with_theora() {
    // The encoder leaves out frames that are as the one before, so that its rate is variable without some noise.
    let noise = "-vf noise=alls=12:allf=t";
    plays(
        "clip.ogv",
        &format!("{noise} -c:v libtheora -q:v 10 -pix_fmt yuv420p -c:a libvorbis"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_media() {
    plays("clip.wmv", "-c:v wmv2 -q:v 2 -pix_fmt yuv420p -c:a wmav2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mxf_with_mpeg_2() {
    plays("clip.mxf", "-c:v mpeg2video -q:v 2 -pix_fmt yuv422p -c:a pcm_s16le").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dv_of_a_camcorder() {
    plays("clip.dv", "-s 720x576 -aspect 4:3 -c:v dvvideo -pix_fmt yuv420p -ac 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nut() {
    plays("clip.nut", &format!("{H264} -c:a pcm_s16le")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ivf_with_vp9() {
    plays_silently("clip.ivf", &format!("{VP9} -pix_fmt yuv420p")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn animated_gif() {
    plays_silently("clip.gif", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn animated_png() {
    plays_silently("clip.apng", "-plays 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jpegs_one_after_the_other() {
    plays_silently("clip.mjpeg", "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_h264() {
    plays_silently("clip.h264", &format!("{H264} -bf 2")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_hevc() {
    plays_silently("clip.hevc", H265).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_mpeg_2() {
    plays_silently("clip.m2v", "-c:v mpeg2video -q:v 2 -bf 2 -pix_fmt yuv420p").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yuv4mpeg() {
    plays_silently("clip.y4m", "-pix_fmt yuv420p").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_h264_keeps_the_rate_it_states() {
    let film = film("320x240", "50", 2.0, &MOMENTS);
    let ended = end_of("clip.h264", &format!("-f lavfi -i {film} {H264}")).await.ready();
    let player = watch(&ended).await;
    player.assert_frames(100, 50.0);
    player.assert_flashes(&MOMENTS);
}

/// An animation of odd sides whose middle third is see-through.
async fn check_transparent(name: &str, options: &str) {
    let film = film("321x241", "25", 2.0, &[]);
    let hole = "format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*(1-between(X,107,214))'";
    let ended = end_of(name, &format!("-f lavfi -i {film},{hole} {options}"))
        .await
        .ready();
    let player = watch(&ended).await;
    player.assert_frames(50, 25.0);
    assert_eq!(player.sizes(), [(320, 240)]);
    player.at(1.96).assert_corners(CORNERS, TOLERANCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn animated_gif_with_transparency_and_odd_sides() {
    check_transparent(
        "clip.gif",
        "-filter_complex split[a][b];[a]palettegen[p];[b][p]paletteuse",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn animated_png_with_transparency_and_odd_sides() {
    check_transparent("clip.apng", "-plays 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn animated_gif_with_a_pause() {
    // Two pictures, of which the first stands for a second and a half.
    let directory = tempfile::tempdir().unwrap();
    let film = film("320x240", "2", 2.0, &[1.5]);
    let bytes = made(
        directory.path(),
        "clip.gif",
        &format!("-f lavfi -i {film},select='eq(n,0)+eq(n,3)' -fps_mode vfr -final_delay 50"),
    );
    let ended = super::end(bytes).await.ready();
    let player = watch(&ended).await;
    let seen = player.flashes();
    assert!(seen.len() == 1 && (seen[0] - 1.5).abs() < 0.05, "flashes at {seen:?}");
    let length = ended.video["duration"].as_f64().unwrap();
    assert!((length - 2.0).abs() < 0.05, "{length} s");
}
