//! Many uploads at once: what a minute of clips costs then, who waits how long, and whether a short clip waits for long ones.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::customer::Customer;
use super::platform::{Scratch, Server};
use super::report::Figure;
use super::source::{self, LONG, SHORT};
use super::{Bench, median};
use crate::workspace::{pause, say};

const SECTION: &str = "burst";
const AT_ONCE: usize = 20;
const LONG_ONES: usize = 10;
/// Seconds.
const SHORT_IS_PLAYABLE: f64 = 3.0;
const LOOK: Duration = Duration::from_millis(50);

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let toktik = bench.programs.toktik()?;
    let mut figures = at_once(toktik)?;
    let waits: Result<Vec<f64>> = (0..bench.runs).map(|_| behind_long_ones(toktik)).collect();
    let subject = "a short clip behind long ones";
    let wait = median(waits?)?;
    figures.push(Figure::new(SECTION, subject, "complete to playable", wait, "s").at_most(SHORT_IS_PLAYABLE));
    Ok(figures)
}

/// What became of one of many, seconds since all were complete.
#[derive(Clone, Copy, Default)]
struct Course {
    playable: Option<f64>,
    ready: Option<f64>,
}

fn at_once(toktik: &Path) -> Result<Vec<Figure>> {
    let source = source::named(SHORT)?;
    say(&format!("{AT_ONCE} uploads at once"));
    let scratch = Scratch::new()?;
    let server = Server::up(toktik, &scratch.fresh("data")?)?;
    let mut customer = Customer::of(&server)?;
    let file = source.file()?;
    let ids: Vec<String> = (0..AT_ONCE).map(|_| customer.upload(&file)).collect::<Result<_>>()?;
    let before = server.cpu()?;
    for id in &ids {
        customer.complete(id)?;
    }
    let started = Instant::now();
    let mut courses = vec![Course::default(); ids.len()];
    while courses.iter().any(|course| course.ready.is_none()) {
        for (id, course) in ids
            .iter()
            .zip(&mut courses)
            .filter(|(_, course)| course.ready.is_none())
        {
            let status = customer.status(id)?;
            let now = Some(started.elapsed().as_secs_f64());
            course.playable = course.playable.or(now.filter(|_| status != "processing"));
            course.ready = now.filter(|_| status == "ready");
        }
        pause(LOOK);
    }
    let minutes = f64::from(source.seconds) * f64::from(u32::try_from(ids.len())?) / 60.0;
    let cpu = (server.cpu()? - before) / 60.0;
    server.stop()?;
    let playable: Vec<f64> = courses.iter().filter_map(|course| course.playable).collect();
    let ready: Vec<f64> = courses.iter().filter_map(|course| course.ready).collect();
    let last = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
    let figure = |name: &str, value: f64, unit: &str| Figure::new(SECTION, "20 uploads at once", name, value, unit);
    Ok(vec![
        figure("clip-minutes a processor-minute", minutes / cpu, ""),
        figure("last one playable", last(&playable), "s"),
        figure("last one ready", last(&ready), "s"),
        figure("fairness of waiting for playable", fairness(&playable), ""),
        figure("fairness of waiting for ready", fairness(&ready), ""),
    ])
}

/// Jain's index of what each got a second: 1 where all wait equally long.
fn fairness(waits: &[f64]) -> f64 {
    let rates = || waits.iter().map(|wait| 1.0 / wait.max(0.001));
    let (sum, squares) = (rates().sum::<f64>(), rates().map(|rate| rate * rate).sum::<f64>());
    let count = rates().map(|_| 1.0).sum::<f64>();
    sum * sum / (count * squares)
}

/// Seconds until a short clip can be watched that came last.
fn behind_long_ones(toktik: &Path) -> Result<f64> {
    say(&format!("a short clip behind {LONG_ONES} long ones"));
    let scratch = Scratch::new()?;
    let server = Server::up(toktik, &scratch.fresh("data")?)?;
    let mut customer = Customer::of(&server)?;
    let (long, short) = (source::named(LONG)?.file()?, source::named(SHORT)?.file()?);
    let ahead: Vec<String> = (0..LONG_ONES).map(|_| customer.upload(&long)).collect::<Result<_>>()?;
    let behind = customer.upload(&short)?;
    for id in &ahead {
        customer.complete(id)?;
    }
    let started = Instant::now();
    customer.complete(&behind)?;
    customer.until_playable(&behind)?;
    let waited = started.elapsed().as_secs_f64();
    server.stop()?;
    Ok(waited)
}

#[cfg(test)]
mod tests {
    use super::fairness;

    #[test]
    fn all_who_wait_alike_are_treated_fairly() {
        assert!((fairness(&[2.0, 2.0, 2.0]) - 1.0).abs() < 1e-9);
        assert!((fairness(&[1.0, 1e9]) - 0.5).abs() < 1e-6);
    }
}
