//! Large uploads: parts that are signed on demand, an interruption, and the end.

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Answer, send, signed};
use crate::harness::{House, User};

const PART: usize = 5 << 20;
/// Two whole parts and a bit.
const SIZE: usize = 2 * PART + 1_500_000;
const FLAGS: [&str; 4] = ["--multipart-threshold", "6000000", "--part-size", "5242880"];

struct Upload {
    id: String,
    bytes: Vec<u8>,
    part_size: usize,
}

impl Upload {
    async fn begin(house: &House, user: &User, bytes: Vec<u8>) -> Self {
        let mut created = house.announce(user, bytes.len()).await;
        let upload = created["upload"].take();
        let part_size = usize::try_from(upload["part_size"].as_u64().unwrap()).unwrap();
        let expected = json!({
            "kind": "multipart", "part_size": part_size, "part_count": bytes.len().div_ceil(part_size)
        });
        assert_eq!(upload, expected);
        let id = created["video"]["id"].as_str().unwrap().to_owned();
        Self { id, bytes, part_size }
    }

    fn path(&self, rest: &str) -> String {
        format!("/videos/{}/upload{rest}", self.id)
    }

    fn part(&self, number: usize) -> &[u8] {
        self.bytes.chunks(self.part_size).nth(number - 1).unwrap()
    }

    async fn sign(&self, house: &House, user: &User, numbers: Value) -> Answer {
        house
            .post(&self.path("/parts"), Some(user), json!({"part_numbers": numbers}))
            .await
    }

    async fn arrived(&self, house: &House, user: &User) -> Vec<(u64, u64)> {
        let listed = house.get(&self.path("/parts"), Some(user)).await.expect(StatusCode::OK);
        let number = |part: &Value, name: &str| part[name].as_u64().unwrap();
        let parts = listed["parts"].as_array().unwrap();
        parts
            .iter()
            .map(|part| (number(part, "part_number"), number(part, "size")))
            .collect()
    }

    async fn send_parts(&self, house: &House, user: &User, numbers: &[usize]) {
        let signed_parts = self.sign(house, user, json!(numbers)).await.expect(StatusCode::OK);
        let parts = signed_parts["parts"].as_array().unwrap();
        for (part, number) in parts.iter().zip(numbers) {
            assert_eq!(part["part_number"], *number);
            let sent = send(signed(part, self.part(*number).to_vec())).await;
            assert_eq!(sent.status, StatusCode::OK, "{sent:?}");
        }
    }

    async fn complete(&self, house: &House, user: &User) -> Answer {
        house.post(&self.path("/complete"), Some(user), json!({})).await
    }
}

/// Bytes that tell where they lie.
#[expect(clippy::cast_possible_truncation, reason = "only the low byte is wanted")]
fn junk(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index / 7 + index / 65_536) as u8).collect()
}

