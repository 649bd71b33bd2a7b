//! The smallest table: a key and a text.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};

use crate::support::World;

pub(crate) const TABLE: &str = "items";

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) async fn create(world: &World) {
    try_create(world).await.unwrap();
}

pub(crate) async fn try_create(world: &World) -> Result<(), SdkError<CreateTableError, HttpResponse>> {
    let attribute = AttributeDefinition::builder()
        .attribute_name("pk")
        .attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash);
    let create = world
        .dynamodb
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute.build().unwrap());
    create.key_schema(key.build().unwrap()).send().await.map(drop)
}

pub(crate) fn putting(world: &World, key: &str, value: &str) -> PutItemFluentBuilder {
    let put = world.dynamodb.put_item().table_name(TABLE);
    put.item("pk", text(key)).item("value", text(value))
}

pub(crate) async fn put(world: &World, key: &str, value: &str) {
    putting(world, key, value).send().await.unwrap();
}

pub(crate) async fn delete(world: &World, key: &str) {
    let delete = world.dynamodb.delete_item().table_name(TABLE).key("pk", text(key));
    delete.send().await.unwrap();
}

pub(crate) async fn get(world: &World, key: &str) -> Option<String> {
    let get = world.dynamodb.get_item().table_name(TABLE).key("pk", text(key));
    let item = get.consistent_read(true).send().await.unwrap().item?;
    Some(item["value"].as_s().unwrap().clone())
}

pub(crate) async fn keys(world: &World) -> Vec<String> {
    let scanned = world.dynamodb.scan().table_name(TABLE).consistent_read(true);
    let items = scanned.send().await.unwrap().items.unwrap();
    items.iter().map(|item| item["pk"].as_s().unwrap().clone()).collect()
}
