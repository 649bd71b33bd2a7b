//! The table: keys, the index of each owner's clips, and what takes out items whose time is over.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexDescription, GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableDescription, TimeToLiveDescription, TimeToLiveSpecification,
    TimeToLiveStatus,
};

use super::{Difference, Visit};

const KEYS: [&str; 2] = ["pk", "sk"];
const INDEX: &str = "by_owner";
const INDEX_KEYS: [&str; 2] = ["gsi1pk", "gsi1sk"];
const EXPIRY: &str = "expires_at";

/// A table on AWS takes some seconds to be there, an index of it minutes.
const TABLE_PATIENCE: Duration = Duration::from_mins(2);
const INDEX_PATIENCE: Duration = Duration::from_mins(15);
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

pub(super) async fn visit(visit: &mut Visit<'_>) -> anyhow::Result<()> {
    let client = visit.clients.dynamodb.clone();
    let name = visit.stores.table.clone();
    let table = described(&client, &name).await?;
    let what = format!("table {name}");
    match table.as_ref().map(different_keys) {
        None => visit.lacks(what, create(&client, &name)).await?,
        Some(None) => visit.is_as_wanted(what),
        Some(Some(difference)) => visit.differs(what, difference),
    }
    index(visit, &client, table.as_ref()).await?;
    expiry(visit, &client, table.is_some() || visit.makes).await
}

async fn described(client: &Client, name: &str) -> anyhow::Result<Option<TableDescription>> {
    match client.describe_table().table_name(name).send().await {
        Ok(output) => Ok(output.table),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(error).with_context(|| format!("looking at table {name}")),
    }
}

/// Keys of a table cannot be changed.
fn different_keys(table: &TableDescription) -> Option<Difference> {
    let there = keys_as_text(table.key_schema(), table.attribute_definitions());
    let wanted = wanted_keys(KEYS);
    (there != wanted).then(|| Difference {
        there,
        wanted,
        mend: "choose another name in TOKTIK_TABLE; keys cannot be changed".to_owned(),
    })
}

/// `pk (HASH, S), sk (RANGE, S)`
fn keys_as_text(schema: &[KeySchemaElement], attributes: &[AttributeDefinition]) -> String {
    let kind = |name: &str| {
        let attribute = attributes.iter().find(|attribute| attribute.attribute_name() == name);
        attribute.map_or("?", |attribute| attribute.attribute_type().as_str())
    };
    let key = |key: &KeySchemaElement| {
        let name = key.attribute_name();
        format!("{name} ({}, {})", key.key_type().as_str(), kind(name))
    };
    format!("keys {}", schema.iter().map(key).collect::<Vec<_>>().join(", "))
}

fn wanted_keys([hash, range]: [&str; 2]) -> String {
    format!("keys {hash} (HASH, S), {range} (RANGE, S)")
}

fn attribute(name: &str) -> anyhow::Result<AttributeDefinition> {
    let definition = AttributeDefinition::builder().attribute_name(name);
    Ok(definition.attribute_type(ScalarAttributeType::S).build()?)
}

fn schema([hash, range]: [&str; 2]) -> anyhow::Result<Vec<KeySchemaElement>> {
    let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    Ok(vec![key(hash, KeyType::Hash)?, key(range, KeyType::Range)?])
}

fn everything() -> Projection {
    Projection::builder().projection_type(ProjectionType::All).build()
}

async fn create(client: &Client, name: &str) -> anyhow::Result<()> {
    match creation(client, name)?.send().await {
        Ok(_) => {}
        // Somebody else provisions at the same time.
        Err(error) if error.code() == Some("ResourceInUseException") => {}
        Err(error) => return Err(error.into()),
    }
    let exists = client.wait_until_table_exists().table_name(name);
    exists.wait(TABLE_PATIENCE).await?;
    Ok(())
}

fn creation(client: &Client, name: &str) -> anyhow::Result<CreateTableFluentBuilder> {
    let index = GlobalSecondaryIndex::builder()
        .index_name(INDEX)
        .set_key_schema(Some(schema(INDEX_KEYS)?))
        .projection(everything())
        .build()?;
    let attributes: anyhow::Result<Vec<_>> = KEYS.into_iter().chain(INDEX_KEYS).map(attribute).collect();
    Ok(client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes?))
        .set_key_schema(Some(schema(KEYS)?))
        .global_secondary_indexes(index))
}

async fn index(visit: &mut Visit<'_>, client: &Client, table: Option<&TableDescription>) -> anyhow::Result<()> {
    let name = visit.stores.table.clone();
    let what = format!("index {INDEX} of {name}");
    let Some(table) = table else {
        // The table is made with it.
        return visit.lacks(what, async { Ok(()) }).await;
    };
    let indexes = table.global_secondary_indexes();
    let Some(there) = indexes.iter().find(|index| index.index_name() == Some(INDEX)) else {
        return visit.lacks(what, add_index(client, &name)).await;
    };
    match different_index(there, table.attribute_definitions()) {
        None => visit.is_as_wanted(what),
        Some(difference) => visit.differs(what, difference),
    }
    Ok(())
}

