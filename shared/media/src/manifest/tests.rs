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
