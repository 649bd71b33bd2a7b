//! Removes what the clip's steps left behind when they had to run more than once: only the winners are in the manifest.

use toktik_catalog::videos::Video;
use toktik_media::manifest::{Manifest, Object, Rendition};
use toktik_objects::keys;
use toktik_runtime::{Context, Failure};

/// May be repeated; the manifest of a ready clip no longer changes.
pub(crate) async fn losers(context: &Context, video: &Video) -> Result<(), Failure> {
    let Some(item) = context.catalog.manifest(video.id, video.generation).await? else {
        return Ok(());
    };
    let stored = context.objects.list(&keys::media_of(video.id)).await;
    let mut lost = stored.map_err(anyhow::Error::from)?;
    lost.retain(|key| !is_named(&item.manifest, key));
    if !lost.is_empty() {
        tracing::info!(objects = lost.len(), "removing what earlier attempts left behind");
        context.objects.delete(&lost).await.map_err(anyhow::Error::from)?;
    }
    Ok(())
}

fn is_named(manifest: &Manifest, key: &str) -> bool {
    let pictures = manifest.variants.iter().map(|variant| &variant.rendition);
    let sounds = manifest.sounds.iter().map(|sound| &sound.rendition);
    let holds = |rendition: &Rendition| rendition.parts.iter().any(|part| key.starts_with(&part.prefix));
    pictures.chain(sounds).any(holds) || files(manifest).any(|object| object.key == key)
}

fn files(manifest: &Manifest) -> impl Iterator<Item = &Object> {
    let posters = manifest.poster.iter().flat_map(|poster| [&poster.jpeg, &poster.webp]);
    let sprite = manifest.storyboard.iter().map(|storyboard| &storyboard.sprite);
    let others = [&manifest.preview, &manifest.mp3, &manifest.download];
    posters.chain(sprite).chain(others.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_in_the_manifest_stays_and_nothing_else() {
        let object = |key: &str| json!({"key": key, "size": 1});
        let rendition = |prefix: &str| {
            let segments = json!([{"duration": 4.0, "size": 9}]);
            json!({"codecs": "c", "parts": [{"prefix": prefix, "init_size": 1, "init_hash": 2, "segments": segments}]})
        };
        let manifest = json!({
            "complete": true, "target_duration": 4,
            "variants": [{"name": "240p", "width": 2, "height": 2, "frame_rate": {"num": 30, "den": 1}, "max_rate": 1,
                "sound": "audio", "rendition": rendition("v/2/240p/")}],
            "sounds": [{"name": "audio", "bit_rate": 1, "channels": 2, "rendition": rendition("s/1/audio/")}],
            "poster": {"jpeg": object("p.jpg"), "webp": object("p.webp")},
            "storyboard": {"sprite": object("s.jpg"), "tile_width": 1, "tile_height": 1, "columns": 1, "tiles": 1,
                "interval": 1.0},
            "preview": object("a.webp"), "mp3": object("a.mp3"), "download": object("d.mp4"),
        });
        let manifest: Manifest = serde_json::from_value(manifest).unwrap();
        let stay = [
            "v/2/240p/init.mp4",
            "s/1/audio/00000.m4s",
            "p.jpg",
            "p.webp",
            "s.jpg",
            "a.webp",
            "a.mp3",
            "d.mp4",
        ];
        for key in stay {
            assert!(is_named(&manifest, key), "{key}");
        }
        for key in ["v/1/240p/init.mp4", "v/2/240p", "p.png"] {
            assert!(!is_named(&manifest, key), "{key}");
        }
    }
}
