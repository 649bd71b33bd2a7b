//! The web app: one page, built from `ui` and embedded in the program, at every address that people have.
//!
//! Started by requests. The page draws itself from the API, by address; what it is here for is what has to stand in it
//! before any script runs: title and previews for links that are shared, and a clip that plays without scripts. Assets
//! have their hash in their name and are kept for a year. Also answers `/oembed`, and whatever no other function does.
//!
//! Emits nothing. Never changes anything, and shows nothing of a clip that the reader may not see.

mod clip;
mod escape;
mod files;
mod headers;
mod oembed;
mod page;
mod pages;
mod settings;
mod store;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use toktik_events::Function;
use toktik_runtime::{Context, Serverless, Service};

pub use settings::Settings;

use page::Shell;
use store::Store;

pub struct Web;

impl Serverless for Web {
    const NAME: Function = Function::Web;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        let desk = Arc::new(Desk {
            limits: limits(&settings),
            store: Store::new(context, settings.cdn_url.as_deref()),
            context: context.clone(),
            app: Shell::built(files::APP),
            player: Shell::built(files::PLAYER),
        });
        let router = Router::new()
            .route("/", get(pages::front))
            .route("/browse", get(pages::browse))
            .route("/upload", get(pages::upload))
            .route("/my", get(pages::my))
            .route("/me", get(pages::me))
            .route("/signin", get(pages::sign_in))
            .route("/signup", get(pages::sign_up))
            .route("/tag/{name}", get(pages::tag))
            .route("/c/{name}", get(pages::channel))
            .route("/v/{id}", get(clip::watch))
            .route("/embed/{id}", get(clip::embed))
            .route("/oembed", get(oembed::answer))
            .route("/robots.txt", get(pages::robots))
            .fallback(pages::rest)
            .with_state(desk);
        Ok(Service::pages(router))
    }
}

/// What every page is made with.
struct Desk {
    context: Context,
    app: Shell,
    player: Shell,
    /// What uploads may be, as the pages read it.
    limits: String,
    store: Store,
}

fn limits(settings: &Settings) -> String {
    let (seconds, bytes) = (settings.max_duration, settings.max_upload_bytes);
    format!(
        "<meta name=\"toktik:max-duration\" content=\"{seconds}\"><meta name=\"toktik:max-upload-bytes\" content=\"{bytes}\">"
    )
}
