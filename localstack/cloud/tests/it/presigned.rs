use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::support::{BUCKET, World, serve};

const HOUR: Duration = Duration::from_hours(1);

/// A URL that allows one upload of five bytes of video.
async fn upload_url(world: &World, base: &str, signing: PresigningConfig) -> PresignedRequest {
    let put = world
        .s3_at(base)
        .put_object()
        .bucket(BUCKET)
        .key("in/clip")
        .content_length(5);
    put.content_type("video/mp4")
        .if_none_match("*")
        .presigned(signing)
        .await
        .unwrap()
}

fn upload(url: &PresignedRequest, content_type: &str, body: &'static str) -> RequestBuilder {
    let request = Client::new().put(url.uri()).body(body);
    let others = url
        .headers()
        .filter(|(name, _)| !["content-type", "content-length", "host"].contains(name));
    others
        .fold(request, |request, (name, value)| request.header(name, value))
        .header("content-type", content_type)
}

async fn status_of(request: RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_signed_upload_takes_exactly_what_was_signed_and_once() {
    let world = World::new().await;
    let base = serve(world.cloud.s3()).await;
    let url = upload_url(&world, &base, PresigningConfig::expires_in(HOUR).unwrap()).await;

    assert_eq!(
        status_of(upload(&url, "video/mp4", "too long")).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        status_of(upload(&url, "video/mp4", "shrt")).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        status_of(upload(&url, "text/html", "12345")).await,
        StatusCode::FORBIDDEN
    );
    assert!(!world.exists("in/clip").await);
    assert_eq!(world.blobs(), 0);

    assert_eq!(status_of(upload(&url, "video/mp4", "12345")).await, StatusCode::OK);
    assert_eq!(
        status_of(upload(&url, "video/mp4", "67890")).await,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(world.get("in/clip").await, b"12345");
}

#[tokio::test]
async fn a_tampered_or_expired_url_is_worth_nothing() {
    let world = World::new().await;
    let base = serve(world.cloud.s3()).await;
    let url = upload_url(&world, &base, PresigningConfig::expires_in(HOUR).unwrap()).await;
    let elsewhere = url.uri().replace("/in/clip", "/in/other");
    let request = Client::new()
        .put(elsewhere)
        .header("content-type", "video/mp4")
        .header("if-none-match", "*");
    assert_eq!(status_of(request.body("12345")).await, StatusCode::FORBIDDEN);

    let long_ago = PresigningConfig::builder()
        .start_time(SystemTime::now() - 2 * HOUR)
        .expires_in(HOUR);
    let url = upload_url(&world, &base, long_ago.build().unwrap()).await;
    assert_eq!(
        status_of(upload(&url, "video/mp4", "12345")).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(world.blobs(), 0);
}

#[tokio::test]
async fn unsigned_requests_are_refused() {
    let world = World::new().await;
    let base = serve(world.cloud.s3()).await;
    world.put("k", b"secret".to_vec()).await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let request = Client::new().request(method, format!("{base}/{BUCKET}/k"));
        assert_eq!(status_of(request).await, StatusCode::FORBIDDEN);
    }
    assert_eq!(world.get("k").await, b"secret");
}

#[tokio::test]
async fn a_signed_link_reads() {
    let world = World::new().await;
    let base = serve(world.cloud.s3()).await;
    world.put("k", b"0123456789".to_vec()).await;
    let get = world
        .s3_at(&base)
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .response_content_type("video/mp4");
    let url = get
        .presigned(PresigningConfig::expires_in(HOUR).unwrap())
        .await
        .unwrap();
    let got = Client::new()
        .get(url.uri())
        .header("range", "bytes=3-5")
        .send()
        .await
        .unwrap();
    assert_eq!(got.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(got.headers()["content-type"], "video/mp4");
    assert_eq!(got.headers()["content-range"], "bytes 3-5/10");
    assert_eq!(got.bytes().await.unwrap(), "345");
}

#[tokio::test]
async fn parts_are_uploaded_by_url() {
    let world = World::new().await;
    let base = serve(world.cloud.s3()).await;
    let created = world
        .s3
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .send()
        .await
        .unwrap();
    let part = world
        .s3_at(&base)
        .upload_part()
        .bucket(BUCKET)
        .key("k")
        .upload_id(created.upload_id().unwrap());
    let url = part.part_number(1).content_length(5);
    let url = url
        .presigned(PresigningConfig::expires_in(HOUR).unwrap())
        .await
        .unwrap();
    assert_eq!(
        status_of(Client::new().put(url.uri()).body("123456")).await,
        StatusCode::FORBIDDEN
    );
    let put = Client::new().put(url.uri()).body("12345").send().await.unwrap();
    assert_eq!(put.headers()["etag"], "\"827ccb0eea8a706c4c34a16891f84e7b\"");
}

/// Says when a request's handler is gone, whether it has answered or not.
struct Gone(mpsc::UnboundedSender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn observed(router: Router) -> (Router, mpsc::UnboundedReceiver<()>) {
    let (sender, gone) = mpsc::unbounded_channel();
    let watch = middleware::from_fn(move |request: Request, next: Next| {
        let guard = Gone(sender.clone());
        async move {
            let _guard = guard;
            next.run(request).await
        }
    });
    (router.layer(watch), gone)
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let world = World::new().await;
    let (router, mut gone) = observed(world.cloud.s3());
    let base = serve(router).await;
    let put = world
        .s3_at(&base)
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .content_length(1_000_000);
    let url = put
        .presigned(PresigningConfig::expires_in(HOUR).unwrap())
        .await
        .unwrap();
    let url = reqwest::Url::parse(url.uri()).unwrap();

    let host = format!("127.0.0.1:{}", url.port().unwrap());
    let mut socket = tokio::net::TcpStream::connect(&host).await.unwrap();
    let path = format!("{}?{}", url.path(), url.query().unwrap());
    let head = format!("PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![7; 600_000]).await.unwrap();
    drop(socket);

    gone.recv().await.unwrap();
    assert!(!world.exists("k").await);
    assert_eq!(world.blobs(), 0);
}

/// As most clients do: everything is sent before a word of the answer is read.
#[tokio::test]
async fn who_sends_everything_first_still_reads_why_it_was_refused() {
    use tokio::io::AsyncReadExt as _;
    const SIZE: usize = 16 << 20;
    let world = World::new().await;
    let base = serve(world.cloud.s3()).await;
    let mut socket = tokio::net::TcpStream::connect(base.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let head = format!("PUT /{BUCKET}/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {SIZE}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![0; SIZE]).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(!world.exists("k").await);
}

#[tokio::test]
async fn a_url_is_for_one_method_and_with_every_header_it_names() {
    let world = World::new().await;
    let base = serve(world.cloud.s3()).await;
    let url = upload_url(&world, &base, PresigningConfig::expires_in(HOUR).unwrap()).await;
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST] {
        let request = Client::new().request(method.clone(), url.uri()).body("12345");
        let request = request.header("content-type", "video/mp4").header("if-none-match", "*");
        assert_eq!(status_of(request).await, StatusCode::FORBIDDEN, "{method}");
    }
    let without_condition = Client::new().put(url.uri()).header("content-type", "video/mp4");
    assert_eq!(status_of(without_condition.body("12345")).await, StatusCode::FORBIDDEN);
    let without_type = Client::new().put(url.uri()).header("if-none-match", "*");
    assert_eq!(status_of(without_type.body("12345")).await, StatusCode::FORBIDDEN);
    let uri = url.uri().replace("X-Amz-Expires=3600", "X-Amz-Expires=360000");
    assert_ne!(uri, url.uri());
    let longer = Client::new().put(uri).header("content-type", "video/mp4");
    let longer = longer.header("if-none-match", "*").body("12345");
    assert_eq!(status_of(longer).await, StatusCode::FORBIDDEN);
    assert!(!world.exists("in/clip").await);
    assert_eq!(world.blobs(), 0);
}
