//! Pictures and files: a redirect to the object, except for the storyboard's cues, which are rendered.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use toktik_media::manifest::{Manifest, Object};
use toktik_media::playlist;
use toktik_runtime::http::{Entity, Problem, StoreAddress};

use crate::audience::Audience;
use crate::shelf::{Address, Place};
use crate::{Desk, missing};

/// Poster as JPEG
#[utoipa::path(get, operation_id = "poster_jpg", path = "/api/v1/videos/{id}/poster.jpg", tag = "playback", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The clip"), ("token" = Option<String>, Query, description = "Of a playback link")),
    responses(
        (status = 302, description = "To the JPEG"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`, or `not_ready` with Retry-After"),
    ))]
pub(crate) async fn poster_jpeg(
    State(desk): State<Arc<Desk>>,
    audience: Audience,
    store: StoreAddress,
) -> Result<Response, Problem> {
    let jpeg = |manifest: &Manifest| Some(manifest.poster.as_ref()?.jpeg.clone());
    desk.send(&audience, &store, "poster.jpg", jpeg).await
}

/// Poster as WebP
#[utoipa::path(get, operation_id = "poster_webp", path = "/api/v1/videos/{id}/poster.webp", tag = "playback", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The clip"), ("token" = Option<String>, Query, description = "Of a playback link")),
    responses(
        (status = 302, description = "To the WebP"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`, or `not_ready` with Retry-After"),
    ))]
pub(crate) async fn poster_webp(
    State(desk): State<Arc<Desk>>,
    audience: Audience,
    store: StoreAddress,
) -> Result<Response, Problem> {
    let webp = |manifest: &Manifest| Some(manifest.poster.as_ref()?.webp.clone());
    desk.send(&audience, &store, "poster.webp", webp).await
}

/// Animated preview
#[utoipa::path(get, operation_id = "preview_webp", path = "/api/v1/videos/{id}/preview.webp", tag = "playback", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The clip"), ("token" = Option<String>, Query, description = "Of a playback link")),
    responses(
        (status = 302, description = "To the animated WebP"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`, or `not_ready` with Retry-After"),
    ))]
pub(crate) async fn preview(
    State(desk): State<Arc<Desk>>,
    audience: Audience,
    store: StoreAddress,
) -> Result<Response, Problem> {
    let preview = |manifest: &Manifest| manifest.preview.clone();
    desk.send(&audience, &store, "preview.webp", preview).await
}

/// The sound as MP3
///
/// A silent clip has none.
#[utoipa::path(get, operation_id = "audio_mp3", path = "/api/v1/videos/{id}/audio.mp3", tag = "playback", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The clip"), ("token" = Option<String>, Query, description = "Of a playback link")),
    responses(
        (status = 302, description = "To the MP3"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`, or `not_ready` with Retry-After"),
    ))]
pub(crate) async fn audio(
    State(desk): State<Arc<Desk>>,
    audience: Audience,
    store: StoreAddress,
) -> Result<Response, Problem> {
    let mp3 = |manifest: &Manifest| manifest.mp3.clone();
    desk.send(&audience, &store, "audio.mp3", mp3).await
}

/// The clip as one MP4
#[utoipa::path(get, operation_id = "download_mp4", path = "/api/v1/videos/{id}/download.mp4", tag = "playback", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The clip"), ("token" = Option<String>, Query, description = "Of a playback link")),
    responses(
        (status = 302, description = "To the MP4, as an attachment named by the title"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`, or `not_ready` with Retry-After"),
    ))]
pub(crate) async fn download(
    State(desk): State<Arc<Desk>>,
    audience: Audience,
    store: StoreAddress,
) -> Result<Response, Problem> {
    audience.require_watchable()?;
    let manifest = desk.manifest(&audience.video).await?;
    let object = manifest.download.clone().ok_or_else(|| missing(&manifest))?;
    let name = attachment(&audience.video.title.to_string());
    let address = desk
        .addresses(&audience.video, &store)
        .of(&object.key, Some(&name))
        .await?;
    let address = Address::new(&address, &manifest)?;
    Ok(redirect(&audience, address))
}

/// Storyboard cues
///
/// `WebVTT` whose cues name regions of one sprite.
#[utoipa::path(get, operation_id = "storyboard_vtt", path = "/api/v1/videos/{id}/storyboard.vtt", tag = "playback", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The clip"), ("token" = Option<String>, Query, description = "Of a playback link")),
    responses(
        (status = 200, content_type = "text/vtt", body = String, description = "Cues with `#xywh=`"),
        (status = 304, description = "It is what `If-None-Match` names"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`, or `not_ready` with Retry-After"),
    ))]
pub(crate) async fn storyboard(
    State(desk): State<Arc<Desk>>,
    audience: Audience,
    store: StoreAddress,
) -> Result<Response, Problem> {
    audience.require_watchable()?;
    let manifest = desk.manifest(&audience.video).await?;
    let storyboard = manifest.storyboard.as_ref().ok_or_else(|| missing(&manifest))?;
    let sprite = desk
        .addresses(&audience.video, &store)
        .of(&storyboard.sprite.key, None)
        .await?;
    let duration = audience.video.duration.unwrap_or_default();
    let text = playlist::storyboard_vtt(storyboard, duration, &sprite);
    let cache = audience.cache_control(manifest.complete);
    let body = Entity::new("text/vtt; charset=utf-8", text);
    Ok(([(header::CACHE_CONTROL, cache)], body).into_response())
}

impl Desk {
    async fn send(
        &self,
        audience: &Audience,
        store: &StoreAddress,
        name: &str,
        choose: impl FnOnce(&Manifest) -> Option<Object>,
    ) -> Result<Response, Problem> {
        audience.require_watchable()?;
        let place = Place::new(&audience.video, name, store);
        if let Some(address) = self.shelf.address(&place, self.context.clock.now()) {
            return Ok(redirect(audience, address));
        }
        let manifest = self.manifest(&audience.video).await?;
        let object = choose(&manifest).ok_or_else(|| missing(&manifest))?;
        let addresses = self.addresses(&audience.video, store);
        let address = Address::new(&addresses.of(&object.key, None).await?, &manifest)?;
        self.shelf.keep_address(place, addresses.holds(), &address);
        Ok(redirect(audience, address))
    }
}

impl Address {
    fn new(url: &str, manifest: &Manifest) -> Result<Self, Problem> {
        Ok(Self {
            url: HeaderValue::from_str(url).map_err(anyhow::Error::from)?,
            complete: manifest.complete,
        })
    }
}

fn redirect(audience: &Audience, address: Address) -> Response {
    let cache = HeaderValue::from_static(audience.cache_control(address.complete));
    let headers = [(header::LOCATION, address.url), (header::CACHE_CONTROL, cache)];
    (StatusCode::FOUND, headers).into_response()
}

/// RFC 6266, with the title in ASCII for those who do not know `filename*`.
fn attachment(title: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || " -_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let ascii: String = title.chars().map(plain).collect();
    let encoded = percent_encoding::utf8_percent_encode(title, percent_encoding::NON_ALPHANUMERIC);
    format!("attachment; filename=\"{ascii}.mp4\"; filename*=UTF-8''{encoded}.mp4")
}

#[cfg(test)]
mod tests {
    use super::attachment;

    #[test]
    fn a_title_cannot_leave_its_quotes() {
        assert_eq!(
            attachment("a\"; b é"),
            "attachment; filename=\"a__ b _.mp4\"; filename*=UTF-8''a%22%3B%20b%20%C3%A9.mp4"
        );
    }
}
