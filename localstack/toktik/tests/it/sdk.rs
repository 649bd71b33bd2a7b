//! Clients of a cloud at some address, as the SDKs make them elsewhere.

use aws_sdk_s3::config::{Credentials, Region};
use toktik_objects::CredentialsEnd;
use toktik_runtime::context::Clients;

pub(crate) fn clients(base: &str) -> Clients {
    let (credentials, region) = (
        Credentials::new("test", "test-secret", None, None, "test"),
        Region::new("us-east-1"),
    );
    let s3 = aws_sdk_s3::Config::builder()
        .force_path_style(true)
        .behavior_version_latest()
        .region(region.clone())
        .credentials_provider(credentials.clone())
        .endpoint_url(base);
    let sqs = aws_sdk_sqs::Config::builder()
        .behavior_version_latest()
        .region(region.clone())
        .credentials_provider(credentials.clone())
        .endpoint_url(base);
    let dynamodb = aws_sdk_dynamodb::Config::builder()
        .behavior_version_latest()
        .region(region)
        .credentials_provider(credentials)
        .endpoint_url(base);
    Clients {
        s3: aws_sdk_s3::Client::from_conf(s3.build()),
        sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
        dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
        credentials_end: CredentialsEnd::default(),
    }
}
