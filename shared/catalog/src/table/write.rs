//! One conditional write, built up in words and sent alone or with others.

use std::collections::HashMap;

use anyhow::Context;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};
use serde::Serialize;

use super::{Error, Item, Key};

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Put(Item),
    Update,
    Delete,
    Check,
}

/// One conditional write.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(super) key: Key,
    pub(super) kind: Kind,
    sets: Vec<String>,
    adds: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: Item,
}

impl Write {
    fn new(key: Key, kind: Kind) -> Self {
        Self {
            key,
            kind,
            sets: Vec::new(),
            adds: Vec::new(),
            removes: Vec::new(),
            conditions: Vec::new(),
            names: HashMap::new(),
            values: Item::new(),
        }
    }

    pub(crate) fn put<T: Serialize>(key: Key, item: &T) -> Result<Self, Error> {
        let mut attributes: Item = serde_dynamo::to_item(item).context("writing an item")?;
        attributes.retain(|_, value| !value.is_null());
        attributes.extend(key.attributes());
        Ok(Self::new(key, Kind::Put(attributes)))
    }

    pub(crate) fn update(key: Key) -> Self {
        Self::new(key, Kind::Update)
    }

    pub(crate) fn delete(key: Key) -> Self {
        Self::new(key, Kind::Delete)
    }

    /// Writes nothing, but its condition has to hold.
    pub(crate) fn check(key: Key) -> Self {
        Self::new(key, Kind::Check)
    }

    /// An attribute beside those of the item itself: the index's keys, the time to live.
    pub(crate) fn attribute(mut self, name: &str, value: AttributeValue) -> Self {
        if let Kind::Put(item) = &mut self.kind {
            item.insert(name.to_owned(), value);
        }
        self
    }

    pub(crate) fn owned_by(self, partition: &str, sort: &str) -> Self {
        self.attribute("gsi1pk", AttributeValue::S(partition.to_owned()))
            .attribute("gsi1sk", AttributeValue::S(sort.to_owned()))
    }

    /// The store removes the item some time after this moment.
    pub(crate) fn expires_at(self, at: chrono::DateTime<chrono::Utc>) -> Self {
        self.attribute("expires_at", AttributeValue::N(at.timestamp().to_string()))
    }

    pub(crate) fn set<T: Serialize>(mut self, name: &str, value: &T) -> Result<Self, Error> {
        let value = serde_dynamo::to_attribute_value(value).context("writing an attribute")?;
        let (name, value) = (self.name(name), self.value(value));
        self.sets.push(format!("{name} = {value}"));
        Ok(self)
    }

    pub(crate) fn add(mut self, name: &str, amount: i64) -> Self {
        let (name, value) = (self.name(name), self.value(AttributeValue::N(amount.to_string())));
        self.adds.push(format!("{name} {value}"));
        self
    }

    pub(crate) fn remove(mut self, name: &str) -> Self {
        let name = self.name(name);
        self.removes.push(name);
        self
    }

    pub(crate) fn if_absent(mut self) -> Self {
        self.conditions.push("attribute_not_exists(pk)".to_owned());
        self
    }

    pub(crate) fn if_exists(mut self) -> Self {
        self.conditions.push("attribute_exists(pk)".to_owned());
        self
    }

    pub(crate) fn if_equal<T: Serialize>(self, name: &str, value: &T) -> Result<Self, Error> {
        self.compare(name, "=", value)
    }

    pub(crate) fn if_one_of<T: Serialize>(mut self, name: &str, values: &[T]) -> Result<Self, Error> {
        let name = self.name(name);
        let mut list = Vec::new();
        for value in values {
            let value = serde_dynamo::to_attribute_value(value).context("writing a condition")?;
            list.push(self.value(value));
        }
        self.conditions.push(format!("{name} IN ({})", list.join(", ")));
        Ok(self)
    }

    /// The attribute is absent or not above the value.
    pub(crate) fn unless_above<T: Serialize>(mut self, name: &str, value: &T) -> Result<Self, Error> {
        let value = serde_dynamo::to_attribute_value(value).context("writing a condition")?;
        let (name, value) = (self.name(name), self.value(value));
        self.conditions
            .push(format!("(attribute_not_exists({name}) OR {name} <= {value})"));
        Ok(self)
    }

    fn compare<T: Serialize>(mut self, name: &str, operator: &str, value: &T) -> Result<Self, Error> {
        let value = serde_dynamo::to_attribute_value(value).context("writing a condition")?;
        let (name, value) = (self.name(name), self.value(value));
        self.conditions.push(format!("{name} {operator} {value}"));
        Ok(self)
    }

    /// Every name goes through a placeholder: many are reserved words.
    fn name(&mut self, name: &str) -> String {
        let placeholder = format!("#{name}");
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    pub(super) fn condition_expression(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }

    pub(super) fn update_expression(&self) -> String {
        let clauses = [("SET", &self.sets), ("ADD", &self.adds), ("REMOVE", &self.removes)];
        let clauses = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        let clauses: Vec<String> = clauses
            .map(|(word, parts)| format!("{word} {}", parts.join(", ")))
            .collect();
        clauses.join(" ")
    }

    pub(super) fn item(&self, table: &str) -> anyhow::Result<TransactWriteItem> {
        let condition = self.condition_expression();
        let names = non_empty(self.names.clone());
        let values = non_empty(self.values.clone());
        let builder = TransactWriteItem::builder();
        let key = Some(self.key.attributes());
        let built = match &self.kind {
            Kind::Put(item) => builder.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item.clone()))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Kind::Update => builder.update(
                Update::builder()
                    .table_name(table)
                    .set_key(key)
                    .update_expression(self.update_expression())
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Kind::Delete => builder.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(key)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
            Kind::Check => builder.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(key)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?,
            ),
        };
        Ok(built.build())
    }
}

pub(super) fn non_empty<V>(map: HashMap<String, V>) -> Option<HashMap<String, V>> {
    (!map.is_empty()).then_some(map)
}
