//! Splits ffmpeg's output into segments, and stores each as an object.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use futures::{StreamExt, TryStreamExt};
use toktik_catalog::results;
use toktik_media::cmaf::{self, Cut};
use toktik_media::encode::{self, Output};
use toktik_media::plan::{Plan, Unit, Work};
use toktik_objects::Objects;
use toktik_runtime::Failure;
use toktik_runtime::workshop::Workshop;

/// Apple HLS authoring 10.4.
const INIT_TYPE: &str = "video/mp4";
const SEGMENT_TYPE: &str = "video/iso.segment";
const UPLOADS_AT_ONCE: usize = 8;

/// The files of one track, in a directory of the workshop.
pub(crate) struct Cuttings {
    name: String,
    dir: PathBuf,
    pub(crate) track: cmaf::Track,
}

/// Splits all that a run has written. None if nothing came out.
pub(crate) async fn cut(workshop: &Workshop, plan: &Plan, unit: &Unit) -> Result<Option<Vec<Cuttings>>, Failure> {
    let cut = match &unit.work {
        Work::Video { first_frame, .. } => Cut::video(plan, *first_frame),
        Work::Audio => Cut::audio(plan),
    };
    let mut tracks = Vec::new();
    for Output { name, file } in encode::outputs(plan, unit) {
        let dir = workshop.file(&name);
        // An earlier run may have left its own there, which is overwritten: its segments bear the same names.
        std::fs::create_dir_all(&dir).context("making a directory for segments")?;
        let Some(track) = split(workshop.file(&file), cut, dir.clone()).await? else {
            return Ok(None);
        };
        tracks.push(Cuttings { name, dir, track });
    }
    Ok(Some(tracks))
}

/// Stores them under a prefix, which ends in `/`.
pub(crate) async fn store(
    objects: &Objects,
    cuttings: Vec<Cuttings>,
    prefix: &str,
) -> Result<Vec<results::Track>, Failure> {
    let mut tracks = Vec::new();
    for Cuttings { name, dir, track } in cuttings {
        let prefix = format!("{prefix}{name}/");
        store_track(objects, &track, &dir, &prefix).await?;
        tracks.push(results::Track {
            name,
            codecs: track.codecs.clone(),
            part: track.part(prefix),
        });
    }
    Ok(tracks)
}

async fn store_track(objects: &Objects, track: &cmaf::Track, dir: &Path, prefix: &str) -> Result<(), Failure> {
    let mut names = vec![cmaf::INIT.to_owned()];
    names.extend((0..track.segments.len()).map(cmaf::segment_name));
    let uploads: Vec<_> = names.iter().map(|name| upload(objects, dir, prefix, name)).collect();
    let uploaded: Vec<u64> = futures::stream::iter(uploads)
        .buffer_unordered(UPLOADS_AT_ONCE)
        .try_collect()
        .await?;
    tracing::debug!(
        prefix,
        objects = uploaded.len(),
        bytes = uploaded.iter().sum::<u64>(),
        "stored"
    );
    Ok(())
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
        // Not even a header, or nothing behind it.
        Err(cmaf::Error::Empty | cmaf::Error::Missing("moov")) => Ok(None),
        Err(cmaf::Error::Io(error)) => Err(anyhow::Error::from(error).context("splitting into segments").into()),
        Err(error) => Err(Failure::give_up("unexpected_output", error)),
    }
}
