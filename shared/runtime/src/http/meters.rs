//! How many requests were answered, and how long that took, by method, route and status.
//!
//! The recorder finds a metric by its labels, which takes making, sorting and comparing them; so what it found is kept.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram};

/// Those of the process, as its recorder is. Of a request that is answered before there is a recorder nothing is known
/// later, either.
pub(super) static METERS: LazyLock<Meters> = LazyLock::new(Meters::default);

/// By route, of which there are as many as the router has.
#[derive(Default)]
pub(super) struct Meters(RwLock<HashMap<String, HashMap<Kind, Meter>>>);

/// What else a request and its answer can be.
type Kind = (&'static str, StatusCode);

struct Meter {
    requests: Counter,
    seconds: Histogram,
}

impl Meters {
    pub(super) fn record(&self, method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
        let kind = (known(method), status);
        if self.record_known(route, kind, elapsed) {
            return;
        }
        let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let kinds = routes.entry(route.to_owned()).or_default();
        kinds
            .entry(kind)
            .or_insert_with(|| Meter::new(route, kind))
            .record(elapsed);
    }

    fn record_known(&self, route: &str, kind: Kind, elapsed: Duration) -> bool {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let meter = routes.get(route).and_then(|kinds| kinds.get(&kind));
        meter.map(|meter| meter.record(elapsed)).is_some()
    }
}

impl Meter {
    fn new(route: &str, (method, status): Kind) -> Self {
        let labels = [
            ("method", method.to_owned()),
            ("route", route.to_owned()),
            ("status", status.as_u16().to_string()),
        ];
        Self {
            requests: metrics::counter!("toktik_http_requests_total", &labels),
            seconds: metrics::histogram!("toktik_http_request_duration_seconds", &labels),
        }
    }

    fn record(&self, elapsed: Duration) {
        self.requests.increment(1);
        self.seconds.record(elapsed);
    }
}

/// A label for every word that somebody makes up would fill the memory.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let name = KNOWN.into_iter().find(|name| *name == method.as_str());
    name.unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry;

    #[test]
    fn requests_are_counted_by_what_they_were_and_became() {
        telemetry::recorder();
        let meters = Meters::default();
        let record = |method: &Method, status| {
            meters.record(method, "/counted/{id}", status, Duration::from_millis(3));
        };
        for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::OK] {
            record(&Method::GET, status);
        }
        for name in ["BREW", "STEEP"] {
            record(&Method::from_bytes(name.as_bytes()).unwrap(), StatusCode::OK);
        }
        let metrics = telemetry::metrics();
        let told = |name: &str, method: &str, status: u16| {
            let labels = format!("{{method=\"{method}\",route=\"/counted/{{id}}\",status=\"{status}\"}}");
            let line = metrics
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}{labels} ")));
            line.and_then(|count| count.parse::<f64>().ok())
        };
        let requests = |method, status| told("toktik_http_requests_total", method, status);
        assert_eq!(requests("GET", 200), Some(2.0), "{metrics}");
        assert_eq!(requests("GET", 404), Some(1.0));
        assert_eq!((requests("other", 200), requests("BREW", 200)), (Some(2.0), None));
        let seconds = told("toktik_http_request_duration_seconds_sum", "GET", 200);
        assert!(seconds.is_some_and(|sum| (sum - 0.006).abs() < 1e-9), "{metrics}");
    }
}
