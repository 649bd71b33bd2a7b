use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    KeysAndAttributes, Projection, ProjectionType, Put, PutRequest, ScalarAttributeType, TimeToLiveSpecification,
    TransactWriteItem, WriteRequest,
};

use crate::support::World;

const TABLE: &str = "videos";

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

async fn with_table(world: &World) {
    let attribute = |name| {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        attribute.build().unwrap()
    };
    let hash = |name| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(KeyType::Hash)
            .build()
            .unwrap()
    };
    let all = Projection::builder().projection_type(ProjectionType::All).build();
    let index = GlobalSecondaryIndex::builder()
        .index_name("by-owner")
        .key_schema(hash("owner"))
        .projection(all);
    let create = world
        .dynamodb
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest);
    let create = create
        .attribute_definitions(attribute("pk"))
        .attribute_definitions(attribute("owner"));
    let create = create
        .key_schema(hash("pk"))
        .global_secondary_indexes(index.build().unwrap());
    create.send().await.unwrap();
}

fn put(world: &World, key: &str) -> aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder {
    world
        .dynamodb
        .put_item()
        .table_name(TABLE)
        .item("pk", text(key))
        .item("owner", text("me"))
}

async fn exists(world: &World, key: &str) -> bool {
    let got = world
        .dynamodb
        .get_item()
        .table_name(TABLE)
        .key("pk", text(key))
        .consistent_read(true)
        .send()
        .await;
    got.unwrap().item.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_conditional_writes_one_wins() {
    let world = World::new().await;
    with_table(&world).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        writers.spawn(put(&world, "v").condition_expression("attribute_not_exists(pk)").send());
    }
    let outcomes = writers.join_all().await;
    let lost: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(lost.len(), 15);
    assert!(lost.iter().all(|error| {
        error
            .as_service_error()
            .unwrap()
            .is_conditional_check_failed_exception()
    }));
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let world = World::new().await;
    with_table(&world).await;
    put(&world, "taken").send().await.unwrap();
    let item = |key| {
        let put = Put::builder()
            .table_name(TABLE)
            .item("pk", text(key))
            .condition_expression("attribute_not_exists(pk)");
        TransactWriteItem::builder().put(put.build().unwrap()).build()
    };
    let both = world
        .dynamodb
        .transact_write_items()
        .transact_items(item("new"))
        .transact_items(item("taken"));
    let error = both.send().await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        canceled,
    ) = error
    else {
        panic!("{error:?}");
    };
    let codes: Vec<_> = canceled
        .cancellation_reasons()
        .iter()
        .map(|reason| reason.code().unwrap())
        .collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    assert!(!exists(&world, "new").await);
}

#[tokio::test]
async fn an_index_answers_and_everything_survives_a_restart() {
    let world = World::new().await;
    with_table(&world).await;
    put(&world, "a").send().await.unwrap();
    put(&world, "b").send().await.unwrap();
    let world = world.reopened().await;
    let query = world
        .dynamodb
        .query()
        .table_name(TABLE)
        .index_name("by-owner")
        .key_condition_expression("#o = :o");
    let query = query
        .expression_attribute_names("#o", "owner")
        .expression_attribute_values(":o", text("me"));
    assert_eq!(query.send().await.unwrap().count(), 2);
}

#[tokio::test]
async fn a_sweep_removes_what_has_outlived_its_time() {
    let world = World::new().await;
    with_table(&world).await;
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires")
        .build()
        .unwrap();
    world
        .dynamodb
        .update_time_to_live()
        .table_name(TABLE)
        .time_to_live_specification(ttl)
        .send()
        .await
        .unwrap();
    let at = |seconds: u64| AttributeValue::N(seconds.to_string());
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    put(&world, "old").item("expires", at(now - 60)).send().await.unwrap();
    put(&world, "new").item("expires", at(now + 3600)).send().await.unwrap();
    assert_eq!(world.cloud.sweep().await.unwrap().items, 1);
    assert!(!exists(&world, "old").await && exists(&world, "new").await);
}

#[tokio::test]
async fn mistakes_are_typed() {
    let world = World::new().await;
    let error = world
        .dynamodb
        .get_item()
        .table_name("none")
        .key("pk", text("x"))
        .send()
        .await
        .unwrap_err();
    assert!(error.as_service_error().unwrap().is_resource_not_found_exception());
    with_table(&world).await;
    let again = world
        .dynamodb
        .describe_table()
        .table_name("none")
        .send()
        .await
        .unwrap_err();
    assert!(again.as_service_error().unwrap().is_resource_not_found_exception());
    let keyless = world
        .dynamodb
        .put_item()
        .table_name(TABLE)
        .item("x", text("y"))
        .send()
        .await
        .unwrap_err();
    assert_eq!(crate::support::code(&keyless), "ValidationException");
}

fn number(value: &str) -> AttributeValue {
    AttributeValue::N(value.to_owned())
}

async fn item(world: &World, key: &str) -> std::collections::HashMap<String, AttributeValue> {
    let get = world.dynamodb.get_item().table_name(TABLE).key("pk", text(key));
    get.consistent_read(true).send().await.unwrap().item.unwrap()
}

