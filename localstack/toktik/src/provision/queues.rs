//! A queue for each function that events start, each with its way to dead-letter, and leave for S3 to send to probe's.

use std::collections::HashMap;

use anyhow::Context as _;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use toktik_events::Function;

use super::{Difference, Visit};

/// So often a message is received before it goes to dead-letter: well above what healthy work needs, since a delivery
/// that finds the lease taken counts too.
const MAX_RECEIVES: u32 = 20;

/// Who hears of uploads.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Arn(String),
    /// A queue that is yet to be made, by its name.
    Missing(String),
}

impl Told {
    pub(super) fn is(&self, arn: &str) -> bool {
        match self {
            Self::Arn(wanted) => same_arn(wanted, arn),
            Self::Missing(name) => arn.rsplit(':').next() == Some(name),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Arn(name) | Self::Missing(name) => name,
        }
    }
}

/// `MinIO` puts its region into the ARNs of its webhooks, which people write without.
fn same_arn(wanted: &str, there: &str) -> bool {
    let (wanted, there): (Vec<_>, Vec<_>) = (wanted.split(':').collect(), there.split(':').collect());
    wanted.len() == there.len() && wanted.iter().zip(&there).all(|(w, t)| w.is_empty() || w == t)
}

struct Queue {
    url: String,
    arn: String,
    attributes: HashMap<QueueAttributeName, String>,
}

pub(super) async fn visit(visit: &mut Visit<'_>) -> anyhow::Result<Told> {
    let notify = visit.wiring.notify.clone();
    let probe = if visit.wiring.broker {
        match notify {
            Some(arn) => return Ok(Told::Arn(arn)),
            None => queue(visit, Function::Probe, None).await?,
        }
    } else {
        queues(visit).await?
    };
    if let Some(arn) = notify {
        return Ok(Told::Arn(arn));
    }
    admission(visit, probe.as_ref()).await?;
    Ok(match probe {
        Some(queue) => Told::Arn(queue.arn),
        None => Told::Missing(name(visit, Function::Probe)),
    })
}

/// Returns the queue of probe, if it is there.
async fn queues(visit: &mut Visit<'_>) -> anyhow::Result<Option<Queue>> {
    let dead_letter = queue(visit, Function::DeadLetter, None).await?;
    let dead_letter = match dead_letter {
        Some(queue) => Told::Arn(queue.arn),
        None => Told::Missing(name(visit, Function::DeadLetter)),
    };
    let mut probe = None;
    for function in Function::ALL {
        if !function.takes_events() || function == Function::DeadLetter {
            continue;
        }
        let queue = queue(visit, function, Some(&dead_letter)).await?;
        if function == Function::Probe {
            probe = queue;
        }
    }
    Ok(probe)
}

fn name(visit: &Visit<'_>, function: Function) -> String {
    format!("{}{function}", visit.stores.queue_prefix)
}

/// The queue, if it is there by now.
async fn queue(visit: &mut Visit<'_>, function: Function, dead_letter: Option<&Told>) -> anyhow::Result<Option<Queue>> {
    let client = visit.clients.sqs.clone();
    let name = name(visit, function);
    let what = format!("queue {name}");
    let there = look(&client, &name).await?;
    if let Some(queue) = &there {
        visit.is_as_wanted(what);
        if let Some(dead_letter) = dead_letter {
            redrive(visit, &name, queue, dead_letter).await?;
        }
        return Ok(there);
    }
    let attributes = dead_letter.map(|dead_letter| redrive_policy(dead_letter.name()));
    visit.lacks(what, create(&client, &name, attributes)).await?;
    if dead_letter.is_some() {
        // The queue is made with it.
        visit.lacks(redrive_of(&name), async { Ok(()) }).await?;
    }
    if visit.makes {
        look(&client, &name).await
    } else {
        Ok(None)
    }
}

async fn look(client: &Client, name: &str) -> anyhow::Result<Option<Queue>> {
    let url = match client.get_queue_url().queue_name(name).send().await {
        Ok(output) => output.queue_url.context("the queue has no address")?,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("looking for queue {name}")),
    };
    let request = client.get_queue_attributes().queue_url(&url);
    let output = request.attribute_names(QueueAttributeName::All).send().await;
    let output = output.with_context(|| format!("looking at queue {name}"))?;
    let attributes = output.attributes.unwrap_or_default();
    let arn = attributes.get(&QueueAttributeName::QueueArn).cloned();
    let arn = arn.with_context(|| format!("queue {name} has no ARN"))?;
    Ok(Some(Queue { url, arn, attributes }))
}

