//! The same as commands of `kn`, as far as it goes: it knows neither `responseStartTimeoutSeconds` nor a read-only root,
//! filters by whole types only, and has retries on the Broker only.

use std::fmt::Write as _;

use toktik_events::Function;

use crate::knative::{FIRST_DELAY, RETRIES, filter, routes, trigger_name};
use crate::table::{BROKER, DEPLOYMENTS, Deployment, LONGEST_REQUEST, SECRET, SERVICE_ACCOUNT, USER};

pub fn services() -> String {
    DEPLOYMENTS
        .iter()
        .fold(String::from("```sh\n"), |text, deployment| text + &service(deployment))
        + "```\n"
}

fn service(deployment: &Deployment) -> String {
    let name = deployment.name;
    let [[cpu, most_cpu], [memory, most_memory]] = [deployment.cpu, deployment.memory];
    let mut lines = vec![
        format!("kn service apply {name} --image {}", deployment.image()),
        format!(
            "--pull-policy IfNotPresent --service-account {SERVICE_ACCOUNT} --security-context strict --user {USER}"
        ),
        format!(
            "--scale 0..{} --timeout {} --probe-readiness http::8080:/readyz",
            deployment.max_scale, deployment.timeout
        ),
        format!("--request cpu={cpu},memory={memory} --limit cpu={most_cpu},memory={most_memory}"),
        format!("--env-from cm:{}", deployment.settings()),
    ];
    if !deployment.is_public() {
        lines[0].push_str(" --cluster-local");
    }
    if deployment.concurrency > 0 {
        let _ = write!(lines[2], " --concurrency-limit {}", deployment.concurrency);
    }
    if let Some(size) = deployment.scratch {
        lines.push(format!(
            "--volume scratch=emptyDir:scratch:size={size} --mount /tmp=scratch"
        ));
    }
    let secrets = deployment.secret_keys().into_iter();
    lines.extend(secrets.map(|key| format!("--env-value-from {key}=secret:{SECRET}:{key}")));
    lines.extend(
        deployment
            .environment
            .iter()
            .map(|(name, value)| format!("--env {name}={value}")),
    );
    lines.join(" \\\n  ") + "\n"
}

pub fn events() -> String {
    let mut text = format!(
        "```sh\n\
         kn broker create {BROKER} --class MTChannelBasedBroker --dl-sink ksvc:{} --retry {RETRIES} \\\n  \
           --backoff-policy exponential --backoff-delay {FIRST_DELAY} --timeout PT{LONGEST_REQUEST}S\n",
        Function::DeadLetter,
    );
    for route in routes() {
        for function in route.to {
            if let ("exact", ty) = filter(route.ty) {
                let name = trigger_name(ty, *function);
                let _ = writeln!(
                    text,
                    "kn trigger create {name} --broker {BROKER} --filter type={ty} --sink ksvc:{function}"
                );
            }
        }
    }
    let _ = writeln!(
        text,
        "kn source ping create janitor --schedule '*/5 * * * *' --data '{{}}' --sink ksvc:{}\n```",
        Function::Janitor
    );
    text
}