/// The clauses and conditions that the catalog writes.
#[tokio::test]
async fn an_update_sets_adds_and_removes_under_its_condition() {
    let world = World::new().await;
    with_table(&world).await;
    put(&world, "v")
        .item("old", text("x"))
        .item("revision", number("1"))
        .send()
        .await
        .unwrap();
    let update = || {
        let update = world.dynamodb.update_item().table_name(TABLE).key("pk", text("v"));
        update
            .update_expression("SET #status = :s, #copy = #old ADD #count :n REMOVE #old")
            .condition_expression("attribute_exists(pk) AND #revision = :r AND #owner IN (:a, :b)")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#copy", "copy")
            .expression_attribute_names("#old", "old")
            .expression_attribute_names("#count", "count")
            .expression_attribute_names("#revision", "revision")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":s", text("ready"))
            .expression_attribute_values(":n", number("5"))
            .expression_attribute_values(":a", text("you"))
            .expression_attribute_values(":b", text("me"))
    };
    let refused = update()
        .expression_attribute_values(":r", number("2"))
        .send()
        .await
        .unwrap_err();
    assert!(
        refused
            .as_service_error()
            .unwrap()
            .is_conditional_check_failed_exception()
    );
    assert!(!item(&world, "v").await.contains_key("status"));
    update()
        .expression_attribute_values(":r", number("1"))
        .send()
        .await
        .unwrap();
    let kept = item(&world, "v").await;
    assert_eq!(
        (&kept["status"], &kept["copy"], &kept["count"]),
        (&text("ready"), &text("x"), &number("5"))
    );
    assert!(!kept.contains_key("old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_counts_all_count() {
    let world = World::new().await;
    with_table(&world).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let add = world.dynamodb.update_item().table_name(TABLE).key("pk", text("v"));
        let add = add
            .update_expression("ADD #n :one")
            .expression_attribute_names("#n", "n");
        writers.spawn(add.expression_attribute_values(":one", number("1")).send());
    }
    assert!(writers.join_all().await.iter().all(Result::is_ok));
    assert_eq!(item(&world, "v").await["n"], number("32"));
}

#[tokio::test]
async fn an_index_is_paged_to_its_end() {
    let world = World::new().await;
    with_table(&world).await;
    for key in 0..25 {
        put(&world, &format!("{key:02}")).send().await.unwrap();
    }
    let query = world
        .dynamodb
        .query()
        .table_name(TABLE)
        .index_name("by-owner")
        .limit(10);
    let query = query
        .key_condition_expression("#o = :o")
        .expression_attribute_names("#o", "owner")
        .expression_attribute_values(":o", text("me"));
    let mut pages = query.into_paginator().send();
    let (mut keys, mut sizes) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.items().len());
        keys.extend(page.items().iter().map(|item| item["pk"].as_s().unwrap().clone()));
    }
    keys.sort();
    assert_eq!(keys, (0..25).map(|key| format!("{key:02}")).collect::<Vec<_>>());
    assert_eq!(sizes, [10, 10, 5]);
}

#[tokio::test]
async fn batches_write_and_read_many() {
    let world = World::new().await;
    with_table(&world).await;
    let request = |key: String| {
        let put = PutRequest::builder().item("pk", text(&key)).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    };
    let write = |keys: std::ops::Range<u32>| {
        let requests = keys.map(|key| request(key.to_string())).collect();
        world.dynamodb.batch_write_item().request_items(TABLE, requests).send()
    };
    let written = write(0..25).await.unwrap();
    assert!(
        written
            .unprocessed_items()
            .is_none_or(std::collections::HashMap::is_empty)
    );
    assert_eq!(
        crate::support::code(&write(25..51).await.unwrap_err()),
        "ValidationException"
    );
    let keys = [0, 24, 25].map(|key| std::collections::HashMap::from([("pk".to_owned(), text(&key.to_string()))]));
    let keys = KeysAndAttributes::builder()
        .set_keys(Some(keys.to_vec()))
        .build()
        .unwrap();
    let read = world
        .dynamodb
        .batch_get_item()
        .request_items(TABLE, keys)
        .send()
        .await
        .unwrap();
    assert_eq!(
        read.responses().unwrap()[TABLE].len(),
        2,
        "the one that is not there is left out"
    );
}

#[tokio::test]
async fn an_item_has_at_most_400_kilobytes() {
    let world = World::new().await;
    with_table(&world).await;
    let large = |size| put(&world, "v").item("x", text(&"x".repeat(size))).send();
    large(400 * 1024 - 100).await.unwrap();
    let refused = large(400 * 1024).await.unwrap_err();
    assert_eq!(crate::support::code(&refused), "ValidationException");
    assert_eq!(item(&world, "v").await["x"].as_s().unwrap().len(), 400 * 1024 - 100);
}

#[tokio::test]
async fn numbers_keep_38_digits() {
    let world = World::new().await;
    with_table(&world).await;
    for digits in [
        "12345678901234567890123456789012345678",
        "0.1",
        "-9007199254740993",
        "18446744073709551615",
        "1.2345678901234567890123456789012345678",
    ] {
        put(&world, "v").item("n", number(digits)).send().await.unwrap();
        assert_eq!(item(&world, "v").await["n"], number(digits));
    }
    let too_long = put(&world, "v").item("n", number("123456789012345678901234567890123456789"));
    assert_eq!(
        crate::support::code(&too_long.send().await.unwrap_err()),
        "ValidationException"
    );
}