fn different_index(there: &GlobalSecondaryIndexDescription, attributes: &[AttributeDefinition]) -> Option<Difference> {
    let projection = there.projection().and_then(Projection::projection_type);
    let projection = projection.map_or("nothing", ProjectionType::as_str);
    let is = format!(
        "{}, projecting {projection}",
        keys_as_text(there.key_schema(), attributes)
    );
    let wanted = format!("{}, projecting ALL", wanted_keys(INDEX_KEYS));
    (is != wanted).then(|| Difference {
        there: is,
        wanted,
        mend: "delete that index, or choose another name in TOKTIK_TABLE".to_owned(),
    })
}

async fn add_index(client: &Client, name: &str) -> anyhow::Result<()> {
    let action = CreateGlobalSecondaryIndexAction::builder()
        .index_name(INDEX)
        .set_key_schema(Some(schema(INDEX_KEYS)?))
        .projection(everything())
        .build()?;
    let update = GlobalSecondaryIndexUpdate::builder().create(action).build();
    let attributes: anyhow::Result<Vec<_>> = KEYS.into_iter().chain(INDEX_KEYS).map(attribute).collect();
    let request = client.update_table().table_name(name);
    let request = request.set_attribute_definitions(Some(attributes?));
    request.global_secondary_index_updates(update).send().await?;
    until_index_is_there(client, name).await
}

/// The SDK knows how to wait for tables only.
async fn until_index_is_there(client: &Client, name: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + INDEX_PATIENCE;
    loop {
        let table = described(client, name).await?.context("the table is gone")?;
        let indexes = table.global_secondary_indexes();
        let index = indexes.iter().find(|index| index.index_name() == Some(INDEX));
        if index.is_some_and(|index| index.index_status() == Some(&IndexStatus::Active)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("it is not there after {INDEX_PATIENCE:?}");
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

async fn expiry(visit: &mut Visit<'_>, client: &Client, has_table: bool) -> anyhow::Result<()> {
    let name = visit.stores.table.clone();
    let what = format!("time to live of {name}");
    let there = if has_table {
        expires_by(client, &name).await?
    } else {
        None
    };
    match there {
        None => visit.lacks(what, expire_items(client, &name)).await?,
        Some(attribute) if attribute == EXPIRY => visit.is_as_wanted(what),
        Some(attribute) => visit.differs(what, other_expiry(&name, &attribute)),
    }
    Ok(())
}

fn other_expiry(table: &str, attribute: &str) -> Difference {
    Difference {
        there: format!("by attribute {attribute}"),
        wanted: format!("by attribute {EXPIRY}"),
        mend: format!(
            "aws dynamodb update-time-to-live --table-name {table} --time-to-live-specification \
             Enabled=false,AttributeName={attribute}; AWS takes up to an hour until it can be switched on anew"
        ),
    }
}

/// The attribute by which items expire, if they do.
async fn expires_by(client: &Client, name: &str) -> anyhow::Result<Option<String>> {
    let request = client.describe_time_to_live().table_name(name);
    let output = request
        .send()
        .await
        .with_context(|| format!("looking at {name}'s time to live"))?;
    Ok(output
        .time_to_live_description
        .and_then(|described| attribute_of(&described)))
}

fn attribute_of(described: &TimeToLiveDescription) -> Option<String> {
    let off = [TimeToLiveStatus::Disabled, TimeToLiveStatus::Disabling];
    let status = described.time_to_live_status().filter(|status| !off.contains(status));
    status.and(described.attribute_name()).map(ToOwned::to_owned)
}

async fn expire_items(client: &Client, name: &str) -> anyhow::Result<()> {
    let expiry = TimeToLiveSpecification::builder().enabled(true);
    let expiry = expiry.attribute_name(EXPIRY).build()?;
    let request = client.update_time_to_live().table_name(name);
    request.time_to_live_specification(expiry).send().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: [&str; 2]) -> TableDescription {
        let attributes = KEYS
            .into_iter()
            .chain(["id"])
            .map(|name| attribute(name).unwrap())
            .collect();
        TableDescription::builder()
            .set_key_schema(Some(schema(keys).unwrap()))
            .set_attribute_definitions(Some(attributes))
            .build()
    }

    #[test]
    fn other_keys_are_named() {
        assert_eq!(different_keys(&table(KEYS)), None);
        let difference = different_keys(&table(["id", "sk"])).unwrap();
        assert_eq!(difference.there, "keys id (HASH, S), sk (RANGE, S)");
        assert_eq!(difference.wanted, "keys pk (HASH, S), sk (RANGE, S)");
    }

    #[test]
    fn an_index_has_to_hold_whole_items() {
        let attributes = INDEX_KEYS.map(|name| attribute(name).unwrap());
        let index = |projection: Projection| {
            GlobalSecondaryIndexDescription::builder()
                .index_name(INDEX)
                .set_key_schema(Some(schema(INDEX_KEYS).unwrap()))
                .projection(projection)
                .build()
        };
        assert_eq!(different_index(&index(everything()), &attributes), None);
        let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
        let difference = different_index(&index(keys_only), &attributes).unwrap();
        assert!(difference.there.ends_with("projecting KEYS_ONLY"), "{difference:?}");
    }

    #[test]
    fn what_is_switched_off_is_absent() {
        let described = |status| {
            let described = TimeToLiveDescription::builder().attribute_name("then");
            attribute_of(&described.time_to_live_status(status).build())
        };
        assert_eq!(described(TimeToLiveStatus::Disabled), None);
        assert_eq!(described(TimeToLiveStatus::Enabling).as_deref(), Some("then"));
    }
}
