//! A clip from its upload to its end.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_catalog::ledger::State;
use toktik_events::Function;

use crate::account::{Account, on_target};
use crate::client::{send, signed};
use crate::clips::{clip, frames, play, tiny_clip};
use crate::running::{PATIENCE, until};
use crate::site::Site;

const PART: usize = 5 << 20;

impl Site {
    async fn announce(&self, token: &str, size: usize) -> Value {
        let body = json!({"title": "A", "filename": "a.mp4", "size": size, "content_type": "video/mp4"});
        let created = self.front.call(Method::POST, "/api/v1/videos", Some(token), Some(body));
        created.await.expect(StatusCode::CREATED)
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> crate::client::Answer {
        self.front.call(Method::POST, path, Some(token), Some(body)).await
    }

    async fn delete(&self, token: &str, id: &str) {
        let path = format!("/api/v1/videos/{id}");
        let deleted = self.front.call(Method::DELETE, &path, Some(token), None).await;
        deleted.expect(StatusCode::NO_CONTENT);
    }
}

async fn until_nothing_is_left(account: &Account) {
    until("its objects are gone", PATIENCE, async || {
        account.keys("").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_goes_from_upload_to_playback_and_away() {
    on_target("a_clip_goes_from_upload_to_playback_and_away", async |account, _| {
        let site = Site::open(account).await;
        let token = site.front.token().await;
        let id = site.front.upload(&token, clip(account.directory.path(), 2)).await;
        let video = site.front.until_ready(&id).await;
        assert_eq!(video["warnings"], json!([]));
        let playlist = video["urls"]["playlist"].as_str().unwrap();
        play(playlist).await;
        assert_eq!(frames(playlist).await, 60);
        for name in ["poster.jpg", "audio.mp3", "download.mp4"] {
            let there = site.front.get(&format!("/api/v1/videos/{id}/{name}")).await;
            let file = send(crate::client::client().get(there.header("location"))).await;
            assert_eq!((file.status, file.body.is_empty()), (StatusCode::OK, false), "{name}");
        }
        assert_eq!(account.keys("uploads/").await, [""; 0], "the original is still there");

        site.delete(&token, &id).await;
        assert_eq!(
            site.front.get(&format!("/api/v1/videos/{id}")).await.status,
            StatusCode::NOT_FOUND
        );
        until_nothing_is_left(account).await;
        site.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_is_all_that_a_browser_needs() {
    on_target("one_address_is_all_that_a_browser_needs", async |account, record| {
        let Some(store) = account.store() else {
            record.does_not_apply("has an address for each bucket, which browsers reach by themselves");
            return;
        };
        let site = Site::in_front_of(account, &store).await;
        let token = site.front.token().await;
        let bytes = tiny_clip(account.directory.path());
        let created = site.announce(&token, bytes.len()).await;
        let url = created["upload"]["url"].as_str().unwrap();
        assert!(url.starts_with(&site.front.base), "{url} leads past the gateway");
        send(signed(&created["upload"], bytes)).await.expect(StatusCode::OK);
        let id = created["video"]["id"].as_str().unwrap();
        let complete = format!("/api/v1/videos/{id}/upload/complete");
        let done = site.post(&token, &complete, json!({})).await;
        done.expect(StatusCode::ACCEPTED);
        let video = site.front.until_ready(id).await;
        play(video["urls"]["playlist"].as_str().unwrap()).await;
        site.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_word_alone_starts_processing() {
    on_target("the_stores_word_alone_starts_processing", async |account, _| {
        let site = Site::open(account).await;
        let token = site.front.token().await;
        let bytes = tiny_clip(account.directory.path());
        let created = site.announce(&token, bytes.len()).await;
        send(signed(&created["upload"], bytes)).await.expect(StatusCode::OK);
        // Nobody calls `complete`.
        let path = format!("/api/v1/videos/{}", created["video"]["id"].as_str().unwrap());
        until("the store has told probe", PATIENCE, async || {
            let video = site
                .front
                .call(Method::GET, &path, Some(&token), None)
                .await
                .expect(StatusCode::OK);
            (video["status"] == "ready").then_some(())
        })
        .await;
        site.close().await;
    })
    .await;
}

/// A clip, and a box that players skip, so that it takes two parts.
fn large_clip(account: &Account) -> Vec<u8> {
    let mut bytes = tiny_clip(account.directory.path());
    let padding = u32::try_from(PART + 1_000_000).unwrap();
    bytes.extend(padding.to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() - 8 + padding as usize, 0);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_goes_on_where_it_broke_off() {
    on_target("an_upload_in_parts_goes_on_where_it_broke_off", async |account, _| {
        let site = Site::open(account).await;
        let token = site.front.token().await;
        let bytes = large_clip(account);
        let created = site.announce(&token, bytes.len()).await;
        assert_eq!(created["upload"]["kind"], "multipart");
        let id = created["video"]["id"].as_str().unwrap();
        let path = format!("/api/v1/videos/{id}/upload");
        let send_part = async |number: usize| {
            let numbers = json!({ "part_numbers": [number] });
            let signed_parts = site.post(&token, &format!("{path}/parts"), numbers).await;
            let part = signed_parts.expect(StatusCode::OK)["parts"][0].take();
            let bytes = bytes.chunks(PART).nth(number - 1).unwrap().to_vec();
            send(signed(&part, bytes)).await.expect(StatusCode::OK);
        };
        send_part(2).await;
        let early = site.post(&token, &format!("{path}/complete"), json!({})).await;
        early.problem(409, "upload_incomplete");

        // Whoever comes back asks what has arrived.
        let parts = format!("{path}/parts");
        let asked = site.front.call(Method::GET, &parts, Some(&token), None);
        let arrived = asked.await.expect(StatusCode::OK);
        let part = &arrived["parts"][0];
        assert_eq!(
            (&part["part_number"], &part["size"]),
            (&json!(2), &json!(bytes.len() - PART))
        );
        assert_eq!(arrived["parts"].as_array().unwrap().len(), 1);
        send_part(1).await;
        let done = site.post(&token, &format!("{path}/complete"), json!({})).await;
        done.expect(StatusCode::ACCEPTED);
        site.front.until_ready(id).await;
        let open = account.clients.s3.list_multipart_uploads().bucket(&account.prefix);
        assert_eq!(open.send().await.unwrap().uploads().len(), 0);
        site.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_deleted_half_way_leaves_nothing() {
    on_target("a_clip_deleted_half_way_leaves_nothing", async |account, _| {
        let site = Site::without(account, &[Function::Transcode]).await;
        let token = site.front.token().await;
        let id = site.front.upload(&token, clip(account.directory.path(), 2)).await;
        let (catalog, video) = (account.catalog(), id.parse().unwrap());
        // Whoever still wrote would need the janitor's schedule, which nobody keeps here.
        for step in ["audio", "thumbnail"] {
            until("what others make is made", PATIENCE, async || {
                let item = catalog.step(video, 1, step, "").await.unwrap();
                item.filter(|item| item.state == State::Done)
            })
            .await;
        }
        assert!(!account.keys(&format!("videos/{id}/")).await.is_empty());
        site.delete(&token, &id).await;
        until_nothing_is_left(account).await;
        site.close().await;
    })
    .await;
}
