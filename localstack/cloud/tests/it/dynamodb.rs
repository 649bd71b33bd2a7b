use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, Put, ScalarAttributeType, TimeToLiveSpecification, TransactWriteItem,
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
