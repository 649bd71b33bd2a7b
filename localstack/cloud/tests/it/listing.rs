use aws_sdk_s3::types::EncodingType;

use crate::support::{BUCKET, World, code};

async fn world_with(keys: &[&str]) -> World {
    let world = World::new().await;
    for key in keys {
        world.put(key, b"x".to_vec()).await;
    }
    world
}

#[tokio::test]
async fn pages_follow_each_other_in_byte_order() {
    let world = world_with(&["b", "a", "Z", "ä", "a/1", "a0"]).await;
    let mut pages = world
        .s3
        .list_objects_v2()
        .bucket(BUCKET)
        .max_keys(2)
        .into_paginator()
        .send();
    let (mut keys, mut count) = (Vec::new(), 0);
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        count += 1;
    }
    assert_eq!(keys, ["Z", "a", "a/1", "a0", "b", "ä"]);
    assert_eq!(count, 3);
}

#[tokio::test]
async fn a_delimiter_rolls_prefixes_up_across_pages() {
    let world = world_with(&["p/a/1", "p/a/2", "p/b", "p/c/1", "p/c/2/3", "q/1"]).await;
    let list = || world.s3.list_objects_v2().bucket(BUCKET).prefix("p/").delimiter("/");
    let all = list().send().await.unwrap();
    let prefixes: Vec<_> = all
        .common_prefixes()
        .iter()
        .map(|prefix| prefix.prefix().unwrap())
        .collect();
    assert_eq!(prefixes, ["p/a/", "p/c/"]);
    assert_eq!(
        all.contents()
            .iter()
            .map(|object| object.key().unwrap())
            .collect::<Vec<_>>(),
        ["p/b"]
    );
    assert_eq!(all.key_count(), Some(3));

    let mut pages = list().max_keys(1).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        found.extend(
            page.contents()
                .iter()
                .filter_map(|object| object.key().map(str::to_owned)),
        );
        found.extend(
            page.common_prefixes()
                .iter()
                .filter_map(|prefix| prefix.prefix().map(str::to_owned)),
        );
    }
    assert_eq!(found, ["p/a/", "p/b", "p/c/"]);
}

#[tokio::test]
async fn a_listing_can_start_after_a_key() {
    let world = world_with(&["a", "b", "c"]).await;
    let page = world
        .s3
        .list_objects_v2()
        .bucket(BUCKET)
        .start_after("a")
        .send()
        .await
        .unwrap();
    assert_eq!(
        page.contents()
            .iter()
            .map(|object| object.key().unwrap())
            .collect::<Vec<_>>(),
        ["b", "c"]
    );
    let none = world
        .s3
        .list_objects_v2()
        .bucket(BUCKET)
        .max_keys(0)
        .send()
        .await
        .unwrap();
    assert_eq!((none.key_count(), none.is_truncated()), (Some(0), Some(false)));
    let bad = world
        .s3
        .list_objects_v2()
        .bucket(BUCKET)
        .continuation_token("***")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&bad), "InvalidArgument");
}

#[tokio::test]
async fn the_first_version_pages_by_marker() {
    let world = world_with(&["a/1", "a/2", "b"]).await;
    let list = || world.s3.list_objects().bucket(BUCKET).delimiter("/").max_keys(1);
    let first = list().send().await.unwrap();
    assert_eq!(first.next_marker(), Some("a/"));
    let second = list().marker("a/").send().await.unwrap();
    assert_eq!(second.contents()[0].key(), Some("b"));
    assert_eq!(second.is_truncated(), Some(false));
}

#[tokio::test]
async fn keys_that_xml_cannot_carry_are_listed_encoded() {
    let world = world_with(&["a b\u{1}/ü"]).await;
    let page = world
        .s3
        .list_objects_v2()
        .bucket(BUCKET)
        .encoding_type(EncodingType::Url)
        .send()
        .await
        .unwrap();
    assert_eq!(page.contents()[0].key(), Some("a%20b%01/%C3%BC"));
}
