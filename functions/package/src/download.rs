//! The last step: the best picture and its sound, joined without encoding into one file to take along.

use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::Lease;
use toktik_media::encode;
use toktik_media::manifest::{Manifest, Object, Rendition};
use toktik_objects::Objects;
use toktik_runtime::step;
use toktik_runtime::workshop::Workshops;
use toktik_runtime::{Context, Failure};

const TIME: Duration = Duration::from_mins(2);
const PICTURE: &str = "picture.mp4";
const SOUND: &str = "sound.mp4";

/// Makes the file to take along.
#[async_trait]
pub trait Joiner: Send + Sync + 'static {
    async fn join(&self, manifest: &Manifest, lease: &Lease, cancel: &CancellationToken) -> Result<Object, Failure>;
}

pub(crate) struct Ffmpeg {
    pub(crate) context: Context,
    pub(crate) workshops: Workshops,
}

#[async_trait]
impl Joiner for Ffmpeg {
    async fn join(&self, manifest: &Manifest, lease: &Lease, cancel: &CancellationToken) -> Result<Object, Failure> {
        let nothing = || Failure::give_up("nothing_to_join", anyhow!("the manifest has no variant"));
        let best = manifest.variants.first().ok_or_else(nothing)?;
        let sound = manifest.sound_of(best);
        let workshop = self.workshops.open(TIME, cancel)?;
        let objects = &self.context.objects;
        fetch(objects, &best.rendition, &workshop.file(PICTURE)).await?;
        if let Some(sound) = sound {
            fetch(objects, &sound.rendition, &workshop.file(SOUND)).await?;
        }
        let args = encode::download_args(PICTURE, sound.map(|_| SOUND));
        workshop.ffmpeg(args, |_| ()).await?;
        let prefix = step::prefix(lease);
        let key = format!("{prefix}{}", encode::DOWNLOAD);
        let file = workshop.file(encode::DOWNLOAD);
        let size = objects.upload_file(&key, &file, "video/mp4").await;
        Ok(Object {
            key,
            size: size.map_err(anyhow::Error::from)?,
        })
    }
}

/// A rendition's init and media segments, one after the other: all units have the same init segment, unless they were
/// made by different versions of the encoder.
async fn fetch(objects: &Objects, rendition: &Rendition, file: &std::path::Path) -> Result<(), Failure> {
    let mut inits = rendition.parts.iter().map(|part| part.init_hash);
    let first = inits.next();
    if inits.any(|init| Some(init) != first) {
        return Err(Failure::give_up(
            "different_encoders",
            anyhow!("units differ in their init segments"),
        ));
    }
    let init = rendition.parts.first().map(toktik_media::manifest::Part::init_key);
    let segments = rendition
        .parts
        .iter()
        .flat_map(|part| (0..part.segments.len()).map(|index| part.segment_key(index)));
    let keys: Vec<String> = init.into_iter().chain(segments).collect();
    Ok(objects.concatenate(&keys, file).await.map_err(anyhow::Error::from)?)
}
