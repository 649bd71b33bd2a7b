//! Somebody who uploads a clip and watches what becomes of it, from outside.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;

use super::platform::Server;
use crate::attempt::api::Api;
use crate::attempt::clip::Clip;
use crate::attempt::upload::Plan;
use crate::workspace::pause;

/// How often somebody looks who waits for a clip to become playable.
const EAGER: Duration = Duration::from_millis(20);
/// Who waits for the rest looks less often the longer it takes, up to this.
const PATIENT: Duration = Duration::from_millis(200);
const GIVE_UP: Duration = Duration::from_mins(15);

pub(super) struct Customer {
    /// Where clips are brought, and where one asks for them: the same, unless each function is at an address of its own.
    bring: Api,
    ask: Api,
}

#[derive(Deserialize)]
struct Created {
    video: Id,
    upload: Plan,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Video {
    status: String,
}

impl Customer {
    pub(super) fn of(server: &Server) -> Result<Self> {
        Self::through(server, server, server)
    }

    /// Of functions that have no gateway.
    pub(super) fn through(auth: &Server, upload: &Server, videos: &Server) -> Result<Self> {
        let api = Api::register(&auth.url())?;
        Ok(Self {
            bring: api.at(&upload.url()),
            ask: api.at(&videos.url()),
        })
    }

    /// Uploads a clip, and says nothing yet of that.
    pub(super) fn upload(&mut self, file: &Path) -> Result<String> {
        let clip = Clip::open(file)?;
        let announced = json!({
            "title": clip.title(),
            "filename": clip.name,
            "size": clip.size,
            "content_type": clip.content_type(),
        });
        let created: Created = self.bring.post("/videos", &announced)?.parse("announcing a clip")?;
        let Plan::Put { url, headers } = created.upload else {
            bail!("the server wants a clip in parts");
        };
        let sent = self.bring.put(&url, &headers, clip.size, clip.range(0, clip.size)?)?;
        sent.accept("sending a clip")?;
        Ok(created.video.id)
    }

    /// Looks, less often, until everything is made.
    pub(super) fn until_ready(&mut self, id: &str) -> Result<()> {
        let asked = Instant::now();
        while asked.elapsed() < GIVE_UP {
            if self.status(id)? == "ready" {
                return Ok(());
            }
            pause(patience(asked.elapsed()));
        }
        bail!("a clip is not ready after {GIVE_UP:?}")
    }

    pub(super) fn complete(&mut self, id: &str) -> Result<()> {
        let path = format!("/videos/{id}/upload/complete");
        self.bring.post(&path, &json!({}))?.accept("completing an upload")
    }

    pub(super) fn status(&mut self, id: &str) -> Result<String> {
        let video: Video = self.ask.get(&format!("/videos/{id}"))?.parse("asking for a clip")?;
        match video.status.as_str() {
            "failed" | "rejected" | "deleted" => bail!("a clip is {}", video.status),
            _ => Ok(video.status),
        }
    }

    /// Looks until it can be watched.
    pub(super) fn until_playable(&mut self, id: &str) -> Result<()> {
        let asked = Instant::now();
        while asked.elapsed() < GIVE_UP {
            if matches!(self.status(id)?.as_str(), "playable" | "ready") {
                return Ok(());
            }
            pause(EAGER);
        }
        bail!("a clip is not playable after {GIVE_UP:?}")
    }

    /// Watches from the beginning, and goes on looking until everything is made. Returns for how long the picture stood
    /// still, seconds.
    pub(super) fn watch_until_ready(&mut self, id: &str) -> Result<f64> {
        let playlists = self.playlists(id)?;
        let (mut viewer, asked) = (Viewer::default(), Instant::now());
        let mut grows = true;
        while asked.elapsed() < GIVE_UP {
            let is_ready = self.status(id)? == "ready";
            // As players do, nobody asks again for a playlist that has ended.
            if grows {
                let arrived = self.arrived(id, &playlists)?;
                viewer.watches(asked.elapsed().as_secs_f64(), arrived);
                grows = arrived.is_some();
            }
            if is_ready {
                return Ok(viewer.stood_still);
            }
            pause(patience(asked.elapsed()));
        }
        bail!("a clip is not ready after {GIVE_UP:?}")
    }

