//! Services and Triggers as a person would write them.
//!
//! Text, not a tree that a serialiser prints: what is read by people has comments, and an order. That it is YAML, and
//! the right one, `objects` and `rules` say of every file.

use std::fmt::Write as _;

use toktik_events::routes::{EVENTS, EventRoute};
use toktik_events::{Function, payload};

use crate::MADE_BY;
use crate::table::{BROKER, Deployment, SECRET, SERVICE_ACCOUNT, USER};

/// So often an event is delivered again, each time after twice as long: for eight minutes in all. After that the
/// janitor asks for the work again.
pub const RETRIES: u32 = 8;
pub const FIRST_DELAY: &str = "PT1S";
/// What a clip of a minute takes, about.
const USUAL_SCRATCH: &str = "256Mi";

/// What Knative's `IntegrationSource` makes of a message of SQS. Only the overlay for AWS has such a source.
pub const FROM_SQS: &str = "dev.knative.eventing.aws-sqs";
const SQS_ROUTE: EventRoute = EventRoute {
    ty: FROM_SQS,
    from: &[],
    to: &[Function::Probe],
};

/// The routes that every installation has.
pub fn routes() -> impl Iterator<Item = &'static EventRoute> {
    EVENTS.iter().filter(|route| route.ty != FROM_SQS)
}

/// Those that only an installation on AWS has.
pub fn aws_routes() -> impl Iterator<Item = &'static EventRoute> {
    std::iter::once(&SQS_ROUTE)
}

pub fn service(deployment: &Deployment) -> String {
    let Deployment {
        name, about, timeout, ..
    } = deployment;
    let mut text = format!(
        "# {MADE_BY}\n\
         # {name}: {about}.\n\
         apiVersion: serving.knative.dev/v1\n\
         kind: Service\n\
         metadata:\n  \
           name: {name}\n{}\
         spec:\n  \
           template:\n    \
             metadata:\n      \
               annotations:\n        \
                 autoscaling.knative.dev/min-scale: \"0\"\n        \
                 autoscaling.knative.dev/max-scale: \"{}\"\n    \
             spec:\n      \
               serviceAccountName: {SERVICE_ACCOUNT}\n      \
               # Nothing here talks to Kubernetes.\n      \
               automountServiceAccountToken: false\n      \
               enableServiceLinks: false\n{}      \
               timeoutSeconds: {timeout}\n      \
               # Left out, an answer that comes only at the end is cut off after 300 s.\n      \
               responseStartTimeoutSeconds: {timeout}\n      \
               containers:\n        \
                 - image: {}\n          \
                   imagePullPolicy: IfNotPresent\n          \
                   envFrom:\n            \
                     - configMapRef:\n                \
                         name: {}\n",
        visibility(deployment),
        deployment.max_scale,
        concurrency(deployment),
        deployment.image(),
        deployment.settings(),
    );
    text.push_str(&environment(deployment));
    text.push_str(&container(deployment));
    text
}

fn visibility(deployment: &Deployment) -> &'static str {
    if deployment.is_public() {
        ""
    } else {
        "  labels:\n    networking.knative.dev/visibility: cluster-local\n"
    }
}

fn concurrency(deployment: &Deployment) -> String {
    match deployment.concurrency {
        0 => String::new(),
        limit => format!("      containerConcurrency: {limit}\n"),
    }
}

fn environment(deployment: &Deployment) -> String {
    let mut items = String::new();
    for key in deployment.secret_keys() {
        let _ = write!(
            items,
            "            - name: {key}\n              \
               valueFrom:\n                \
                 secretKeyRef:\n                  \
                   name: {SECRET}\n                  \
                   key: {key}\n"
        );
    }
    for (name, value) in deployment.environment {
        let _ = write!(
            items,
            "            - name: {name}\n              value: {}\n",
            quoted(value)
        );
    }
    if items.is_empty() {
        items
    } else {
        format!("          env:\n{items}")
    }
}

