//! Cuts a clip's picture into units of whole segments, as few as fit the host or as many as there are hosts, and all of
//! them about as long to make.

/// The most units of picture that a clip has. Probe writes the plan and a step for each unit in one transaction, and that
/// has at most 100 items: seven are the clip, the end of probing, the plan, and the other steps; two are the sound and a copy.
pub(super) const MOST: u64 = 90;

/// How many units a clip of so many seconds is worth: a shorter one would spend more on coming to its frames than on them.
pub(super) fn worthwhile(duration: f64) -> u64 {
    const SHORTEST: f64 = 8.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let units = (duration / SHORTEST) as u64;
    units
}

/// What the units of a clip have to keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// What a unit may cost.
    pub(super) limit: f64,
    /// As many units are worked on at once.
    pub(super) least: u64,
    /// As many units there may be.
    pub(super) most: u64,
}

/// How many segments each unit takes, in order. `cost` is what a unit costs by its first segment and their number.
///
/// A clip that does not fit in the most units, or at all, gets the units by which it comes nearest to it.
pub(super) fn cut(segments: u64, bounds: Bounds, cost: impl Fn(u64, u64) -> f64) -> Vec<u64> {
    let Bounds {
        limit,
        least: wanted,
        most,
    } = bounds;
    let whole = cost(0, segments);
    if whole <= limit && wanted <= 1 {
        return vec![segments];
    }
    let within = |budget: f64, units: usize| {
        let lengths = filled(segments, budget, &cost);
        lengths.filter(|lengths| lengths.len() <= units)
    };
    let [wanted, most] = [wanted.min(most), most].map(|units| usize::try_from(units).unwrap_or(usize::MAX));
    let fewest = within(limit, most).or_else(|| least(limit, whole, |budget| within(budget, most)));
    let Some(fewest) = fewest else {
        return vec![segments];
    };
    // As many units can do with less: then none of them waits for a long one.
    let units = fewest.len().max(wanted);
    least(0.0, limit.min(whole), |budget| within(budget, units)).unwrap_or(fewest)
}

/// Units as long as the budget allows, one after the other; none if a segment alone is beyond it.
fn filled(segments: u64, budget: f64, cost: &impl Fn(u64, u64) -> f64) -> Option<Vec<u64>> {
    let mut lengths = Vec::new();
    let mut first = 0;
    while first < segments {
        let length = longest(segments - first, |length| cost(first, length) <= budget)?;
        lengths.push(length);
        first += length;
    }
    Some(lengths)
}

/// The largest number up to `most` that fits, where all below it fit, too.
fn longest(most: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut good, mut bad) = (0, most + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    (good > 0).then_some(good)
}

/// What comes of the least budget that something comes of, to a thousandth.
fn least<T>(mut bad: f64, mut good: f64, come_of: impl Fn(f64) -> Option<T>) -> Option<T> {
    let mut found = come_of(good)?;
    for _ in 0..STEPS {
        let middle = f64::midpoint(bad, good);
        match come_of(middle) {
            Some(better) => (found, good) = (better, middle),
            None => bad = middle,
        }
    }
    Some(found)
}

const STEPS: u32 = 24;
