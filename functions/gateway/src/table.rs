//! Which function answers what, as the router wants it: by path, then by method.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use toktik_events::{Function, routes};
use toktik_runtime::http::layers;

use crate::proxy::Proxy;

/// Functions by method.
type Methods = BTreeMap<&'static str, Function>;

pub(crate) fn routes(proxy: &Proxy) -> Router {
    let mut paths: BTreeMap<&str, Methods> = BTreeMap::new();
    for route in routes::HTTP {
        paths
            .entry(route.path)
            .or_default()
            .insert(route.method, route.function);
    }
    let mut router = Router::new();
    for (path, methods) in paths {
        let proxy = proxy.clone();
        router = router.route(
            path,
            any(move |request| answer(proxy.clone(), methods.clone(), request)),
        );
    }
    router.layer(from_fn(layers::observe))
}

async fn answer(proxy: Proxy, methods: Methods, request: Request) -> Response {
    match responsible(&methods, request.method()) {
        Some(function) => proxy.function(function, request).await,
        None => not_allowed(&methods).await,
    }
}

/// HEAD is GET without a body; any function of a path can say what browsers may do there.
fn responsible(methods: &Methods, method: &Method) -> Option<Function> {
    match *method {
        Method::HEAD => methods.get("GET").copied(),
        Method::OPTIONS => methods.values().next().copied(),
        _ => methods.get(method.as_str()).copied(),
    }
}

async fn not_allowed(methods: &Methods) -> Response {
    let names: Vec<&str> = methods.keys().copied().collect();
    let mut response = layers::method_not_allowed().await.into_response();
    if let Ok(allow) = HeaderValue::from_str(&names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_and_path_decide() {
        let methods = Methods::from([("GET", Function::Videos), ("POST", Function::Upload)]);
        let function = |method| responsible(&methods, &method);
        assert_eq!(function(Method::GET), Some(Function::Videos));
        assert_eq!(function(Method::HEAD), Some(Function::Videos));
        assert_eq!(function(Method::POST), Some(Function::Upload));
        assert!(function(Method::OPTIONS).is_some());
        assert_eq!(function(Method::DELETE), None);
    }
}