    /// The variant that a player begins with, and its sound.
    fn playlists(&mut self, id: &str) -> Result<Vec<String>> {
        let answer = self.ask.get(&format!("/videos/{id}/playlist.m3u8"))?;
        answer.accept("fetching a playlist")?;
        first_variant(answer.text()).context("a playlist without a variant")
    }

    /// Seconds that can be watched, by all of these playlists; none when nothing more will be added.
    fn arrived(&mut self, id: &str, playlists: &[String]) -> Result<Option<f64>> {
        let mut least: Option<f64> = None;
        for name in playlists {
            let answer = self.ask.get(&format!("/videos/{id}/{name}"))?;
            answer.accept("fetching a playlist")?;
            if let Some(seconds) = growing(answer.text()) {
                least = Some(least.map_or(seconds, |least| least.min(seconds)));
            }
        }
        Ok(least)
    }
}

/// A fiftieth of what has passed: looking costs processor time, and coming late falsifies what is measured.
fn patience(waited: Duration) -> Duration {
    (waited / 50).clamp(EAGER, PATIENT)
}

fn first_variant(playlist: &str) -> Option<Vec<String>> {
    let mut lines = playlist
        .lines()
        .skip_while(|line| !line.starts_with("#EXT-X-STREAM-INF:"));
    let (stream, variant) = (lines.next()?, lines.next()?);
    let quoted = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    let sound = quoted(stream, "AUDIO").and_then(|group| {
        let group = format!("GROUP-ID=\"{group}\"");
        let media = playlist
            .lines()
            .find(|line| line.starts_with("#EXT-X-MEDIA:") && line.contains(&group));
        quoted(media?, "URI")
    });
    Some(std::iter::once(variant.to_owned()).chain(sound).collect())
}

/// Seconds in a playlist that still grows.
fn growing(playlist: &str) -> Option<f64> {
    if playlist.contains("#EXT-X-ENDLIST") {
        return None;
    }
    let lengths = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    Some(
        lengths
            .filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok())
            .sum(),
    )
}

/// Plays what has arrived, second by second, and stands still where nothing has.
#[derive(Default)]
struct Viewer {
    watched: f64,
    position: f64,
    stood_still: f64,
}

impl Viewer {
    /// Up to this second of watching, of what has arrived by then.
    fn watches(&mut self, until: f64, arrived: Option<f64>) {
        let wanted = self.position + (until - self.watched);
        self.watched = until;
        self.position = arrived.map_or(wanted, |arrived| wanted.min(arrived.max(self.position)));
        self.stood_still += wanted - self.position;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_stands_still_where_nothing_has_arrived() {
        let mut viewer = Viewer::default();
        viewer.watches(1.0, Some(4.0));
        viewer.watches(5.0, Some(4.0));
        assert_eq!((viewer.position, viewer.stood_still), (4.0, 1.0));
        viewer.watches(6.0, Some(8.0));
        viewer.watches(60.0, None);
        assert_eq!((viewer.position, viewer.stood_still), (59.0, 1.0));
    }

    #[test]
    fn a_player_begins_with_the_first_variant_and_its_sound() {
        let playlist = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"low\",URI=\"playlists/low.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",URI=\"playlists/audio.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"audio\"\nplaylists/480p.m3u8\n";
        assert_eq!(
            first_variant(playlist).unwrap(),
            ["playlists/480p.m3u8", "playlists/audio.m3u8"]
        );
        assert_eq!(first_variant("#EXTM3U\n"), None);
        assert_eq!(growing("#EXTINF:4.0,\nx\n#EXTINF:1.5,\ny\n"), Some(5.5));
        assert_eq!(growing("#EXTINF:4.0,\nx\n#EXT-X-ENDLIST\n"), None);
    }
}
