use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, Delete, MetadataDirective, ObjectIdentifier};

use crate::support::{BUCKET, World, code, status};

#[tokio::test]
async fn an_object_comes_back_with_what_was_said_about_it() {
    let world = World::new().await;
    let put = world
        .s3
        .put_object()
        .bucket(BUCKET)
        .key("in/a b+ü.mp4")
        .body(ByteStream::from_static(b"hello world"));
    let put = put
        .content_type("video/mp4")
        .cache_control("max-age=60")
        .metadata("owner", "me");
    let put = put
        .content_disposition("attachment")
        .content_encoding("identity")
        .content_language("fr");
    let etag = put.send().await.unwrap().e_tag.unwrap();

    let got = world
        .s3
        .get_object()
        .bucket(BUCKET)
        .key("in/a b+ü.mp4")
        .send()
        .await
        .unwrap();
    assert_eq!(etag, "\"5eb63bbbe01eeed093cb22bb8f5acdc3\"");
    assert_eq!(got.e_tag(), Some(&*etag));
    assert_eq!(got.content_type(), Some("video/mp4"));
    assert_eq!(got.cache_control(), Some("max-age=60"));
    assert_eq!(got.content_disposition(), Some("attachment"));
    assert_eq!(got.content_encoding(), Some("identity"));
    assert_eq!(got.content_language(), Some("fr"));
    assert_eq!(got.metadata().unwrap()["owner"], "me");
    assert_eq!(got.content_length(), Some(11));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello world");

    let head = world
        .s3
        .head_object()
        .bucket(BUCKET)
        .key("in/a b+ü.mp4")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(11));
    assert_eq!(head.content_type(), Some("video/mp4"));
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let world = World::new().await;
    world.put("empty", ByteStream::from_static(b"")).await;
    assert_eq!(world.get("empty").await, b"");
}

#[tokio::test]
async fn keys_never_become_file_names() {
    let world = World::new().await;
    for key in ["../../evil", "a", "a/b", "a//b", "/abs", &"k/".repeat(500)] {
        world.put(key, ByteStream::from(key.as_bytes().to_vec())).await;
    }
    for key in ["../../evil", "a", "a/b", "a//b", "/abs", &"k/".repeat(500)] {
        assert_eq!(world.get(key).await, key.as_bytes(), "{key}");
    }
}

#[tokio::test]
async fn ranges_are_cut_out() {
    let world = World::new().await;
    world.put("k", ByteStream::from_static(b"0123456789")).await;
    for (range, content_range, bytes) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=8-99", "bytes 8-9/10", "89"),
    ] {
        let got = world
            .s3
            .get_object()
            .bucket(BUCKET)
            .key("k")
            .range(range)
            .send()
            .await
            .unwrap();
        assert_eq!(got.content_range(), Some(content_range));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), bytes.as_bytes());
    }
    let beyond = world
        .s3
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .range("bytes=10-")
        .send()
        .await
        .unwrap_err();
    assert_eq!((status(&beyond), code(&beyond)), (416, "InvalidRange".to_owned()));
}

#[tokio::test]
async fn reads_are_conditional() {
    let world = World::new().await;
    let etag = world.put("k", ByteStream::from_static(b"x")).await;
    let get = || world.s3.get_object().bucket(BUCKET).key("k");
    assert_eq!(status(&get().if_none_match(&etag).send().await.unwrap_err()), 304);
    assert_eq!(status(&get().if_match("\"other\"").send().await.unwrap_err()), 412);
    assert!(get().if_match(&etag).if_none_match("\"other\"").send().await.is_ok());

    let head = world.s3.head_object().bucket(BUCKET).key("k").send().await.unwrap();
    let modified = *head.last_modified().unwrap();
    let before = DateTime::from_secs(modified.secs() - 1);
    assert_eq!(
        status(&get().if_modified_since(modified).send().await.unwrap_err()),
        304
    );
    assert!(get().if_modified_since(before).send().await.is_ok());
    assert_eq!(
        status(&get().if_unmodified_since(before).send().await.unwrap_err()),
        412
    );
    let head = world.s3.head_object().bucket(BUCKET).key("k");
    assert_eq!(status(&head.if_none_match(&etag).send().await.unwrap_err()), 304);
}

#[tokio::test]
async fn a_reader_may_choose_the_answers_headers() {
    let world = World::new().await;
    world.put("k", ByteStream::from_static(b"x")).await;
    let get = world
        .s3
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .response_content_type("text/plain");
    let got = get
        .response_content_disposition("attachment; filename=\"a.txt\"")
        .response_cache_control("no-store");
    let got = got.send().await.unwrap();
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(got.content_disposition(), Some("attachment; filename=\"a.txt\""));
    assert_eq!(got.cache_control(), Some("no-store"));
}

