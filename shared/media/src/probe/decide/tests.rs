use serde_json::{Value, json};

use super::*;
use crate::source::Fraction;

/// Two frames of stream 0, one packet of stream 1.
fn packets() -> Value {
    json!([
        { "stream_index": 0, "pts_time": "0.000000", "dts_time": "0.000000", "duration_time": "0.040000", "size": "2000", "flags": "K_" },
        { "stream_index": 1, "pts_time": "0.000000", "dts_time": "0.000000", "duration_time": "0.023220", "flags": "K_" },
        { "stream_index": 0, "pts_time": "0.040000", "dts_time": "0.040000", "duration_time": "0.040000", "size": "1000", "flags": "__" },
    ])
}

fn picture() -> Value {
    json!({
        "index": 0, "codec_name": "h264", "codec_type": "video", "codec_tag_string": "avc1", "width": 320, "height": 180,
        "sample_aspect_ratio": "1:1", "pix_fmt": "yuv420p", "color_range": "tv", "color_space": "bt709",
        "color_transfer": "bt709", "r_frame_rate": "25/1", "avg_frame_rate": "25/1",
        "disposition": { "attached_pic": 0, "timed_thumbnails": 0, "still_image": 0 }, "tags": {},
    })
}

fn track() -> Value {
    json!({
        "index": 1, "codec_name": "aac", "codec_type": "audio", "codec_tag_string": "mp4a", "sample_rate": "44100",
        "channels": 1, "r_frame_rate": "0/0", "avg_frame_rate": "0/0",
    })
}

/// `stream` with some fields replaced.
fn with(mut stream: Value, fields: &Value) -> Value {
    let (Some(stream_fields), Some(fields)) = (stream.as_object_mut(), fields.as_object()) else {
        panic!("objects");
    };
    stream_fields.extend(fields.clone());
    stream
}

fn decided_in(container: Container, packets: &Value, streams: &[Value]) -> Result<Source, RejectionCode> {
    let stdout = json!({ "packets": packets, "programs": [], "streams": streams })
        .to_string()
        .into_bytes();
    let output = Output {
        stdout,
        stderr_tail: String::new(),
    };
    let decision = decide(&output, container, 60.0, 0).map(|(source, _)| source);
    decision.map_err(|error| match error {
        ProbeError::Rejected(rejection) => rejection.code,
        ProbeError::Failed(error) => panic!("{error}"),
    })
}

fn decided(streams: &[Value]) -> Result<Source, RejectionCode> {
    decided_in(Container::Mp4, &packets(), streams)
}

fn size(fields: &Value) -> Result<(u32, u32), RejectionCode> {
    decided(&[with(picture(), fields)]).map(|source| (source.video.width, source.video.height))
}

#[test]
fn an_ordinary_clip() {
    let source = decided(&[picture(), track()]).expect("accepted");
    let expected = Source {
        demuxer: "mov".to_owned(),
        duration: 0.08,
        video: Video {
            stream: 0,
            codec: "h264".to_owned(),
            width: 320,
            height: 180,
            start: 0.0,
            frame_rate: Fraction::new(25, 1),
            variable_frame_rate: false,
            interlaced: false,
            transfer: Transfer::Sdr,
            pixel_format: "yuv420p".to_owned(),
            color_range: Some("tv".to_owned()),
            color_space: Some("bt709".to_owned()),
            wide_gamut: false,
        },
        audio: Some(Audio {
            stream: 1,
            codec: "aac".to_owned(),
            channels: 1,
            sample_rate: 44_100,
        }),
        weight: Weight {
            bytes: 0,
            picture_bytes: 3000,
            keyframe_gap: 0.08,
            thins: false,
        },
        gops: Vec::new(),
    };
    assert_eq!(source, expected);
}

#[test]
fn the_picture_is_measured_as_it_is_shown() {
    let turned =
        |degrees: i32| json!({ "side_data_list": [{ "side_data_type": "Display Matrix", "rotation": degrees }] });
    assert_eq!(size(&turned(90)), Ok((180, 320)));
    assert_eq!(size(&turned(-90)), Ok((180, 320)));
    assert_eq!(size(&turned(270)), Ok((180, 320)));
    assert_eq!(size(&turned(180)), Ok((320, 180)));
    assert_eq!(size(&turned(45)), Ok((320, 180)));
    assert_eq!(size(&json!({ "tags": { "rotate": "90" } })), Ok((180, 320)));
    assert_eq!(size(&json!({ "sample_aspect_ratio": "4:3" })), Ok((427, 180)));
    assert_eq!(size(&json!({ "sample_aspect_ratio": "1:2" })), Ok((320, 360)));
    assert_eq!(size(&json!({ "sample_aspect_ratio": "0:1" })), Ok((320, 180)));
    assert_eq!(
        size(&json!({ "sample_aspect_ratio": "2:1", "tags": { "rotate": "270" } })),
        Ok((180, 640))
    );
}

