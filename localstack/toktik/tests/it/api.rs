//! What surrounds the routes: the API's description, health, metrics, and problems for all that fits none of them.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_events::routes;

use crate::client::{Answer, send};
use crate::harness::{House, PASSWORD};

async fn get(house: &House, path: &str) -> Answer {
    send(house.request(Method::GET, path)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_lists_exactly_the_table_of_routes() {
    let house = House::open().await;
    let document = get(&house, "/openapi.json").await.expect(StatusCode::OK);
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let function = operation["tags"][0].as_str().unwrap().to_owned();
            assert_problems(&document, operation);
            described.insert((method.to_uppercase(), path.clone(), function));
        }
    }
    let of_table = routes::HTTP.iter();
    let of_table = of_table.map(|route| {
        (
            route.method.to_owned(),
            route.path.to_owned(),
            route.function.to_string(),
        )
    });
    assert_eq!(described, of_table.collect());
    let docs = get(&house, "/docs/").await;
    assert_eq!(docs.status, StatusCode::OK);
    assert!(docs.header("content-type").starts_with("text/html") && docs.text().contains("swagger-ui"));
}

/// Every error that an operation describes is a problem.
fn assert_problems(document: &Value, operation: &Value) {
    for (status, response) in operation["responses"].as_object().unwrap() {
        if status.starts_with('4') {
            let content = response["content"].as_object().unwrap();
            let schema = content.values().next().unwrap()["schema"]["$ref"].as_str().unwrap();
            assert_eq!(schema, "#/components/schemas/Problem", "{operation}");
        }
    }
    assert!(document["components"]["schemas"]["Problem"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_told() {
    let house = House::open().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(&house, path).await.status, StatusCode::OK, "{path}");
    }
    let user = house.user("ada").await;
    house.publish(&user, b"junk".to_vec()).await;
    let metrics = get(&house, "/metrics").await;
    assert_eq!(metrics.status, StatusCode::OK);
    let text = metrics.text();
    let line = |name: &str, label: &str| text.lines().any(|line| line.starts_with(name) && line.contains(label));
    assert!(
        line(
            "toktik_http_requests_total{",
            "route=\"/api/v1/videos/{id}/upload/complete\""
        ),
        "{text}"
    );
    assert!(line("toktik_http_requests_total{", "status=\"202\""), "{text}");
    assert!(line("toktik_events_total{", "function=\"probe\""), "{text}");
    assert!(!text.contains(&user.id), "ids make a series each");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fits_no_route_is_a_problem() {
    let house = House::open().await;
    let user = house.user("ada").await;
    for path in ["/api/v1/nothing", "/api/v2/videos", "/api/v1/videos/a/b/c/d"] {
        get(&house, path).await.problem(404, "not_found");
    }
    let wrong = [
        (Method::PUT, "/api/v1/videos"),
        (Method::GET, "/api/v1/auth/login"),
        (Method::POST, "/api/v1/me/videos"),
    ];
    for (method, path) in wrong {
        let answer = send(house.request(method, path)).await;
        answer.problem(405, "method_not_allowed");
        assert!(
            !answer.header("allow").is_empty(),
            "{path} does not say what is allowed"
        );
    }
    let large = json!({"title": "x".repeat(300_000)});
    house
        .post("/videos", Some(&user), large.clone())
        .await
        .problem(413, "too_large");
    house
        .post("/auth/register", None, large)
        .await
        .problem(413, "too_large");
    let basic = house
        .request(Method::GET, "/api/v1/videos")
        .header("Authorization", "Bearer nonsense");
    let answer = send(basic).await;
    answer.problem(401, "unauthorized");
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
    let bucket = get(&house, "/toktik").await;
    assert_eq!(bucket.status, StatusCode::FORBIDDEN, "strangers can list the bucket");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_from_the_request_to_its_answer() {
    let house = House::open().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = send(
        house
            .request(Method::GET, "/api/v1/videos")
            .header("traceparent", parent),
    )
    .await;
    assert_eq!(answer.header("traceparent").split('-').nth(1), parent.split('-').nth(1));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_an_object_and_what_does_not_fit_is_said_in_words() {
    let house = House::open().await;
    let user = house.user("ada").await;
    for body in [json!(["ada", PASSWORD]), json!("x"), json!(1)] {
        let answer = house.post("/auth/login", None, body.clone()).await;
        answer.invalid(&["body"]);
        house.post("/videos", Some(&user), body).await.invalid(&["body"]);
    }
    let twice = house.get("/videos?limit=1&limit=2", None).await;
    twice.invalid(&["limit"]);
    let number = house.get("/videos?limit=x", None).await;
    assert_eq!(number.json()["errors"][0]["message"], "must be a whole number");
    send(house.request(Method::POST, "/healthz"))
        .await
        .problem(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_described_can_be_generated_from() {
    let house = House::open().await;
    let document: Value = house
        .request(Method::GET, "/openapi.json")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{path}: {operation}"
            );
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let named = path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap()));
                assert_eq!(parameter["in"] == "path", named, "{path}: {parameter}");
            }
        }
    }
    let body = |path: &str, method: &str| {
        let schema = &document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"];
        let name = schema["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        document["components"]["schemas"][name]["properties"].clone()
    };
    assert!(body("/api/v1/videos", "post").get("content_type").is_some());
    assert!(body("/api/v1/videos/{id}", "patch").get("visibility").is_some());
    assert!(
        body("/api/v1/videos/{id}/upload/parts", "post")
            .get("part_numbers")
            .is_some()
    );
}
