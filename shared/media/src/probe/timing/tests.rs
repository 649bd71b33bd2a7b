use super::super::listing::Flags;
use super::*;

const NTSC: Fraction = Fraction::new(30_000, 1001);

fn packet(pts: impl Into<Option<f64>>, dts: impl Into<Option<f64>>, duration: impl Into<Option<f64>>) -> Packet {
    Packet {
        pts: pts.into(),
        dts: dts.into(),
        duration: duration.into(),
        ..Packet::default()
    }
}

fn at(times: &[f64]) -> Vec<Packet> {
    times.iter().map(|time| packet(*time, *time, None)).collect()
}

fn rate(rate: Fraction) -> Declared {
    Declared {
        real: Some(rate),
        average: Some(rate),
    }
}

fn measure(packets: &[Packet], declared: Declared) -> Timing {
    timing(packets.iter(), declared, false).expect("there are packets")
}

#[track_caller]
fn assert_close(measured: f64, expected: f64) {
    assert!((measured - expected).abs() < 1e-6, "{measured} instead of {expected}");
}

#[test]
fn nothing_shown_is_nothing() {
    assert_eq!(timing([].iter(), Declared::default(), false), None);
    let cut = Packet {
        flags: Flags {
            discarded: true,
            ..Flags::default()
        },
        ..packet(0.0, 0.0, 0.04)
    };
    assert_eq!(timing([cut].iter(), Declared::default(), false), None);
}

#[test]
fn the_end_is_that_of_the_last_frame_shown_and_not_of_the_last_packet() {
    let packets = [
        packet(0.0, -0.08, 0.04),
        packet(0.12, -0.04, 0.04),
        packet(0.04, 0.0, 0.04),
        packet(0.08, 0.04, 0.04),
    ];
    let timing = measure(&packets, rate(Fraction::new(25, 1)));
    assert_close(timing.duration, 0.16);
    assert_eq!(
        (timing.frames, timing.frame_rate, timing.variable),
        (4, Fraction::new(25, 1), false)
    );
}

#[test]
fn it_is_counted_from_the_first_frame_wherever_that_is() {
    for start in [-1.5, 0.0, 90_000.25] {
        let timing = measure(&at(&[start, start + 0.04, start + 0.08]), Declared::default());
        assert_close(timing.start, start);
        assert_close(timing.duration, 0.12);
    }
}

#[test]
fn one_frame_lasts_as_long_as_it_says_or_one_step() {
    assert_close(measure(&[packet(3.0, 3.0, 2.0)], Declared::default()).duration, 2.0);
    assert_close(
        measure(&[packet(3.0, 3.0, None)], rate(Fraction::new(10, 1))).duration,
        0.1,
    );
    assert_close(measure(&[packet(None, None, 0.0)], Declared::default()).duration, 0.04);
}

#[test]
fn frames_without_presentation_times_come_in_decoding_order() {
    let packets: Vec<_> = [0.0, 0.04, 0.08].map(|dts| packet(None, dts, 0.04)).into();
    assert_close(measure(&packets, Declared::default()).duration, 0.12);
}

#[test]
fn frames_without_any_time_come_at_the_declared_rate() {
    let packets = vec![packet(None, None, None); 60];
    let timing = measure(&packets, rate(Fraction::new(30, 1)));
    assert_close(timing.duration, 2.0);
    assert!(!timing.variable);
}

#[test]
fn a_held_picture_counts_and_slows_nothing_down() {
    let timing = measure(&at(&[0.0, 0.04, 30.0, 30.04]), Declared::default());
    assert_close(timing.duration, 30.08);
    assert!(timing.variable);
    assert_close(timing.frame_rate.as_f64(), 25.0);
}

/// VP9 in `WebM`: each hidden reference picture is a packet of its own, a millisecond from the frame that it serves.
#[test]
fn hidden_pictures_are_no_frames() {
    let times: Vec<f64> = (0..48).map(|frame| f64::from(frame) / 24.0).collect();
    let hidden: Vec<f64> = times.iter().step_by(16).map(|time| time + 0.001).collect();
    let timing = measure(&at(&[times, hidden].concat()), Declared::default());
    assert!(!timing.variable);
    assert_close(timing.duration, 2.0);
    assert_close(timing.frame_rate.as_f64(), 24.0);
}

/// Matroska gives no frame a duration, and ffmpeg takes its clock's resolution for one.
#[test]
fn the_last_frame_stands_as_long_as_the_others() {
    let packets: Vec<Packet> = [0.067, 0.1, 0.134].map(|time| packet(time, time, 0.001)).into();
    assert_close(measure(&packets, Declared::default()).duration, 0.1);
}

