//! A clip deleted at each of its stages: gone for everybody at once, and later altogether.

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Begin, Lease, OVERVIEW};
use toktik_catalog::videos::Trouble;
use toktik_events::{Function, Message, Payload};
use toktik_runtime::step;

use crate::client::{send, signed};
use crate::clips::tiny_clip;
use crate::harness::{House, User};

/// After this nothing can write for a deleted clip any more.
const QUIET: TimeDelta = TimeDelta::hours(4);
const TO_PLAY: [Function; 3] = [Function::Probe, Function::Transcode, Function::Package];
/// All that anybody could ask for.
const FACES: [&str; 10] = [
    "",
    "/playlist.m3u8",
    "/playlists/120p.m3u8",
    "/playlists/audio.m3u8",
    "/poster.jpg",
    "/poster.webp",
    "/storyboard.vtt",
    "/preview.webp",
    "/audio.mp3",
    "/download.mp4",
];

/// A clip at one of its stages, and everybody who has to do with it.
struct Scene {
    house: House,
    ada: User,
    bob: User,
    id: String,
}

impl Scene {
    async fn open() -> Self {
        // The original is kept, so that deleting has to remove it.
        let house = House::with(&["--keep-source", "forever"]).await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let id = String::new();
        Self { house, ada, bob, id }
    }

    async fn uploaded() -> Self {
        let mut scene = Self::open().await;
        let bytes = tiny_clip(scene.house.directory());
        scene.id = scene.house.upload(&scene.ada, bytes).await;
        scene
    }

    async fn after(functions: &[Function]) -> Self {
        let scene = Self::uploaded().await;
        for function in functions {
            let worker = scene.house.worker(*function);
            worker.drain(&CancellationToken::new()).await.unwrap();
        }
        scene
    }

    async fn is(&self, status: &str) {
        assert_eq!(self.house.video(&self.id, Some(&self.ada)).await["status"], status);
    }

    /// Somebody is at this step, and has written something already.
    async fn running(&self, function: Function, unit: &str) -> Lease {
        let (id, step, now) = (self.id.parse().unwrap(), function.name(), self.house.now());
        let begun = self.house.context.catalog.begin(id, 1, step, unit, now).await.unwrap();
        let Begin::Started(lease) = begun else {
            panic!("{begun:?}")
        };
        self.write(&lease, "early").await;
        lease
    }

    async fn write(&self, lease: &Lease, name: &str) {
        let key = format!("{}{name}", step::prefix(lease));
        let put = self
            .house
            .context
            .objects
            .put(&key, b"half".to_vec().into(), "video/mp4");
        put.await.unwrap();
    }

    /// What people have left at a clip that can be watched, and a link to it.
    async fn beloved(&self) -> String {
        let path = format!("/videos/{}", self.id);
        let (likes, views) = (format!("{path}/like"), format!("{path}/views"));
        for user in [&self.ada, &self.bob] {
            let like = self.house.call(Method::PUT, &likes, Some(user), None);
            like.await.expect(StatusCode::NO_CONTENT);
        }
        for viewer in [None, Some(&self.bob)] {
            let view = self.house.post(&views, viewer, json!({}));
            view.await.expect(StatusCode::NO_CONTENT);
        }
        self.ranked().await;
        let link = self
            .house
            .post(&format!("{path}/links"), Some(&self.ada), json!({}))
            .await;
        link.expect(StatusCode::OK)["url"].as_str().unwrap().to_owned()
    }

    /// A round of the janitor, and of nobody else.
    async fn ranked(&self) {
        let tick = Message::new(Function::Janitor, self.house.now(), Payload::Tick);
        self.house.context.publisher.publish(&tick).await.unwrap();
        let janitor = self.house.worker(Function::Janitor);
        janitor.drain(&CancellationToken::new()).await.unwrap();
        let listed = self
            .house
            .get("/videos?sort=popular", None)
            .await
            .expect(StatusCode::OK);
        assert_eq!(listed["items"][0]["id"], self.id);
    }

    async fn delete(&self) {
        let path = format!("/videos/{}", self.id);
        let deleted = self.house.call(Method::DELETE, &path, Some(&self.ada), None).await;
        deleted.expect(StatusCode::NO_CONTENT);
        self.is_unseen(None).await;
    }

    /// Nobody finds anything any more, by whichever way they came.
    async fn is_unseen(&self, link: Option<&str>) {
        for viewer in [None, Some(&self.bob), Some(&self.ada)] {
            for face in FACES {
                let answer = self.house.get(&format!("/videos/{}{face}", self.id), viewer).await;
                answer.problem(404, "not_found");
            }
        }
        if let Some(link) = link {
            let followed = send(self.house.request(Method::GET, link)).await;
            followed.problem(404, "not_found");
            let query = link.split_once('?').unwrap().1;
            let poster = self
                .house
                .get(&format!("/videos/{}/poster.jpg?{query}", self.id), None)
                .await;
            poster.problem(404, "not_found");
        }
        for (list, viewer) in [
            ("/videos", None),
            ("/videos?sort=popular", None),
            ("/videos?channel=ada", Some(&self.bob)),
            ("/me/videos", Some(&self.ada)),
        ] {
            let listed = self.house.get(list, viewer).await.expect(StatusCode::OK);
            assert_eq!(listed, json!({"items": [], "next_cursor": null}), "{list}");
        }
    }

    /// Whoever was at it when it was deleted has lost it, and finds out at the next renewal.
    async fn is_lost(&self, lease: &Lease) {
        let (catalog, now) = (&self.house.context.catalog, self.house.now());
        assert!(!catalog.renew(lease, 0.5, now).await.unwrap());
        assert!(!catalog.finish(lease, &Value::Null).await.unwrap());
        // What it was writing just then arrives after the sweep.
        self.write(lease, "late").await;
    }