#[test]
fn sides_have_bounds() {
    let sides = |width: u32, height: u32| size(&json!({ "width": width, "height": height }));
    assert_eq!(sides(16, 16), Ok((16, 16)));
    assert_eq!(sides(8192, 16), Ok((8192, 16)));
    assert_eq!(sides(14, 320), Err(RejectionCode::DimensionsOutOfRange));
    assert_eq!(sides(8194, 320), Err(RejectionCode::DimensionsOutOfRange));
    assert_eq!(sides(0, 0), Err(RejectionCode::Corrupt));
    let stretched = size(&json!({ "sample_aspect_ratio": "1000:1" }));
    assert_eq!(stretched, Err(RejectionCode::DimensionsOutOfRange));
}

#[test]
fn light_is_known_by_its_transfer() {
    for (name, transfer) in [
        ("smpte2084", Transfer::Pq),
        ("arib-std-b67", Transfer::Hlg),
        ("bt470m", Transfer::Sdr),
    ] {
        let source = decided(&[with(picture(), &json!({ "color_transfer": name }))]).expect("accepted");
        assert_eq!(source.video.transfer, transfer);
    }
}

#[test]
fn a_cover_is_no_video() {
    let cover = |kind: &str| with(picture(), &json!({ "codec_name": "mjpeg", "disposition": { kind: 1 } }));
    for kind in ["attached_pic", "still_image", "timed_thumbnails"] {
        assert_eq!(decided(&[cover(kind), track()]), Err(RejectionCode::NoVideoStream));
    }
    assert_eq!(decided(&[track()]), Err(RejectionCode::NoVideoStream));
    let film = with(picture(), &json!({ "index": 2 }));
    let packets = json!([{ "stream_index": 2, "pts_time": "0.000000", "flags": "K_" }]);
    let source = decided_in(Container::Mp4, &packets, &[cover("attached_pic"), film]).expect("accepted");
    assert_eq!(source.video.stream, 2);
}

#[test]
fn a_codec_has_to_be_known() {
    let unknown = json!({ "index": 0, "codec_type": "video", "codec_tag_string": "vvc1", "width": 320, "height": 180 });
    assert_eq!(decided(&[unknown]), Err(RejectionCode::UnsupportedCodec));
    let odd = with(picture(), &json!({ "codec_name": "xan_wc3" }));
    assert_eq!(decided(&[odd]), Err(RejectionCode::UnsupportedCodec));
}

#[test]
fn without_streams_or_packets_it_is_corrupt() {
    assert_eq!(decided(&[]), Err(RejectionCode::Corrupt));
    assert_eq!(
        decided_in(Container::Mp4, &json!([]), &[picture()]),
        Err(RejectionCode::Corrupt)
    );
}

#[test]
fn protection_shows_in_the_entry_the_stream_or_the_packets() {
    let entry = with(picture(), &json!({ "codec_tag_string": "encv" }));
    assert_eq!(decided(&[entry]), Err(RejectionCode::Encrypted));
    let keys_alone = json!({ "side_data_list": [{ "side_data_type": "Encryption initialization data" }] });
    assert!(decided(&[with(picture(), &keys_alone)]).is_ok());
    let matroska = with(picture(), &json!({ "tags": { "enc_key_id": "c2VjcmV0" } }));
    assert_eq!(decided(&[matroska]), Err(RejectionCode::Encrypted));
    let packet =
        json!([{ "stream_index": 0, "flags": "K_", "side_data_list": [{ "side_data_type": "Encryption info" }] }]);
    assert_eq!(
        decided_in(Container::Mp4, &packet, &[picture()]),
        Err(RejectionCode::Encrypted)
    );
}