#[tokio::test]
async fn writes_are_conditional() {
    let world = World::new().await;
    let put = |body| {
        world
            .s3
            .put_object()
            .bucket(BUCKET)
            .key("k")
            .body(ByteStream::from_static(body))
    };
    assert_eq!(
        code(&put(b"0").if_match("\"any\"").send().await.unwrap_err()),
        "NoSuchKey"
    );
    let etag = put(b"1").if_none_match("*").send().await.unwrap().e_tag.unwrap();
    assert_eq!(status(&put(b"2").if_none_match("*").send().await.unwrap_err()), 412);
    assert_eq!(status(&put(b"2").if_match("\"other\"").send().await.unwrap_err()), 412);
    assert_eq!(world.get("k").await, b"1");
    put(b"3").if_match(etag).send().await.unwrap();
    assert_eq!(world.get("k").await, b"3");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_first_writers_one_wins() {
    let world = World::new().await;
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..16u8 {
        let put = world.s3.put_object().bucket(BUCKET).key("race").if_none_match("*");
        writers.spawn(put.body(ByteStream::from(vec![n; 300_000])).send());
    }
    let outcomes = writers.join_all().await;
    let lost: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(lost.len(), 15);
    assert!(lost.iter().all(|error| status(error) == 412));
    assert_eq!(world.blobs(), 1);
    let body = world.get("race").await;
    assert!(body.len() == 300_000 && body.iter().all(|byte| *byte == body[0]));
}

#[tokio::test]
async fn every_checksum_is_checked_and_given_back() {
    let world = World::new().await;
    let file = world.directory().join("file");
    std::fs::write(&file, vec![7; 300_000]).unwrap();
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        let put = || {
            world
                .s3
                .put_object()
                .bucket(BUCKET)
                .key("k")
                .checksum_algorithm(algorithm.clone())
        };
        put()
            .body(ByteStream::from_static(b"hello world"))
            .send()
            .await
            .unwrap();
        assert_eq!(checksums(&world).await, 1, "{algorithm} in a header");
        assert_eq!(world.get("k").await, b"hello world");

        put()
            .body(ByteStream::from_path(&file).await.unwrap())
            .send()
            .await
            .unwrap();
        assert_eq!(checksums(&world).await, 1, "{algorithm} in a trailer");
        assert_eq!(world.get("k").await, vec![7; 300_000]);
    }
}

/// How many of them an object has.
async fn checksums(world: &World) -> usize {
    let head = world
        .s3
        .head_object()
        .bucket(BUCKET)
        .key("k")
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await;
    let head = head.unwrap();
    let crcs = [
        head.checksum_crc32(),
        head.checksum_crc32_c(),
        head.checksum_crc64_nvme(),
    ];
    crcs.into_iter()
        .chain([head.checksum_sha1(), head.checksum_sha256()])
        .flatten()
        .count()
}

#[tokio::test]
async fn a_wrong_checksum_leaves_nothing() {
    let world = World::new().await;
    let put = || {
        world
            .s3
            .put_object()
            .bucket(BUCKET)
            .key("k")
            .body(ByteStream::from_static(b"abc"))
    };
    assert_eq!(
        code(&put().checksum_crc32("AAAAAA==").send().await.unwrap_err()),
        "BadDigest"
    );
    assert_eq!(
        code(&put().content_md5("XUFAKrxLKna5cZ2REBfFkg==").send().await.unwrap_err()),
        "BadDigest"
    );
    assert!(!world.exists("k").await);
    assert_eq!(world.blobs(), 0);
    put().content_md5("kAFQmDzST7DWlj99KOF/cg==").send().await.unwrap();
    assert_eq!(world.get("k").await, b"abc");
}

