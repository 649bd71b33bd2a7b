//! What the store says of new objects, as it arrives in the queue.

use aws_sdk_s3::primitives::ByteStream;
use toktik_events::{Payload, intake};

use crate::account::{Account, on_target};
use crate::running::{PATIENCE, until};

/// Every store encodes keys in a way of its own.
const KEYS: [&str; 3] = ["uploads/a b+c%2F.mp4", "uploads/\u{fc}ber/\u{1f3ac}", "uploads/plain"];

impl Account {
    /// The bodies of all messages until this many objects were told of, as they arrive.
    async fn heard(&self, objects: usize) -> Vec<String> {
        let url = self.queue_url("probe").await;
        let mut bodies = Vec::new();
        until("the store has told of all objects", PATIENCE, async || {
            let request = self.clients.sqs.receive_message().queue_url(&url);
            let request = request.max_number_of_messages(10).wait_time_seconds(2);
            for message in request.send().await.unwrap().messages.unwrap_or_default() {
                bodies.push(message.body.unwrap());
            }
            (created(&bodies).len() >= objects).then_some(())
        })
        .await;
        bodies
    }
}

/// The keys that were told of, and nothing that cannot be read.
fn created(bodies: &[String]) -> Vec<String> {
    let messages = bodies.iter().flat_map(|body| intake::parse(body.as_bytes()).unwrap());
    let key = |payload| match payload {
        Payload::ObjectCreated(object) => object.key,
        other => panic!("{other:?}"),
    };
    let mut keys: Vec<_> = messages.map(|message| key(message.payload)).collect();
    keys.sort();
    // At least once, says S3.
    keys.dedup();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_key_looks_like_it_is_understood() {
    on_target("whatever_a_key_looks_like_it_is_understood", async |account, _| {
        account.provisioned().await;
        for key in KEYS.iter().chain(&["videos/of-no-interest"]) {
            let request = account.clients.s3.put_object().bucket(&account.prefix).key(*key);
            request.body(ByteStream::from_static(b"1234")).send().await.unwrap();
        }
        let bodies = account.heard(KEYS.len()).await;
        let mut keys = KEYS.map(str::to_owned);
        keys.sort();
        assert_eq!(created(&bodies), keys);
    })
    .await;
}
