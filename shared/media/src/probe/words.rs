//! What is said of a clip that is refused.

use std::time::Duration;

use toktik_events::{Rejection, RejectionCode};

pub(super) fn unsupported(codec: &str) -> Rejection {
    let printable: String = codec.chars().filter(char::is_ascii_graphic).take(32).collect();
    let message =
        format!("A part of the file is coded as {printable}, which is not decoded here; H.264 and AAC always are.");
    Rejection::new(RejectionCode::UnsupportedCodec, message)
}

pub(super) fn corrupt() -> Rejection {
    Rejection::new(
        RejectionCode::Corrupt,
        "The file is damaged or incomplete: no picture could be read from it.",
    )
}

pub(super) fn cut_short(present: f64) -> Rejection {
    let message = format!(
        "The file is incomplete: only {:.0} % of it arrived. Upload it again from where it was recorded.",
        present * 100.0
    );
    Rejection::new(RejectionCode::Corrupt, message)
}

pub(super) fn too_many_packets(max_duration: f64) -> Rejection {
    let limit = if max_duration > 0.0 {
        format!("the limit of {}", spoken(max_duration))
    } else {
        "what can be examined".to_owned()
    };
    Rejection::new(RejectionCode::TooLong, format!("This clip is far longer than {limit}."))
}

pub(super) fn too_long(duration: f64, max_duration: f64) -> Rejection {
    let message = format!(
        "This clip is {} long; the limit is {}.",
        spoken(duration),
        spoken(max_duration)
    );
    Rejection::new(RejectionCode::TooLong, message)
}

/// A length of time as people say it: `60 s`, `61.2 s`, `6 min 2 s`, `1 h 2 min`.
fn spoken(seconds: f64) -> String {
    const MINUTES_FROM: f64 = 120.0;
    if seconds < MINUTES_FROM {
        // Up and not to the nearest, so that what exceeds a limit is never said to be the limit.
        let tenths = (seconds * 10.0 - 1e-6).ceil().max(0.0) / 10.0;
        return format!("{tenths} s");
    }
    let whole = Duration::try_from_secs_f64(seconds.round())
        .unwrap_or(Duration::MAX)
        .as_secs();
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes, seconds) {
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_said_as_people_say_them() {
        let rows = [
            (0.5, "0.5 s"),
            (60.0, "60 s"),
            (60.51, "60.6 s"),
            (90.0, "90 s"),
            (120.0, "2 min"),
            (361.6, "6 min 2 s"),
            (362.4, "6 min 2 s"),
            (3600.0, "1 h"),
            (3725.0, "1 h 2 min"),
        ];
        for (seconds, text) in rows {
            assert_eq!(spoken(seconds), text);
        }
        assert_eq!(
            too_long(362.0, 60.0).message,
            "This clip is 6 min 2 s long; the limit is 60 s."
        );
    }
}