#[test]
fn of_several_pictures_the_one_marked_is_taken_then_the_largest() {
    let small = with(picture(), &json!({ "width": 160, "height": 90 }));
    let large = with(picture(), &json!({ "index": 1 }));
    let packets = json!([{ "stream_index": 0, "flags": "K_" }, { "stream_index": 1, "flags": "K_" }]);
    let width = |streams: &[Value]| decided_in(Container::Mp4, &packets, streams).map(|source| source.video.width);
    assert_eq!(width(&[small.clone(), large.clone()]), Ok(320));
    let marked = with(small.clone(), &json!({ "disposition": { "default": 1 } }));
    assert_eq!(width(&[marked, large.clone()]), Ok(160));
    let stills_beside_a_film = json!([
        { "stream_index": 0 }, { "stream_index": 1 }, { "stream_index": 0 }, { "stream_index": 0 },
    ]);
    let taken = decided_in(Container::Mp4, &stills_beside_a_film, &[small.clone(), large.clone()]);
    assert_eq!(taken.map(|source| source.video.width), Ok(160));
    let nothing_in_it = json!([{ "stream_index": 0, "flags": "K_" }]);
    let taken = decided_in(Container::Mp4, &nothing_in_it, &[small, large]).map(|source| source.video.stream);
    assert_eq!(taken, Ok(0));
}

#[test]
fn one_frame_is_a_picture_only_in_a_picture_format() {
    let packets = json!([{ "stream_index": 0, "pts_time": "0.000000", "duration_time": "0.100000", "flags": "K_" }]);
    let gif = with(picture(), &json!({ "codec_name": "gif" }));
    assert_eq!(
        decided_in(Container::Gif, &packets, &[gif]),
        Err(RejectionCode::NotAVideo)
    );
    let film = decided_in(Container::Mp4, &packets, &[picture()]).expect("accepted");
    assert!((film.duration - 0.1).abs() < 1e-9);
}

#[test]
fn the_limit_has_half_a_second_of_grace() {
    let long = |end: &str| {
        let last =
            json!({ "stream_index": 0, "pts_time": end, "dts_time": end, "duration_time": "0.040000", "flags": "__" });
        let first = json!({ "stream_index": 0, "pts_time": "0.000000", "dts_time": "0.000000", "flags": "K_" });
        decided_in(Container::Mp4, &json!([first, last]), &[picture()]).map(|_| ())
    };
    assert_eq!(long("60.460000"), Ok(()));
    assert_eq!(long("60.461000"), Err(RejectionCode::TooLong));
}

#[test]
fn unusable_sound_is_left_out() {
    let audio = |fields: Value| decided(&[picture(), with(track(), &fields)]).expect("accepted").audio;
    assert!(audio(json!({})).is_some());
    assert_eq!(audio(json!({ "codec_name": null })), None);
    assert_eq!(audio(json!({ "codec_name": "mpegh_3d_audio" })), None);
    assert_eq!(audio(json!({ "channels": 0 })), None);
    assert_eq!(audio(json!({ "sample_rate": "0" })), None);
    assert_eq!(audio(json!({ "index": 7 })), None, "no packets");
}

#[test]
fn an_avi_with_a_file_inside_is_refused() {
    let subtitles = json!({ "index": 1, "codec_type": "subtitle", "codec_name": "subrip" });
    let streams = [picture(), subtitles];
    assert_eq!(
        decided_in(Container::Avi, &packets(), &streams),
        Err(RejectionCode::ForbiddenFormat)
    );
    assert!(decided_in(Container::Matroska, &packets(), &streams).is_ok());
}

#[test]
fn a_film_that_lies_elsewhere_is_refused() {
    let output = Output {
        stdout: b"{}".to_vec(),
        stderr_tail: "Skipped opening external track: stream 0, alias: path='x' . Set enable_drefs to allow this.\n"
            .to_owned(),
    };
    let error = decide(&output, Container::Mp4, 60.0, 0).expect_err("refused");
    assert!(matches!(error, ProbeError::Rejected(rejection) if rejection.code == RejectionCode::ForbiddenFormat));
}

#[test]
fn sides_that_ffmpeg_does_not_even_list_are_out_of_range() {
    let messages = "[png @ 0x1] Picture size 30000x30000 is invalid\n";
    let listing = json!({ "packets": packets(), "streams": [with(picture(), &json!({ "width": 0, "height": 0 }))] });
    let output = Output {
        stdout: listing.to_string().into_bytes(),
        stderr_tail: messages.to_owned(),
    };
    let error = decide(&output, Container::Mp4, 60.0, 0).expect_err("refused");
    assert!(matches!(error, ProbeError::Rejected(rejection) if rejection.code == RejectionCode::DimensionsOutOfRange));
    assert!(beyond_decoders("Picture size 100x0 is invalid").is_none());
}

