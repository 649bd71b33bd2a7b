//! From a complete upload to playable and ready, for one clip at a time, beside ffmpeg alone and the classic chain.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::bare::{self, Ladder};
use super::customer::Customer;
use super::platform::{Scratch, Server};
use super::report::Figure;
use super::source::{SOURCES, Source};
use super::usage::Spent;
use super::{Bench, median};
use crate::workspace::say;

const SECTION: &str = "clips";
/// What may come on top of looking at a compliant clip and putting it into boxes, seconds.
const MORE_THAN_REMUX: f64 = 0.5;
/// What the server and all that it runs may hold at once, mebibytes: 1.5 GiB.
const MEMORY: f64 = 1536.0;

/// One run of one clip: ours and each thing it is measured against.
struct Run {
    playable: f64,
    ready: Spent,
    stood_still: f64,
    /// Mebibytes.
    memory: f64,
    ladder: Spent,
    remux: Spent,
    classic: Spent,
}

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let scratch = Scratch::new()?;
    let toktik = bench.programs.toktik()?;
    let server = Server::up(toktik, &scratch.fresh("data")?)?;
    let mut customer = Customer::of(&server)?;
    let wanted = |source: &&Source| bench.clip.is_none_or(|name| source.name.contains(name));
    let clips: Vec<(&Source, PathBuf, Ladder)> = SOURCES
        .iter()
        .filter(wanted)
        .map(|source| {
            let file = source.file()?;
            let ladder = Ladder::of(toktik, &file)?;
            Ok((source, file, ladder))
        })
        .collect::<Result<_>>()?;
    let mut runs: BTreeMap<&str, Vec<Run>> = BTreeMap::new();
    // In turns, so that a noisy minute is everybody's.
    for number in 1..=bench.runs {
        for (source, file, ladder) in &clips {
            say(&format!("{}, run {number} of {}", source.name, bench.runs));
            let run = run(&server, &mut customer, file, ladder, &scratch);
            let run = run.with_context(|| source.name.to_owned())?;
            runs.entry(source.name).or_default().push(run);
        }
    }
    server.stop()?;
    let figures = clips.iter().map(|(source, ..)| figures(source, &runs[source.name]));
    Ok(figures.collect::<Result<Vec<_>>>()?.concat())
}

fn run(server: &Server, customer: &mut Customer, file: &Path, ladder: &Ladder, scratch: &Scratch) -> Result<Run> {
    let id = customer.upload(file)?;
    let (memory, before, started) = (server.memory(), server.cpu()?, Instant::now());
    customer.complete(&id)?;
    customer.until_playable(&id)?;
    let playable = started.elapsed().as_secs_f64();
    let stood_still = customer.watch_until_ready(&id)?;
    let ready = Spent {
        wall: started.elapsed().as_secs_f64(),
        cpu: server.cpu()? - before,
    };
    Ok(Run {
        playable,
        ready,
        stood_still,
        memory: memory.mebibytes()?,
        ladder: ladder.make(scratch)?,
        remux: bare::remux(file, scratch)?,
        classic: bare::classic(file, scratch)?,
    })
}

fn figures(source: &Source, runs: &[Run]) -> Result<Vec<Figure>> {
    let of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
    let figure = |name: &str, value: f64, unit: &str| Figure::new(SECTION, source.name, name, value, unit);
    let (ours, chain) = if source.compliant { (1.10, 2.2) } else { (1.20, 1.1) };
    let mut figures = vec![
        figure("complete to playable", of(|run| run.playable)?, "s").at_most(source.playable),
        figure("complete to ready", of(|run| run.ready.wall)?, "s"),
        figure("processor time", of(|run| run.ready.cpu)?, "s"),
        figure("viewer stood still", of(|run| run.stood_still)?, "s").at_most(0.0),
        figure("peak memory", of(|run| run.memory)?, "MiB").at_most(MEMORY),
        figure("ffmpeg alone", of(|run| run.ladder.wall)?, "s"),
        figure("ffmpeg alone, processor time", of(|run| run.ladder.cpu)?, "s"),
        figure("classic chain", of(|run| run.classic.wall)?, "s"),
        figure(
            "ready against ffmpeg alone",
            of(|run| run.ready.wall / run.ladder.wall)?,
            "x",
        )
        .at_most(ours),
        figure(
            "processor time against ffmpeg alone",
            of(|run| run.ready.cpu / run.ladder.cpu)?,
            "x",
        )
        .at_most(ours),
        figure(
            "times as fast as the classic chain",
            of(|run| run.classic.wall / run.ready.wall)?,
            "x",
        )
        .at_least(chain),
    ];
    if source.compliant {
        let more = of(|run| run.playable - run.remux.wall)?;
        figures.push(figure("playable, more than ffprobe and remux", more, "s").at_most(MORE_THAN_REMUX));
    }
    Ok(figures)
}
