//! oEmbed 1.0 (<https://oembed.com>): what to put into a page in place of a link to a clip.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use toktik_runtime::http::{Parameters, Problem};
use url::Url;

use crate::Desk;
use crate::clip::Shown;
use crate::escape::Escaped;
use crate::page::Visit;

/// How large a player is where nobody says, pixels.
const USUAL: u32 = 640;
/// What posters are made to fit into, pixels.
const POSTER: u32 = 1280;

#[derive(Deserialize)]
pub(crate) struct Asked {
    url: Option<String>,
    format: Option<String>,
    maxwidth: Option<u32>,
    maxheight: Option<u32>,
}

#[derive(Serialize)]
struct Embedding {
    version: &'static str,
    r#type: &'static str,
    provider_name: &'static str,
    provider_url: String,
    title: String,
    author_name: String,
    author_url: String,
    thumbnail_url: String,
    thumbnail_width: u32,
    thumbnail_height: u32,
    html: String,
    width: u32,
    height: u32,
}

pub(crate) async fn answer(
    State(desk): State<Arc<Desk>>,
    Parameters(asked): Parameters<Asked>,
    visit: Visit,
) -> Result<Response, Problem> {
    if asked.format.as_deref().is_some_and(|format| format != "json") {
        let title = "Only the format json is known here.";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "unknown_format", title));
    }
    let address = asked.url.as_deref();
    let address = address.ok_or_else(|| Problem::invalid_field("url", "required", "is required"))?;
    let id = clip_of(address, &visit.base).ok_or_else(Problem::not_found)?;
    let shown = desk.shown(&id, None).await?;
    let shown = shown.filter(|shown| shown.video.status.is_watchable());
    let shown = shown.ok_or_else(Problem::not_found)?;
    let headers = [
        (header::CACHE_CONTROL, "no-cache"),
        // Pages ask for themselves, too.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    Ok((headers, Json(shown.embedding(&visit.base, &asked))).into_response())
}

/// The clip whose page this is the address of; only pages of ours are.
fn clip_of(address: &str, base: &str) -> Option<String> {
    let (address, base) = (Url::parse(address).ok()?, Url::parse(base).ok()?);
    let authority = |url: &Url| (url.host_str().map(str::to_owned), url.port());
    if authority(&address) != authority(&base) {
        return None;
    }
    let mut places = address.path_segments()?;
    let (kind, id, rest) = (places.next()?, places.next()?, places.next());
    (["v", "embed"].contains(&kind) && rest.is_none()).then(|| id.to_owned())
}

impl Shown {
    fn embedding(&self, base: &str, asked: &Asked) -> Embedding {
        let video = &self.video;
        let whole = (video.width.unwrap_or(USUAL), video.height.unwrap_or(USUAL));
        let (width, height) = fitted(whole, asked.maxwidth.unwrap_or(USUAL), asked.maxheight.unwrap_or(USUAL));
        let (thumbnail_width, thumbnail_height) = poster(whole);
        let title = video.title.to_string();
        Embedding {
            version: "1.0",
            r#type: "video",
            provider_name: "Toktik",
            provider_url: base.to_owned(),
            author_name: self.author.clone(),
            author_url: format!("{base}/c/{}", self.author),
            thumbnail_url: self.media(base, "poster.jpg"),
            thumbnail_width,
            thumbnail_height,
            html: format!(
                "<iframe src=\"{}\" width=\"{width}\" height=\"{height}\" title=\"{}\" loading=\"lazy\" \
                 allow=\"autoplay; fullscreen; picture-in-picture\" allowfullscreen></iframe>",
                Escaped(&format!("{base}/embed/{}", video.id)),
                Escaped(&title)
            ),
            title,
            width,
            height,
        }
    }
}

/// As thumbnail makes it: of even sides, never enlarged.
fn poster((width, height): (u32, u32)) -> (u32, u32) {
    let longest = width.max(height).max(1);
    let scaled = |side: u32| {
        let half = u64::from(side) * u64::from(POSTER.min(longest)) / (u64::from(longest) * 2);
        u32::try_from(half).unwrap_or(1).max(1) * 2
    };
    (scaled(width), scaled(height))
}

/// As large as fits, in the same shape; never nothing.
fn fitted((width, height): (u32, u32), most_width: u32, most_height: u32) -> (u32, u32) {
    let share = |most: u32, whole: u32| f64::from(most) / f64::from(whole.max(1));
    let scale = share(most_width, width).min(share(most_height, height));
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "pixels, within what was asked for"
    )]
    let scaled = |pixels: u32| ((f64::from(pixels) * scale).round() as u32).max(1);
    (scaled(width), scaled(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_player_fits_and_keeps_its_shape() {
        assert_eq!(fitted((1920, 1080), 640, 640), (640, 360));
        assert_eq!(fitted((1080, 1920), 640, 640), (360, 640));
        assert_eq!(fitted((1080, 1920), 100, 640), (100, 178));
        assert_eq!(fitted((8192, 16), 10, 10), (10, 1));
        assert_eq!(fitted((0, 0), 0, 0), (1, 1));
    }

    #[test]
    fn a_poster_is_as_large_as_it_is_made() {
        assert_eq!(poster((1920, 1080)), (1280, 720));
        assert_eq!(poster((361, 641)), (360, 640));
    }

    #[test]
    fn only_pages_of_ours_are_clips() {
        let base = "https://clips.example";
        let id = |address: &str| clip_of(address, base);
        assert_eq!(id("https://clips.example/v/abc?t=1").as_deref(), Some("abc"));
        assert_eq!(id("http://clips.example/embed/abc").as_deref(), Some("abc"));
        for other in [
            "https://other.example/v/abc",
            "https://clips.example:8443/v/abc",
            "https://clips.example/v/abc/x",
            "https://clips.example/c/abc",
            "https://clips.example/",
            "/v/abc",
            "",
        ] {
            assert_eq!(id(other), None, "{other}");
        }
    }
}
