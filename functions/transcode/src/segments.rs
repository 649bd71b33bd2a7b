//! Splits ffmpeg's output into segments and stores each as an object.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use futures::{StreamExt, TryStreamExt};
use toktik_catalog::ledger::Lease;
use toktik_catalog::results;
use toktik_media::cmaf::{self, Cut};
use toktik_media::encode::{self, Output};
use toktik_media::plan::{Plan, Unit, Work};
use toktik_objects::Objects;
use toktik_runtime::Failure;
use toktik_runtime::step;
use toktik_runtime::workshop::Workshop;

/// Apple HLS authoring 10.4.
const INIT_TYPE: &str = "video/mp4";
const SEGMENT_TYPE: &str = "video/iso.segment";
const UPLOADS_AT_ONCE: usize = 8;

/// None if nothing came out.
pub(crate) async fn store(
    objects: &Objects,
    workshop: &Workshop,
    plan: &Plan,
    unit: &Unit,
    lease: &Lease,
) -> Result<Option<results::Unit>, Failure> {
    let cut = match &unit.work {
        Work::Video { first_frame, .. } => Cut::video(plan, *first_frame),
        Work::Audio => Cut::audio(plan),
    };
    let prefix = step::prefix(lease);
    let mut tracks = Vec::new();
    for output in encode::outputs(plan, unit) {
        let Some(track) = store_track(objects, workshop, cut, &output, &prefix).await? else {
            return Ok(None);
        };
        tracks.push(track);
    }
    Ok(Some(results::Unit { tracks }))
}

async fn store_track(
    objects: &Objects,
    workshop: &Workshop,
    cut: Cut,
    output: &Output,
    prefix: &str,
) -> Result<Option<results::Track>, Failure> {
    let (input, dir) = (workshop.file(&output.file), workshop.file(&output.name));
    std::fs::create_dir(&dir).context("making a directory for segments")?;
    let Some(track) = split(input, cut, dir.clone()).await? else {
        return Ok(None);
    };
    let prefix = format!("{prefix}{}/", output.name);
    let mut names = vec![cmaf::INIT.to_owned()];
    names.extend((0..track.segments.len()).map(cmaf::segment_name));
    let uploads: Vec<_> = names.iter().map(|name| upload(objects, &dir, &prefix, name)).collect();
    let uploaded: Vec<u64> = futures::stream::iter(uploads)
        .buffer_unordered(UPLOADS_AT_ONCE)
        .try_collect()
        .await?;
    tracing::debug!(
        track = output.name,
        objects = uploaded.len(),
        bytes = uploaded.iter().sum::<u64>(),
        "stored"
    );
    Ok(Some(results::Track {
        name: output.name.clone(),
        codecs: track.codecs.clone(),
        part: track.part(prefix),
    }))
}

async fn upload(objects: &Objects, dir: &Path, prefix: &str, name: &str) -> anyhow::Result<u64> {
    let content_type = if name == cmaf::INIT { INIT_TYPE } else { SEGMENT_TYPE };
    let uploaded = objects
        .upload_file(&format!("{prefix}{name}"), &dir.join(name), content_type)
        .await;
    uploaded.context("storing a segment")
}

async fn split(input: PathBuf, cut: Cut, dir: PathBuf) -> Result<Option<cmaf::Track>, Failure> {
    let split = tokio::task::spawn_blocking(move || cmaf::split_file(&input, &cut, &dir)).await;
    match split.context("splitting into segments")? {
        Ok(track) => Ok(Some(track)),
        Err(cmaf::Error::Empty) => Ok(None),
        Err(cmaf::Error::Io(error)) => Err(anyhow::Error::from(error).context("splitting into segments").into()),
        Err(error) => Err(Failure::give_up("unexpected_output", error)),
    }
}
