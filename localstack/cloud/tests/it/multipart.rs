use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};

use crate::support::{BUCKET, World, code, status};

const MIB: usize = 1 << 20;

async fn begin(world: &World) -> String {
    let created = world
        .s3
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .content_type("video/mp4")
        .send()
        .await;
    created.unwrap().upload_id.unwrap()
}

async fn upload(world: &World, id: &str, number: i32, body: Vec<u8>) -> CompletedPart {
    let part = world
        .s3
        .upload_part()
        .bucket(BUCKET)
        .key("k")
        .upload_id(id)
        .part_number(number)
        .body(body.into());
    let part = part.send().await.unwrap();
    CompletedPart::builder()
        .part_number(number)
        .e_tag(part.e_tag.unwrap())
        .build()
}

fn complete(
    world: &World,
    id: &str,
    parts: &[CompletedPart],
) -> aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder {
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts.to_vec()))
        .build();
    world
        .s3
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .upload_id(id)
        .multipart_upload(parts)
}

#[tokio::test]
async fn parts_become_one_object_without_being_copied() {
    let world = World::new().await;
    let id = begin(&world).await;
    let second = upload(&world, &id, 2, vec![2; 1000]).await;
    let first = upload(&world, &id, 1, vec![1; 5 * MIB]).await;
    let completed = complete(&world, &id, &[first, second]).send().await.unwrap();
    assert!(completed.e_tag().unwrap().ends_with("-2\""));
    assert_eq!(world.blobs(), 2);

    let whole = world.get("k").await;
    assert!(whole.len() == 5 * MIB + 1000 && whole[5 * MIB - 1] == 1 && whole[5 * MIB] == 2);
    let across = world
        .s3
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .range("bytes=5242878-5242881")
        .send()
        .await
        .unwrap();
    assert_eq!(across.content_type(), Some("video/mp4"));
    assert_eq!(across.body.collect().await.unwrap().to_vec(), [1, 1, 2, 2]);
    assert_eq!(
        code(&complete(&world, &id, &[]).send().await.unwrap_err()),
        "NoSuchUpload"
    );
}

