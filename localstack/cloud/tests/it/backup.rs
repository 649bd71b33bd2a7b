//! A data directory copied while it is in use.

use std::fs::File;
use std::path::Path;

use tempfile::TempDir;
use tokio::sync::watch;
use toktik_cloud::{Clock, Cloud, RESTORING, WritePoints};

use crate::support::{BUCKET, World, options};
use crate::table;

/// So many rounds of the writer exist at any time.
const WINDOW: u32 = 8;

/// Copies as `toktik backup` does, from a thread of its own.
async fn backup(world: &World) -> TempDir {
    let (from, to) = (world.directory().to_owned(), tempfile::tempdir().unwrap());
    let destination = to.path().to_owned();
    tokio::task::spawn_blocking(move || toktik_cloud::backup::copy(&from, &destination))
        .await
        .unwrap()
        .unwrap();
    to
}

async fn opened(directory: TempDir) -> World {
    World::over(directory, WritePoints::default()).await
}

#[tokio::test]
async fn a_copy_has_everything_and_only_what_is_there() {
    let world = World::new().await;
    world.put("kept", b"kept bytes".to_vec()).await;
    world.put("gone", b"deleted bytes".to_vec()).await;
    world.put("replaced", b"the first bytes".to_vec()).await;
    world.put("replaced", b"the second bytes".to_vec()).await;
    world
        .s3
        .delete_object()
        .bucket(BUCKET)
        .key("gone")
        .send()
        .await
        .unwrap();
    let queue = world.queue("work").await;
    let send = world.sqs.send_message().queue_url(&queue).message_body("to do");
    send.send().await.unwrap();
    table::create(&world).await;
    table::put(&world, "a", "b").await;
    let upload = world.s3.create_multipart_upload().bucket(BUCKET).key("parts");
    let upload = upload.send().await.unwrap().upload_id.unwrap();
    let part = world.s3.upload_part().bucket(BUCKET).key("parts").upload_id(&upload);
    part.part_number(1)
        .body(b"a part".to_vec().into())
        .send()
        .await
        .unwrap();

    let copied = backup(&world).await;
    for name in ["cloud.sqlite-wal", "dynamodb.sqlite-wal", "lock"] {
        assert!(!copied.path().join(name).exists(), "{name}");
    }
    assert!(!holds(copied.path(), b"gone"), "a deleted key");
    assert!(!holds(copied.path(), b"deleted bytes") && !holds(copied.path(), b"the first bytes"));
    let copy = opened(copied).await;
    assert_eq!(copy.blobs(), 3);
    assert_eq!(copy.get("kept").await, b"kept bytes");
    assert_eq!(copy.get("replaced").await, b"the second bytes");
    assert!(!copy.exists("gone").await);
    assert_eq!(copy.receive(&queue).await[0].body(), Some("to do"));
    assert_eq!(table::get(&copy, "a").await.as_deref(), Some("b"));
    let parts = copy.s3.list_parts().bucket(BUCKET).key("parts").upload_id(upload);
    assert_eq!(parts.send().await.unwrap().parts()[0].size(), Some(6));
}

/// Whether any file has these bytes in it.
fn holds(directory: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, wanted);
        }
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

/// A writer that always puts an object before the item that names it, and removes the item first: whatever instant is
/// copied, each item has its object, and at most one object has no item. Writes while somebody looks at its rounds.
async fn write_rounds(world: &World, rounds: watch::Sender<u32>) {
    while !rounds.is_closed() {
        let round = *rounds.borrow();
        world.put(&format!("{round}"), vec![7; 1000]).await;
        table::put(world, &format!("{round}"), "named").await;
        if let Some(old) = round.checked_sub(WINDOW) {
            table::delete(world, &format!("{old}")).await;
            let key = format!("{old}");
            world.s3.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
            world.cloud.sweep().await.unwrap();
        }
        rounds.send_modify(|round| *round += 1);
    }
}

/// Copies while things come and go, and never the same state twice.
async fn copy_often(world: &World, mut rounds: watch::Receiver<u32>) -> Vec<TempDir> {
    let mut copies = Vec::new();
    let mut copied = WINDOW;
    for _ in 0..12 {
        // A round that was under way counts for nothing.
        rounds.wait_for(|round| *round > copied + 1).await.unwrap();
        copies.push(backup(world).await);
        copied = *rounds.borrow_and_update();
    }
    copies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_and_items_are_copied_as_of_the_same_instant() {
    let world = World::new().await;
    table::create(&world).await;
    let (writing, rounds) = watch::channel(0);
    let ((), copies) = tokio::join!(write_rounds(&world, writing), copy_often(&world, rounds));
    let mut before = Vec::new();
    for copied in copies {
        let copy = opened(copied).await;
        let listed = copy.s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        let objects: Vec<&str> = listed.contents().iter().map(|object| object.key().unwrap()).collect();
        let items = table::keys(&copy).await;
        for item in &items {
            assert!(
                objects.contains(&item.as_str()),
                "{item} is named but not in {objects:?}"
            );
            assert_eq!(copy.get(item).await, vec![7; 1000]);
        }
        assert!(objects.len() <= items.len() + 1, "{objects:?}, {items:?}");
        assert_eq!(copy.blobs(), objects.len());
        assert_ne!(items, before, "two copies of one state");
        before = items;
    }
}

#[tokio::test]
async fn nothing_is_removed_while_somebody_copies() {
    let world = World::new().await;
    world.put("k", b"first".to_vec()).await;
    world.put("k", b"second".to_vec()).await;
    let lock = File::open(world.directory().join("backup.lock")).unwrap();
    lock.lock_shared().unwrap();
    assert_eq!(world.cloud.sweep().await.unwrap().blobs, 0);
    let world = world.reopened().await;
    assert_eq!(world.blobs(), 2, "a start during a backup");
    lock.unlock().unwrap();
    let world = world.reopened().await;
    assert_eq!(world.blobs(), 1);
    assert_eq!(world.get("k").await, b"second");
}

#[tokio::test]
async fn damage_is_not_copied_as_if_it_were_whole() {
    let world = World::new().await;
    world.put("k", b"whole".to_vec()).await;
    let to = tempfile::tempdir().unwrap();
    let blob = world.blob_files().pop().unwrap();
    std::fs::write(&blob, "wh").unwrap();
    let error = toktik_cloud::backup::copy(world.directory(), to.path()).unwrap_err();
    assert!(format!("{error:#}").contains("2 bytes instead of 5"), "{error:#}");
    std::fs::remove_file(&blob).unwrap();
    let to = tempfile::tempdir().unwrap();
    let error = toktik_cloud::backup::copy(world.directory(), to.path()).unwrap_err();
    let name = blob.file_name().unwrap().to_str().unwrap();
    assert!(format!("{error:#}").contains(name), "{error:#}");
}

#[tokio::test]
async fn an_empty_directory_is_nothing_to_copy() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let error = toktik_cloud::backup::copy(from.path(), to.path()).unwrap_err();
    assert!(error.to_string().contains("nothing of Toktik"), "{error}");
    assert_eq!(std::fs::read_dir(from.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_directory_that_is_half_restored_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(RESTORING)).unwrap();
    let opened = Cloud::open_at(options(directory.path()), Clock::default()).await;
    let error = opened.err().unwrap();
    assert!(format!("{error:#}").contains("restoring a backup"), "{error:#}");
    assert!(!directory.path().join("cloud.sqlite").exists());
}
