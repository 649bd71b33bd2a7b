//! What has to hold: in every state, over every step, and at the end.

use std::collections::BTreeMap;

use serde_json::Value;
use toktik_catalog::videos::Status;
use toktik_media::manifest::Manifest;

use crate::actors::{Actor, VIDEO};
use crate::store::{Item, Store};

/// What the rules look at.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Facts {
    pub(crate) status: Option<Status>,
    pub(crate) generation: u64,
    listed: bool,
    ranked: bool,
    pub(crate) looked_after: bool,
    pub(crate) is_planned: bool,
    owed: bool,
    /// By generation, name and unit.
    steps: BTreeMap<String, Step>,
    manifest: Option<Manifest>,
    revision: u64,
    /// Beside the clip itself.
    belongings: usize,
    objects: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Step {
    state: String,
    attempts: u64,
    result: Value,
}

/// A value of DynamoDB as plain JSON.
fn plain(value: &Value) -> Value {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "N" => serde_json::from_str(value.as_str().unwrap()).unwrap(),
        "L" => value.as_array().unwrap().iter().map(plain).collect(),
        "M" => plain_map(value.as_object().unwrap()),
        "NULL" => Value::Null,
        _ => value.clone(),
    }
}

fn plain_map(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}

impl Facts {
    pub(crate) fn of(store: &Store) -> Self {
        let clip = format!("VIDEO#{VIDEO}");
        let meta = store.item(&clip, "META").map(plain_map).unwrap_or_default();
        let generation = meta["generation"].as_u64().unwrap_or(0);
        let manifest = store.item(&clip, &format!("MANIFEST#{generation:06}"));
        let revision = manifest.map_or(0, |item| plain(&item["revision"]).as_u64().unwrap());
        let manifest = manifest.map(|item| serde_json::from_value(plain(&item["manifest"])).unwrap());
        let about_it = |pk: &str| {
            store
                .items
                .keys()
                .any(|(found, sk)| found.starts_with(pk) && sk.contains(VIDEO))
        };
        Self {
            status: serde_json::from_value(meta["status"].clone()).ok(),
            generation,
            listed: about_it("FEED"),
            ranked: store.partition("POPULAR").next().is_some(),
            looked_after: about_it("WORK#"),
            is_planned: store.item(&clip, &format!("PLAN#{generation:06}")).is_some(),
            owed: store.items.keys().any(|(pk, _)| pk.starts_with("OUTBOX#")),
            steps: steps(store, &clip),
            manifest,
            revision,
            belongings: store.partition(&clip).filter(|(sk, _)| *sk != "META").count(),
            objects: store.objects.iter().cloned().collect(),
        }
    }

    fn is_worked_for(&self) -> bool {
        matches!(self.status, Some(Status::Processing | Status::Playable))
    }

    fn is_watchable(&self) -> bool {
        self.status.is_some_and(Status::is_watchable)
    }
}

fn steps(store: &Store, clip: &str) -> BTreeMap<String, Step> {
    let items = store
        .partition(clip)
        .filter_map(|(sk, item)| Some((sk.strip_prefix("STEP#")?, item)));
    let step = |item: &Item| {
        let item = plain_map(item);
        Step {
            state: item["state"].as_str().unwrap().to_owned(),
            attempts: item["attempts"].as_u64().unwrap(),
            result: item.get("result").cloned().unwrap_or_default(),
        }
    };
    items.map(|(sk, item)| (sk.to_owned(), step(item))).collect()
}

