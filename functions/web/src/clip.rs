//! The pages of one clip: where people watch it, and the player alone for other people's pages.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use toktik_catalog::text::Visibility;
use toktik_catalog::videos::Video;
use toktik_events::VideoId;
use toktik_identity::Identity;
use toktik_runtime::access;
use toktik_runtime::http::{Problem, Viewer};

use crate::Desk;
use crate::escape::Escaped;
use crate::headers::Frames;
use crate::page::{Page, Visit};

/// What links to a clip say of it, where the whole would be too long.
const SUMMARY: usize = 200;

pub(crate) async fn watch(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    viewer: Result<Viewer, Problem>,
    visit: Visit,
) -> Response {
    desk.show(&id, viewer.ok(), &visit, Frames::Nobody).await
}

pub(crate) async fn embed(State(desk): State<Arc<Desk>>, Path(id): Path<String>, visit: Visit) -> Response {
    // Inside a page of somebody else's everybody is a stranger.
    desk.show(&id, None, &visit, Frames::Anybody).await
}

/// A clip, as far as pages tell of it.
pub(crate) struct Shown {
    pub(crate) video: Video,
    pub(crate) author: String,
}

impl Desk {
    /// The clip, if this viewer may know of it.
    pub(crate) async fn shown(&self, id: &str, viewer: Option<&Identity>) -> Result<Option<Shown>, Problem> {
        let Ok(id) = id.parse::<VideoId>() else { return Ok(None) };
        let catalog = &self.context.catalog;
        let video = catalog.video(id).await.map_err(anyhow::Error::from)?;
        let Some(video) = video.filter(|video| access::sees(video, viewer)) else {
            return Ok(None);
        };
        let names = catalog.usernames(&[video.owner]).await.map_err(anyhow::Error::from)?;
        let author = names.into_values().next().unwrap_or_default();
        Ok(Some(Shown { video, author }))
    }

    /// A session that has run out makes its viewer a stranger: the page itself sees to a new one.
    async fn show(self: &Arc<Self>, id: &str, viewer: Option<Viewer>, visit: &Visit, frames: Frames) -> Response {
        let viewer = viewer.and_then(|Viewer(viewer)| viewer);
        match self.shown(id, viewer.as_ref()).await {
            Ok(Some(shown)) => self.send(shown.page(&visit.base, frames), visit).await,
            Ok(None) => {
                let page = Page {
                    frames,
                    ..Page::missing()
                };
                self.send(page, visit).await
            }
            Err(problem) => problem.into_response(),
        }
    }
}

impl Shown {
    fn page(&self, base: &str, frames: Frames) -> Page {
        let title = format!("{} · Toktik", self.video.title);
        let mut page = Page {
            head: format!("<title>{}</title>{}", Escaped(&title), self.head(base)),
            body: self.without_scripts(base),
            frames,
            // Its owner alone is shown what nobody else would be.
            private: !access::sees(&self.video, None),
            ..Page::titled("")
        };
        if self.video.visibility != Visibility::Public || frames == Frames::Anybody {
            page = page.unlisted();
        }
        page
    }

    /// What other programs make of a link: a picture, a title, a player.
    fn head(&self, base: &str) -> String {
        let video = &self.video;
        let page = format!("{base}/v/{}", video.id);
        let title = video.title.to_string();
        let summary = self.summary();
        let mut tags = Tags::default();
        tags.named("description", &summary);
        tags.property("og:site_name", "Toktik");
        tags.property("og:type", "video.other");
        tags.property("og:url", &page);
        tags.property("og:title", &title);
        tags.property("og:description", &summary);
        tags.named("twitter:title", &title);
        tags.named("twitter:description", &summary);
        if video.status.is_watchable() {
            self.previews(&mut tags, base);
        } else {
            tags.named("twitter:card", "summary");
        }
        let page = Escaped(&page).to_string();
        let _ = write!(tags.0, "<link rel=\"canonical\" href=\"{page}\">");
        if video.status.is_watchable() && video.visibility != Visibility::Private {
            let address: String =
                url::form_urlencoded::byte_serialize(format!("{base}/v/{}", video.id).as_bytes()).collect();
            let _ = write!(
                tags.0,
                "<link rel=\"alternate\" type=\"application/json+oembed\" href=\"{}/oembed?url={address}&amp;format=json\" \
                 title=\"{}\">",
                Escaped(base),
                Escaped(&title)
            );
        }
        tags.0
    }

