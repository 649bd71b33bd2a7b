//! Whom the bucket tells of uploads. What it tells others stays as it is: a bucket's notifications are one document, which
//! is read, and written whole.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_bucket_notification_configuration::GetBucketNotificationConfigurationOutput;
use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter, QueueConfiguration,
    S3KeyFilter,
};
use toktik_objects::keys;

use super::queues::Told;
use super::{Difference, State, Visit};

const CREATED: &str = "s3:ObjectCreated:";
/// A queue's policy takes up to a minute until S3 knows it, and S3 tries whether it may send.
const POLICY_PATIENCE: Duration = Duration::from_mins(1);
const BETWEEN_TRIES: Duration = Duration::from_secs(2);
const WITHOUT: &str =
    "this store tells nobody of objects; whoever uploads does, and the janitor looks for those who did not";

pub(super) async fn visit(visit: &mut Visit<'_>, client: &Client, has_bucket: bool, told: &Told) -> anyhow::Result<()> {
    let bucket = visit.stores.bucket.clone();
    let what = format!("notification of {bucket}");
    let there = if has_bucket {
        configured(client, &bucket).await?
    } else {
        Some(nothing())
    };
    let Some(there) = there else {
        visit.report.note(what, State::NotServed(WITHOUT));
        return Ok(());
    };
    // Others have been known to S3 for long.
    let own = visit.wiring.notify.is_none();
    let patience = if own { POLICY_PATIENCE } else { Duration::ZERO };
    match compared(&listeners(&there), told) {
        Verdict::Told => visit.is_as_wanted(what),
        Verdict::Silent => visit.lacks(what, tell(client, &bucket, there, told, patience)).await?,
        Verdict::Otherwise(difference) => visit.differs(what, difference),
    }
    Ok(())
}

fn nothing() -> GetBucketNotificationConfigurationOutput {
    GetBucketNotificationConfigurationOutput::builder().build()
}

/// None where the store knows no notifications.
async fn configured(client: &Client, bucket: &str) -> anyhow::Result<Option<GetBucketNotificationConfigurationOutput>> {
    match client
        .get_bucket_notification_configuration()
        .bucket(bucket)
        .send()
        .await
    {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.code() == Some("NotImplemented") => Ok(None),
        Err(error) => Err(error).with_context(|| format!("looking at the notifications of {bucket}")),
    }
}

/// Somebody whom the bucket tells of something.
#[derive(Debug)]
struct Listener {
    arn: String,
    events: Vec<String>,
    prefix: String,
    suffix: String,
}

impl Listener {
    fn new(arn: &str, events: &[Event], filter: Option<&NotificationConfigurationFilter>) -> Self {
        let value = |name: &FilterRuleName| {
            let rules = filter
                .and_then(NotificationConfigurationFilter::key)
                .map(S3KeyFilter::filter_rules);
            let mut rules = rules.unwrap_or_default().iter();
            let rule = rules.find(|rule| {
                rule.name()
                    .is_some_and(|n| n.as_str().eq_ignore_ascii_case(name.as_str()))
            });
            rule.and_then(FilterRule::value).unwrap_or_default().to_owned()
        };
        Self {
            arn: arn.to_owned(),
            events: events.iter().map(|event| event.as_str().to_owned()).collect(),
            prefix: value(&FilterRuleName::Prefix),
            suffix: value(&FilterRuleName::Suffix),
        }
    }

    /// Tells of some upload. S3 does not let two listeners hear of the same.
    fn hears_of_uploads(&self) -> bool {
        let of_creation = self.events.iter().any(|event| event.starts_with(CREATED));
        let prefixes_meet = self.prefix.starts_with(keys::INCOMING) || keys::INCOMING.starts_with(&self.prefix);
        of_creation && prefixes_meet
    }

    /// Tells of all uploads and of nothing else.
    fn hears_what_it_should(&self) -> bool {
        let all = format!("{CREATED}*");
        self.events == [all] && self.prefix == keys::INCOMING && self.suffix.is_empty()
    }

    fn as_text(&self) -> String {
        let Self {
            arn,
            events,
            prefix,
            suffix,
        } = self;
        let suffix = if suffix.is_empty() {
            String::new()
        } else {
            format!(" and suffix {suffix}")
        };
        format!("{} with prefix {prefix:?}{suffix} to {arn}", events.join(", "))
    }
}

