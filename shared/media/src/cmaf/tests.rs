use mp4_atom::{Avc1, Avcc, Mvex, Trak};
use proptest::prelude::*;

use super::*;

/// A track of 10 000 ticks a second whose init says what a splitter reads.
fn init(codec: Codec) -> Vec<u8> {
    let mut trak = Trak::default();
    trak.tkhd.track_id = 1;
    trak.mdia.mdhd.timescale = 10_000;
    trak.mdia.minf.stbl.stsd.codecs = vec![codec];
    let trex = Trex {
        track_id: 1,
        ..Trex::default()
    };
    let moov = Moov {
        trak: vec![trak],
        mvex: Some(Mvex {
            trex: vec![trex],
            ..Mvex::default()
        }),
        ..Moov::default()
    };
    let mut bytes = Vec::new();
    moov.encode(&mut bytes).expect("a moov");
    bytes
}

fn h264() -> Codec {
    let sps = vec![0x67, 0x64, 0, 0x1f];
    let avcc = Avcc {
        sequence_parameter_sets: vec![sps],
        length_size: 4,
        ..Avcc::default()
    };
    let avcc = Avcc {
        configuration_version: 1,
        avc_profile_indication: 0x64,
        avc_level_indication: 0x1f,
        ..avcc
    };
    Avc1 {
        avcc,
        ..Avc1::default()
    }
    .into()
}

/// An init segment that also declares so many groups of samples.
fn grouped(count: u32) -> Vec<u8> {
    let mut bytes = init(h264());
    // Version 1: a length of its own stands before the count.
    let groups = [
        &[0, 0, 0, 24][..],
        b"sgpd",
        &[1, 0, 0, 0],
        b"roll",
        &[0, 0, 0, 2],
        &count.to_be_bytes(),
    ]
    .concat();
    bytes.extend(groups);
    let size = u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&size.to_be_bytes());
    bytes
}

#[test]
fn more_groups_than_bytes_are_refused_before_they_are_made() {
    let verdict = |count| split(&grouped(count)[..], &cut(Kind::Audio, 0), |_| Ok(()));
    for count in [100_000, u32::MAX] {
        assert!(matches!(verdict(count), Err(Error::Layout(_))), "{count}");
    }
    assert!(!matches!(verdict(1), Err(Error::Layout(_))));
}

/// A GOP of pictures a tenth of a second long, one byte each.
fn fragment(decode_time: u64, flags: &[u32]) -> Vec<u8> {
    let samples: Vec<Sample> = flags
        .iter()
        .map(|&flags| Sample {
            duration: 1000,
            size: 1,
            flags,
            cts: 0,
        })
        .collect();
    let mut moof = Moof {
        mfhd: Mfhd { sequence_number: 1 },
        traf: vec![traf(1, decode_time, &samples)],
    };
    let mut bytes = Vec::new();
    moof.encode(&mut bytes).expect("a moof");
    moof.traf[0].trun[0].data_offset = i32::try_from(bytes.len() + 8).ok();
    bytes.clear();
    moof.encode(&mut bytes).expect("a moof");
    append(&mut bytes, MDAT, &vec![7; flags.len()]).expect("an mdat");
    bytes
}

const SYNC: u32 = 0x0200_0000;

fn cut(kind: Kind, first_frame: u64) -> Cut {
    Cut {
        kind,
        frame_rate: Fraction::new(10, 1),
        first_frame,
        ends: [4, 8].into_iter().filter(|end| *end > first_frame).collect(),
        sequence_number: 5,
    }
}

type Files = Vec<(String, Vec<u8>)>;

fn split_all(input: &[u8], cut: &Cut) -> Result<(Track, Files)> {
    let mut files = Vec::new();
    let track = split(input, cut, |piece| {
        let segments = files.len().saturating_sub(1);
        files.push(match piece {
            Piece::Init(init) => (INIT.to_owned(), init.bytes.to_vec()),
            Piece::Segment(_, bytes) => (segment_name(segments), bytes.to_vec()),
        });
        Ok(())
    })?;
    Ok((track, files))
}

fn two_gops() -> Vec<u8> {
    [
        init(h264()),
        fragment(0, &[SYNC, NOT_SYNC]),
        fragment(2000, &[SYNC, NOT_SYNC]),
    ]
    .concat()
}