#[tokio::test]
async fn an_upload_resumes_from_what_has_arrived() {
    let world = World::new().await;
    let id = begin(&world).await;
    let first = upload(&world, &id, 1, vec![1; 5 * MIB]).await;
    upload(&world, &id, 2, vec![8; 10]).await;
    let world = world.reopened().await;
    let second = upload(&world, &id, 2, vec![2; 20]).await;
    upload(&world, &id, 3, vec![3; 30]).await;

    let page = world
        .s3
        .list_parts()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .max_parts(2)
        .send()
        .await
        .unwrap();
    let sizes = |parts: &[aws_sdk_s3::types::Part]| {
        parts
            .iter()
            .map(|part| (part.part_number().unwrap(), part.size().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(page.parts()), [(1, 5 << 20), (2, 20)]);
    assert_eq!(page.is_truncated(), Some(true));
    let marker = page.next_part_number_marker().unwrap();
    let page = world
        .s3
        .list_parts()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .part_number_marker(marker)
        .send()
        .await;
    assert_eq!(sizes(page.unwrap().parts()), [(3, 30)]);

    complete(&world, &id, &[first, second]).send().await.unwrap();
    assert_eq!(world.get("k").await.len(), 5 * MIB + 20);
    // The replaced second part and the third, which the client did not list.
    assert_eq!(world.cloud.sweep().await.unwrap().blobs, 2);
    assert_eq!(world.blobs(), 2);
}

#[tokio::test]
async fn completion_is_refused_for_what_did_not_arrive_so() {
    let world = World::new().await;
    let id = begin(&world).await;
    let first = upload(&world, &id, 1, vec![1; 100]).await;
    let second = upload(&world, &id, 2, vec![2; 100]).await;
    let missing = CompletedPart::builder().part_number(3).e_tag("\"none\"").build();
    let refused = async |parts: &[CompletedPart]| code(&complete(&world, &id, parts).send().await.unwrap_err());
    assert_eq!(refused(&[first.clone(), missing]).await, "InvalidPart");
    assert_eq!(refused(&[second.clone(), first.clone()]).await, "InvalidPartOrder");
    assert_eq!(refused(&[first, second]).await, "EntityTooSmall");
    assert_eq!(refused(&[]).await, "MalformedXML");
    assert!(!world.exists("k").await);
}

#[tokio::test]
async fn completion_is_conditional() {
    let world = World::new().await;
    let id = begin(&world).await;
    let part = upload(&world, &id, 1, vec![1; 100]).await;
    world.put("k", b"first".to_vec()).await;
    let refused = complete(&world, &id, std::slice::from_ref(&part))
        .if_none_match("*")
        .send()
        .await
        .unwrap_err();
    assert_eq!(status(&refused), 412);
    assert_eq!(world.get("k").await, b"first");
    complete(&world, &id, &[part]).send().await.unwrap();
    assert_eq!(world.get("k").await, [1; 100]);
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let world = World::new().await;
    let id = begin(&world).await;
    upload(&world, &id, 1, vec![1; 100]).await;
    let abort = || world.s3.abort_multipart_upload().bucket(BUCKET).key("k").upload_id(&id);
    abort().send().await.unwrap();
    assert!(
        abort()
            .send()
            .await
            .unwrap_err()
            .as_service_error()
            .unwrap()
            .is_no_such_upload()
    );
    assert_eq!(world.cloud.sweep().await.unwrap().blobs, 1);
    assert_eq!(world.blobs(), 0);
}

#[tokio::test]
async fn uploads_in_progress_are_listed_page_by_page() {
    let world = World::new().await;
    for key in ["a/1", "b/1", "b/1", "b/2", "c/1"] {
        world
            .s3
            .create_multipart_upload()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await
            .unwrap();
    }
    let mut keys = Vec::new();
    let mut markers = (None, None);
    loop {
        let page = world
            .s3
            .list_multipart_uploads()
            .bucket(BUCKET)
            .prefix("b/")
            .max_uploads(1);
        let page = page
            .set_key_marker(markers.0)
            .set_upload_id_marker(markers.1)
            .send()
            .await
            .unwrap();
        keys.extend(page.uploads().iter().map(|upload| upload.key().unwrap().to_owned()));
        if page.is_truncated() != Some(true) {
            break;
        }
        markers = (page.next_key_marker, page.next_upload_id_marker);
    }
    assert_eq!(keys, ["b/1", "b/1", "b/2"]);
}

#[tokio::test]
async fn parts_checksums_make_up_the_objects() {
    let world = World::new().await;
    let created = world
        .s3
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .checksum_algorithm(ChecksumAlgorithm::Crc32);
    let id = created.send().await.unwrap().upload_id.unwrap();
    let part = world
        .s3
        .upload_part()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .part_number(1);
    let part = part
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .body(b"abc".to_vec().into())
        .send()
        .await
        .unwrap();
    let listed = CompletedPart::builder().part_number(1).e_tag(part.e_tag.unwrap());
    let wrong = complete(&world, &id, &[listed.clone().checksum_crc32("AAAAAA==").build()])
        .send()
        .await;
    assert_eq!(code(&wrong.unwrap_err()), "InvalidPart");
    let right = listed.set_checksum_crc32(part.checksum_crc32).build();
    let completed = complete(&world, &id, &[right]).send().await.unwrap();
    assert!(completed.checksum_crc32().unwrap().ends_with("-1"));
    assert_eq!(world.get("k").await, b"abc");
}

#[tokio::test]
async fn numbers_may_have_gaps_and_the_last_word_about_a_part_counts() {
    let world = World::new().await;
    let id = begin(&world).await;
    let replaced = upload(&world, &id, 3, vec![0; 5 * MIB]).await;
    let last = upload(&world, &id, 10_000, b"end".to_vec()).await;
    let first = upload(&world, &id, 3, vec![1; 5 * MIB]).await;
    upload(&world, &id, 7, b"not listed".to_vec()).await;
    let refused = complete(&world, &id, &[replaced, last.clone()])
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&refused), "InvalidPart");
    complete(&world, &id, &[first, last]).send().await.unwrap();
    let whole = [vec![1; 5 * MIB], b"end".to_vec()].concat();
    assert!(world.get("k").await == whole);
    // What was replaced, and what was not listed.
    assert_eq!(world.cloud.sweep().await.unwrap().blobs, 2);
    assert_eq!(world.blobs(), 2);
}

#[tokio::test]
async fn part_numbers_have_their_bounds() {
    let world = World::new().await;
    let id = begin(&world).await;
    for number in [0, 10_001, -1] {
        let part = world.s3.upload_part().bucket(BUCKET).key("k").upload_id(&id);
        let refused = part.part_number(number).body(b"x".to_vec().into()).send().await;
        assert_eq!(code(&refused.unwrap_err()), "InvalidArgument", "{number}");
    }
    assert_eq!(world.blobs(), 0);
}

/// On AWS the second one succeeds for a while; here it says that the upload is over, and the object is what it was.
#[tokio::test]
async fn an_upload_is_completed_once_even_by_many() {
    let world = World::new().await;
    let id = begin(&world).await;
    let parts = [upload(&world, &id, 1, b"whole".to_vec()).await];
    let racing = (0..8).map(|_| complete(&world, &id, &parts).send());
    let outcomes = futures::future::join_all(racing).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!((status(&refused), code(&refused)), (404, "NoSuchUpload".to_owned()));
    }
    let late = world
        .s3
        .upload_part()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .part_number(1);
    let late = late.body(b"late".to_vec().into()).send().await.unwrap_err();
    assert_eq!(code(&late), "NoSuchUpload");
    assert_eq!(world.get("k").await, b"whole");
    assert_eq!(world.blobs(), 1);
}
