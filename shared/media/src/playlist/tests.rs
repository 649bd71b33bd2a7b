use super::*;
use crate::manifest::{Keyframe, Object};
use crate::source::Fraction;

struct Signed;

impl Links for Signed {
    fn media(&self, name: &str) -> String {
        format!("{name}.m3u8")
    }

    fn iframes(&self, name: &str) -> String {
        format!("{name}/iframes.m3u8")
    }

    fn object(&self, key: &str) -> String {
        format!("https://s3/{key}?sig=1")
    }
}

fn segment(duration: f64, size: u64, keyframes: &[u64]) -> Segment {
    let keyframes = keyframes
        .iter()
        .map(|&offset| Keyframe {
            offset,
            size: 10_000,
            duration: 2.0,
        })
        .collect();
    Segment {
        duration,
        size,
        keyframes,
    }
}

fn rendition(codecs: &str, prefix: &str, segments: Vec<Segment>) -> Rendition {
    Rendition {
        codecs: codecs.to_owned(),
        parts: vec![Part {
            prefix: prefix.to_owned(),
            init_size: 800,
            init_hash: 1,
            segments,
        }],
    }
}

fn variant(name: &str, size: (u32, u32), max_rate: u32, sound: &str, bytes: u64) -> Variant {
    let segments = vec![segment(4.0, bytes, &[0, 50_000]), segment(2.0, bytes / 4, &[0])];
    Variant {
        name: name.to_owned(),
        width: size.0,
        height: size.1,
        frame_rate: Fraction::new(30_000, 1_001),
        max_rate,
        sound: Some(sound.to_owned()),
        rendition: rendition("avc1.64001f", &format!("v/1/{name}/"), segments),
    }
}

fn sound(name: &str, bit_rate: u32) -> Sound {
    let size = u64::from(bit_rate) / 2;
    let segments = vec![segment(4.010_667, size, &[]), segment(2.005_333, size / 2, &[])];
    Sound {
        name: name.to_owned(),
        bit_rate,
        channels: 2,
        rendition: rendition("mp4a.40.2", &format!("v/1/{name}/"), segments),
    }
}

fn manifest(complete: bool) -> Manifest {
    Manifest {
        complete,
        target_duration: 4,
        variants: vec![
            variant("720p", (1280, 720), 3_200_000, "audio", 1_500_000),
            variant("480p", (854, 480), 1_600_000, "audio", 700_000),
            variant("240p", (426, 240), 96_000, "audio-low", 50_000),
        ],
        sounds: vec![sound("audio", 128_000), sound("audio-low", 64_000)],
        ..Manifest::default()
    }
}

#[test]
fn complete_multivariant() {
    assert_eq!(
        multivariant(&manifest(true), &Signed),
        r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Original",LANGUAGE="und",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio-low",NAME="Original",LANGUAGE="und",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio-low.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1527660,AVERAGE-BANDWIDTH=1294327,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=854x480,FRAME-RATE=29.970,AUDIO="audio",CLOSED-CAPTIONS=NONE
480p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3127660,AVERAGE-BANDWIDTH=2627660,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="audio",CLOSED-CAPTIONS=NONE
720p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=163830,AVERAGE-BANDWIDTH=147164,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=426x240,FRAME-RATE=29.970,AUDIO="audio-low",CLOSED-CAPTIONS=NONE
240p.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=40000,AVERAGE-BANDWIDTH=40000,CODECS="avc1.64001f",RESOLUTION=1280x720,URI="720p/iframes.m3u8"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=40000,AVERAGE-BANDWIDTH=40000,CODECS="avc1.64001f",RESOLUTION=854x480,URI="480p/iframes.m3u8"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=40000,AVERAGE-BANDWIDTH=40000,CODECS="avc1.64001f",RESOLUTION=426x240,URI="240p/iframes.m3u8"
"#
    );
}

#[test]
fn growing_multivariant_announces_what_is_planned() {
    let mut manifest = manifest(false);
    manifest.variants.truncate(1);
    manifest.sounds.truncate(1);
    assert_eq!(
        multivariant(&manifest, &Signed),
        r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Original",LANGUAGE="und",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=3328000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="audio",CLOSED-CAPTIONS=NONE
720p.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=3200000,CODECS="avc1.64001f",RESOLUTION=1280x720,URI="720p/iframes.m3u8"
"#
    );
}

