//! How large the picture is that a viewer sees.

use toktik_events::{Rejection, RejectionCode};

use super::listing::Stream;
use super::words::corrupt;
use crate::source::Fraction;

/// Pixels of the side.
const SHORTEST: u32 = 16;
const LONGEST: u32 = 8192;

/// Width and height as a viewer sees them: pixels made square by stretching, then turned.
pub(super) fn displayed(stream: &Stream) -> Result<(u32, u32), Rejection> {
    if stream.width == 0 || stream.height == 0 {
        return Err(corrupt());
    }
    let (width, height) = square(stream);
    let (width, height) = if is_sideways(stream.rotation()) {
        (height, width)
    } else {
        (width, height)
    };
    if width.min(height) < SHORTEST || width.max(height) > LONGEST {
        return Err(out_of_range(width, height));
    }
    Ok((width, height))
}

/// Never smaller than the coded picture in either direction, so that no detail is lost before the ladder is chosen.
fn square(stream: &Stream) -> (u32, u32) {
    let ratio = stream.sample_aspect_ratio.map_or(1.0, Fraction::as_f64);
    if ratio >= 1.0 {
        (stretched(stream.width, ratio), stream.height)
    } else {
        (stream.width, stretched(stream.height, 1.0 / ratio))
    }
}

fn stretched(side: u32, factor: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let side = (f64::from(side) * factor).round() as u32;
    side
}

/// As ffmpeg's own rotation does, which swaps the sides within a degree of a quarter turn.
fn is_sideways(rotation: f64) -> bool {
    (rotation.rem_euclid(180.0) - 90.0).abs() < 1.0
}

fn out_of_range(width: u32, height: u32) -> Rejection {
    let message = format!(
        "The picture is {width}x{height} pixels; the short side must have at least {SHORTEST}, the long side at most \
         {LONGEST}."
    );
    Rejection::new(RejectionCode::DimensionsOutOfRange, message)
}

/// Sides so large that ffmpeg does not even list them, or gives up.
pub(super) fn beyond_decoders(messages: &str) -> Option<Rejection> {
    let (_, rest) = messages.split_once("Picture size ")?;
    let (size, _) = rest.split_once(" is invalid")?;
    let (width, height) = size.split_once('x')?;
    let (width, height) = (width.parse().ok()?, height.parse().ok()?);
    (width > LONGEST || height > LONGEST).then(|| out_of_range(width, height))
}
