//! What is popular: likes and views, fading with age.

use chrono::{DateTime, Utc};
use toktik_catalog::Error;
use toktik_catalog::counters::Counts;
use toktik_events::VideoId;
use toktik_runtime::Context;

/// So many of the latest clips compete.
const CANDIDATES: usize = 500;
const RANKED: usize = 100;

pub(crate) async fn rank(context: &Context) -> Result<(), Error> {
    let entries = context.catalog.latest(None, None, CANDIDATES).await?;
    let ids: Vec<VideoId> = entries.iter().map(|entry| entry.video_id).collect();
    let videos = context.catalog.videos(&ids).await?;
    let mut scored = Vec::new();
    for video in videos {
        let counts = context.catalog.counts(video.id).await?;
        let published = video.published_at.unwrap_or(video.created_at);
        scored.push((score(counts, published, context.clock.now()), video.id));
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let best: Vec<VideoId> = scored.into_iter().take(RANKED).map(|(_, id)| id).collect();
    context.catalog.rank(&best).await
}

/// A like weighs as much as five views; a clip of a day counts a third of a new one.
#[allow(clippy::cast_precision_loss)]
fn score(counts: Counts, published: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    let interest = 1.0 + counts.views as f64 + 5.0 * counts.likes as f64;
    let hours = (now - published).num_minutes().max(0) as f64 / 60.0;
    interest / (1.0 + hours / 12.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Duration;

    #[test]
    fn likes_weigh_more_than_views_and_age_counts_against() {
        let now = DateTime::UNIX_EPOCH + Duration::days(9);
        let counts = |views, likes| Counts {
            views,
            likes,
            comments: 0,
        };
        assert!(score(counts(0, 2), now, now) > score(counts(9, 0), now, now));
        assert!(score(counts(9, 0), now, now) > score(counts(9, 0), now - Duration::days(1), now));
    }
}