/// Older servers speak of it by the older protocol's name.
fn is_missing(error: &impl ProvideErrorMetadata) -> bool {
    matches!(
        error.code(),
        Some("QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue")
    )
}

fn redrive_policy(dead_letter: &str) -> HashMap<QueueAttributeName, String> {
    let policy = json!({ "deadLetterTargetArn": dead_letter, "maxReceiveCount": MAX_RECEIVES.to_string() });
    HashMap::from([(QueueAttributeName::RedrivePolicy, policy.to_string())])
}

async fn create(
    client: &Client,
    name: &str,
    attributes: Option<HashMap<QueueAttributeName, String>>,
) -> anyhow::Result<()> {
    let request = client.create_queue().queue_name(name);
    request.set_attributes(attributes).send().await?;
    Ok(())
}

fn redrive_of(queue: &str) -> String {
    format!("redrive of {queue}")
}

async fn redrive(visit: &mut Visit<'_>, name: &str, queue: &Queue, dead_letter: &Told) -> anyhow::Result<()> {
    let what = redrive_of(name);
    let client = visit.clients.sqs.clone();
    let there = queue.attributes.get(&QueueAttributeName::RedrivePolicy);
    let Some(there) = there.filter(|text| !text.is_empty()) else {
        let policy = redrive_policy(dead_letter.name());
        return visit.lacks(what, set(&client, queue, policy)).await;
    };
    match different_redrive(there, dead_letter, &queue.url) {
        None => visit.is_as_wanted(what),
        Some(difference) => visit.differs(what, difference),
    }
    Ok(())
}

async fn set(client: &Client, queue: &Queue, attributes: HashMap<QueueAttributeName, String>) -> anyhow::Result<()> {
    let request = client.set_queue_attributes().queue_url(&queue.url);
    request.set_attributes(Some(attributes)).send().await?;
    Ok(())
}

fn different_redrive(there: &str, dead_letter: &Told, url: &str) -> Option<Difference> {
    let policy: Value = serde_json::from_str(there).unwrap_or_default();
    // A number, or the text of one.
    let receives = policy["maxReceiveCount"].to_string();
    let receives = receives.trim_matches('"');
    let goes_to = policy["deadLetterTargetArn"].as_str().unwrap_or_default();
    let same = receives == MAX_RECEIVES.to_string() && dead_letter.is(goes_to);
    (!same).then(|| Difference {
        there: format!("after {receives} receives to {goes_to}"),
        wanted: format!("after {MAX_RECEIVES} receives to {}", dead_letter.name()),
        mend: format!("aws sqs set-queue-attributes --queue-url {url} --attributes RedrivePolicy="),
    })
}

