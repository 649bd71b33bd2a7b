//! Waiting for the clip: what the server makes of it, until its status is final.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Outcome;
use super::api::Api;
use super::progress::Progress;
use crate::workspace::pause;

const INTERVAL: Duration = Duration::from_millis(400);

#[derive(Debug, Deserialize)]
struct Video {
    status: String,
    #[serde(default)]
    progress: Option<f64>,
    #[serde(default)]
    urls: Option<Urls>,
    #[serde(default)]
    error: Option<Reason>,
}

#[derive(Debug, Deserialize)]
struct Urls {
    #[serde(default)]
    playlist: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reason {
    step: Option<String>,
    code: String,
    message: String,
}

pub(crate) fn until_final(api: &mut Api, id: &str, patience: Duration) -> Result<Outcome> {
    let mut progress = Progress::of_work("processing");
    let mut stillness = Stillness::new(Instant::now());
    loop {
        let video: Video = api
            .get(&format!("/videos/{id}"))?
            .parse("asking for the clip's status")?;
        if let Some(outcome) = outcome(api, &video)? {
            return Ok(outcome);
        }
        progress.rename(&label(&video));
        progress.reach(video.percent());
        if stillness.lasts(&video, Instant::now()) >= patience {
            bail!(
                "no progress for {} s: the clip is {}",
                patience.as_secs(),
                label(&video)
            );
        }
        pause(INTERVAL);
    }
}

/// The end, if this is one.
fn outcome(api: &Api, video: &Video) -> Result<Option<Outcome>> {
    match video.status.as_str() {
        "ready" => {
            let playlist = video.urls.as_ref().and_then(|urls| urls.playlist.as_deref());
            let playlist = playlist.context("the clip is ready but has no playlist")?;
            Ok(Some(Outcome::Ready(api.absolute(playlist))))
        }
        "rejected" => Ok(Some(Outcome::Refused(video.reason()))),
        "failed" => bail!("processing failed: {}", video.reason()),
        "deleted" => bail!("the clip was deleted meanwhile"),
        _ => Ok(None),
    }
}

fn label(video: &Video) -> String {
    match video.status.as_str() {
        "playable" => "playable, finishing the other sizes".to_owned(),
        other => other.to_owned(),
    }
}

impl Video {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=100 before"
    )]
    fn percent(&self) -> u64 {
        (self.progress.unwrap_or(0.0) * 100.0).clamp(0.0, 100.0) as u64
    }

    fn reason(&self) -> String {
        let Some(reason) = &self.error else {
            return "the server gave no reason".to_owned();
        };
        let said = if reason.message.is_empty() {
            &reason.code
        } else {
            &reason.message
        };
        match &reason.step {
            Some(step) => format!("{step}: {said}"),
            None => said.clone(),
        }
    }
}

/// For how long nothing has changed.
struct Stillness {
    seen: (String, Option<f64>),
    since: Instant,
}

impl Stillness {
    fn new(now: Instant) -> Self {
        Self {
            seen: (String::new(), None),
            since: now,
        }
    }

    fn lasts(&mut self, video: &Video, now: Instant) -> Duration {
        if self.seen != (video.status.clone(), video.progress) {
            self.seen = (video.status.clone(), video.progress);
            self.since = now;
        }
        now.duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(json: &str) -> Video {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn progress_is_shown_as_whole_percent() {
        assert_eq!(video(r#"{"status":"processing","progress":0.429}"#).percent(), 42);
        assert_eq!(video(r#"{"status":"processing","progress":7}"#).percent(), 100);
        assert_eq!(video(r#"{"status":"uploading"}"#).percent(), 0);
    }

    #[test]
    fn a_reason_is_the_message_or_at_least_the_code() {
        let rejected = r#"{"status":"rejected","error":{"code":"too_long","message":"Longer than a minute."}}"#;
        assert_eq!(video(rejected).reason(), "Longer than a minute.");
        assert_eq!(
            video(r#"{"status":"rejected","error":{"code":"too_long"}}"#).reason(),
            "too_long"
        );
        let failed = r#"{"status":"failed","error":{"step":"transcode","code":"x","message":"ffmpeg was killed"}}"#;
        assert_eq!(video(failed).reason(), "transcode: ffmpeg was killed");
    }

    #[test]
    fn any_change_is_progress() {
        let start = Instant::now();
        let mut stillness = Stillness::new(start);
        let second = Duration::from_secs(1);
        let (waiting, moving) = (
            video(r#"{"status":"processing","progress":0.1}"#),
            video(r#"{"status":"playable","progress":0.1}"#),
        );
        assert_eq!(stillness.lasts(&waiting, start), Duration::ZERO);
        assert_eq!(stillness.lasts(&waiting, start + 9 * second), 9 * second);
        assert_eq!(stillness.lasts(&moving, start + 9 * second), Duration::ZERO);
    }
}
