//! The last step: the best picture and its sound, joined without encoding into one file to take along.

use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::Lease;
use toktik_media::encode;
use toktik_media::manifest::{Manifest, Object};
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
        workshop.fetch_rendition(objects, &best.rendition, PICTURE).await?;
        if let Some(sound) = sound {
            workshop.fetch_rendition(objects, &sound.rendition, SOUND).await?;
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