/// AWS refuses notifications to a queue that does not let S3 send. Leave for others stays as it is.
async fn admission(visit: &mut Visit<'_>, queue: Option<&Queue>) -> anyhow::Result<()> {
    let what = format!("policy of {}", name(visit, Function::Probe));
    let client = visit.clients.sqs.clone();
    let bucket = visit.stores.bucket.clone();
    let Some(queue) = queue else {
        return visit.lacks(what, async { Ok(()) }).await;
    };
    let there = queue.attributes.get(&QueueAttributeName::Policy);
    let there = there.map_or("", String::as_str);
    match policy_with(there, &queue.arn, &bucket) {
        Admission::Granted => visit.is_as_wanted(what),
        Admission::ToGrant(policy) => {
            let attributes = HashMap::from([(QueueAttributeName::Policy, policy.to_string())]);
            visit.lacks(what, set(&client, queue, attributes)).await?;
        }
        Admission::Unreadable => {
            let difference = Difference {
                there: there.to_owned(),
                wanted: format!("a statement more: {}", statement(&queue.arn, &bucket)),
                mend: format!(
                    "aws sqs set-queue-attributes --queue-url {} --attributes Policy=",
                    queue.url
                ),
            };
            visit.differs(what, difference);
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Admission {
    Granted,
    /// By this policy.
    ToGrant(Value),
    Unreadable,
}

fn policy_with(there: &str, queue: &str, bucket: &str) -> Admission {
    let mut policy: Value = match there {
        "" => json!({ "Version": "2012-10-17", "Statement": [] }),
        text => serde_json::from_str(text).unwrap_or_default(),
    };
    // One statement may stand there alone.
    if policy["Statement"].is_object() {
        policy["Statement"] = json!([policy["Statement"]]);
    }
    let Some(statements) = policy["Statement"].as_array_mut() else {
        return Admission::Unreadable;
    };
    if statements.iter().any(|statement| admits(statement, queue, bucket)) {
        return Admission::Granted;
    }
    statements.push(statement(queue, bucket));
    Admission::ToGrant(policy)
}

fn statement(queue: &str, bucket: &str) -> Value {
    json!({
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": bucket_arn(queue, bucket)}},
    })
}

fn bucket_arn(queue: &str, bucket: &str) -> String {
    let partition = queue.split(':').nth(1).unwrap_or("aws");
    format!("arn:{partition}:s3:::{bucket}")
}

fn admits(statement: &Value, queue: &str, bucket: &str) -> bool {
    let says = |field: &Value, wanted: &[&str]| {
        let texts = field.as_array().map_or(std::slice::from_ref(field), Vec::as_slice);
        texts
            .iter()
            .filter_map(Value::as_str)
            .any(|text| wanted.iter().any(|wanted| text.eq_ignore_ascii_case(wanted)))
    };
    let source = |test: &str| &statement["Condition"][test]["aws:SourceArn"];
    let from_bucket = |test: &str| says(source(test), &[&bucket_arn(queue, bucket)]);
    says(&statement["Effect"], &["Allow"])
        && (says(&statement["Principal"], &["*"])
            || says(&statement["Principal"]["Service"], &["s3.amazonaws.com"])
            || says(&statement["Principal"]["AWS"], &["*"]))
        && says(&statement["Action"], &["sqs:SendMessage", "sqs:*", "*"])
        && says(&statement["Resource"], &[queue, "*"])
        && (statement["Condition"].is_null() || from_bucket("ArnEquals") || from_bucket("ArnLike"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:toktik-probe";

    fn dead_letter() -> Told {
        Told::Arn("arn:aws:sqs:us-east-1:000000000000:toktik-dead-letter".to_owned())
    }

    #[test]
    fn a_redrive_policy_is_the_same_whoever_wrote_it() {
        let arn = dead_letter().name().to_owned();
        for count in ["20", "\"20\""] {
            let there = format!(r#"{{"maxReceiveCount": {count}, "deadLetterTargetArn": "{arn}"}}"#);
            assert_eq!(different_redrive(&there, &dead_letter(), "URL"), None);
            let yet = Told::Missing("toktik-dead-letter".to_owned());
            assert_eq!(different_redrive(&there, &yet, "URL"), None);
        }
    }

    #[test]
    fn another_redrive_policy_is_named_with_a_way_to_mend_it() {
        let there = r#"{"maxReceiveCount":"3","deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:other"}"#;
        let difference = different_redrive(there, &dead_letter(), "http://q/1").unwrap();
        assert_eq!(
            difference.there,
            "after 3 receives to arn:aws:sqs:us-east-1:000000000000:other"
        );
        assert!(difference.mend.contains("http://q/1"), "{difference:?}");
        assert!(different_redrive("nonsense", &dead_letter(), "URL").is_some());
    }

    #[test]
    fn the_bucket_is_admitted_once_and_others_stay_admitted() {
        let Admission::ToGrant(alone) = policy_with("", QUEUE, "toktik") else {
            panic!("nobody is admitted yet");
        };
        assert_eq!(alone["Statement"].as_array().map(Vec::len), Some(1));
        assert_eq!(policy_with(&alone.to_string(), QUEUE, "toktik"), Admission::Granted);

        let Admission::ToGrant(both) = policy_with(&alone.to_string(), QUEUE, "another") else {
            panic!("another bucket is not admitted");
        };
        assert_eq!(both["Statement"][0], alone["Statement"][0]);
        for bucket in ["toktik", "another"] {
            assert_eq!(policy_with(&both.to_string(), QUEUE, bucket), Admission::Granted);
        }
    }

    #[test]
    fn leave_for_everybody_is_leave_for_the_bucket_and_a_refusal_is_none() {
        let policy = |effect: &str| {
            json!({ "Statement": { "Effect": effect, "Principal": "*", "Action": "SQS:*", "Resource": "*" } })
                .to_string()
        };
        assert_eq!(policy_with(&policy("Allow"), QUEUE, "toktik"), Admission::Granted);
        assert!(matches!(
            policy_with(&policy("Deny"), QUEUE, "toktik"),
            Admission::ToGrant(_)
        ));
        assert_eq!(policy_with("no JSON", QUEUE, "toktik"), Admission::Unreadable);
    }

    #[test]
    fn minios_arns_are_the_same_with_and_without_a_region() {
        let wanted = Told::Arn("arn:minio:sqs::toktik:webhook".to_owned());
        assert!(wanted.is("arn:minio:sqs:eu-west-1:toktik:webhook"));
        assert!(!wanted.is("arn:minio:sqs::other:webhook"));
        assert!(!dead_letter().is(QUEUE));
    }
}
