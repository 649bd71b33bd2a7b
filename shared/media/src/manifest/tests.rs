use super::*;

fn rendition(segments: &[(f64, u64)]) -> Rendition {
    let segments = segments
        .iter()
        .map(|&(duration, size)| Segment {
            duration,
            size,
            keyframes: Vec::new(),
        })
        .collect();
    Rendition {
        codecs: String::new(),
        parts: vec![Part {
            prefix: String::new(),
            init_size: 0,
            init_hash: 0,
            segments,
        }],
    }
}

#[test]
fn peak_is_of_the_heaviest_segment() {
    assert_eq!(rendition(&[(4.0, 1000), (4.0, 3000), (4.0, 1000)]).peak(4), 6000);
}

#[test]
fn a_short_last_segment_counts_only_with_its_neighbour() {
    // One second of 4 is less than half a target; with its neighbour, 4000 bytes in 5 s.
    assert_eq!(rendition(&[(4.0, 2000), (1.0, 2000)]).peak(4), 6400);
}

#[test]
fn a_clip_shorter_than_half_a_target_has_its_average() {
    assert_eq!(rendition(&[(1.0, 1000)]).peak(4), 8000);
    assert_eq!(rendition(&[]).peak(4), 0);
}

#[test]
fn average_is_of_the_whole() {
    assert_eq!(rendition(&[(4.0, 2000), (1.0, 500)]).average(), 4000);
}

#[test]
fn ten_minutes_fit_in_one_item() {
    let keyframe = Keyframe {
        offset: 1_234_567,
        size: 123_456,
        duration: 1.968_633_333_333,
    };
    let segment = Segment {
        duration: 3.937_266_666_667,
        size: 2_345_678,
        keyframes: vec![keyframe; 2],
    };
    let rendition = Rendition {
        codecs: "avc1.640028".to_owned(),
        parts: vec![Part {
            prefix: "p".repeat(100),
            init_size: 800,
            init_hash: u64::MAX,
            segments: vec![segment; 150],
        }],
    };
    let size = serde_json::to_string(&rendition).map(|text| text.len() * 5);
    assert!(size.is_ok_and(|size| size < 400_000));
}

#[test]
fn it_names_its_objects_and_nothing_else() {
    let object = |key: &str| serde_json::json!({"key": key, "size": 1});
    let rendition = |prefix: &str| {
        let segments = serde_json::json!([{"duration": 4.0, "size": 9}]);
        serde_json::json!({"codecs": "c", "parts": [{"prefix": prefix, "init_size": 1, "init_hash": 2, "segments": segments}]})
    };
    let manifest = serde_json::json!({
        "complete": true, "target_duration": 4,
        "variants": [{"name": "240p", "width": 2, "height": 2, "frame_rate": {"num": 30, "den": 1}, "max_rate": 1,
            "sound": "audio", "rendition": rendition("v/2/240p/")}],
        "sounds": [{"name": "audio", "bit_rate": 1, "channels": 2, "rendition": rendition("s/1/audio/")}],
        "poster": {"jpeg": object("p.jpg"), "webp": object("p.webp")},
        "storyboard": {"sprite": object("s.jpg"), "tile_width": 1, "tile_height": 1, "columns": 1, "tiles": 1,
            "interval": 1.0},
        "preview": object("a.webp"), "mp3": object("a.mp3"), "download": object("d.mp4"),
    });
    let manifest: Manifest = serde_json::from_value(manifest).unwrap();
    let stay = [
        "v/2/240p/init.mp4",
        "s/1/audio/00000.m4s",
        "p.jpg",
        "p.webp",
        "s.jpg",
        "a.webp",
        "a.mp3",
        "d.mp4",
    ];
    for key in stay {
        assert!(manifest.names(key), "{key}");
    }
    for key in ["v/1/240p/init.mp4", "v/2/240p", "p.png"] {
        assert!(!manifest.names(key), "{key}");
    }
}