/// No liveness probe: ffmpeg may take all the CPU there is, and a slow answer is no reason to kill the work.
fn container(deployment: &Deployment) -> String {
    let [cpu, most_cpu] = deployment.cpu.map(quoted);
    let [memory, most_memory] = deployment.memory;
    // What is in an emptyDir counts as the container's. Few ever fill theirs, so that little is set aside.
    let disk = |size: &str| {
        let line = format!("              ephemeral-storage: {size}\n");
        deployment.scratch.map_or(String::new(), |_| line)
    };
    let mut text = format!(
        "          readinessProbe:\n            \
             httpGet:\n              \
               path: /readyz\n          \
           resources:\n            \
             requests:\n              \
               cpu: {cpu}\n              \
               memory: {memory}\n{}            \
             limits:\n              \
               cpu: {most_cpu}\n              \
               memory: {most_memory}\n{}          \
           securityContext:\n            \
             runAsNonRoot: true\n            \
             runAsUser: {USER}\n            \
             allowPrivilegeEscalation: false\n            \
             readOnlyRootFilesystem: true\n            \
             capabilities:\n              \
               drop: [ALL]\n            \
             seccompProfile:\n              \
               type: RuntimeDefault\n",
        disk(USUAL_SCRATCH),
        disk(deployment.scratch.unwrap_or_default()),
    );
    if let Some(size) = deployment.scratch {
        // On disk: an upload of a gigabyte does not belong into memory.
        let _ = write!(
            text,
            "          volumeMounts:\n            \
               - name: scratch\n              \
                 mountPath: /tmp\n      \
           volumes:\n        \
             - name: scratch\n          \
               emptyDir:\n            \
                 sizeLimit: {size}\n"
        );
    }
    text
}

pub fn triggers<'a>(routes: impl Iterator<Item = &'a EventRoute>) -> String {
    let mut text = format!(
        "# {MADE_BY}\n\
         # One Trigger for each function that an event starts. Who answers 422 has given up: the event goes to dead-letter at\n\
         # once. 503 means that somebody else is at it, or a store is away: it comes again, each time later.\n"
    );
    for route in routes {
        for function in route.to {
            text.push_str(&trigger(route, *function));
        }
    }
    text
}

fn trigger(route: &EventRoute, function: Function) -> String {
    let name = trigger_name(route.ty, function);
    let (dialect, ty) = filter(route.ty);
    let timeout = Deployment::named(function.name()).map_or(0, |deployment| deployment.timeout);
    format!(
        "---\n\
         apiVersion: eventing.knative.dev/v1\n\
         kind: Trigger\n\
         metadata:\n  \
           name: {name}\n\
         spec:\n  \
           broker: {BROKER}\n  \
           filters:\n    \
             - {dialect}:\n        \
                 type: {}\n  \
           subscriber:\n    \
             ref:\n      \
               apiVersion: serving.knative.dev/v1\n      \
               kind: Service\n      \
               name: {function}\n  \
           delivery:\n    \
             format: json\n    \
             timeout: PT{timeout}S\n    \
             retry: {RETRIES}\n    \
             backoffPolicy: exponential\n    \
             backoffDelay: {FIRST_DELAY}\n    \
             deadLetterSink:\n      \
               ref:\n        \
                 apiVersion: serving.knative.dev/v1\n        \
                 kind: Service\n        \
                 name: {}\n",
        quoted(ty),
        Function::DeadLetter,
    )
}

/// Types that end in a colon stand for all that begin so.
pub fn filter(ty: &str) -> (&'static str, &str) {
    let dialect = if ty.ends_with(':') { "prefix" } else { "exact" };
    (dialect, ty)
}

/// `probe-video-uploaded`.
pub fn trigger_name(ty: &str, function: Function) -> String {
    let short = if ty == payload::OBJECT_CREATED {
        "s3-object-created"
    } else {
        ty
    };
    let short = short.strip_prefix("toktik.").unwrap_or(short);
    let short = short.strip_suffix(".v1").unwrap_or(short);
    format!("{function}-{}", short.replace('.', "-"))
}

/// Always a string, whatever YAML would take the bare word for.
pub fn quoted(value: &str) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_of_routes_says_of_sqs_is_what_the_overlay_does() {
        let told = EVENTS.iter().find(|route| route.ty == FROM_SQS);
        assert!(told.is_none_or(|route| route.to == SQS_ROUTE.to));
    }

    #[test]
    fn names_say_whom_and_what() {
        let name = |ty| trigger_name(ty, Function::Probe);
        assert_eq!(name("toktik.video.uploaded.v1"), "probe-video-uploaded");
        assert_eq!(name(payload::OBJECT_CREATED), "probe-s3-object-created");
        assert_eq!(name(FROM_SQS), "probe-dev-knative-eventing-aws-sqs");
    }
}
