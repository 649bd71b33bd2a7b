//! Keys that other things than a store of objects stumble over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{Delete, EncodingType, ObjectIdentifier};
use percent_encoding::percent_decode_str;

use crate::support::{BUCKET, World, code, serve, status};

/// Each of them is a key of its own, though some of them mean the same to a file system or to who writes URLs.
fn odd_keys() -> Vec<String> {
    let odd = [
        ".",
        "..",
        "../evil",
        "../../evil",
        "a/../b",
        "a/./b",
        "a//b",
        "/a",
        "//a",
        "a/",
        "a",
        "b",
        " a",
        "a b",
        "a+b",
        "a%20b",
        "a%2Fb",
        "%2e%2e/evil",
        "a?b",
        "a#b",
        "a&b=c",
        "a\\..\\b",
        "a:b",
        "a;b",
        "a\"b",
        "a'b",
        "<a>",
        "*",
        "ключ",
        "鍵/🎬",
        "e\u{301}",
        "\u{e9}",
        "\u{202e}a",
        "\u{feff}a",
        "a\tb",
        "a\nb",
        "\u{7f}",
        "con",
        "-rf",
        "~",
        "blobs/00/x",
        "cloud.sqlite",
    ];
    let longest = ["k".repeat(1024), "ключ".repeat(128)];
    odd.into_iter().map(str::to_owned).chain(longest).collect()
}

/// Every file below, without the databases' own.
fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                BTreeSet::from([path])
            }
        })
        .filter(|path| !path.to_string_lossy().contains(".sqlite-"))
        .collect()
}

async fn listed(world: &World) -> Vec<String> {
    let list = world.s3.list_objects_v2().bucket(BUCKET).max_keys(7);
    let mut pages = list.encoding_type(EncodingType::Url).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        let names = page.contents().iter().map(|object| object.key().unwrap());
        keys.extend(names.map(|name| percent_decode_str(name).decode_utf8().unwrap().into_owned()));
    }
    keys
}

#[tokio::test]
async fn every_key_is_one_of_its_own_and_none_leads_anywhere() {
    let world = World::new().await;
    let before = files(world.directory());
    let mut keys = odd_keys();
    for key in &keys {
        world.put(key, key.as_bytes().to_vec()).await;
    }
    for key in &keys {
        assert_eq!(world.get(key).await, key.as_bytes(), "{key:?}");
        assert!(world.exists(key).await, "{key:?}");
    }
    assert_eq!(files(world.directory()).difference(&before).count(), keys.len());
    assert_eq!(world.blobs(), keys.len(), "a file elsewhere than among the blobs");
    keys.sort();
    assert_eq!(listed(&world).await, keys);
    for key in &keys {
        world.s3.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
        assert!(!world.exists(key).await, "{key:?}");
    }
    assert_eq!(listed(&world).await, [""; 0]);
    world.cloud.sweep().await.unwrap();
    assert_eq!(files(world.directory()), before);
}

#[tokio::test]
async fn odd_keys_can_be_signed_copied_and_deleted_together() {
    let world = World::new().await;
    let base = serve(world.cloud.s3()).await;
    let signer = world.s3_at(&base);
    let in_xml = |key: &String| !key.contains(char::is_control);
    // A client of HTTP takes dots and doubled slashes out of a path before it is sent.
    let in_a_url = |key: &String| !key.split('/').any(|part| [".", ".."].contains(&part)) && !key.contains("%2e");
    let keys: Vec<String> = odd_keys().into_iter().filter(in_xml).collect();
    let hour = || PresigningConfig::expires_in(Duration::from_hours(1)).unwrap();
    for key in &keys {
        world.put(key, key.as_bytes().to_vec()).await;
        if in_a_url(key) {
            let link = signer
                .get_object()
                .bucket(BUCKET)
                .key(key)
                .presigned(hour())
                .await
                .unwrap();
            let got = reqwest::get(link.uri()).await.unwrap();
            assert_eq!(got.status(), 200, "{key:?}");
            assert_eq!(got.bytes().await.unwrap(), key.as_bytes());
        }
        let from = percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC);
        let copy = world.s3.copy_object().bucket(BUCKET).key("copy");
        copy.copy_source(format!("{BUCKET}/{from}")).send().await.unwrap();
        assert_eq!(world.get("copy").await, key.as_bytes(), "{key:?}");
    }
    let all = keys.iter().map(String::as_str).chain(["copy"]);
    let all = all.map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let all = Delete::builder().set_objects(Some(all.collect())).build().unwrap();
    let deleted = world
        .s3
        .delete_objects()
        .bucket(BUCKET)
        .delete(all)
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.deleted().len(), keys.len() + 1);
    assert_eq!(listed(&world).await, [""; 0]);
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused() {
    let world = World::new().await;
    for key in ["k".repeat(1025), "ключ".repeat(129)] {
        let put = world
            .s3
            .put_object()
            .bucket(BUCKET)
            .key(&key)
            .body(b"x".to_vec().into());
        let refused = put.send().await.unwrap_err();
        assert_eq!((status(&refused), code(&refused)), (400, "KeyTooLongError".to_owned()));
        let begin = world.s3.create_multipart_upload().bucket(BUCKET).key(&key);
        assert_eq!(status(&begin.send().await.unwrap_err()), 400);
    }
    assert_eq!(world.blobs(), 0);
}

/// As on AWS. Only an encoded listing can carry it.
#[tokio::test]
async fn a_key_with_a_nul_is_never_cut() {
    let world = World::new().await;
    world.put("a\0b", b"x".to_vec()).await;
    assert_eq!(world.get("a\0b").await, b"x");
    assert_eq!(listed(&world).await, ["a\0b"]);
    assert!(!world.exists("a").await);
}