/// `tfdt` and sequence number of each fragment.
fn fragments(bytes: &[u8]) -> Vec<(u64, u32)> {
    let mut reader = Reader { input: bytes };
    let mut found = Vec::new();
    while let Ok(Some(fragment)) = reader.fragment() {
        let time = fragment.moof.traf[0]
            .tfdt
            .as_ref()
            .map_or(0, |tfdt| tfdt.base_media_decode_time);
        found.push((time, fragment.moof.mfhd.sequence_number));
    }
    found
}

#[test]
fn keyframes_are_fragments_by_themselves() {
    let (track, files) = split_all(&two_gops(), &cut(Kind::Video, 0)).expect("a track");
    assert_eq!(
        files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["init.mp4", "00000.m4s"]
    );
    assert_eq!(files[0].1, init(h264()));
    assert_eq!(fragments(&files[1].1), [(0, 5), (1000, 6), (2000, 7), (3000, 8)]);
    assert_eq!(
        (track.codecs.as_str(), track.ticks, track.samples),
        ("avc1.64001f", 4000, 4)
    );
    let segment = &track.segments[0];
    assert_eq!((segment.duration, segment.size), (0.4, files[1].1.len() as u64));
    for keyframe in &segment.keyframes {
        let range = usize::try_from(keyframe.offset).unwrap_or(0)..;
        let range = &files[1].1[range][..usize::try_from(keyframe.size).unwrap_or(0)];
        assert_eq!(fragments(range).len(), 1);
        assert_eq!(range.last(), Some(&7));
    }
}

#[test]
fn a_unit_continues_where_its_predecessor_ended() {
    let long = Cut {
        ends: vec![42, 44, 46],
        ..cut(Kind::Video, 40)
    };
    let (_, files) = split_all(&two_gops(), &long).expect("a track");
    assert_eq!(files.len(), 3);
    assert_eq!(fragments(&files[1].1), [(40_000, 5), (41_000, 6)]);
    assert_eq!(fragments(&files[2].1), [(42_000, 7), (43_000, 8)]);
}

#[test]
fn the_last_segment_takes_what_is_left() {
    let last = Cut {
        ends: vec![2],
        ..cut(Kind::Video, 0)
    };
    let (track, files) = split_all(&two_gops(), &last).expect("a track");
    assert_eq!(files.len(), 2);
    assert_eq!(
        (track.segments[0].duration, track.segments[0].keyframes.len()),
        (0.4, 2)
    );
}

#[test]
fn sound_is_cut_at_the_nearest_sample() {
    let input = [init(h264()), fragment(0, &[SYNC; 3]), fragment(3000, &[SYNC; 3])].concat();
    let (track, files) = split_all(&input, &cut(Kind::Audio, 0)).expect("a track");
    assert_eq!(
        track
            .segments
            .iter()
            .map(|segment| segment.duration)
            .collect::<Vec<_>>(),
        [0.4, 0.2]
    );
    assert_eq!(fragments(&files[2].1), [(4000, 6)]);
}

#[test]
fn the_last_sound_segment_takes_what_is_left() {
    let input = [init(h264()), fragment(0, &[SYNC; 30])].concat();
    let (track, _) = split_all(&input, &cut(Kind::Audio, 0)).expect("a track");
    assert_eq!(
        track
            .segments
            .iter()
            .map(|segment| segment.duration)
            .collect::<Vec<_>>(),
        [0.4, 2.6]
    );
}

