//! What the API is measured against: handlers that do one call of the SDK and nothing else, over the same embedded cloud
//! and a copy of the same data as `toktik up`.
//!
//! Also makes the data: clips by the hundred, of one that went through the whole platform.

mod copies;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use toktik_cloud::{Cloud, Options};

/// What the functions have, too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const TABLE: &str = "toktik";

#[derive(Parser)]
struct Cli {
    /// Of a `toktik up` that does not run
    #[arg(long)]
    data_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer with one call of the SDK and nothing else
    Serve {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Make so many clips of one, and print their ids as JSON
    Copies {
        /// The one
        clip: String,
        count: u32,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let cloud = Cloud::open(options(cli.data_dir)).await?;
    match cli.command {
        Command::Serve { listen } => serve(&cloud, listen).await,
        Command::Copies { clip, count } => {
            let ids = copies::make(&cloud.dynamodb_client(), &clip, count).await?;
            println!("{}", serde_json::to_string(&ids)?);
            cloud.close().await;
            Ok(())
        }
    }
}

/// Within the process nobody checks keys.
fn options(data_dir: PathBuf) -> Options {
    Options {
        data_dir,
        access_key_id: "reference".to_owned(),
        secret_access_key: "reference".to_owned(),
        region: "us-east-1".to_owned(),
    }
}

async fn serve(cloud: &Cloud, listen: SocketAddr) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/api/v1/videos", get(feed))
        .route("/api/v1/videos/{id}", get(clip))
        .with_state(Arc::new(cloud.dynamodb_client()));
    axum::serve(TcpListener::bind(listen).await?, router).await?;
    Ok(())
}

/// The call by which `GET /api/v1/videos/{id}` reads a clip.
async fn clip(State(client): State<Arc<Client>>, Path(id): Path<String>) -> Result<String, StatusCode> {
    let query = range(&client, &format!("VIDEO#{id}"), "META", "META#COUNT#\u{10ffff}");
    items(query.scan_index_forward(true)).await
}

/// The call by which `GET /api/v1/videos` finds a page of 20.
async fn feed(State(client): State<Arc<Client>>) -> Result<String, StatusCode> {
    let query = range(&client, "FEED", " ", "\u{10ffff}");
    items(query.scan_index_forward(false).limit(21)).await
}

/// As the catalog writes it.
fn range(client: &Client, partition: &str, low: &str, high: &str) -> QueryFluentBuilder {
    client
        .query()
        .table_name(TABLE)
        .consistent_read(true)
        .key_condition_expression("#pk = :pk AND #sk BETWEEN :low AND :high")
        .expression_attribute_names("#pk", "pk")
        .expression_attribute_names("#sk", "sk")
        .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
        .expression_attribute_values(":low", AttributeValue::S(low.to_owned()))
        .expression_attribute_values(":high", AttributeValue::S(high.to_owned()))
}

/// How many there are; none is as wrong here as an error.
async fn items(query: QueryFluentBuilder) -> Result<String, StatusCode> {
    let output = query.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    match output.count() {
        0 => Err(StatusCode::NOT_FOUND),
        count => Ok(count.to_string()),
    }
}
