//! The simulated table beside the embedded DynamoDB: the same items, the same question, the same answer and items.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use serde_json::{Value, json};
use toktik_cloud::{Cloud, Options};
use tower::ServiceExt as _;

use crate::store::{Ask, Item, Store, ordered};

pub(crate) struct Embedded {
    cloud: Cloud,
    _directory: tempfile::TempDir,
}

impl Embedded {
    pub(crate) async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            data_dir: directory.path().to_owned(),
            access_key_id: "model".to_owned(),
            secret_access_key: "model".to_owned(),
            region: "model".to_owned(),
        };
        let cloud = Cloud::open(options).await.unwrap();
        let embedded = Self {
            cloud,
            _directory: directory,
        };
        let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
        let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        let table = json!({
            "TableName": "toktik", "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")], "AttributeDefinitions": [text("pk"), text("sk")],
        });
        assert_eq!(embedded.ask("CreateTable", table.to_string()).await.0, 200);
        embedded
    }

    async fn ask(&self, operation: &str, input: String) -> (u16, Value) {
        let request = Request::post("/").header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        let answer = self
            .cloud
            .dynamodb()
            .oneshot(request.body(Body::from(input)).unwrap())
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn items(&self) -> Vec<Value> {
        let (_, mut scanned) = self.ask("Scan", json!({"TableName": "toktik"}).to_string()).await;
        let mut items: Vec<Value> = serde_json::from_value(scanned["Items"].take()).unwrap();
        for item in &mut items {
            *item = ordered(item.take());
        }
        items.sort_by_key(Value::to_string);
        items
    }

    /// Makes the table hold exactly these items.
    async fn fill(&self, store: &Store) {
        for item in self.items().await {
            let key = json!({"TableName": "toktik", "Key": {"pk": item["pk"], "sk": item["sk"]}});
            assert_eq!(self.ask("DeleteItem", key.to_string()).await.0, 200);
        }
        for item in items(store) {
            let put = json!({"TableName": "toktik", "Item": item});
            assert_eq!(self.ask("PutItem", put.to_string()).await.0, 200);
        }
    }

    /// Asserts that both answer alike and keep the same.
    pub(crate) async fn agrees(&self, store: &Store, ask: &Ask) {
        let Ask::Table(operation, input) = ask else { return };
        self.fill(store).await;
        let mut after = store.clone();
        let simulated = after.serve(ask);
        let (status, real) = self.ask(operation, input.clone()).await;
        let told: Value = serde_json::from_str(&simulated.body).unwrap();
        assert_eq!(
            (simulated.status, gist(&told)),
            (status, gist(&real)),
            "{operation} {input}"
        );
        assert_eq!(items(&after), self.items().await, "{operation} {input}");
    }
}

fn items(store: &Store) -> Vec<Value> {
    let mut items: Vec<Value> = store
        .items
        .values()
        .map(|kept| Value::Object(Item::clone(&kept.item)))
        .collect();
    items.sort_by_key(Value::to_string);
    items
}

/// What the SDK makes anything of.
fn gist(answer: &Value) -> Value {
    let kind = answer["__type"].as_str().and_then(|kind| kind.rsplit('#').next());
    let reasons = answer["CancellationReasons"].as_array();
    let codes: Option<Vec<&Value>> = reasons.map(|reasons| reasons.iter().map(|reason| &reason["Code"]).collect());
    ordered(json!({
        "kind": kind, "codes": codes, "item": answer["Item"], "items": answer["Items"], "responses": answer["Responses"],
    }))
}
