//! Conditional writes and reads, which leases and pinned bytes rest on.

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use aws_sdk_s3::primitives::ByteStream;
use futures::future::join_all;

use crate::account::{Account, on_target};

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

async fn put_new(account: &Account, key: &str, bytes: &'static [u8]) -> Result<String, u16> {
    let request = account
        .clients
        .s3
        .put_object()
        .bucket(&account.prefix)
        .key(key)
        .if_none_match("*");
    match request.body(ByteStream::from_static(bytes)).send().await {
        Ok(output) => Ok(output.e_tag.unwrap()),
        Err(error) => Err(error.raw_response().unwrap().status().as_u16()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_written_once_and_read_by_its_etag() {
    on_target("an_object_is_written_once_and_read_by_its_etag", async |account, _| {
        account.provisioned().await;
        let first = put_new(account, "videos/x", b"first").await.unwrap();
        assert_eq!(put_new(account, "videos/x", b"second").await, Err(412));
        let read = |etag: &str| {
            let request = account.clients.s3.get_object().bucket(&account.prefix).key("videos/x");
            request.if_match(etag).send()
        };
        let bytes = read(&first).await.unwrap().body.collect().await.unwrap().into_bytes();
        assert_eq!(&bytes[..], b"first");
        let other = read("\"0123456789abcdef0123456789abcdef\"").await.unwrap_err();
        assert_eq!(other.raw_response().unwrap().status().as_u16(), 412);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_the_same_item_one_gets_it() {
    on_target("of_many_who_want_the_same_item_one_gets_it", async |account, _| {
        account.provisioned().await;
        let put = |holder: usize| {
            let request = account.clients.dynamodb.put_item().table_name(&account.prefix);
            let request = request.item("pk", text("LEASE")).item("sk", text("x"));
            let request = request.item("holder", text(&holder.to_string()));
            request.condition_expression("attribute_not_exists(pk)").send()
        };
        let outcomes = join_all((0..16).map(put)).await;
        let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        for error in refused {
            assert_eq!(error.code(), Some("ConditionalCheckFailedException"), "{error:?}");
        }
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_transaction_all_is_written_or_nothing() {
    on_target("of_a_transaction_all_is_written_or_nothing", async |account, _| {
        account.provisioned().await;
        let table = &account.prefix;
        let put = Put::builder()
            .table_name(table)
            .item("pk", text("A"))
            .item("sk", text("x"));
        let put = TransactWriteItem::builder().put(put.build().unwrap()).build();
        let update = Update::builder()
            .table_name(table)
            .key("pk", text("B"))
            .key("sk", text("x"))
            .update_expression("SET seen = :yes")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":yes", AttributeValue::Bool(true));
        let update = TransactWriteItem::builder().update(update.build().unwrap()).build();
        let request = account.clients.dynamodb.transact_write_items();
        let refused = request
            .transact_items(put)
            .transact_items(update)
            .send()
            .await
            .unwrap_err();
        let refused = refused.into_service_error();
        assert!(refused.is_transaction_canceled_exception(), "{refused:?}");
        // The catalog tells by them which of its conditions did not hold.
        let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
            why,
        ) = refused
        else {
            panic!("{refused:?}");
        };
        let reasons: Vec<_> = why
            .cancellation_reasons()
            .iter()
            .filter_map(|reason| reason.code())
            .collect();
        assert_eq!(reasons, ["None", "ConditionalCheckFailed"]);
        let read = account
            .clients
            .dynamodb
            .get_item()
            .table_name(table)
            .consistent_read(true);
        let read = read.key("pk", text("A")).key("sk", text("x")).send().await.unwrap();
        assert_eq!(read.item, None);
    })
    .await;
}
