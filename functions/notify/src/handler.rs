//! `GET /api/v1/events`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use toktik_events::VideoId;
use toktik_identity::Identity;
use toktik_runtime::access;
use toktik_runtime::http::{ClientAddress, Parameters, Problem, Viewer};
use utoipa::{IntoParams, ToSchema};

use crate::Desk;
use crate::cursor::Cursor;
use crate::own::Own;
use crate::seats::Reader;
use crate::stream::Watch;
use crate::view::View;

/// Proxies drop a connection on which nothing is said.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// Who is refused may come again when one of their streams has ended.
const RETRY_SECONDS: u64 = 25;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The clip that is looked at, to hear of its counts and its status.
    #[param(pattern = "^[0-9a-f]{32}$")]
    video: Option<String>,
}

/// One event of the stream.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes")]
pub(crate) struct StreamedEvent {
    /// `clip`, `counts` or `status`.
    event: String,
    /// JSON. Of a `clip`: `{id, status, progress, steps: [{name, unit?, state}], error?: {code, message}}`, with a state of
    /// `pending`, `running`, `done` or `failed`; of `counts`: `{id, views, likes, comments}`; of a `status`: `{id, status}`.
    #[schema(content_media_type = "application/json")]
    data: String,
    /// For `Last-Event-ID`.
    #[schema(required = false)]
    id: String,
    /// Milliseconds after which to come back.
    #[schema(required = false)]
    retry: u64,
}

/// What happens, while it happens
///
/// Server-sent events: `clip` for each of one's own clips that is under way, with its steps; `counts` and `status` of the
/// clip `video`. Each tells how things are. A stream ends after 25 s; a reader comes back with `Last-Event-ID`.
#[utoipa::path(
    get,
    operation_id = "events",
    path = "/api/v1/events",
    tag = "notify",
    security((), ("bearer" = [])),
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The last event's id; what is none of ours is ignored"),
    ),
    responses(
        (status = 200, body = StreamedEvent, content_type = "text/event-stream",
            description = "The stream; the schema is that of one event"),
        (status = 401, body = Problem, content_type = "application/problem+json",
            description = "`unauthorized`: nobody is signed in, and no clip is named"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "`invalid`"),
        (status = 429, body = Problem, content_type = "application/problem+json",
            description = "`too_many_requests`: too many streams are open"),
    )
)]
pub(crate) async fn events(
    State(desk): State<Arc<Desk>>,
    Viewer(viewer): Viewer,
    ClientAddress(address): ClientAddress,
    Parameters(query): Parameters<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if viewer.is_none() && query.video.is_none() {
        return Err(Problem::unauthorized(
            "Sign in to hear of your clips, or name one with `video`.",
        ));
    }
    let reader = match &viewer {
        Some(identity) => Reader::User(identity.user),
        None => Reader::Stranger(address),
    };
    let seat = desk.seats.take(reader);
    let seat = seat.ok_or_else(|| Problem::too_many_requests(RETRY_SECONDS))?;
    let heard = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let mut own = desk.own(viewer.as_ref(), heard.and_then(Cursor::read)).await?;
    let view = desk.view(query.video.as_deref(), viewer, own.as_mut()).await?;
    let watch = Watch::open(desk, own, view, seat).await.map_err(anyhow::Error::from)?;
    let stream = Sse::new(watch.events()).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE));
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        // Said to nginx and its kin, which would hold back what they could send at once.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, stream).into_response())
}

impl Desk {
    async fn own(&self, viewer: Option<&Identity>, heard: Option<Cursor>) -> Result<Option<Own>, Problem> {
        let Some(viewer) = viewer else { return Ok(None) };
        let own = Own::open(&self.context.catalog, viewer.user, heard).await;
        Ok(Some(own.map_err(anyhow::Error::from)?))
    }

    async fn view(
        &self,
        video: Option<&str>,
        viewer: Option<Identity>,
        own: Option<&mut Own>,
    ) -> Result<Option<View>, Problem> {
        let Some(video) = video else { return Ok(None) };
        let id: VideoId = video.parse().map_err(|_| Problem::not_found())?;
        let video = self.context.catalog.video(id).await.map_err(anyhow::Error::from)?;
        let video = video.filter(|video| access::sees(video, viewer.as_ref()));
        let video = video.ok_or_else(Problem::not_found)?;
        let is_own = viewer.as_ref().is_some_and(|viewer| viewer.user == video.owner);
        // It may be older than those that are found by themselves.
        if let Some(own) = own.filter(|_| is_own && !video.status.is_final()) {
            own.follow(id);
        }
        Ok(Some(View::new(&self.windows, id, viewer)))
    }
}