fn listeners(there: &GetBucketNotificationConfigurationOutput) -> Vec<Listener> {
    let queues = there.queue_configurations().iter();
    let queues = queues.map(|queue| Listener::new(queue.queue_arn(), queue.events(), queue.filter()));
    let topics = there.topic_configurations().iter();
    let topics = topics.map(|topic| Listener::new(topic.topic_arn(), topic.events(), topic.filter()));
    let lambdas = there.lambda_function_configurations().iter();
    let lambdas = lambdas.map(|lambda| Listener::new(lambda.lambda_function_arn(), lambda.events(), lambda.filter()));
    queues.chain(topics).chain(lambdas).collect()
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Told,
    /// Nobody hears of uploads.
    Silent,
    Otherwise(Difference),
}

fn compared(listeners: &[Listener], told: &Told) -> Verdict {
    let mut hearing = listeners.iter().filter(|listener| listener.hears_of_uploads());
    let Some(first) = hearing.next() else {
        return Verdict::Silent;
    };
    if std::iter::once(first)
        .chain(hearing)
        .any(|listener| told.is(&listener.arn) && listener.hears_what_it_should())
    {
        return Verdict::Told;
    }
    Verdict::Otherwise(Difference {
        there: first.as_text(),
        wanted: format!("{CREATED}* with prefix {:?} to {}", keys::INCOMING, told.name()),
        mend:
            "take it out (aws s3api put-bucket-notification-configuration), or choose another bucket in TOKTIK_BUCKET; \
               whoever else is to hear of uploads is named by --notify"
                .to_owned(),
    })
}

async fn tell(
    client: &Client,
    bucket: &str,
    others: GetBucketNotificationConfigurationOutput,
    told: &Told,
    patience: Duration,
) -> anyhow::Result<()> {
    let mut queues = others.queue_configurations.unwrap_or_default();
    queues.push(wanted(told.name())?);
    let configuration = NotificationConfiguration::builder()
        .set_queue_configurations(Some(queues))
        .set_topic_configurations(others.topic_configurations)
        .set_lambda_function_configurations(others.lambda_function_configurations)
        .set_event_bridge_configuration(others.event_bridge_configuration)
        .build();
    let deadline = Instant::now() + patience;
    loop {
        let request = client.put_bucket_notification_configuration().bucket(bucket);
        let Err(error) = request.notification_configuration(configuration.clone()).send().await else {
            return Ok(());
        };
        if error.code() != Some("InvalidArgument") || Instant::now() >= deadline {
            return Err(error.into());
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

/// By prefix alone: what a file is called says nothing.
fn wanted(told: &str) -> anyhow::Result<QueueConfiguration> {
    let rule = FilterRule::builder().name(FilterRuleName::Prefix).value(keys::INCOMING);
    let filter = S3KeyFilter::builder().filter_rules(rule.build()).build();
    let queue = QueueConfiguration::builder()
        .queue_arn(told)
        .events(Event::S3ObjectCreated)
        .filter(NotificationConfigurationFilter::builder().key(filter).build());
    Ok(queue.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:toktik-probe";

    fn listener(arn: &str, event: &str, prefix: &str) -> Listener {
        Listener {
            arn: arn.to_owned(),
            events: vec![event.to_owned()],
            prefix: prefix.to_owned(),
            suffix: String::new(),
        }
    }

    fn verdict(listeners: &[Listener]) -> Verdict {
        compared(listeners, &Told::Arn(QUEUE.to_owned()))
    }

    #[test]
    fn what_is_made_is_what_is_wanted() {
        let made = wanted(QUEUE).unwrap();
        let read = Listener::new(made.queue_arn(), made.events(), made.filter());
        assert_eq!(verdict(&[read]), Verdict::Told);
        let lower = listener(QUEUE, "s3:ObjectCreated:*", "uploads/");
        assert_eq!(
            compared(&[lower], &Told::Missing("toktik-probe".to_owned())),
            Verdict::Told
        );
    }

    #[test]
    fn others_that_hear_of_other_things_are_in_nobodys_way() {
        let removed = listener("arn:aws:sqs:us-east-1:1:audit", "s3:ObjectRemoved:*", "");
        let made = listener("arn:aws:lambda:us-east-1:1:function:x", "s3:ObjectCreated:*", "videos/");
        assert_eq!(verdict(&[removed, made]), Verdict::Silent);
    }

    #[test]
    fn whoever_hears_of_uploads_in_the_queues_place_is_named() {
        let wrong = [
            listener("arn:aws:sqs:us-east-1:1:other", "s3:ObjectCreated:*", "uploads/"),
            listener("arn:aws:sns:us-east-1:1:topic", "s3:ObjectCreated:Put", ""),
            listener(QUEUE, "s3:ObjectCreated:Put", "uploads/"),
            listener(QUEUE, "s3:ObjectCreated:*", ""),
        ];
        for listener in wrong {
            let text = listener.as_text();
            let Verdict::Otherwise(difference) = verdict(&[listener]) else {
                panic!("{text} is no difference");
            };
            assert_eq!(difference.there, text);
        }
    }
}
