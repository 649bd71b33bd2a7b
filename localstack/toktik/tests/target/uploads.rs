//! What a signed URL takes.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_events::Function;

use crate::account::{Account, on_target};
use crate::client::{Answer, client, send, signed};
use crate::site::Site;

async fn announced(site: &Site, size: usize) -> Value {
    let token = site.front.token().await;
    let body = json!({"title": "A", "filename": "a.mp4", "size": size, "content_type": "video/mp4"});
    let created = site
        .front
        .call(Method::POST, "/api/v1/videos", Some(&token), Some(body));
    created.await.expect(StatusCode::CREATED)["upload"].take()
}

/// Nobody is to take the bytes away while they are looked at.
async fn quiet(account: &Account) -> Site {
    Site::without(account, &[Function::Probe, Function::Janitor]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_takes_exactly_what_was_announced() {
    on_target("a_url_takes_exactly_what_was_announced", async |account, _| {
        let site = quiet(account).await;
        let upload = announced(&site, 4).await;
        let put = |upload: &Value, bytes: &[u8]| send(signed(upload, bytes.to_vec()));
        let refused = |answer: Answer| assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut other = upload.clone();
            change(&mut other);
            assert_ne!(other, upload);
            other
        };
        let in_url = |from: &'static str, to: &'static str| {
            changed(&|upload| upload["url"] = json!(upload["url"].as_str().unwrap().replace(from, to)))
        };

        refused(put(&upload, b"12345").await);
        refused(put(&upload, b"123").await);
        let html = changed(&|upload| upload["headers"]["content-type"] = json!("text/html"));
        refused(put(&html, b"1234").await);
        let overwriting = changed(&|upload| drop(upload["headers"].as_object_mut().unwrap().remove("if-none-match")));
        refused(put(&overwriting, b"1234").await);
        refused(put(&in_url("/uploads/", "/videos/"), b"1234").await);
        refused(put(&in_url("X-Amz-Expires=3600", "X-Amz-Expires=9999"), b"1234").await);
        refused(send(client().get(upload["url"].as_str().unwrap())).await);
        assert_eq!(account.keys("").await, [""; 0], "something refused was written");

        put(&upload, b"1234").await.expect(StatusCode::OK);
        assert_eq!(account.keys("uploads/").await.len(), 1);
        site.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_was_used_overwrites_nothing() {
    on_target("a_url_that_was_used_overwrites_nothing", async |account, _| {
        let site = quiet(account).await;
        let upload = announced(&site, 4).await;
        send(signed(&upload, b"1234".to_vec())).await.expect(StatusCode::OK);
        let again = send(signed(&upload, b"abcd".to_vec())).await;
        assert_eq!(again.status, StatusCode::PRECONDITION_FAILED, "{again:?}");
        let key = &account.keys("uploads/").await[0];
        let object = account.clients.s3.get_object().bucket(&account.prefix).key(key);
        let bytes = object.send().await.unwrap().body.collect().await.unwrap().into_bytes();
        assert_eq!(&bytes[..], b"1234");
        site.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_has_run_out_opens_nothing() {
    on_target("a_url_that_has_run_out_opens_nothing", async |account, _| {
        account.provisioned().await;
        let hour = Duration::from_hours(1);
        let signed_at = |time| {
            PresigningConfig::builder()
                .start_time(time)
                .expires_in(hour)
                .build()
                .unwrap()
        };
        let put = async |time| {
            let request = account.clients.s3.put_object().bucket(&account.prefix).key("uploads/x");
            let url = request.presigned(signed_at(time)).await.unwrap().uri().to_owned();
            send(client().put(&url).body("1234")).await.status
        };
        let now = SystemTime::now();
        assert_eq!(put(now - 2 * hour).await, StatusCode::FORBIDDEN);
        assert_eq!(account.keys("").await, [""; 0]);
        assert_eq!(put(now).await, StatusCode::OK);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_any_origin_may_upload() {
    on_target("a_page_of_any_origin_may_upload", async |account, _| {
        account.provisioned().await;
        let config = PresigningConfig::expires_in(Duration::from_mins(5)).unwrap();
        let request = account.clients.s3.put_object().bucket(&account.prefix).key("uploads/x");
        let url = request.presigned(config).await.unwrap().uri().to_owned();
        let origin = "https://clips.example.com";
        let preflight = client()
            .request(Method::OPTIONS, &url)
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "content-type,if-none-match");
        let answer = send(preflight).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let allowed = answer.header("access-control-allow-origin");
        assert!(["*", origin].contains(&allowed), "{answer:?}");
        let put = client().put(&url).header("origin", origin).body("1234");
        let answer = send(put).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        // Without it a page could not complete an upload in parts.
        let exposed = answer.header("access-control-expose-headers").to_lowercase();
        assert!(exposed == "*" || exposed.contains("etag"), "{answer:?}");
    })
    .await;
}