    fn previews(&self, tags: &mut Tags, base: &str) {
        let video = &self.video;
        let poster = self.media(base, "poster.jpg");
        let player = format!("{base}/embed/{}", video.id);
        tags.property("og:image", &poster);
        tags.property("og:image:type", "image/jpeg");
        tags.property("og:image:alt", &video.title.to_string());
        tags.property("og:video", &self.media(base, "download.mp4"));
        tags.property("og:video:type", "video/mp4");
        tags.named("twitter:card", "player");
        tags.named("twitter:image", &poster);
        tags.named("twitter:player", &player);
        if let (Some(width), Some(height)) = (video.width, video.height) {
            for (name, pixels) in [("width", width), ("height", height)] {
                tags.property(&format!("og:video:{name}"), &pixels.to_string());
                tags.named(&format!("twitter:player:{name}"), &pixels.to_string());
            }
        }
        if let Some(duration) = video.duration {
            tags.property("video:duration", &duration.ceil().to_string());
        }
        for tag in video.tags.as_slice() {
            tags.property("video:tag", tag);
        }
    }

    /// Where no script runs, the browser's own player; the page shows it only there.
    fn without_scripts(&self, base: &str) -> String {
        let video = &self.video;
        let mut body = format!(
            "<article><h1>{}</h1><p>{}</p>",
            Escaped(&video.title.to_string()),
            Escaped(&self.author)
        );
        if video.status.is_watchable() {
            let _ = write!(
                body,
                "<video controls preload=\"metadata\" poster=\"{}\"",
                Escaped(&self.media(base, "poster.jpg"))
            );
            if let (Some(width), Some(height)) = (video.width, video.height) {
                let _ = write!(body, " width=\"{width}\" height=\"{height}\"");
            }
            // The second for browsers that know it, while the first is not made yet.
            let _ = write!(
                body,
                "><source src=\"{}\" type=\"video/mp4\"><source src=\"{}\" type=\"application/vnd.apple.mpegurl\"></video>",
                Escaped(&self.media(base, "download.mp4")),
                Escaped(&self.media(base, "playlist.m3u8"))
            );
        } else {
            body.push_str("<p>This clip cannot be watched yet.</p>");
        }
        for paragraph in video.description.to_string().lines() {
            let _ = write!(body, "<p>{}</p>", Escaped(paragraph));
        }
        body + "</article>"
    }

    pub(crate) fn media(&self, base: &str, name: &str) -> String {
        format!("{base}/api/v1/videos/{}/{name}", self.video.id)
    }

    fn summary(&self) -> String {
        let description = self.video.description.to_string();
        let words: Vec<&str> = description.split_whitespace().collect();
        let text = words.join(" ");
        match text.char_indices().nth(SUMMARY) {
            Some((end, _)) => format!("{}…", text[..end].trim_end()),
            None if text.is_empty() => format!("A clip by {}", self.author),
            None => text,
        }
    }
}

/// `meta` elements.
#[derive(Default)]
struct Tags(String);

impl Tags {
    fn named(&mut self, name: &str, content: &str) {
        let _ = write!(self.0, "<meta name=\"{name}\" content=\"{}\">", Escaped(content));
    }

    fn property(&mut self, property: &str, content: &str) {
        let _ = write!(
            self.0,
            "<meta property=\"{property}\" content=\"{}\">",
            Escaped(content)
        );
    }
}
