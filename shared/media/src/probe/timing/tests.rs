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
        discarded: true,
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
fn a_held_picture_counts() {
    let timing = measure(&at(&[0.0, 0.04, 30.0, 30.04]), Declared::default());
    assert_close(timing.duration, 30.08);
    assert!(timing.variable);
    assert_close(timing.frame_rate.as_f64(), 0.1);
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
