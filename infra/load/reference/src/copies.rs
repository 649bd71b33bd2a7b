//! Clips by the hundred: the items of one that is ready, under other ids. They share its objects.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use crate::TABLE;

type Item = HashMap<String, AttributeValue>;

/// Of what a clip that is ready has.
const COPIED: [&str; 2] = ["META", "MANIFEST#"];
/// Views and likes are spread over so many items.
const SHARDS: u32 = 4;

pub(crate) async fn make(client: &Client, clip: &str, count: u32) -> anyhow::Result<Vec<String>> {
    let items = of_partition(client, &format!("VIDEO#{clip}")).await?;
    let listed = of_partition(client, "FEED").await?;
    let entry = listed.into_iter().find(|item| text(item, "sk").ends_with(clip));
    let entry = entry.context("the clip is not in the feed")?;
    ensure!(!items.is_empty(), "there is no such clip");
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = Uuid::new_v4().simple().to_string();
        let copied = items.iter().filter(|item| is_copied(item)).chain([&entry]);
        for item in copied {
            put(client, renamed(item, clip, &id)).await?;
        }
        for shard in 0..SHARDS {
            put(client, counts(&id, shard)).await?;
        }
        ids.push(id);
    }
    Ok(ids)
}

async fn of_partition(client: &Client, pk: &str) -> anyhow::Result<Vec<Item>> {
    let query = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()));
    Ok(query.send().await?.items.unwrap_or_default())
}

fn is_copied(item: &Item) -> bool {
    let sk = text(item, "sk");
    COPIED.iter().any(|prefix| sk.starts_with(prefix)) && !sk.contains("COUNT")
}

/// The same item of another clip: keys of objects stay as they are.
fn renamed(item: &Item, from: &str, to: &str) -> Item {
    let rename = |(name, value): (&String, &AttributeValue)| {
        let value = match value {
            AttributeValue::S(text) if !text.contains('/') => AttributeValue::S(text.replace(from, to)),
            other => other.clone(),
        };
        (name.clone(), value)
    };
    item.iter().map(rename).collect()
}

fn counts(id: &str, shard: u32) -> Item {
    let number = |number: u32| AttributeValue::N(number.to_string());
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(format!("VIDEO#{id}"))),
        ("sk".to_owned(), AttributeValue::S(format!("META#COUNT#{shard}"))),
        ("views".to_owned(), number(1000 + shard)),
        ("likes".to_owned(), number(100 + shard)),
    ])
}

async fn put(client: &Client, item: Item) -> anyhow::Result<()> {
    client.put_item().table_name(TABLE).set_item(Some(item)).send().await?;
    Ok(())
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map_or("", String::as_str)
}