#[test]
fn nothing_is_seen_before_the_first_keyframe_of_a_broadcast() {
    let mut packets = at(&[5.0, 5.04, 5.08, 5.12]);
    packets[2].flags.key = true;
    let timing = timing(packets.iter(), rate(Fraction::new(25, 1)), true).expect("packets");
    assert_close(timing.start, 5.08);
    assert_close(timing.duration, 0.08);
    assert_close(measure(&packets, rate(Fraction::new(25, 1))).duration, 0.16);
}

/// In Matroska the first frames have no decoding time where later ones are shown before them.
#[test]
fn slow_film_with_reordered_frames_does_not_jump() {
    let packets = [
        packet(0.0, None, 1.0),
        packet(4.0, None, 1.0),
        packet(2.0, 0.0, 1.0),
        packet(1.0, 1.0, 1.0),
        packet(3.0, 2.0, 1.0),
    ];
    assert_close(measure(&packets, rate(Fraction::new(1, 1))).duration, 5.0);
}

#[test]
fn joined_recordings_follow_each_other() {
    let packets = at(&[90_000.0, 90_000.04, 90_000.08, 2.0, 2.04, 2.08]);
    let timing = timing(packets.iter(), rate(Fraction::new(25, 1)), true).expect("packets");
    assert_close(timing.duration, 0.24);
    assert_close(timing.start, 90_000.0);
    assert!(!timing.variable);
    let forward = at(&[2.0, 2.04, 2.08, 90_000.0, 90_000.04, 90_000.08]);
    let timing = super::timing(forward.iter(), rate(Fraction::new(25, 1)), true).expect("packets");
    assert_close(timing.duration, 0.24);
}

#[test]
fn a_difference_that_wrapped_around_is_not_a_day() {
    let wrapped = 4_294_967_296.0 / 90_000.0;
    let packets = [
        packet(0.0, 0.0, 0.04),
        packet(0.04 + wrapped, 0.04, 0.04),
        packet(0.08, 0.08, 0.04),
    ];
    assert_close(measure(&packets, Declared::default()).duration, 0.12);
}

#[test]
fn milliseconds_are_no_variable_rate() {
    let times: Vec<f64> = (0..60)
        .map(|frame| (f64::from(frame) * 1001.0 / 30.0).round() / 1000.0)
        .collect();
    let timing = measure(&at(&times), rate(NTSC));
    assert_eq!((timing.frame_rate, timing.variable), (NTSC, false));
}

#[test]
fn a_dropped_frame_is() {
    let times: Vec<f64> = (0..60)
        .filter(|frame| *frame != 30)
        .map(|frame| f64::from(frame) / 30.0)
        .collect();
    let timing = measure(&at(&times), rate(Fraction::new(30, 1)));
    assert!(timing.variable);
}

#[test]
fn a_clocks_resolution_is_no_rate() {
    let declared = Declared {
        real: Some(Fraction::new(90_000, 1)),
        average: Some(Fraction::new(50, 1)),
    };
    let times: Vec<f64> = (0..50).map(|frame| f64::from(frame) / 50.0).collect();
    assert_eq!(measure(&at(&times), declared).frame_rate, Fraction::new(50, 1));
    let lying = rate(Fraction::new(240, 1));
    assert_eq!(measure(&at(&times), lying).frame_rate, Fraction::new(50_000, 1000));
}

/// As in a VOB: one packet of two carries a presentation time.
#[test]
fn missing_presentation_times_are_no_decoding_times() {
    let packets: Vec<Packet> = (0..10)
        .map(|frame| {
            let dts = f64::from(frame) / 25.0;
            packet((frame % 2 == 0).then_some(dts + 0.04), dts, 0.04)
        })
        .collect();
    let timing = measure(&packets, rate(Fraction::new(25, 1)));
    assert!(!timing.variable);
    assert_close(timing.start, 0.04);
    assert_close(timing.duration, 0.4);
}

#[test]
fn a_slide_show_is_variable_even_with_two_pictures() {
    let slides = |last| measure(&[packet(0.0, 0.0, 1.5), packet(1.5, 1.5, last)], Declared::default());
    assert!(slides(0.5).variable);
    assert!(!slides(1.5).variable);
}

/// A phone drops a frame now and then.
#[test]
fn dropped_frames_do_not_slow_the_others() {
    let times: Vec<f64> = (0..60)
        .filter(|frame| frame % 7 != 3)
        .map(|frame| f64::from(frame) / 30.0)
        .collect();
    let timing = measure(&at(&times), Declared::default());
    assert!(timing.variable);
    assert!((timing.frame_rate.as_f64() - 30.0).abs() < 0.01);
}