#[test]
fn a_silent_clip_has_no_group() {
    let mut manifest = manifest(true);
    manifest.sounds.clear();
    manifest.variants.truncate(1);
    manifest.variants[0].sound = None;
    let text = multivariant(&manifest, &Signed);
    assert!(!text.contains("AUDIO") && !text.contains("mp4a"), "{text}");
}

#[test]
fn nothing_to_play_is_still_a_playlist() {
    assert_eq!(
        multivariant(&Manifest::default(), &Signed),
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    );
}

#[test]
fn complete_media() {
    let manifest = manifest(true);
    assert_eq!(
        media(&manifest.variants[0].rendition, State::from(&manifest), &Signed),
        r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MAP:URI="https://s3/v/1/720p/init.mp4?sig=1"
#EXTINF:4.000000,
https://s3/v/1/720p/00000.m4s?sig=1
#EXTINF:2.000000,
https://s3/v/1/720p/00001.m4s?sig=1
#EXT-X-ENDLIST
"#
    );
}

#[test]
fn growing_media_of_three_units() {
    let manifest = manifest(false);
    let mut rendition = manifest.variants[0].rendition.clone();
    rendition.parts[0].segments.truncate(1);
    let mut next = rendition.parts[0].clone();
    "v/2/720p/".clone_into(&mut next.prefix);
    let mut other = next.clone();
    other.init_hash = 2;
    rendition.parts.extend([next, other]);
    assert_eq!(
        media(&rendition, State::from(&manifest), &Signed),
        r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-START:TIME-OFFSET=0,PRECISE=YES
#EXT-X-MAP:URI="https://s3/v/1/720p/init.mp4?sig=1"
#EXTINF:4.000000,
https://s3/v/1/720p/00000.m4s?sig=1
#EXTINF:4.000000,
https://s3/v/2/720p/00000.m4s?sig=1
#EXT-X-MAP:URI="https://s3/v/2/720p/init.mp4?sig=1"
#EXTINF:4.000000,
https://s3/v/2/720p/00000.m4s?sig=1
"#
    );
}

#[test]
fn a_rendition_that_is_whole_ends_though_others_grow() {
    let mut manifest = manifest(false);
    let rendition = manifest.variants[0].rendition.clone();
    let segments = rendition.segments().count() as u64;
    let ends = |manifest: &Manifest| media(&rendition, State::from(manifest), &Signed).ends_with("#EXT-X-ENDLIST\n");
    assert!(!ends(&manifest), "it is not known of how many it is made");
    manifest.segments = Some(segments + 1);
    assert!(!ends(&manifest));
    manifest.segments = Some(segments);
    assert!(ends(&manifest));
}

#[test]
fn iframe_ranges() {
    let manifest = manifest(true);
    assert_eq!(
        iframes(&manifest.variants[2].rendition, State::from(&manifest), &Signed),
        r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-I-FRAMES-ONLY
#EXT-X-MAP:URI="https://s3/v/1/240p/init.mp4?sig=1"
#EXTINF:2.000000,
#EXT-X-BYTERANGE:10000@0
https://s3/v/1/240p/00000.m4s?sig=1
#EXTINF:2.000000,
#EXT-X-BYTERANGE:10000@50000
https://s3/v/1/240p/00000.m4s?sig=1
#EXTINF:2.000000,
#EXT-X-BYTERANGE:10000@0
https://s3/v/1/240p/00001.m4s?sig=1
#EXT-X-ENDLIST
"#
    );
}

#[test]
fn storyboard_cues() {
    let storyboard = Storyboard {
        sprite: Object {
            key: "k".to_owned(),
            size: 1,
        },
        tile_width: 160,
        tile_height: 90,
        columns: 2,
        tiles: 3,
        interval: 1.0,
    };
    assert_eq!(
        storyboard_vtt(&storyboard, 2.5, "sprite.jpg"),
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nsprite.jpg#xywh=0,0,160,90\n\
         \n00:00:01.000 --> 00:00:02.000\nsprite.jpg#xywh=160,0,160,90\n\
         \n00:00:02.000 --> 00:00:02.500\nsprite.jpg#xywh=0,90,160,90\n"
    );
}
