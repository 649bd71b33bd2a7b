//! One of everything that writes, step after step, and the whole state of a cloud as text: whatever interrupts a step, the
//! state has to be that before it or that after it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use aws_sdk_dynamodb::types::{Put, PutRequest, TransactWriteItem, WriteRequest};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, Delete, Event, NotificationConfiguration, ObjectIdentifier,
    QueueConfiguration,
};
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use serde_json::Value;

use crate::support::{BUCKET, World};
use crate::table::{self, TABLE, text};

const PART: usize = 5 << 20;
/// Longer than any test: nothing becomes visible by itself.
const HOURS: &str = "43200";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Bucket,
    HearingQueue,
    WorkQueue,
    Notifications,
    Put,
    Overwrite,
    PutFirst,
    Begin,
    Part,
    PartAgain,
    LastPart,
    Complete,
    BeginInVain,
    PartInVain,
    Abort,
    Copy,
    Delete,
    DeleteMany,
    Send,
    SendMany,
    Receive,
    DeleteMessage,
    DeleteMessages,
    Postpone,
    Table,
    PutItem,
    Transact,
    PutItems,
    Sweep,
}

pub(crate) const STEPS: [Step; 29] = [
    Step::Bucket,
    Step::HearingQueue,
    Step::WorkQueue,
    Step::Notifications,
    Step::Put,
    Step::Overwrite,
    Step::PutFirst,
    Step::Begin,
    Step::Part,
    Step::PartAgain,
    Step::LastPart,
    Step::Complete,
    Step::BeginInVain,
    Step::PartInVain,
    Step::Abort,
    Step::Copy,
    Step::Delete,
    Step::DeleteMany,
    Step::Send,
    Step::SendMany,
    Step::Receive,
    Step::DeleteMessage,
    Step::DeleteMessages,
    Step::Postpone,
    Step::Table,
    Step::PutItem,
    Step::Transact,
    Step::PutItems,
    Step::Sweep,
];

/// How a service said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
}

impl<E: ProvideErrorMetadata> From<SdkError<E, HttpResponse>> for Refusal {
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        Refusal {
            status: crate::support::status(&error),
            code: crate::support::code(&error),
        }
    }
}

/// What later steps need of earlier ones.
pub(crate) struct Script {
    pub(crate) world: World,
    hearing: String,
    work: String,
    upload: String,
    parts: Vec<CompletedPart>,
    received: Vec<Message>,
}

impl Script {
    pub(crate) fn over(world: World) -> Script {
        Script {
            world,
            hearing: String::new(),
            work: String::new(),
            upload: String::new(),
            parts: Vec::new(),
            received: Vec::new(),
        }
    }

    pub(crate) async fn perform(&mut self, step: Step) -> Result<(), Refusal> {
        match step {
            Step::Bucket => self.bucket().await,
            Step::HearingQueue => self.queue("hearing").await.map(|url| self.hearing = url),
            Step::WorkQueue => self.queue("work").await.map(|url| self.work = url),
            Step::Notifications => self.notifications().await,
            Step::Put => self.put("a", b"the first bytes", None).await,
            Step::Overwrite => self.put("a", b"the second bytes", None).await,
            Step::PutFirst => self.put("b", b"the only bytes", Some("*")).await,
            Step::Begin => self.begin("large").await,
            Step::Part => self.part("large", 1, 1, PART).await,
            Step::PartAgain => self.part("large", 1, 2, PART).await,
            Step::LastPart => self.part("large", 2, 3, 10).await,
            Step::Complete => self.complete("large").await,
            Step::BeginInVain => self.begin("vain").await,
            Step::PartInVain => self.part("vain", 1, 4, 10).await,
            Step::Abort => self.abort("vain").await,
            Step::Copy => self.copy().await,
            Step::Delete => self.delete().await,
            Step::DeleteMany => self.delete_many().await,
            Step::Send => self.send().await,
            Step::SendMany => self.send_many().await,
            Step::Receive => self.receive().await,
            Step::DeleteMessage => self.delete_message().await,
            Step::DeleteMessages => self.delete_messages().await,
            Step::Postpone => self.postpone().await,
            Step::Table => Ok(table::try_create(&self.world).await?),
            Step::PutItem => Ok(table::putting(&self.world, "one", "alone").send().await.map(drop)?),
            Step::Transact => self.transact().await,
            Step::PutItems => self.put_items().await,
            Step::Sweep => self.sweep().await,
        }
    }

    async fn bucket(&self) -> Result<(), Refusal> {
        Ok(self.world.s3.create_bucket().bucket(BUCKET).send().await.map(drop)?)
    }

    async fn queue(&self, name: &str) -> Result<String, Refusal> {
        let create = self.world.sqs.create_queue().queue_name(name);
        let create = create.attributes(QueueAttributeName::VisibilityTimeout, HOURS);
        Ok(create.send().await?.queue_url.unwrap())
    }