#[tokio::test]
async fn a_copy_shares_the_bytes_until_both_are_gone() {
    let world = World::new().await;
    world
        .s3
        .put_object()
        .bucket(BUCKET)
        .key("from a")
        .content_type("video/mp4")
        .body(ByteStream::from_static(b"abc"))
        .send()
        .await
        .unwrap();
    let copy = || world.s3.copy_object().bucket(BUCKET).copy_source("clips/from%20a");
    copy().key("same").send().await.unwrap();
    copy()
        .key("other")
        .content_type("text/plain")
        .metadata_directive(MetadataDirective::Replace)
        .send()
        .await
        .unwrap();
    assert_eq!(world.blobs(), 1);

    world
        .s3
        .delete_object()
        .bucket(BUCKET)
        .key("from a")
        .send()
        .await
        .unwrap();
    assert_eq!(world.cloud.sweep().await.unwrap().blobs, 0);
    let same = world.s3.head_object().bucket(BUCKET).key("same").send().await.unwrap();
    let other = world.s3.head_object().bucket(BUCKET).key("other").send().await.unwrap();
    assert_eq!(
        (same.content_type(), other.content_type()),
        (Some("video/mp4"), Some("text/plain"))
    );
    assert_eq!(world.get("same").await, b"abc");

    for key in ["same", "other"] {
        world.s3.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
    }
    assert_eq!(world.cloud.sweep().await.unwrap().blobs, 1);
    assert_eq!(world.blobs(), 0);
}

#[tokio::test]
async fn deleting_is_repeatable() {
    let world = World::new().await;
    world.put("a", ByteStream::from_static(b"1")).await;
    world.put("b", ByteStream::from_static(b"2")).await;
    world.s3.delete_object().bucket(BUCKET).key("a").send().await.unwrap();
    world.s3.delete_object().bucket(BUCKET).key("a").send().await.unwrap();
    let id = |key| ObjectIdentifier::builder().key(key).build().unwrap();
    let both = Delete::builder().objects(id("a")).objects(id("b")).build().unwrap();
    let deleted = world
        .s3
        .delete_objects()
        .bucket(BUCKET)
        .delete(both)
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.deleted().len(), 2);
    assert!(!world.exists("a").await && !world.exists("b").await);
}

#[tokio::test]
async fn what_does_not_exist_is_said_to() {
    let world = World::new().await;
    let error = world.s3.get_object().bucket(BUCKET).key("no").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_no_such_key());
    let error = world
        .s3
        .get_object()
        .bucket("nowhere")
        .key("no")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "NoSuchBucket");
    let error = world
        .s3
        .put_object()
        .bucket("nowhere")
        .key("no")
        .body(ByteStream::from_static(b"1"))
        .send()
        .await;
    assert_eq!(code(&error.unwrap_err()), "NoSuchBucket");
    let error = world.s3.head_bucket().bucket("nowhere").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_not_found());
}

#[tokio::test]
async fn buckets_come_and_go() {
    let world = World::new().await;
    let again = world.s3.create_bucket().bucket(BUCKET).send().await.unwrap_err();
    assert!(again.as_service_error().unwrap().is_bucket_already_owned_by_you());
    world.put("k", ByteStream::from_static(b"1")).await;
    let full = world.s3.delete_bucket().bucket(BUCKET).send().await.unwrap_err();
    assert_eq!(code(&full), "BucketNotEmpty");
    world.s3.delete_object().bucket(BUCKET).key("k").send().await.unwrap();
    world.s3.create_bucket().bucket("another").send().await.unwrap();
    world.s3.delete_bucket().bucket(BUCKET).send().await.unwrap();
    let buckets = world.s3.list_buckets().send().await.unwrap();
    assert_eq!(
        buckets
            .buckets()
            .iter()
            .map(|bucket| bucket.name().unwrap())
            .collect::<Vec<_>>(),
        ["another"]
    );
    assert!(world.s3.get_bucket_location().bucket("another").send().await.is_ok());
}

#[tokio::test]
async fn ranges_that_cannot_be_had_are_refused_and_others_ignored() {
    let world = World::new().await;
    world.put("k", ByteStream::from_static(b"0123456789")).await;
    world.put("empty", ByteStream::from_static(b"")).await;
    let get = |key, range| world.s3.get_object().bucket(BUCKET).key(key).range(range);
    for (key, range) in [
        ("k", "bytes=10-12"),
        ("k", "bytes=-0"),
        ("empty", "bytes=0-"),
        ("empty", "bytes=0-0"),
    ] {
        let refused = get(key, range).send().await.unwrap_err();
        assert_eq!(
            (status(&refused), code(&refused)),
            (416, "InvalidRange".to_owned()),
            "{key} {range}"
        );
    }
    let more_than_all = get("k", "bytes=-99").send().await.unwrap();
    assert_eq!(more_than_all.content_range(), Some("bytes 0-9/10"));
    assert_eq!(more_than_all.body.collect().await.unwrap().to_vec(), b"0123456789");
    let head = world.s3.head_object().bucket(BUCKET).key("k").range("bytes=2-3");
    assert_eq!(head.send().await.unwrap().content_length(), Some(2));
}
