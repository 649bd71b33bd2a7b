//! Which pages may use the bucket's signed URLs.

use anyhow::Context as _;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{CorsConfiguration, CorsRule};

use super::{Difference, State, Visit};

const METHODS: [&str; 3] = ["GET", "HEAD", "PUT"];
const MAX_AGE_SECONDS: i32 = 3000;
/// `MinIO` has one setting for the whole server, and it lets all origins in unless told otherwise.
const WITHOUT: &str = "this store knows no CORS of buckets, and has to let browsers in by itself";

pub(super) async fn visit(visit: &mut Visit<'_>, client: &Client, has_bucket: bool) -> anyhow::Result<()> {
    let bucket = visit.stores.bucket.clone();
    let what = format!("CORS of {bucket}");
    let origins = match visit.wiring.origins.as_slice() {
        [] => vec!["*".to_owned()],
        origins => origins.to_vec(),
    };
    let there = if has_bucket {
        rules(client, &bucket).await?
    } else {
        Vec::new()
    };
    if there.is_empty() {
        return allow(visit, client, what, &origins).await;
    }
    match narrower(&there, &origins) {
        None => visit.is_as_wanted(what),
        Some(difference) => visit.differs(what, difference),
    }
    Ok(())
}

async fn rules(client: &Client, bucket: &str) -> anyhow::Result<Vec<CorsRule>> {
    match client.get_bucket_cors().bucket(bucket).send().await {
        Ok(output) => Ok(output.cors_rules.unwrap_or_default()),
        Err(error) if matches!(error.code(), Some("NoSuchCORSConfiguration" | "NotImplemented")) => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("looking at the CORS of {bucket}")),
    }
}

async fn allow(visit: &mut Visit<'_>, client: &Client, what: String, origins: &[String]) -> anyhow::Result<()> {
    if !visit.makes {
        visit.report.note(what, State::Missing);
        return Ok(());
    }
    let cors = CorsConfiguration::builder().cors_rules(rule(origins)?).build()?;
    let request = client.put_bucket_cors().bucket(&visit.stores.bucket);
    let state = match request.cors_configuration(cors).send().await {
        Ok(_) => State::Created,
        Err(error) if error.code() == Some("NotImplemented") => State::NotServed(WITHOUT),
        Err(error) => return Err(error).with_context(|| format!("making the {what}")),
    };
    visit.report.note(what, state);
    Ok(())
}

fn rule(origins: &[String]) -> anyhow::Result<CorsRule> {
    let rule = CorsRule::builder()
        .set_allowed_origins(Some(origins.to_vec()))
        .allowed_headers("*")
        .set_allowed_methods(Some(METHODS.map(str::to_owned).to_vec()))
        .expose_headers("ETag")
        .max_age_seconds(MAX_AGE_SECONDS);
    Ok(rule.build()?)
}

/// Other rules may let in more; none may let in less.
fn narrower(there: &[CorsRule], origins: &[String]) -> Option<Difference> {
    let wanted = origins.iter().flat_map(|origin| METHODS.map(|method| (origin, method)));
    let missing: Vec<_> = wanted
        .filter(|(origin, method)| !there.iter().any(|rule| lets_in(rule, origin, method)))
        .collect();
    let (origin, _) = missing.first()?;
    Some(Difference {
        there: there.iter().map(as_text).collect::<Vec<_>>().join("; "),
        wanted: format!(
            "from {origin}: {}, with all headers, and ETag exposed",
            METHODS.join(", ")
        ),
        mend: "add such a rule; or say with --origin which pages use it; or aws s3api delete-bucket-cors, if nobody \
               else needs what is there"
            .to_owned(),
    })
}

fn lets_in(rule: &CorsRule, origin: &str, method: &str) -> bool {
    let has = |texts: &[String], wanted: &str| {
        let mut texts = texts.iter();
        texts.any(|text| text == "*" || text.eq_ignore_ascii_case(wanted))
    };
    has(rule.allowed_origins(), origin)
        && has(rule.allowed_methods(), method)
        && has(rule.allowed_headers(), "*")
        && has(rule.expose_headers(), "ETag")
}

fn as_text(rule: &CorsRule) -> String {
    format!(
        "from {}: {}, with headers {}, exposing {}",
        rule.allowed_origins().join(", "),
        rule.allowed_methods().join(", "),
        listed(rule.allowed_headers()),
        listed(rule.expose_headers())
    )
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() {
        "none".to_owned()
    } else {
        texts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(origins: &[&str]) -> Vec<String> {
        origins.iter().map(|origin| (*origin).to_owned()).collect()
    }

    #[test]
    fn our_own_rule_lets_in_who_it_is_for() {
        let page = origins(&["https://clips.example.com"]);
        let own = [rule(&page).unwrap()];
        assert_eq!(narrower(&own, &page), None);
        let difference = narrower(&own, &origins(&["*"])).unwrap();
        assert!(difference.there.contains("https://clips.example.com"), "{difference:?}");
        assert_eq!(narrower(&[rule(&origins(&["*"])).unwrap()], &page), None);
    }

    #[test]
    fn several_rules_may_let_in_together() {
        let rule = |methods: &[&str]| {
            let rule = CorsRule::builder().allowed_origins("*").allowed_headers("*");
            let rule = rule.set_allowed_methods(Some(origins(methods))).expose_headers("etag");
            rule.build().unwrap()
        };
        let everybody = origins(&["*"]);
        assert_eq!(narrower(&[rule(&["GET", "HEAD"]), rule(&["PUT"])], &everybody), None);
        assert!(narrower(&[rule(&["GET", "HEAD"])], &everybody).is_some());
        let mut deaf = rule(&METHODS);
        deaf.expose_headers = None;
        assert!(narrower(&[deaf], &everybody).is_some());
    }
}