fn ensure(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

/// Whatever happens meanwhile.
pub(crate) fn always(now: &Facts) -> Result<(), String> {
    ensure(
        now.listed == now.is_watchable(),
        "a clip is listed exactly while it can be watched",
    )?;
    ensure(
        now.status.is_none_or(Status::is_final) || now.looked_after,
        "a clip that is not decided is on the janitor's list",
    )?;
    for (name, step) in &now.steps {
        let own = format!("/{}/", step.attempts);
        let written = step.result.to_string();
        ensure(
            step.state != "done" || !written.contains("videos/") || written.contains(&own),
            &format!("the result of {name} is that of the run which holds it"),
        )?;
    }
    match &now.manifest {
        Some(manifest) if now.is_watchable() => is_there(manifest, now),
        None if now.is_watchable() => Err("a clip that can be watched has a manifest".to_owned()),
        _ => Ok(()),
    }
}

fn named(manifest: &Manifest) -> Vec<String> {
    let renditions = manifest.variants.iter().map(|variant| &variant.rendition);
    let renditions = renditions.chain(manifest.sounds.iter().map(|sound| &sound.rendition));
    let parts = renditions.flat_map(|rendition| &rendition.parts);
    let mut keys: Vec<String> = parts.map(toktik_media::manifest::Part::init_key).collect();
    keys.extend(manifest.poster.iter().map(|poster| poster.jpeg.key.clone()));
    let files = [&manifest.preview, &manifest.mp3, &manifest.download];
    keys.extend(files.into_iter().flatten().map(|object| object.key.clone()));
    keys.sort();
    keys.dedup();
    keys
}

fn is_there(manifest: &Manifest, now: &Facts) -> Result<(), String> {
    let lost: Vec<String> = named(manifest)
        .into_iter()
        .filter(|key| !now.objects.contains(key))
        .collect();
    ensure(
        lost.is_empty(),
        &format!("what the manifest names is in the bucket: {lost:?}"),
    )
}

/// From one state of the stores to the next, by whomever.
pub(crate) fn over(actor: &Actor, before: &Facts, after: &Facts) -> Result<(), String> {
    let owner = matches!(actor, Actor::Uploads | Actor::Deletes | Actor::Retries);
    let was_final = before.status.is_some_and(Status::is_final);
    ensure(
        !was_final || before.status == after.status || owner,
        "only its owner takes a clip out of a final state",
    )?;
    ensure(
        before.status != Some(Status::Deleted) || after.status == Some(Status::Deleted),
        "what is deleted stays so",
    )?;
    ensure(
        after.generation == before.generation || matches!(actor, Actor::Uploads | Actor::Retries),
        "only a retry begins a generation",
    )?;
    ensure(after.generation >= before.generation, "generations rise")?;
    for (name, now) in &after.steps {
        over_step(name, before, now)?;
    }
    over_manifest(before, after)
}

fn over_manifest(before: &Facts, after: &Facts) -> Result<(), String> {
    let (Some(was), Some(is)) = (&before.manifest, &after.manifest) else {
        return Ok(());
    };
    if was == is || before.generation != after.generation {
        return Ok(());
    }
    ensure(
        after.revision == before.revision + 1,
        "each manifest follows the last one",
    )?;
    let now = named(is);
    let lost: Vec<String> = named(was).into_iter().filter(|key| !now.contains(key)).collect();
    ensure(lost.is_empty(), &format!("a manifest loses nothing: {lost:?}"))
}

/// Where the parts lie that a result names.
fn prefixes(result: &Value) -> Vec<String> {
    let parts = result["tracks"].as_array().into_iter().flatten();
    let parts = parts.flat_map(|track| track["parts"].as_array().into_iter().flatten());
    parts.map(|part| part["prefix"].to_string()).collect()
}

fn over_step(name: &str, before: &Facts, now: &Step) -> Result<(), String> {
    let Some(was) = before.steps.get(name) else {
        return Ok(());
    };
    let say = |rule: &str| format!("{rule}: {name} was {was:?} and is {now:?}");
    ensure(now.attempts >= was.attempts, &say("the fencing number rises"))?;
    ensure(was.state != "done" || was == now, &say("what is done stays as it is"))?;
    ensure(
        was.state != "failed" || now.state == "failed",
        &say("what was given up stays so"),
    )?;
    ensure(
        now.state != "done" || was.state == "done" || was.state == "running",
        &say("only what runs ends"),
    )?;
    let kept = |prefix: &String| prefixes(&now.result).contains(prefix);
    ensure(
        now.state == "failed" || prefixes(&was.result).iter().all(kept),
        &say("what was published stays"),
    )?;
    let moved =
        was.state != now.state && now.state != "pending" || was.attempts != now.attempts || was.result != now.result;
    let current = name.starts_with(&format!("{:06}#", before.generation));
    ensure(
        !moved || (before.is_worked_for() && current),
        &say("nothing is done for a clip that does not want it"),
    )
}

/// When nothing more will happen. Who `overran` its lease may have written an object after the last sweep of a clip
/// that is not deleted; nothing names it.
pub(crate) fn at_the_end(now: &Facts, overran: bool) -> Result<(), String> {
    let status = now.status.ok_or("the clip is gone")?;
    ensure(status.is_final(), &format!("every run ends, not with {status:?}"))?;
    ensure(!now.owed, "every event that is owed is published")?;
    ensure(!now.looked_after, "the janitor's list is empty")?;
    let original = format!("uploads/{VIDEO}/original");
    let expected = match (status, &now.manifest) {
        (Status::Ready, Some(manifest)) => named(manifest),
        (Status::Failed, _) => vec![original],
        _ => Vec::new(),
    };
    let excused = |key: &&String| overran && status != Status::Deleted && key.starts_with("videos/");
    let stray = now.objects.iter().filter(|key| !expected.contains(key));
    let stray: Vec<&String> = stray.filter(|key| !excused(key)).collect();
    ensure(
        stray.is_empty() && expected.iter().all(|key| now.objects.contains(key)),
        &format!("of a clip that is {status:?} there is left {:?}", now.objects),
    )?;
    ensure(
        status != Status::Deleted || (now.belongings == 0 && !now.ranked),
        "of a deleted clip nothing is left but its tombstone",
    )
}
