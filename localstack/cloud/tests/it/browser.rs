use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{CorsConfiguration, CorsRule};
use reqwest::{Client, Method, StatusCode};

use crate::support::{BUCKET, World, code, serve};

#[tokio::test]
async fn a_browser_may_ask_before_it_uploads() {
    let world = World::new().await;
    let base = serve(world.cloud.s3()).await;
    let preflight = Client::new().request(Method::OPTIONS, format!("{base}/{BUCKET}/in/clip"));
    let preflight = preflight
        .header("origin", "https://toktik.example")
        .header("access-control-request-method", "PUT");
    let preflight = preflight.header("access-control-request-headers", "content-type,if-none-match");
    let answer = preflight.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), "*");
    assert!(header("access-control-allow-methods").contains("PUT"));
    assert_eq!(header("access-control-allow-headers"), "content-type,if-none-match");
}

#[tokio::test]
async fn uploaded_bytes_never_run_as_a_page() {
    let world = World::new().await;
    let base = serve(world.cloud.s3()).await;
    world
        .s3
        .put_object()
        .bucket(BUCKET)
        .key("page")
        .content_type("text/html")
        .body(b"<script>".to_vec().into())
        .send()
        .await
        .unwrap();
    let get = world.s3_at(&base).get_object().bucket(BUCKET).key("page");
    let url = get
        .presigned(PresigningConfig::expires_in(std::time::Duration::from_mins(1)).unwrap())
        .await
        .unwrap();
    let good = Client::new()
        .get(url.uri())
        .header("origin", "https://toktik.example")
        .send()
        .await
        .unwrap();
    let refused = Client::new().get(format!("{base}/{BUCKET}/page")).send().await.unwrap();
    assert_eq!(
        (good.status(), refused.status()),
        (StatusCode::OK, StatusCode::FORBIDDEN)
    );
    for answer in [&good, &refused] {
        assert_eq!(
            answer.headers()["content-security-policy"],
            "sandbox; default-src 'none'"
        );
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
    let exposed = good.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.split(',').any(|name| name.trim() == "etag"), "{exposed}");
}

#[tokio::test]
async fn a_buckets_cors_rules_are_kept() {
    let world = World::new().await;
    let none = world.s3.get_bucket_cors().bucket(BUCKET).send().await.unwrap_err();
    assert_eq!(code(&none), "NoSuchCORSConfiguration");
    let rule = CorsRule::builder()
        .allowed_methods("PUT")
        .allowed_origins("*")
        .expose_headers("ETag")
        .build()
        .unwrap();
    let rules = CorsConfiguration::builder().cors_rules(rule.clone()).build().unwrap();
    world
        .s3
        .put_bucket_cors()
        .bucket(BUCKET)
        .cors_configuration(rules)
        .send()
        .await
        .unwrap();
    assert_eq!(
        world
            .s3
            .get_bucket_cors()
            .bucket(BUCKET)
            .send()
            .await
            .unwrap()
            .cors_rules(),
        [rule]
    );
}