/// A sample of a camera's: decoded for so many ticks, shown so much later, and the types of its units.
type Filmed = (u32, i64, &'static [u8]);

/// Decoded and shown in different orders, each a little off.
const FILMED: [Filmed; 4] = [
    (990, 2000, &[DELIMITER, IDR]),
    (1020, 4030, &[SLICE]),
    (980, 1990, &[SLICE, SLICE]),
    (1010, 0, &[DELIMITER, SLICE]),
];

/// One GOP of it.
fn filmed(gop: &[Filmed]) -> Vec<u8> {
    let unit = |ty: &u8| vec![0, 0, 0, 1, *ty];
    let bytes: Vec<Vec<u8>> = gop
        .iter()
        .map(|(_, _, types)| types.iter().flat_map(unit).collect())
        .collect();
    let samples: Vec<Sample> = gop
        .iter()
        .zip(&bytes)
        .enumerate()
        .map(|(place, (&(duration, cts, _), bytes))| Sample {
            duration,
            size: u32::try_from(bytes.len()).expect("small"),
            flags: if place == 0 { SYNC } else { NOT_SYNC },
            cts,
        })
        .collect();
    let mut moof = Moof {
        mfhd: Mfhd { sequence_number: 1 },
        traf: vec![traf(1, 0, &samples)],
    };
    let mut out = Vec::new();
    moof.encode(&mut out).expect("a moof");
    moof.traf[0].trun[0].data_offset = i32::try_from(out.len() + 8).ok();
    out = init(h264());
    moof.encode(&mut out).expect("a moof");
    append(&mut out, MDAT, &bytes.concat()).expect("an mdat");
    out
}

/// Duration and composition offset of each sample.
fn times(bytes: &[u8]) -> Vec<(u32, i64)> {
    let mut reader = Reader { input: bytes };
    let track = Description {
        id: 1,
        timescale: 10_000,
        codecs: String::new(),
        defaults: Trex::default(),
        late: false,
    };
    let mut times = Vec::new();
    while let Ok(Some(fragment)) = reader.fragment() {
        let samples = fragment.samples(&track).expect("samples");
        times.extend(samples.into_iter().map(|sample| (sample.duration, sample.cts)));
    }
    times
}

#[test]
fn what_a_camera_recorded_is_put_on_the_grid() {
    let (track, files) = split_all(&filmed(&FILMED), &cut(Kind::Copy, 0)).expect("a track");
    assert_eq!((track.ticks, track.samples), (4000, 4));
    assert_eq!(
        times(&files[1].1),
        [(1000, 2000), (1000, 4000), (1000, 2000), (1000, 0)]
    );
}

#[test]
fn what_players_may_stumble_over_is_not_copied() {
    let uncommon = |place: usize, sample: Filmed| {
        let mut gop = FILMED;
        gop[place] = sample;
        matches!(
            split_all(&filmed(&gop), &cut(Kind::Copy, 0)),
            Err(Error::Uncommon(5, _))
        )
    };
    assert!(!uncommon(0, FILMED[0]));
    // An open GOP: its first picture is no IDR. A new description, another IDR, a private unit.
    assert!(uncommon(0, (990, 2000, &[SLICE])));
    assert!(uncommon(0, (990, 2000, &[7, 8, IDR])));
    assert!(uncommon(1, (1020, 4030, &[IDR])));
    assert!(uncommon(1, (1020, 4030, &[6, SLICE])));
    assert!(uncommon(2, (980, 1990, &[])));
    // A frame that is late by more than half of its time.
    assert!(uncommon(1, (1020, 4600, &[SLICE])));
}

#[test]
fn what_is_wrong_is_named() {
    let video = cut(Kind::Video, 0);
    let error = |input: &[u8]| {
        split_all(input, &video)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert_eq!(error(b""), "there is no moov");
    assert_eq!(error(&init(h264())), "nothing follows the header");
    assert_eq!(
        error(&two_gops()[..two_gops().len() - 1]),
        "the file ends in the middle of a box"
    );
    let late = [init(h264()), fragment(0, &[SYNC]), fragment(2000, &[SYNC])].concat();
    assert_eq!(error(&late), "fragment 6 does not begin where its predecessor ends");
    let open = [init(h264()), fragment(0, &[NOT_SYNC])].concat();
    assert_eq!(error(&open), "fragment 5 does not begin with a keyframe");
}

proptest! {
    #[test]
    fn random_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let video = cut(Kind::Video, 0);
        prop_assert!(split_all(&bytes, &video).is_err());
    }

    #[test]
    fn truncated_files_are_an_error_or_shorter(length in 0_usize..2000, audio: bool) {
        let input = two_gops();
        let kind = if audio { Kind::Audio } else { Kind::Video };
        if let Ok((track, _)) = split_all(&input[..length.min(input.len())], &cut(kind, 0)) {
            prop_assert!(track.samples <= 4);
        }
    }

    #[test]
    fn flipped_bytes_do_not_panic(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
        kind in prop::sample::select(vec![Kind::Audio, Kind::Video, Kind::Copy]),
    ) {
        let mut input = if kind == Kind::Copy { filmed(&FILMED) } else { two_gops() };
        for (at, value) in changes {
            let at = at % input.len();
            input[at] = value;
        }
        let _ = split_all(&input, &cut(kind, 0));
    }
}
