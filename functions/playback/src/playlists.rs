//! The multivariant playlist and the media playlists it names.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use toktik_media::manifest::{Manifest, Rendition};
use toktik_media::playlist;
use toktik_runtime::http::{Entity, PathName, Problem, StoreAddress};

use crate::address::{Addresses, Rendered};
use crate::audience::Audience;
use crate::shelf::{Page, Place};
use crate::{Desk, missing};

/// Watch a clip
#[utoipa::path(
    get,
    operation_id = "multivariant_playlist",
    path = "/api/v1/videos/{id}/playlist.m3u8",
    tag = "playback",
    security((), ("bearer" = [])),
    params(
        ("id" = String, Path, description = "The clip"),
        ("token" = Option<String>, Query, description = "Of a playback link to a private clip"),
    ),
    responses(
        (status = 200, content_type = "application/vnd.apple.mpegurl", body = String, description = "HLS multivariant playlist"),
        (status = 304, description = "It is what `If-None-Match` names"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`, or `not_ready` with Retry-After"),
    )
)]
pub(crate) async fn multivariant(
    State(desk): State<Arc<Desk>>,
    audience: Audience,
    store: StoreAddress,
) -> Result<Response, Problem> {
    audience.require_watchable()?;
    let render = async |manifest: &Manifest, _: &Addresses<'_>| {
        let links = Rendered::playlists_only(audience.token.as_deref());
        Ok(playlist::multivariant(manifest, &links))
    };
    desk.playlist(&audience, &store, "playlist.m3u8", render).await
}

/// Watch one rendition
///
/// `480p.m3u8`, `480p-iframes.m3u8`, `audio.m3u8`: the names that the multivariant playlist gives.
#[utoipa::path(
    get,
    operation_id = "media_playlist",
    path = "/api/v1/videos/{id}/playlists/{name}",
    tag = "playback",
    security((), ("bearer" = [])),
    params(
        ("id" = String, Path, description = "The clip"),
        ("name" = String, Path, description = "As in the multivariant playlist"),
        ("token" = Option<String>, Query, description = "Of a playback link to a private clip"),
    ),
    responses(
        (status = 200, content_type = "application/vnd.apple.mpegurl", body = String, description = "HLS media playlist"),
        (status = 304, description = "It is what `If-None-Match` names"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`, or `not_ready` with Retry-After"),
    )
)]
pub(crate) async fn media(
    State(desk): State<Arc<Desk>>,
    audience: Audience,
    store: StoreAddress,
    PathName(name): PathName,
) -> Result<Response, Problem> {
    audience.require_watchable()?;
    let render = async |manifest: &Manifest, addresses: &Addresses<'_>| {
        let rendition = name.strip_suffix(".m3u8").and_then(|name| Asked::find(manifest, name));
        let asked = rendition.ok_or_else(|| missing(manifest))?;
        let links = addresses
            .of_all(keys(asked.rendition()), audience.token.as_deref())
            .await?;
        Ok(match asked {
            Asked::Segments(rendition) => playlist::media(rendition, manifest.into(), &links),
            Asked::Iframes(rendition) => playlist::iframes(rendition, manifest.into(), &links),
        })
    };
    desk.playlist(&audience, &store, &format!("playlists/{name}"), render)
        .await
}

impl Desk {
    /// The playlist of this name, rendered or as it was a moment ago. What a link's bearer is shown carries their token,
    /// and is made for them.
    async fn playlist(
        &self,
        audience: &Audience,
        store: &StoreAddress,
        name: &str,
        render: impl AsyncFnOnce(&Manifest, &Addresses<'_>) -> Result<String, Problem>,
    ) -> Result<Response, Problem> {
        let place = Place::new(&audience.video, name, store);
        let everybodys = audience.token.is_none();
        if let Some(page) = self.shelf.page(&place, self.context.clock.now()).filter(|_| everybodys) {
            return Ok(respond(audience, page));
        }
        let manifest = self.manifest(&audience.video).await?;
        let addresses = self.addresses(&audience.video, store);
        let page = Page {
            body: Entity::new(playlist::CONTENT_TYPE, render(&manifest, &addresses).await?),
            complete: manifest.complete,
        };
        if everybodys {
            self.shelf.keep_page(place, addresses.holds(), &page);
        }
        Ok(respond(audience, page))
    }
}

enum Asked<'a> {
    Segments(&'a Rendition),
    Iframes(&'a Rendition),
}

impl<'a> Asked<'a> {
    fn find(manifest: &'a Manifest, name: &str) -> Option<Self> {
        if let Some(variant) = name.strip_suffix("-iframes") {
            return Some(Self::Iframes(&manifest.variant(variant)?.rendition));
        }
        if let Some(variant) = manifest.variant(name) {
            return Some(Self::Segments(&variant.rendition));
        }
        Some(Self::Segments(&manifest.sound(name)?.rendition))
    }

    fn rendition(&self) -> &'a Rendition {
        match self {
            Self::Segments(rendition) | Self::Iframes(rendition) => rendition,
        }
    }
}

fn keys(rendition: &Rendition) -> Vec<String> {
    let of_part = |part: &toktik_media::manifest::Part| {
        let segments = (0..part.segments.len()).map(|index| part.segment_key(index));
        std::iter::once(part.init_key()).chain(segments).collect::<Vec<_>>()
    };
    rendition.parts.iter().flat_map(of_part).collect()
}

fn respond(audience: &Audience, page: Page) -> Response {
    let cache = audience.cache_control(page.complete);
    ([(header::CACHE_CONTROL, cache)], page.body).into_response()
}
