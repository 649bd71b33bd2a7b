//! The two tables from which queues, triggers, the gateway and the OpenAPI document follow: which function an event
//! starts, and which function answers a request.

use std::fmt;
use std::str::FromStr;

use crate::payload;

/// Every function there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    Auth,
    Upload,
    Videos,
    Playback,
    Notify,
    Web,
    Probe,
    Transcode,
    Thumbnail,
    Audio,
    Package,
    DeadLetter,
    Janitor,
}

impl Function {
    pub const ALL: [Self; 13] = [
        Self::Auth,
        Self::Upload,
        Self::Videos,
        Self::Playback,
        Self::Notify,
        Self::Web,
        Self::Probe,
        Self::Transcode,
        Self::Thumbnail,
        Self::Audio,
        Self::Package,
        Self::DeadLetter,
        Self::Janitor,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Upload => "upload",
            Self::Videos => "videos",
            Self::Playback => "playback",
            Self::Notify => "notify",
            Self::Web => "web",
            Self::Probe => "probe",
            Self::Transcode => "transcode",
            Self::Thumbnail => "thumbnail",
            Self::Audio => "audio",
            Self::Package => "package",
            Self::DeadLetter => "dead-letter",
            Self::Janitor => "janitor",
        }
    }

    /// Whether people's requests start it.
    pub fn answers_requests(self) -> bool {
        self == REST || HTTP.iter().any(|route| route.function == self)
    }

    /// Whether events start it, so that it has a queue.
    pub fn takes_events(self) -> bool {
        self == Self::DeadLetter || EVENTS.iter().any(|route| route.to.contains(&self))
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Function {
    type Err = UnknownFunction;

    fn from_str(name: &str) -> Result<Self, UnknownFunction> {
        let found = Self::ALL.into_iter().find(|function| function.name() == name);
        found.ok_or_else(|| UnknownFunction(name.to_owned()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no function called {0}")]
pub struct UnknownFunction(String);

/// Which functions an event starts.
#[derive(Clone, Copy, Debug)]
pub struct EventRoute {
    /// The CloudEvents type; a type that ends in `:` stands for all that begin with it.
    pub ty: &'static str,
    /// Who says it; empty for the store and the schedule.
    pub from: &'static [Function],
    pub to: &'static [Function],
}

/// Types that start nothing yet are listed too: a broker passes them on to whoever subscribes.
pub const EVENTS: &[EventRoute] = {
    use Function::{Audio, Auth, DeadLetter, Janitor, Package, Probe, Thumbnail, Transcode, Upload, Videos};
    &[
        event(payload::OBJECT_CREATED, &[], &[Probe]),
        event(payload::SQS_MESSAGE, &[], &[Probe]),
        event(payload::UPLOADED, &[Upload, Videos, Janitor], &[Probe]),
        event(payload::ACCEPTED, &[Probe, Janitor], &[Thumbnail, Audio]),
        event(
            payload::UNIT_REQUESTED,
            &[Probe, Package, Janitor],
            &[Transcode, Thumbnail],
        ),
        event(payload::STEP_PROGRESSED, &[Transcode], &[Package]),
        event(
            payload::STEP_COMPLETED,
            &[Transcode, Thumbnail, Audio, DeadLetter, Janitor],
            &[Package],
        ),
        event(payload::PLAYABLE, &[Package], &[]),
        event(payload::READY, &[Package], &[]),
        event(payload::REJECTED, &[Probe, Transcode, Janitor], &[]),
        event(payload::FAILED, &[DeadLetter], &[]),
        event(payload::UPDATED, &[Videos], &[]),
        event(payload::DELETED, &[Upload, Videos, Janitor], &[Janitor]),
        event(payload::USER_DELETED, &[Auth], &[Janitor]),
        event(payload::LIKED, &[Videos], &[]),
        event(payload::TICK, &[], &[Janitor]),
    ]
};

const fn event(ty: &'static str, from: &'static [Function], to: &'static [Function]) -> EventRoute {
    EventRoute { ty, from, to }
}

/// The functions that an event of this type starts.
pub fn targets(ty: &str) -> &'static [Function] {
    let matches = |route: &&EventRoute| match route.ty.strip_suffix(':') {
        Some(_) => ty.starts_with(route.ty),
        None => ty == route.ty,
    };
    EVENTS.iter().find(matches).map_or(&[], |route| route.to)
}

/// Which function answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpRoute {
    pub method: &'static str,
    /// As in OpenAPI: `/api/v1/videos/{id}`.
    pub path: &'static str,
    pub function: Function,
}

/// Who answers what no route of the API names and what is not in a bucket: the pages, and that there is none.
pub const REST: Function = Function::Web;

pub const HTTP: &[HttpRoute] = {
    use Function::{Auth, Notify, Playback, Upload, Videos};
    &[
        http("POST", "/api/v1/auth/register", Auth),
        http("POST", "/api/v1/auth/login", Auth),
        http("POST", "/api/v1/auth/refresh", Auth),
        http("POST", "/api/v1/auth/logout", Auth),
        http("GET", "/api/v1/me", Auth),
        http("PATCH", "/api/v1/me", Auth),
        http("DELETE", "/api/v1/me", Auth),
        http("GET", "/.well-known/jwks.json", Auth),
        http("POST", "/api/v1/videos", Upload),
        http("GET", "/api/v1/videos/{id}/upload/parts", Upload),
        http("POST", "/api/v1/videos/{id}/upload/parts", Upload),
        http("POST", "/api/v1/videos/{id}/upload/complete", Upload),
        http("DELETE", "/api/v1/videos/{id}/upload", Upload),
        http("GET", "/api/v1/videos", Videos),
        http("GET", "/api/v1/me/videos", Videos),
        http("GET", "/api/v1/videos/{id}", Videos),
        http("PATCH", "/api/v1/videos/{id}", Videos),
        http("DELETE", "/api/v1/videos/{id}", Videos),
        http("POST", "/api/v1/videos/{id}/retry", Videos),
        http("PUT", "/api/v1/videos/{id}/like", Videos),
        http("DELETE", "/api/v1/videos/{id}/like", Videos),
        http("GET", "/api/v1/videos/{id}/playlist.m3u8", Playback),
        http("GET", "/api/v1/videos/{id}/playlists/{name}", Playback),
        http("GET", "/api/v1/videos/{id}/poster.jpg", Playback),
        http("GET", "/api/v1/videos/{id}/poster.webp", Playback),
        http("GET", "/api/v1/videos/{id}/storyboard.vtt", Playback),
        http("GET", "/api/v1/videos/{id}/preview.webp", Playback),
        http("GET", "/api/v1/videos/{id}/audio.mp3", Playback),
        http("GET", "/api/v1/videos/{id}/download.mp4", Playback),
        http("POST", "/api/v1/videos/{id}/views", Playback),
        http("POST", "/api/v1/videos/{id}/links", Playback),
        http("GET", "/api/v1/events", Notify),
    ]
};

/// Whether a path is for programs: what is not there is told them as a problem, not as a page.
pub fn is_api(path: &str) -> bool {
    ["/api", "/.well-known"].iter().any(|place| {
        path.strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

const fn http(method: &'static str, path: &'static str, function: Function) -> HttpRoute {
    HttpRoute { method, path, function }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn object_created_matches_by_prefix_and_others_whole() {
        assert_eq!(targets("com.amazonaws.s3.ObjectCreated:Put"), [Function::Probe]);
        assert_eq!(targets("dev.knative.eventing.aws-sqs"), [Function::Probe]);
        assert_eq!(
            targets("toktik.video.accepted.v1"),
            [Function::Thumbnail, Function::Audio]
        );
        assert!(targets("toktik.video.accepted.v10").is_empty());
    }

    #[test]
    fn pages_are_what_is_not_for_programs() {
        assert!(is_api("/api/v1/nothing") && is_api("/api") && is_api("/.well-known/x"));
        assert!(!is_api("/") && !is_api("/apis") && !is_api("/v/1"));
    }

    #[test]
    fn names_round_trip_and_no_route_stands_twice() {
        for function in Function::ALL {
            assert_eq!(function.name().parse(), Ok(function));
        }
        let routes: BTreeSet<_> = HTTP.iter().map(|r| (r.method, r.path)).collect();
        assert_eq!(routes.len(), HTTP.len());
        let types: BTreeSet<_> = EVENTS.iter().map(|r| r.ty).collect();
        assert_eq!(types.len(), EVENTS.len());
    }
}