    async fn notifications(&self) -> Result<(), Refusal> {
        let queue = QueueConfiguration::builder()
            .queue_arn("arn:aws:sqs:us-east-1:000000000000:hearing")
            .events(Event::S3ObjectCreated);
        let configuration = NotificationConfiguration::builder().queue_configurations(queue.build().unwrap());
        let put = self.world.s3.put_bucket_notification_configuration().bucket(BUCKET);
        let put = put.notification_configuration(configuration.build());
        Ok(put.send().await.map(drop)?)
    }

    async fn put(&self, key: &str, bytes: &[u8], if_none_match: Option<&str>) -> Result<(), Refusal> {
        let put = self.world.s3.put_object().bucket(BUCKET).key(key);
        let put = put
            .body(bytes.to_vec().into())
            .set_if_none_match(if_none_match.map(str::to_owned));
        Ok(put.send().await.map(drop)?)
    }

    async fn begin(&mut self, key: &str) -> Result<(), Refusal> {
        let begun = self
            .world
            .s3
            .create_multipart_upload()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await?;
        self.upload = begun.upload_id.unwrap();
        Ok(())
    }

    async fn part(&mut self, key: &str, number: i32, byte: u8, size: usize) -> Result<(), Refusal> {
        let part = self
            .world
            .s3
            .upload_part()
            .bucket(BUCKET)
            .key(key)
            .upload_id(&self.upload);
        let sent = part.part_number(number).body(vec![byte; size].into()).send().await?;
        let completed = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .build();
        self.parts.retain(|part| part.part_number() != Some(number));
        self.parts.push(completed);
        Ok(())
    }

    async fn complete(&mut self, key: &str) -> Result<(), Refusal> {
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(self.parts.clone()))
            .build();
        let complete = self.world.s3.complete_multipart_upload().bucket(BUCKET).key(key);
        let complete = complete.upload_id(&self.upload).multipart_upload(parts);
        Ok(complete.send().await.map(drop)?)
    }

    async fn abort(&self, key: &str) -> Result<(), Refusal> {
        let abort = self.world.s3.abort_multipart_upload().bucket(BUCKET).key(key);
        Ok(abort.upload_id(&self.upload).send().await.map(drop)?)
    }

    async fn copy(&self) -> Result<(), Refusal> {
        let copy = self.world.s3.copy_object().bucket(BUCKET).key("c");
        Ok(copy.copy_source(format!("{BUCKET}/a")).send().await.map(drop)?)
    }

    async fn delete(&self) -> Result<(), Refusal> {
        Ok(self
            .world
            .s3
            .delete_object()
            .bucket(BUCKET)
            .key("b")
            .send()
            .await
            .map(drop)?)
    }

    async fn delete_many(&self) -> Result<(), Refusal> {
        let key = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
        let keys = Delete::builder()
            .objects(key("c"))
            .objects(key("none"))
            .build()
            .unwrap();
        Ok(self
            .world
            .s3
            .delete_objects()
            .bucket(BUCKET)
            .delete(keys)
            .send()
            .await
            .map(drop)?)
    }

    async fn send(&self) -> Result<(), Refusal> {
        let send = self
            .world
            .sqs
            .send_message()
            .queue_url(&self.work)
            .message_body("alone");
        Ok(send.send().await.map(drop)?)
    }

    async fn send_many(&self) -> Result<(), Refusal> {
        let entry = |id: &str, delay| {
            let entry = SendMessageBatchRequestEntry::builder().id(id).message_body(id);
            entry.delay_seconds(delay).build().unwrap()
        };
        let send = self.world.sqs.send_message_batch().queue_url(&self.work);
        let send = send
            .entries(entry("x", 0))
            .entries(entry("y", 0))
            .entries(entry("later", 900));
        Ok(send.send().await.map(drop)?)
    }

    async fn receive(&mut self) -> Result<(), Refusal> {
        let receive = self.world.sqs.receive_message().queue_url(&self.work);
        let received = receive.max_number_of_messages(10).send().await?;
        self.received = received.messages.unwrap();
        assert_eq!(self.received.len(), 3);
        Ok(())
    }

    async fn delete_message(&self) -> Result<(), Refusal> {
        let handle = self.received[0].receipt_handle().unwrap();
        let delete = self.world.sqs.delete_message().queue_url(&self.work);
        Ok(delete.receipt_handle(handle).send().await.map(drop)?)
    }

    async fn delete_messages(&self) -> Result<(), Refusal> {
        let handle = self.received[1].receipt_handle().unwrap();
        let entry = DeleteMessageBatchRequestEntry::builder().id("1").receipt_handle(handle);
        let delete = self.world.sqs.delete_message_batch().queue_url(&self.work);
        Ok(delete.entries(entry.build().unwrap()).send().await.map(drop)?)
    }

    async fn postpone(&self) -> Result<(), Refusal> {
        let handle = self.received[2].receipt_handle().unwrap();
        let change = self.world.sqs.change_message_visibility().queue_url(&self.work);
        let change = change.receipt_handle(handle).visibility_timeout(0);
        Ok(change.send().await.map(drop)?)
    }

    async fn transact(&self) -> Result<(), Refusal> {
        let item = |key| {
            let put = Put::builder()
                .table_name(TABLE)
                .item("pk", text(key))
                .item("value", text("both"));
            TransactWriteItem::builder().put(put.build().unwrap()).build()
        };
        let transaction = self.world.dynamodb.transact_write_items();
        let transaction = transaction.transact_items(item("two")).transact_items(item("three"));
        Ok(transaction.send().await.map(drop)?)
    }

    async fn put_items(&self) -> Result<(), Refusal> {
        let put = |key| {
            let put = PutRequest::builder().item("pk", text(key)).item("value", text("many"));
            WriteRequest::builder().put_request(put.build().unwrap()).build()
        };
        let batch = self.world.dynamodb.batch_write_item();
        let batch = batch.request_items(TABLE, vec![put("four"), put("five")]);
        Ok(batch.send().await.map(drop)?)
    }

    /// The program's own doing: nobody is answered, and the next round tries again.
    async fn sweep(&self) -> Result<(), Refusal> {
        let swept = self.world.cloud.sweep().await;
        swept.map(drop).map_err(|error| Refusal {
            status: 0,
            code: format!("{error:#}"),
        })
    }
}