async fn open_uploads(house: &House) -> usize {
    let request = house.cloud.s3_client().list_multipart_uploads().bucket("toktik");
    request.send().await.unwrap().uploads().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_upload_goes_on_where_it_was() {
    let house = House::with(&FLAGS).await;
    let user = house.user("ada").await;
    let upload = Upload::begin(&house, &user, junk(SIZE)).await;
    assert_eq!(upload.arrived(&house, &user).await, []);
    upload.complete(&house, &user).await.problem(409, "upload_incomplete");
    upload.send_parts(&house, &user, &[3, 2]).await;
    let rest = SIZE as u64 - 2 * PART as u64;
    assert_eq!(upload.arrived(&house, &user).await, [(2, PART as u64), (3, rest)]);

    let before = house.stored().await;
    upload.complete(&house, &user).await.problem(409, "upload_incomplete");
    assert_eq!(house.stored().await, before);
    assert_eq!(house.objects().await, [""; 0]);

    let house = house.restarted().await;
    assert_eq!(upload.arrived(&house, &user).await, [(2, PART as u64), (3, rest)]);
    upload.send_parts(&house, &user, &[1, 2]).await;
    for _ in 0..2 {
        let accepted = upload.complete(&house, &user).await.expect(StatusCode::ACCEPTED);
        assert_eq!(accepted["video"]["status"], "processing");
    }
    let keys = house.objects().await;
    assert_eq!(keys.len(), 1);
    assert!(
        house.object(&keys[0]).await == upload.bytes,
        "the bytes are not those that were sent"
    );
    upload
        .sign(&house, &user, json!([1]))
        .await
        .problem(409, "not_uploading");
    house
        .get(&upload.path("/parts"), Some(&user))
        .await
        .problem(409, "not_uploading");

    house.drain().await;
    let video = house.video(&upload.id, Some(&user)).await;
    assert_eq!(
        (&video["status"], &video["error"]["code"]),
        (&json!("rejected"), &json!("not_a_video"))
    );
    assert_eq!(house.objects().await, [""; 0]);
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_parts_that_exist_are_signed_and_only_as_they_are() {
    let house = House::with(&FLAGS).await;
    let user = house.user("ada").await;
    let upload = Upload::begin(&house, &user, junk(SIZE)).await;
    let hundred_and_one: Vec<u32> = vec![1; 101];
    let wrong = [json!([]), json!([0]), json!([1, 4]), json!(hundred_and_one)];
    for numbers in wrong {
        upload.sign(&house, &user, numbers).await.invalid(&["part_numbers"]);
    }
    upload.sign(&house, &user, json!("1")).await.invalid(&["part_numbers"]);
    upload.sign(&house, &user, json!([-1])).await.problem(422, "invalid");
    house
        .post(&upload.path("/parts"), Some(&user), json!({}))
        .await
        .invalid(&["part_numbers"]);

    let answer = upload.sign(&house, &user, json!([1, 3])).await.expect(StatusCode::OK);
    let [first, last] = answer["parts"].as_array().unwrap().as_slice() else {
        panic!("{answer}");
    };
    let names: Vec<&String> = first["headers"].as_object().unwrap().keys().collect();
    assert!(
        !names
            .iter()
            .any(|name| ["host", "content-length"].contains(&name.to_lowercase().as_str()))
    );
    let signed_for = |part: &Value| part["url"].as_str().unwrap().contains("content-length%3Bhost");
    assert!(signed_for(first) && signed_for(last), "the length is not signed");
    // Short, since the store answers before it has read what it refuses.
    for part in [first, last] {
        let sent = send(signed(part, vec![0; 100])).await;
        assert_eq!(sent.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(upload.arrived(&house, &user).await, []);

    let whole = house.announce(&user, 1000).await;
    let path = format!("/videos/{}/upload/parts", whole["video"]["id"].as_str().unwrap());
    house
        .post(&path, Some(&user), json!({"part_numbers": [1]}))
        .await
        .problem(409, "not_multipart");
    house.get(&path, Some(&user)).await.problem(409, "not_multipart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_wrong_length_is_a_missing_one() {
    let house = House::with(&FLAGS).await;
    let user = house.user("ada").await;
    let upload = Upload::begin(&house, &user, junk(SIZE)).await;
    upload.send_parts(&house, &user, &[1, 2]).await;
    // No URL of ours allows it, but a store might.
    let kept = house.kept(&upload.id).await.upload;
    let short = house.cloud.s3_client().upload_part().bucket("toktik").key(&kept.key);
    let short = short.upload_id(kept.multipart.unwrap().upload_id).part_number(3);
    short.body(b"short".to_vec().into()).send().await.unwrap();
    let before = house.stored().await;
    upload.complete(&house, &user).await.problem(409, "upload_incomplete");
    assert_eq!(house.stored().await, before);
    assert_eq!(house.objects().await, [""; 0]);
    upload.send_parts(&house, &user, &[3]).await;
    upload.complete(&house, &user).await.expect(StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_ends_without_leaving_any() {
    let house = House::with(&FLAGS).await;
    let user = house.user("ada").await;
    let called_off = Upload::begin(&house, &user, junk(SIZE)).await;
    called_off.send_parts(&house, &user, &[1]).await;
    let abandoned = Upload::begin(&house, &user, junk(SIZE)).await;
    abandoned.send_parts(&house, &user, &[2]).await;
    let slow = Upload::begin(&house, &user, junk(SIZE)).await;
    assert_eq!(open_uploads(&house).await, 3);

    let cancelled = house
        .call(Method::DELETE, &called_off.path(""), Some(&user), None)
        .await;
    assert_eq!(cancelled.status, StatusCode::NO_CONTENT);
    called_off
        .sign(&house, &user, json!([1]))
        .await
        .problem(404, "not_found");
    house.drain().await;
    assert_eq!(open_uploads(&house).await, 2);

    house.advance(TimeDelta::minutes(90));
    let user = house.again(&user).await;
    slow.sign(&house, &user, json!([1])).await.expect(StatusCode::OK);
    house.advance(TimeDelta::minutes(31));
    house.sweep().await;
    let user = house.again(&user).await;
    let video = house.video(&abandoned.id, Some(&user)).await;
    assert_eq!(
        (&video["status"], &video["error"]["code"]),
        (&json!("rejected"), &json!("upload_expired"))
    );
    assert_eq!(house.video(&slow.id, Some(&user)).await["status"], "uploading");
    assert_eq!(open_uploads(&house).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_megabytes_resume() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let upload = Upload::begin(&house, &user, vec![0; 200_000_000]).await;
    assert_eq!(upload.part_size, 8 << 20);
    let (first, rest): (Vec<usize>, Vec<usize>) = (1..=24).partition(|number| number % 3 == 0);
    upload.send_parts(&house, &user, &first).await;
    let house = house.restarted().await;
    let arrived = upload.arrived(&house, &user).await;
    let expected: Vec<(u64, u64)> = first
        .iter()
        .map(|n| (*n as u64, upload.part(*n).len() as u64))
        .collect();
    assert_eq!(arrived, expected);
    upload.send_parts(&house, &user, &rest).await;
    upload.complete(&house, &user).await.expect(StatusCode::ACCEPTED);
    let key = house.kept(&upload.id).await.upload.key;
    assert_eq!(
        house.context.objects.head(&key).await.unwrap().unwrap().size,
        200_000_000
    );
}
