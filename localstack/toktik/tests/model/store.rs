//! The stores as the explorer holds them: a value that is cheap to keep, to compare and to go back to.
//!
//! Table and bucket are one map. Of DynamoDB it knows what the catalog writes and panics at anything else; a test beside
//! it holds it against the embedded DynamoDB, question by question.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::rc::Rc;

use serde_json::{Map, Value, json};

/// What a process asks of the stores.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    /// An operation of DynamoDB and its input, as JSON whose keys are in order.
    Table(String, String),
    Head(String),
    List(String),
    Put(String),
    Remove(Vec<String>),
    /// A message for the queue of this name.
    Send(String, String),
}

/// What it is told: a status, and a body in the store's own words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Of an object that is there.
    pub(crate) etag: Option<&'static str>,
}

impl Ask {
    pub(crate) fn writes(&self) -> bool {
        match self {
            Self::Table(operation, _) => !matches!(operation.as_str(), "GetItem" | "Query" | "BatchGetItem"),
            Self::Head(_) | Self::List(_) => false,
            Self::Put(_) | Self::Remove(_) | Self::Send(..) => true,
        }
    }
}

/// Every value once, known by its number.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    numbers: HashMap<Rc<T>, u32>,
    values: Vec<Rc<T>>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            values: Vec::new(),
        }
    }
}

impl<T: Eq + Hash> Arena<T> {
    pub(crate) fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let (value, number) = (Rc::new(value), u32::try_from(self.values.len()).unwrap());
        self.values.push(Rc::clone(&value));
        self.numbers.insert(value, number);
        number
    }

    pub(crate) fn find(&self, value: &T) -> Option<u32> {
        self.numbers.get(value).copied()
    }

    pub(crate) fn get(&self, number: u32) -> Rc<T> {
        Rc::clone(&self.values[number as usize])
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

pub(crate) type Item = Map<String, Value>;

/// Items by partition and sort key; objects by key. Items are shared between the many stores that differ in one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    pub(crate) items: BTreeMap<(String, String), Rc<Text>>,
    pub(crate) objects: BTreeSet<String>,
}