/// Everything that can be seen of a cloud, and how many files it keeps for that.
pub(crate) async fn state(world: &World) -> Vec<String> {
    let mut state = objects(world).await;
    state.extend(uploads(world).await);
    state.extend(messages(world).await);
    state.extend(items(world).await);
    world.cloud.sweep().await.unwrap();
    state.push(format!("{} files", world.blobs()));
    state
}

async fn has_bucket(world: &World) -> bool {
    !world.s3.list_buckets().send().await.unwrap().buckets().is_empty()
}

async fn objects(world: &World) -> Vec<String> {
    if !has_bucket(world).await {
        return Vec::new();
    }
    let listed = world.s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    let mut objects = vec!["a bucket".to_owned()];
    for object in listed.contents() {
        let (key, etag) = (object.key().unwrap(), object.e_tag().unwrap());
        objects.push(format!("object {key} {etag} {}", fingerprint(&world.get(key).await)));
    }
    let rules = world.s3.get_bucket_notification_configuration().bucket(BUCKET);
    let rules = rules.send().await.unwrap();
    objects.push(format!("{} rules", rules.queue_configurations().len()));
    objects
}

fn fingerprint(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{} bytes {:x}", bytes.len(), hasher.finish())
}

async fn uploads(world: &World) -> Vec<String> {
    if !has_bucket(world).await {
        return Vec::new();
    }
    let listed = world.s3.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
    let mut uploads = Vec::new();
    for upload in listed.uploads() {
        let key = upload.key().unwrap();
        let parts = world
            .s3
            .list_parts()
            .bucket(BUCKET)
            .key(key)
            .upload_id(upload.upload_id().unwrap());
        let parts = parts.send().await.unwrap();
        uploads.push(format!("upload {key}"));
        for part in parts.parts() {
            uploads.push(format!("part {:?} {:?} {:?}", part.part_number, part.size, part.e_tag));
        }
    }
    uploads
}

async fn messages(world: &World) -> Vec<String> {
    let queues = world
        .sqs
        .list_queues()
        .send()
        .await
        .unwrap()
        .queue_urls
        .unwrap_or_default();
    let mut found = Vec::new();
    for queue in &queues {
        let name = queue.rsplit('/').next().unwrap();
        found.push(format!("queue {name} {}", counts(world, queue).await));
    }
    world.cloud.release_in_flight().await.unwrap();
    for queue in &queues {
        let receive = world.sqs.receive_message().queue_url(queue).max_number_of_messages(10);
        let receive = receive.message_system_attribute_names(MessageSystemAttributeName::All);
        let received = receive.send().await.unwrap().messages.unwrap_or_default();
        let mut bodies: Vec<String> = received.iter().map(described).collect();
        bodies.sort();
        found.extend(bodies);
    }
    found
}

async fn counts(world: &World, queue: &str) -> String {
    let asked = world.sqs.get_queue_attributes().queue_url(queue);
    let attributes = asked.attribute_names(QueueAttributeName::All).send().await.unwrap();
    let attributes = attributes.attributes.unwrap();
    let names = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ];
    names.map(|name| attributes[&name].clone()).join("/")
}

/// Without what is different in every run.
fn described(message: &Message) -> String {
    let received = &message.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
    let body = message.body().unwrap();
    let event: Value = serde_json::from_str(body).unwrap_or_default();
    let Some(record) = event["Records"].get(0) else {
        let body = if event["Event"].is_string() {
            "a test event"
        } else {
            body
        };
        return format!("message {body} received {received}");
    };
    let object = &record["s3"]["object"];
    format!("message {} of {object} received {received}", record["eventName"])
}

async fn items(world: &World) -> Vec<String> {
    let tables = world.dynamodb.list_tables().send().await.unwrap().table_names.unwrap();
    let mut items: Vec<String> = tables.iter().map(|table| format!("table {table}")).collect();
    if tables.is_empty() {
        return items;
    }
    let mut keys = table::keys(world).await;
    keys.sort();
    for key in keys {
        let value = table::get(world, &key).await.unwrap();
        items.push(format!("item {key} {value}"));
    }
    items
}