/// A second at 25 fps of which `found` frames of 100 bytes are left, at the beginning and at the end.
fn with_a_hole(found: u32, said: u64) -> Result<Source, ProbeError> {
    let time = |frame: u32| f64::from(if frame * 2 < found { frame } else { 25 - found + frame }) / 25.0;
    let packet =
        |frame| json!({ "stream_index": 0, "pts_time": time(frame).to_string(), "size": "100", "flags": "K_" });
    let packets: Vec<Value> = (0..found).map(packet).collect();
    let output = Output {
        stdout: json!({ "packets": packets, "streams": [picture()] })
            .to_string()
            .into_bytes(),
        stderr_tail: String::new(),
    };
    decide(&output, Container::Matroska, 60.0, said).map(|(source, _)| source)
}

#[test]
fn a_film_with_more_holes_than_frames_is_corrupt() {
    assert!(with_a_hole(15, 2500).is_ok());
    assert!(
        matches!(with_a_hole(10, 2500), Err(ProbeError::Rejected(rejection)) if rejection.code == RejectionCode::Corrupt)
    );
    assert!(
        with_a_hole(10, 1000).is_ok(),
        "a pause is no hole: no bytes are missing"
    );
}

#[test]
fn sound_is_that_of_the_pictures_programme() {
    let other = with(track(), &json!({ "index": 2 }));
    let packets = json!([{ "stream_index": 0 }, { "stream_index": 1 }, { "stream_index": 2 }]);
    let sound = |programs: Value| {
        let listing = json!({ "packets": packets, "streams": [picture(), track(), other], "programs": programs });
        let output = Output {
            stdout: listing.to_string().into_bytes(),
            stderr_tail: String::new(),
        };
        let (source, _) = decide(&output, Container::MpegTs, 60.0, 0).expect("accepted");
        source.audio.map(|audio| audio.stream)
    };
    let program = |streams: &[u32]| {
        let streams: Vec<Value> = streams.iter().map(|index| json!({ "index": index })).collect();
        json!({ "streams": streams })
    };
    assert_eq!(sound(json!([])), Some(1));
    assert_eq!(sound(json!([program(&[1]), program(&[0, 2])])), Some(2));
    assert_eq!(sound(json!([program(&[1, 2]), program(&[0])])), None);
}

#[test]
fn of_several_sounds_the_one_marked_is_taken() {
    let marked = with(track(), &json!({ "index": 2, "disposition": { "default": 1 } }));
    let packets = json!([{ "stream_index": 0 }, { "stream_index": 1 }, { "stream_index": 2 }]);
    let sound = |other: Value| {
        let source = decided_in(Container::Mp4, &packets, &[picture(), track(), other]).expect("accepted");
        source.audio.map(|audio| audio.stream)
    };
    assert_eq!(sound(marked), Some(2));
    assert_eq!(sound(with(track(), &json!({ "index": 2 }))), Some(1));
}

#[test]
fn fields_with_packets_of_their_own_are_half_a_frame() {
    let packets = json!([
        { "stream_index": 0, "pts_time": "0.00" }, { "stream_index": 0, "pts_time": "0.02" },
        { "stream_index": 0, "pts_time": "0.04" }, { "stream_index": 0, "pts_time": "0.06" },
    ]);
    let rate = |order: &str| {
        let stream = with(picture(), &json!({ "field_order": order, "r_frame_rate": "50/1" }));
        let source = decided_in(Container::Mp4, &packets, &[stream]).expect("accepted");
        (source.video.interlaced, source.video.frame_rate)
    };
    assert_eq!(rate("tt"), (true, Fraction::new(25, 1)));
    assert_eq!(rate("progressive"), (false, Fraction::new(50, 1)));
}

#[test]
fn a_bare_stream_has_frames_and_no_times() {
    let packets = json!([{ "stream_index": 0 }, { "stream_index": 0, "pts_time": "7.0" }, { "stream_index": 0 }]);
    let source = decided_in(Container::H264, &packets, &[picture()]).expect("accepted");
    assert!((source.duration - 0.12).abs() < 1e-9 && source.video.start == 0.0);
}

#[test]
fn a_listing_that_is_cut_short_is_not_the_clips_fault() {
    let output = Output {
        stdout: b"{\"packets\": [".to_vec(),
        stderr_tail: String::new(),
    };
    assert!(matches!(
        decide(&output, Container::Mp4, 60.0, 0),
        Err(ProbeError::Failed(_))
    ));
}