/// An item as JSON whose keys are in order, and read.
#[derive(Debug)]
pub(crate) struct Text {
    text: String,
    pub(crate) item: Item,
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// The same JSON, the keys of every object in order.
pub(crate) fn ordered(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<String, Value> = map.into_iter().map(|(key, value)| (key, ordered(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(list) => list.into_iter().map(ordered).collect(),
        other => other,
    }
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap()
}

fn key_of(item: &Item) -> (String, String) {
    (text(item, "pk").to_owned(), text(item, "sk").to_owned())
}

impl Store {
    pub(crate) fn item(&self, pk: &str, sk: &str) -> Option<&Item> {
        self.items.get(&(pk.to_owned(), sk.to_owned())).map(|found| &found.item)
    }

    pub(crate) fn partition<'a>(&'a self, pk: &'a str) -> impl Iterator<Item = (&'a str, &'a Item)> {
        let of_it = self.items.range((pk.to_owned(), String::new())..);
        of_it
            .take_while(move |((found, _), _)| found == pk)
            .map(|((_, sk), found)| (sk.as_str(), &found.item))
    }

    pub(crate) fn put(&mut self, item: Item) {
        let Value::Object(item) = ordered(Value::Object(item)) else {
            unreachable!("an object stays one")
        };
        let text = serde_json::to_string(&item).unwrap();
        self.items.insert(key_of(&item), Rc::new(Text { text, item }));
    }

    /// Does what is asked, all of it or nothing.
    pub(crate) fn serve(&mut self, ask: &Ask) -> Reply {
        match ask {
            Ask::Table(operation, input) => self.table(operation, &serde_json::from_str(input).unwrap()),
            Ask::Head(key) if self.objects.contains(key) => Reply {
                etag: Some("\"etag\""),
                ..fine("")
            },
            Ask::Head(_) => Reply {
                status: 404,
                ..fine("")
            },
            Ask::List(prefix) => fine(&self.list(prefix)),
            Ask::Put(key) => {
                let is_new = self.objects.insert(key.clone());
                assert!(is_new, "an object is written over: {key}");
                fine("")
            }
            Ask::Remove(keys) => {
                self.objects.retain(|key| !keys.contains(key));
                fine("<DeleteResult/>")
            }
            Ask::Send(..) => fine(r#"{"MessageId":"1","MD5OfMessageBody":""}"#),
        }
    }

    fn list(&self, prefix: &str) -> String {
        let found: Vec<&str> = self
            .objects
            .iter()
            .filter(|key| key.starts_with(prefix))
            .map(String::as_str)
            .collect();
        let contents = match found.join("</Key></Contents><Contents><Key>") {
            none if none.is_empty() => none,
            keys => format!("<Contents><Key>{keys}</Key></Contents>"),
        };
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>")
    }

    fn table(&mut self, operation: &str, input: &Value) -> Reply {
        match operation {
            "GetItem" => self.get(input),
            "BatchGetItem" => self.get_many(input),
            "Query" => self.query(input),
            "PutItem" | "UpdateItem" | "DeleteItem" => self.write_alone(operation, input),
            "TransactWriteItems" => self.transact(input),
            other => panic!("the catalog never asked for {other} before"),
        }
    }

    fn get(&self, input: &Value) -> Reply {
        let key = input["Key"].as_object().unwrap();
        match self.items.get(&key_of(key)) {
            Some(found) => fine(&json!({ "Item": found.item }).to_string()),
            None => fine("{}"),
        }
    }

    fn get_many(&self, input: &Value) -> Reply {
        let (table, request) = input["RequestItems"].as_object().unwrap().iter().next().unwrap();
        let keys = request["Keys"].as_array().unwrap().iter();
        let found: Vec<&Item> = keys
            .filter_map(|key| self.items.get(&key_of(key.as_object().unwrap())))
            .map(|found| &found.item)
            .collect();
        fine(&json!({"Responses": {table: found}, "UnprocessedKeys": {}}).to_string())
    }

    fn query(&self, input: &Value) -> Reply {
        assert_eq!(
            input["KeyConditionExpression"],
            "#pk = :pk AND #sk BETWEEN :low AND :high"
        );
        assert_eq!(input["ExpressionAttributeNames"]["#pk"], "pk", "an index is asked");
        let value = |name: &str| input["ExpressionAttributeValues"][name]["S"].as_str().unwrap();
        let (low, high) = (value(":low"), value(":high"));
        let in_range = self.partition(value(":pk")).filter(|(sk, _)| (low..=high).contains(sk));
        let mut found: Vec<&Item> = in_range.map(|(_, item)| item).collect();
        if input["ScanIndexForward"] == false {
            found.reverse();
        }
        let limit = input["Limit"]
            .as_u64()
            .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
        assert!(found.len() < limit, "a second page is needed");
        fine(&json!({"Items": found, "Count": found.len(), "ScannedCount": found.len()}).to_string())
    }

    fn write_alone(&mut self, operation: &str, input: &Value) -> Reply {
        let kind = operation.trim_end_matches("Item");
        if self.holds(kind, input) {
            self.write(kind, input);
            return fine("{}");
        }
        refused(json!({"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}))
    }

    fn transact(&mut self, input: &Value) -> Reply {
        let writes = input["TransactItems"].as_array().unwrap().iter();
        let writes: Vec<(&str, &Value)> = writes
            .map(|write| write.as_object().unwrap().iter().next().unwrap())
            .map(|(kind, write)| (kind.as_str(), write))
            .collect();
        let held: Vec<bool> = writes.iter().map(|(kind, write)| self.holds(kind, write)).collect();
        if held.iter().all(|held| *held) {
            for (kind, write) in writes {
                self.write(kind, write);
            }
            return fine("{}");
        }
        let reason = |held: bool| json!({"Code": if held { "None" } else { "ConditionalCheckFailed" }});
        refused(json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "CancellationReasons": held.into_iter().map(reason).collect::<Vec<_>>(),
        }))
    }

    fn holds(&self, kind: &str, write: &Value) -> bool {
        let Some(condition) = write["ConditionExpression"].as_str() else {
            return true;
        };
        let found = self.items.get(&written(kind, write)).map(|found| &found.item);
        condition
            .split(" AND ")
            .all(|clause| clause_holds(clause, write, found))
    }

    fn write(&mut self, kind: &str, write: &Value) {
        let key = written(kind, write);
        match kind {
            "Put" => self.put(write["Item"].as_object().unwrap().clone()),
            "Delete" => drop(self.items.remove(&key)),
            "Update" => {
                let fresh = || write["Key"].as_object().unwrap().clone();
                let mut item = self.items.get(&key).map_or_else(fresh, |found| found.item.clone());
                update(&mut item, write);
                self.put(item);
            }
            "ConditionCheck" => {}
            other => panic!("the catalog never wrote {other} before"),
        }
    }
}

fn fine(body: &str) -> Reply {
    Reply {
        status: 200,
        body: body.to_owned(),
        etag: None,
    }
}

fn refused(body: Value) -> Reply {
    Reply {
        status: 400,
        body: ordered(body).to_string(),
        etag: None,
    }
}

fn written(kind: &str, write: &Value) -> (String, String) {
    let whole = if kind == "Put" { "Item" } else { "Key" };
    key_of(write[whole].as_object().unwrap())
}

/// One condition, of those that the catalog makes.
fn clause_holds(clause: &str, write: &Value, item: Option<&Item>) -> bool {
    let name = |placeholder: &str| write["ExpressionAttributeNames"][placeholder].as_str().unwrap();
    let given = |placeholder: &str| &write["ExpressionAttributeValues"][placeholder];
    let kept = |placeholder: &str| item.and_then(|item| item.get(name(placeholder)));
    let words: Vec<&str> = clause.split(' ').collect();
    match words.as_slice() {
        ["attribute_not_exists(pk)"] => item.is_none(),
        ["attribute_exists(pk)"] => item.is_some(),
        [attribute, "=", value] => kept(attribute) == Some(given(value)),
        [attribute, "IN", values @ ..] => {
            let values = values.iter().map(|value| given(value.trim_matches(['(', ')', ','])));
            kept(attribute).is_some_and(|kept| values.into_iter().any(|value| value == kept))
        }
        _ => panic!("the catalog never made this condition before: {clause}"),
    }
}

fn update(item: &mut Item, write: &Value) {
    let expression = write["UpdateExpression"].as_str().unwrap();
    let name = |placeholder: &str| {
        let name = &write["ExpressionAttributeNames"][placeholder.trim_end_matches(',')];
        name.as_str().unwrap().to_owned()
    };
    let given = |placeholder: &str| write["ExpressionAttributeValues"][placeholder.trim_end_matches(',')].clone();
    let mut words = expression.split(' ');
    let mut clause = "";
    while let Some(word) = words.next() {
        match (clause, word) {
            (_, "SET" | "ADD" | "REMOVE") => clause = word,
            ("SET", attribute) => {
                assert_eq!(words.next(), Some("="));
                item.insert(name(attribute), given(words.next().unwrap()));
            }
            ("ADD", attribute) => {
                let number = |value: &Value| value["N"].as_str().unwrap_or("0").parse::<i64>().unwrap();
                let attribute = name(attribute);
                let before = item.get(&attribute).map_or(0, number);
                let sum = before + number(&given(words.next().unwrap()));
                item.insert(attribute, json!({"N": sum.to_string()}));
            }
            ("REMOVE", attribute) => drop(item.remove(&name(attribute))),
            _ => panic!("the catalog never updated like this before: {expression}"),
        }
    }
}