    /// After the last sweep there is a tombstone, and no word of the clip anywhere else.
    async fn is_gone(&self) {
        let house = &self.house;
        house.drain().await;
        house.advance(QUIET);
        house.cloud.release_in_flight().await.unwrap();
        house.drain().await;
        house.sweep().await;
        let stored = house.stored().await;
        let left: Vec<&str> = stored.lines().filter(|line| line.contains(&self.id)).collect();
        assert_eq!(left.len(), 1, "{left:#?}");
        assert!(
            left[0].contains("S(\"META\")") && left[0].contains("expires_at"),
            "{left:?}"
        );
        assert!(!left[0].contains("gsi1pk"), "{left:?}");
        for kind in ["WORK#", "OUTBOX#", "POPULAR", "LIKE#", "VIEW#", "META#COUNT#"] {
            assert!(!stored.contains(&format!("S(\"{kind}")), "{kind}: {stored}");
        }
        assert_eq!(house.objects().await, [""; 0]);
        let uploads = house.cloud.s3_client().list_multipart_uploads().bucket("toktik");
        assert_eq!(uploads.send().await.unwrap().uploads().len(), 0);
        assert_eq!(house.messages().await, 0);
        house.sweep().await;
        assert_eq!(house.stored().await, stored, "the last sweep was not the last");
    }

    /// Deleted while somebody is at this step.
    async fn deleted_during(&self, function: Function, unit: &str) {
        let lease = self.running(function, unit).await;
        self.delete().await;
        self.house.drain().await;
        self.is_lost(&lease).await;
        self.is_gone().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_its_bytes_come_and_when_they_come_all_the_same() {
    let mut scene = Scene::open().await;
    let created = scene.house.announce(&scene.ada, 4).await;
    created["video"]["id"].as_str().unwrap().clone_into(&mut scene.id);
    scene.is("uploading").await;
    scene.delete().await;
    scene.house.drain().await;
    // The URL is still good.
    let late = send(signed(&created["upload"], b"late".to_vec())).await;
    assert_eq!(late.status, StatusCode::OK);
    scene.is_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_its_bytes_are_there_and_nobody_has_heard() {
    let mut scene = Scene::open().await;
    let created = scene.house.announce(&scene.ada, 4).await;
    created["video"]["id"].as_str().unwrap().clone_into(&mut scene.id);
    let sent = send(signed(&created["upload"], b"junk".to_vec())).await;
    assert_eq!(sent.status, StatusCode::OK);
    scene.is("uploading").await;
    scene.delete().await;
    scene.is_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_and_while_it_is_probed() {
    let scene = Scene::uploaded().await;
    scene.is("processing").await;
    scene.delete().await;
    scene.is_gone().await;
    let scene = Scene::uploaded().await;
    scene.deleted_during(Function::Probe, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_sound_is_made() {
    let scene = Scene::after(&[Function::Probe]).await;
    scene.deleted_during(Function::Transcode, "audio").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_picture_is_made() {
    let scene = Scene::after(&[Function::Probe]).await;
    scene.deleted_during(Function::Transcode, "video-0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_poster_is_made() {
    let scene = Scene::after(&[Function::Probe]).await;
    scene.deleted_during(Function::Thumbnail, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_storyboard_is_made() {
    let scene = Scene::after(&[Function::Probe, Function::Transcode, Function::Package]).await;
    scene.deleted_during(Function::Thumbnail, OVERVIEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_mp3_is_made_though_it_can_be_watched() {
    let scene = Scene::after(&TO_PLAY).await;
    scene.is("playable").await;
    let link = scene.beloved().await;
    let lease = scene.running(Function::Audio, "").await;
    scene.delete().await;
    scene.is_unseen(Some(&link)).await;
    scene.house.drain().await;
    scene.is_lost(&lease).await;
    scene.is_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_put_together() {
    let scene = Scene::after(&TO_PLAY).await;
    for function in [Function::Thumbnail, Function::Audio] {
        let worker = scene.house.worker(function);
        worker.drain(&CancellationToken::new()).await.unwrap();
    }
    scene.is("playable").await;
    scene.deleted_during(Function::Package, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_it_is_ready() {
    let scene = Scene::after(&[]).await;
    scene.house.drain().await;
    scene.is("ready").await;
    let link = scene.beloved().await;
    let played = send(scene.house.request(Method::GET, &link)).await;
    assert_eq!(played.status, StatusCode::OK);
    scene.delete().await;
    scene.is_unseen(Some(&link)).await;
    scene.is_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_it_was_refused() {
    let mut scene = Scene::open().await;
    scene.id = scene.house.publish(&scene.ada, b"junk".to_vec()).await;
    scene.is("rejected").await;
    scene.delete().await;
    scene.is_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_it_has_failed_and_when_it_is_tried_again() {
    for again in [false, true] {
        let scene = Scene::after(&TO_PLAY).await;
        let trouble = Trouble {
            code: "timed_out".into(),
            message: "out of time".into(),
            step: Some("thumbnail".into()),
        };
        let video = scene.house.kept(&scene.id).await;
        assert!(scene.house.context.catalog.fail(&video, &trouble).await.unwrap());
        scene.is("failed").await;
        if again {
            let path = format!("/videos/{}/retry", scene.id);
            let retried = scene.house.call(Method::POST, &path, Some(&scene.ada), None).await;
            retried.expect(StatusCode::ACCEPTED);
        }
        scene.delete().await;
        scene.is_gone().await;
    }
}
