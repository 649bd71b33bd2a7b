//! Tells people what happens while it happens: server-sent events, at `GET /api/v1/events?video={id}`.
//!
//! | event | who is told | data |
//! |---|---|---|
//! | `clip` | whoever is signed in, of their own clips that are under way | `{id, status, progress, steps: [{name, unit?, state}], error?: {code, message}}` |
//! | `counts` | whoever may watch the clip `video` | `{id, views, likes, comments}` |
//! | `status` | the same | `{id, status}` |
//!
//! `state` is `pending`, `running`, `done` or `failed`; `name` and `unit` are those of the ledger (`transcode`,
//! `video-0`). Each event tells how things are now, never what has changed, so that a repeat is harmless. A stream begins
//! with all that is under way, and with counts and status of `video`; later it tells only what differs from that. A clip
//! is told of until its status is final, the final one included, and `deleted` if it is gone. So a page opens the stream
//! first and reads its list then.
//!
//! A stream ends after 25 s, so that functions can scale to zero, and resumes by `Last-Event-ID`: that names the clips
//! which were under way when the reader last heard of them, and none of these ends in between unheard. Where answers
//! cannot be streamed (Lambda), it ends as soon as it has told how things are.
//!
//! Started by requests. A stream looks into the table instead of being woken by events: the ledger is what is true, for
//! every process that holds a stream, and no event can be lost, late or in the wrong order on its way to it. A look costs
//! one small read a second of what is under way, one of the clip in view, shared by all of a process that watch it, and
//! nothing for whoever has neither.
//!
//! Emits nothing. Never writes into the table, and keeps nothing that another process would have to know.

mod cursor;
mod handler;
mod own;
mod seats;
mod settings;
mod shapes;
mod stream;
mod view;

use std::sync::Arc;

use toktik_events::Function;
use toktik_runtime::{Context, Serverless, Service};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use settings::Settings;

use seats::Seats;
use view::Windows;

pub struct Notify;

impl Serverless for Notify {
    const NAME: Function = Function::Notify;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        let desk = Arc::new(Desk {
            context: context.clone(),
            seats: Seats::new(settings.stream_limit),
            windows: Windows::default(),
            settings,
        });
        let router = OpenApiRouter::new().routes(routes!(handler::events)).with_state(desk);
        Ok(Service::http(router))
    }
}

/// What every stream works with.
struct Desk {
    context: Context,
    settings: Settings,
    seats: Arc<Seats>,
    windows: Windows,
}
