//! Requests a second, beside handlers that do one call of the SDK and nothing else over a copy of the same data.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::customer::Customer;
use super::platform::{self, Scratch, Server};
use super::report::Figure;
use super::source::{self, SHORT};
use super::{Bench, median};
use crate::workspace::say;

const SECTION: &str = "api";
/// Clips that are asked for: more than there are connections, so that hardly two ask the same at a time.
const CLIPS: u32 = 200;
const FEW: u32 = 50;
const MANY: u32 = 1000;
const SECONDS: &str = "3";
const RUNS_OF_EACH: u32 = 3;
const P99_MS: f64 = 30.0;

/// What `toktik-load` prints.
#[derive(Deserialize)]
struct Load {
    errors: u32,
    error: Option<String>,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Something that is asked for, and what it is measured against.
struct Question {
    name: &'static str,
    paths: Vec<String>,
    /// Of the server with the bare handlers if true, else of our own.
    against: (bool, Vec<String>),
    share: f64,
}

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let scratch = Scratch::new()?;
    let data = scratch.fresh("data")?;
    let one = one_clip(bench, &data)?;
    let reference = bench.programs.reference()?;
    let clips = copies(reference, &data, &one)?;
    let copy = scratch.path().join("copy");
    platform::copy(&data, &copy)?;
    let ours = Server::up(bench.programs.toktik()?, &data)?;
    let mut command = Command::new(reference);
    command.arg("--data-dir").arg(&copy).arg("serve");
    let bare = Server::start(command, &copy)?;
    let desk = Desk {
        load: bench.programs.load()?,
        ours: &ours,
        bare: &bare,
    };
    let mut figures = Vec::new();
    for question in questions(&one, &clips) {
        say(&format!("asking for {}", question.name));
        figures.extend(desk.few(&question, bench.runs.max(RUNS_OF_EACH))?);
    }
    for question in questions(&one, &clips) {
        say(&format!("asking for {} over {MANY} connections", question.name));
        figures.extend(desk.many(&question)?);
    }
    ours.stop()?;
    bare.stop()?;
    Ok(figures)
}

/// A clip that went through the whole platform.
fn one_clip(bench: &Bench<'_>, data: &Path) -> Result<String> {
    let server = Server::up(bench.programs.toktik()?, data)?;
    let mut customer = Customer::of(&server)?;
    let id = customer.upload(&source::named(SHORT)?.file()?)?;
    customer.complete(&id)?;
    customer.until_playable(&id)?;
    customer.watch_until_ready(&id)?;
    server.stop()?;
    Ok(id)
}

fn copies(reference: &Path, data: &Path, clip: &str) -> Result<Vec<String>> {
    let mut command = Command::new(reference);
    command
        .arg("--data-dir")
        .arg(data)
        .args(["copies", clip, &CLIPS.to_string()]);
    let output = command.output().context("cannot start the reference")?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).with_context(said)
}

fn questions(one: &str, clips: &[String]) -> Vec<Question> {
    let clip = |id: &String| format!("/api/v1/videos/{id}");
    let each: Vec<String> = clips.iter().map(clip).collect();
    let feed = vec!["/api/v1/videos".to_owned()];
    vec![
        Question {
            name: "GET /videos/{id}",
            paths: each.clone(),
            against: (true, each),
            share: 0.7,
        },
        Question {
            name: "GET /videos, 20 of them",
            paths: feed.clone(),
            against: (true, feed),
            share: 0.5,
        },
        Question {
            name: "GET playlist.m3u8",
            paths: vec![format!("/api/v1/videos/{one}/playlist.m3u8")],
            against: (false, vec!["/healthz".to_owned()]),
            share: 0.3,
        },
    ]
}

struct Desk<'a> {
    load: &'a Path,
    ours: &'a Server,
    bare: &'a Server,
}

impl Desk<'_> {
    /// In turns with what it is measured against.
    fn few(&self, question: &Question, runs: u32) -> Result<Vec<Figure>> {
        let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for _ in 0..runs {
            let (bare, paths) = &question.against;
            let against = self.ask(if *bare { self.bare } else { self.ours }, paths, FEW)?;
            let ours = self.ask(self.ours, &question.paths, FEW)?;
            for load in [&ours, &against] {
                if let Some(error) = &load.error {
                    bail!("{} of the answers are errors: {error}", load.errors);
                }
            }
            let told = [
                ("ours", ours.per_second),
                ("against", against.per_second),
                ("share", ours.per_second / against.per_second),
                ("p50", ours.p50_ms),
                ("p99", ours.p99_ms),
            ];
            for (name, value) in told {
                values.entry(name).or_default().push(value);
            }
        }
        let mut of = |name: &str| median(values.remove(name).unwrap_or_default());
        let figure = |name: &str, value: f64, unit: &str| Figure::new(SECTION, question.name, name, value, unit);
        Ok(vec![
            figure("at 50 connections", of("ours")?, "/s"),
            figure("what it is measured against", of("against")?, "/s"),
            figure("share of that", of("share")?, "x").at_least(question.share),
            figure("p50 at 50 connections", of("p50")?, "ms"),
            figure("p99 at 50 connections", of("p99")?, "ms").at_most(P99_MS),
        ])
    }

    fn many(&self, question: &Question) -> Result<Vec<Figure>> {
        let load = self.ask(self.ours, &question.paths, MANY)?;
        if let Some(error) = &load.error {
            say(&format!("one of the errors: {error}"));
        }
        let figure = |name: &str, value: f64, unit: &str| Figure::new(SECTION, question.name, name, value, unit);
        Ok(vec![
            figure("at 1000 connections", load.per_second, "/s"),
            figure("p99 at 1000 connections", load.p99_ms, "ms"),
            figure("errors at 1000 connections", f64::from(load.errors), "").at_most(0.0),
        ])
    }

    fn ask(&self, server: &Server, paths: &[String], connections: u32) -> Result<Load> {
        let mut command = Command::new(self.load);
        command.args(["--connections", &connections.to_string(), "--seconds", SECONDS]);
        let output = command.arg(server.address.to_string()).args(paths).output();
        let output = output.context("cannot start the load")?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).with_context(said)
    }
}
