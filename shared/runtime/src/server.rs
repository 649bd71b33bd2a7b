//! The HTTP host: requests, CloudEvents, health, metrics and the API's own description, on one listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cloudevents::binding::http::to_event;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use toktik_events::{Function, Message};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::context::Context;
use crate::function::{Failure, Handler};
use crate::http::{AddressBook, Gate, Problem, layers};
use crate::{delivery, telemetry};

/// How long requests that are under way may take once it is time to stop.
const GRACE: Duration = Duration::from_secs(10);

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Toktik",
        description = "A short-video platform made of small functions. Errors are `application/problem+json` with a \
                       stable `code`; times are RFC 3339, durations seconds, sizes bytes.",
    ),
    components(schemas(crate::http::Problem, crate::http::FieldError))
)]
struct Document;

/// The API of one function or of several, with everything a host serves beside it.
pub fn router(api: OpenApiRouter, context: &Context) -> anyhow::Result<Router> {
    let (router, described) = api.split_for_parts();
    let document = document(described);
    let gate = Gate {
        verifier: Arc::clone(&context.verifier),
        clock: context.clock.clone(),
    };
    let book = AddressBook {
        addresses: context.addresses.clone(),
        store_beside_api: context.store_beside_api,
    };
    Ok(layers::around(router, gate, book)
        .merge(operations())
        .merge(description(&document)))
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn operations() -> Router {
    telemetry::recorder();
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(layers::method_not_allowed)
}

async fn metrics() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        telemetry::metrics(),
    )
}

fn document(described: OpenApi) -> OpenApi {
    let mut document = Document::openapi();
    document.merge(described);
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", scheme);
    document
}

fn description(document: &OpenApi) -> Router {
    let json = document.clone();
    Router::new()
        .route("/openapi.json", get(move || async move { Json(json) }))
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")))
}

/// Takes events at `POST /`.
pub fn events(
    function: Function,
    handler: Arc<dyn Handler>,
    context: Context,
    token: Option<String>,
    stop: CancellationToken,
) -> Router {
    let intake = Intake {
        function,
        handler,
        context,
        token,
        stop,
    };
    Router::new().route("/", post(receive)).with_state(Arc::new(intake))
}

struct Intake {
    function: Function,
    handler: Arc<dyn Handler>,
    context: Context,
    token: Option<String>,
    /// Fires when the host has to stop: what is under way is given back.
    stop: CancellationToken,
}

async fn receive(State(intake): State<Arc<Intake>>, headers: HeaderMap, body: Bytes) -> Response {
    if !intake.admits(&headers) {
        return Problem::unauthorized("Events are taken only with the events token.").into_response();
    }
    let messages = match messages(&headers, &body, intake.handler.as_ref()) {
        Ok(messages) => messages,
        Err(why) => return Problem::malformed(why).into_response(),
    };
    for message in &messages {
        let result = delivery::handle_one(intake.function, intake.handler.as_ref(), message, &intake.stop).await;
        if let Err(failure) = result {
            return intake.refuse(failure, message).await;
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

impl Intake {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        given.as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// A broker brings to dead-letter by itself what is answered with 422.
    async fn give_up(&self, message: &Message, code: &str, why: &str) -> anyhow::Result<()> {
        let (context, function) = (&self.context, self.function);
        if context.publisher.has_broker() {
            return context.record_verdict(function, message, code, why).await;
        }
        // Not the request's body: in binary mode that is only the data, and a batch holds other events too.
        context
            .give_up(function, &message.to_json()?, Some(message), code, why)
            .await
    }

    async fn refuse(&self, failure: Failure, message: &Message) -> Response {
        match failure {
            Failure::Retry { after, reason } => {
                tracing::warn!(reason = format!("{reason:#}"), "an event has to come again");
                let seconds = after.unwrap_or(Duration::from_secs(5)).as_secs().max(1);
                let title = "Not now. Deliver it again.";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "retry", title)
                    .retry_after(seconds)
                    .into_response()
            }
            Failure::GiveUp { code, reason } => {
                let why = format!("{reason:#}");
                tracing::error!(code, reason = why, "an event is given up");
                match self.give_up(message, code, &why).await {
                    Ok(()) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, why).into_response(),
                    Err(error) => Problem::from(error).into_response(),
                }
            }
        }
    }
}

/// A CloudEvent in either mode, or a store's notification.
fn messages(headers: &HeaderMap, body: &Bytes, handler: &dyn Handler) -> Result<Vec<Message>, String> {
    if headers.contains_key("ce-specversion") {
        let event = to_event(headers, body.to_vec()).map_err(|error| error.to_string())?;
        return Message::try_from(event)
            .map(|message| vec![message])
            .map_err(|error| error.to_string());
    }
    handler.read(body).map_err(|error| error.to_string())
}

/// Serves until told to stop, then lets what is under way end.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> anyhow::Result<()> {
    let stopped = stop.clone();
    let app = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move { stopped.cancelled().await });
    tokio::select! {
        served = server => served.context("serving requests"),
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}
