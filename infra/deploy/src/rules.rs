//! What no schema says: rules of Knative's webhooks, and our own, each with a name.
//!
//! They are asked of whole installations, as `kubectl apply -k` would bring them.

use std::collections::{BTreeMap, BTreeSet};

use toktik_events::Function;

use crate::knative;
use crate::objects::{Container, Delivery, Filter, Installation, Map, Meta, Probe, Reference, SecurityContext};
use crate::table::{
    BROKER, LINK_SECRET, LONGEST_REQUEST, NAMESPACE, SECRET, STORE_KEYS, TOKEN_JWKS, TOKEN_PRIVATE_KEY, USER,
};

/// Somebody's rule.
pub struct Rule {
    pub name: &'static str,
    /// What is wrong, a sentence each.
    check: fn(&Installation) -> Vec<String>,
}

pub const RULES: &[Rule] = &[
    rule("autoscaling annotations stand on the template", on_the_template),
    rule("autoscaling annotations have values that Knative takes", scaling),
    rule("both timeouts are set, and Knative grants them", timeouts),
    rule("no variable is Knative's own", variables),
    rule("no port is Knative's own", ports),
    rule("a probe has one handler", probes),
    rule("names are names of hosts", names),
    rule("deliveries back off, and count time as ISO 8601 does", deliveries),
    rule("a filter's item has one dialect and attributes of events", filters),
    rule("what is named is there", references),
    rule("triggers and routes agree", routes),
    rule("every program is contained", contained),
    rule("requests fit limits, and disks what lies on them", resources),
    rule("secrets go to whom they are for", secrets),
    rule("only the gateway is public", visibility),
    rule("transcode does one thing at a time", one_at_a_time),
    rule("events are sent to the broker that is there", sink),
    rule("everything is in one namespace", namespace),
];

const fn rule(name: &'static str, check: fn(&Installation) -> Vec<String>) -> Rule {
    Rule { name, check }
}

/// The rules that an installation breaks, by name, with what is wrong.
pub fn broken(installation: &Installation) -> BTreeMap<&'static str, Vec<String>> {
    let judged = RULES.iter().map(|rule| (rule.name, (rule.check)(installation)));
    judged.filter(|(_, wrong)| !wrong.is_empty()).collect()
}

const AUTOSCALING: &str = "autoscaling.knative.dev/";

fn on_the_template(all: &Installation) -> Vec<String> {
    let misplaced = |meta: &&Meta| meta.annotations.keys().any(|key| key.starts_with(AUTOSCALING));
    let services = all.services.iter().map(|service| &service.metadata);
    services
        .filter(misplaced)
        .map(|meta| format!("{}: on the Service itself", meta.name))
        .collect()
}

fn scaling(all: &Installation) -> Vec<String> {
    all.services
        .iter()
        .filter_map(|service| {
            let wrong = scale_of(&service.spec.template.metadata.annotations).err()?;
            Some(format!("{}: {wrong}", service.metadata.name))
        })
        .collect()
}

fn scale_of(annotations: &Map) -> Result<(), String> {
    let mut scale = BTreeMap::new();
    for (key, value) in annotations {
        let Some(name) = key.strip_prefix(AUTOSCALING) else {
            continue;
        };
        match name {
            "min-scale" | "max-scale" | "activation-scale" => {
                let number: u32 = value.parse().map_err(|_| format!("{name} is {value:?}"))?;
                scale.insert(name, number);
            }
            "window" => {
                let seconds = value.strip_suffix('s').and_then(|number| number.parse::<u32>().ok());
                seconds
                    .filter(|seconds| (6..=3600).contains(seconds))
                    .ok_or(format!("window is {value:?}"))?;
            }
            _ => return Err(format!("{key} is none that we know")),
        }
    }
    let of = |name| scale.get(name).copied();
    let (min, max) = (of("min-scale").unwrap_or(0), of("max-scale").unwrap_or(0));
    if max == 0 || min > max {
        return Err(format!("from {min} to {max} replicas"));
    }
    match of("activation-scale") {
        Some(start) if start < 2 || start < min || start > max => Err(format!("activation-scale is {start}")),
        _ => Ok(()),
    }
}

fn timeouts(all: &Installation) -> Vec<String> {
    let wrong = all.services.iter().filter(|service| {
        let spec = &service.spec.template.spec;
        let (Some(whole), Some(first)) = (spec.timeout_seconds, spec.response_start_timeout_seconds) else {
            return true;
        };
        whole == 0 || first == 0 || whole > LONGEST_REQUEST || first > whole
    });
    wrong.map(|service| service.metadata.name.clone()).collect()
}

fn variables(all: &Installation) -> Vec<String> {
    let of_settings = all
        .config_maps
        .iter()
        .flat_map(|map| map.data.keys().map(|key| (map.metadata.name.as_str(), key.as_str())));
    let of_containers = all
        .containers()
        .flat_map(|(name, container)| container.env.iter().map(move |env| (name, env.name.as_str())));
    let reserved = |name: &str| name == "PORT" || name.starts_with("K_");
    let mut wrong: Vec<String> = of_settings
        .chain(of_containers)
        .filter(|(_, name)| reserved(name))
        .map(|(owner, name)| format!("{owner}: {name}"))
        .collect();
    for (name, container) in all.containers() {
        let names: BTreeSet<_> = container.env.iter().map(|env| &env.name).collect();
        let one_value = container
            .env
            .iter()
            .all(|env| env.value.is_some() != env.value_from.is_some());
        if names.len() != container.env.len() || !one_value {
            wrong.push(format!("{name}: a variable twice, or with two values or none"));
        }
    }
    wrong
}

/// Of the queue-proxy beside the container.
const RESERVED_PORTS: [u16; 6] = [8008, 8012, 8013, 8022, 9090, 9091];

fn ports(all: &Installation) -> Vec<String> {
    let mut wrong = Vec::new();
    for service in &all.services {
        let ports = service
            .spec
            .template
            .spec
            .containers
            .iter()
            .flat_map(|container| &container.ports);
        let reserved = ports.filter(|port| RESERVED_PORTS.contains(&port.container_port));
        wrong.extend(reserved.map(|port| format!("{}: {}", service.metadata.name, port.container_port)));
    }
    wrong
}

fn probes(all: &Installation) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, container) in all.containers() {
        let probes = [&container.readiness_probe, &container.startup_probe];
        let bad = probes.into_iter().flatten().any(|probe| !is_probe(probe));
        if bad {
            wrong.push(name.to_owned());
        }
    }
    let unasked = all.services.iter().filter(|service| {
        let containers = &service.spec.template.spec.containers;
        containers.iter().any(|container| container.readiness_probe.is_none())
    });
    wrong.extend(unasked.map(|service| format!("{}: nobody asks whether it is ready", service.metadata.name)));
    wrong
}

/// Without a period Knative probes many times a second by itself, and takes no threshold and no timeout.
fn is_probe(probe: &Probe) -> bool {
    let one = probe.http_get.is_some() != probe.tcp_socket.is_some();
    let own_pace = probe.period_seconds.unwrap_or(0) == 0;
    one && !(own_pace && (probe.timeout_seconds.is_some() || probe.failure_threshold.is_some()))
}

fn names(all: &Installation) -> Vec<String> {
    metas(all)
        .filter(|meta| !is_label(&meta.name))
        .map(|meta| meta.name.clone())
        .collect()
}

/// RFC 1035 2.3.1: what Services are called is part of a host's name.
fn is_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
}

fn metas(all: &Installation) -> impl Iterator<Item = &Meta> {
    let plain = [&all.namespaces, &all.service_accounts, &all.config_maps];
    plain
        .into_iter()
        .flatten()
        .map(|object| &object.metadata)
        .chain(all.roles.iter().map(|object| &object.metadata))
        .chain(all.role_bindings.iter().map(|object| &object.metadata))
        .chain(all.services.iter().map(|object| &object.metadata))
        .chain(all.brokers.iter().map(|object| &object.metadata))
        .chain(all.triggers.iter().map(|object| &object.metadata))
        .chain(all.pings.iter().map(|object| &object.metadata))
        .chain(all.integrations.iter().map(|object| &object.metadata))
        .chain(all.rabbits.iter().map(|object| &object.metadata))
        .chain(all.deployments.iter().map(|object| &object.metadata))
        .chain(all.jobs.iter().map(|object| &object.metadata))
        .chain(all.core_services.iter().map(|object| &object.metadata))
}

fn deliveries(all: &Installation) -> Vec<String> {
    let of_brokers = all
        .brokers
        .iter()
        .map(|broker| (&broker.metadata.name, &broker.spec.delivery));
    let of_triggers = all
        .triggers
        .iter()
        .map(|trigger| (&trigger.metadata.name, &trigger.spec.delivery));
    let wrong = of_brokers
        .chain(of_triggers)
        .filter(|(_, delivery)| delivery.as_ref().is_none_or(|delivery| !is_delivery(delivery)));
    wrong.map(|(name, _)| name.clone()).collect()
}

/// Without both words on backing off, retries come with no delay at all.
fn is_delivery(delivery: &Delivery) -> bool {
    let policy = delivery.backoff_policy.as_deref();
    let long = |text: &Option<String>| text.as_deref().and_then(seconds).is_some_and(|seconds| seconds > 0);
    let format = delivery.format.as_deref();
    delivery.retry.is_some_and(|retry| retry > 0)
        && matches!(policy, Some("exponential" | "linear"))
        && long(&delivery.backoff_delay)
        && long(&delivery.timeout)
        && matches!(format, None | Some("json" | "binary"))
        && delivery.dead_letter_sink.is_some()
}

/// Of an ISO 8601 duration of hours, minutes and seconds.
fn seconds(duration: &str) -> Option<u64> {
    let mut rest = duration.strip_prefix("PT").filter(|rest| !rest.is_empty())?;
    let mut total = 0;
    for (unit, length) in [('H', 3600), ('M', 60), ('S', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            total += number.parse::<u64>().ok()? * length;
            rest = after;
        }
    }
    rest.is_empty().then_some(total)
}

fn filters(all: &Installation) -> Vec<String> {
    let wrong = all.triggers.iter().filter(|trigger| {
        let filters = &trigger.spec.filters;
        filters.is_empty() || !filters.iter().all(is_filter)
    });
    wrong.map(|trigger| trigger.metadata.name.clone()).collect()
}

fn is_filter(filter: &Filter) -> bool {
    let dialects: Vec<&Map> = [&filter.exact, &filter.prefix, &filter.suffix]
        .into_iter()
        .flatten()
        .collect();
    let attribute = |name: &str| {
        name != "data"
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let well_formed = |dialect: &Map| {
        let filled = |(name, value): (&String, &String)| attribute(name) && !value.is_empty();
        !dialect.is_empty() && dialect.iter().all(filled)
    };
    dialects.len() == 1 && dialects.into_iter().all(well_formed)
}

fn references(all: &Installation) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut want = |owner: &str, what: &str, there: bool| {
        if !there {
            wrong.push(format!("{owner}: {what} is not there"));
        }
    };
    for (owner, reference) in sinks(all) {
        want(
            owner,
            &format!("{} {}", reference.kind, reference.name),
            is_there(all, reference),
        );
    }
    for trigger in &all.triggers {
        let there = all
            .brokers
            .iter()
            .any(|broker| broker.metadata.name == trigger.spec.broker);
        want(&trigger.metadata.name, "its broker", there);
    }
    let accounts = all
        .services
        .iter()
        .map(|service| (&service.metadata.name, &service.spec.template.spec.service_account_name));
    for (owner, account) in accounts {
        let known = |name: &String| {
            all.service_accounts
                .iter()
                .any(|account| account.metadata.name == *name)
        };
        want(owner, "its service account", account.as_ref().is_some_and(known));
    }
    for (owner, container) in all.containers() {
        for from in &container.env_from {
            let name = &from.config_map_ref.name;
            want(owner, &format!("ConfigMap {name}"), all.config_map(name).is_some());
        }
    }
    for binding in &all.role_bindings {
        let there = all.roles.iter().any(|role| role.metadata.name == binding.role_ref.name);
        want(&binding.metadata.name, "its role", there);
    }
    wrong
}

/// Whoever sends events somewhere, and where.
fn sinks(all: &Installation) -> Vec<(&str, &Reference)> {
    let mut sinks: Vec<(&str, &Reference)> = Vec::new();
    for trigger in &all.triggers {
        sinks.push((&trigger.metadata.name, &trigger.spec.subscriber.to));
    }
    for ping in &all.pings {
        sinks.push((&ping.metadata.name, &ping.spec.sink.to));
    }
    for source in &all.integrations {
        sinks.push((&source.metadata.name, &source.spec.sink.to));
    }
    for broker in &all.brokers {
        sinks.extend(
            broker
                .spec
                .config
                .iter()
                .map(|config| (broker.metadata.name.as_str(), config)),
        );
    }
    let of_brokers = all
        .brokers
        .iter()
        .map(|broker| (&broker.metadata.name, &broker.spec.delivery));
    let of_triggers = all
        .triggers
        .iter()
        .map(|trigger| (&trigger.metadata.name, &trigger.spec.delivery));
    for (owner, delivery) in of_brokers.chain(of_triggers) {
        let sink = delivery
            .as_ref()
            .and_then(|delivery| delivery.dead_letter_sink.as_ref());
        sinks.extend(sink.map(|sink| (owner.as_str(), &sink.to)));
    }
    sinks
}

fn is_there(all: &Installation, reference: &Reference) -> bool {
    let named = |meta: &Meta| meta.name == reference.name;
    match (reference.api_version.as_str(), reference.kind.as_str()) {
        ("serving.knative.dev/v1", "Service") => all.services.iter().any(|object| named(&object.metadata)),
        ("eventing.knative.dev/v1", "Broker") => all.brokers.iter().any(|object| named(&object.metadata)),
        ("v1", "ConfigMap") => all.config_maps.iter().any(|object| named(&object.metadata)),
        ("eventing.knative.dev/v1alpha1", "RabbitmqBrokerConfig") => {
            all.rabbits.iter().any(|object| named(&object.metadata))
        }
        _ => false,
    }
}

/// Each route has exactly one trigger, and each trigger a route.
fn routes(all: &Installation) -> Vec<String> {
    let on_aws = !all.integrations.is_empty();
    let routes = knative::routes().chain(knative::aws_routes().filter(|_| on_aws));
    let mut wanted: Vec<(String, String)> = routes
        .flat_map(|route| {
            route
                .to
                .iter()
                .map(|function| (route.ty.to_owned(), function.to_string()))
        })
        .collect();
    let mut found: Vec<(String, String)> = all
        .triggers
        .iter()
        .map(|trigger| {
            let filters = trigger.spec.filters.iter();
            let types = filters.filter_map(|filter| filter.exact.as_ref().or(filter.prefix.as_ref())?.get("type"));
            (types.cloned().collect(), trigger.spec.subscriber.to.name.clone())
        })
        .collect();
    wanted.sort();
    found.sort();
    if wanted == found {
        return Vec::new();
    }
    vec![format!("routes {wanted:?}, triggers {found:?}")]
}

fn contained(all: &Installation) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, container) in all.containers() {
        if !container.security_context.as_ref().is_some_and(is_tight) {
            wrong.push(format!("{name}: its security context"));
        }
    }
    let services = all.services.iter().map(|service| {
        let automount = service.spec.template.spec.automount_service_account_token;
        (service.metadata.name.as_str(), automount, false)
    });
    let pods = all.pods().map(|(name, pod)| {
        let trusted = pod
            .service_account_name
            .as_deref()
            .is_some_and(|account| may_do_something(all, account));
        (name, pod.automount_service_account_token, trusted)
    });
    let loose = services
        .chain(pods)
        .filter(|(_, automount, trusted)| *automount != Some(false) && !trusted);
    wrong.extend(loose.map(|(name, ..)| format!("{name}: has a token for Kubernetes")));
    wrong
}

fn may_do_something(all: &Installation, account: &str) -> bool {
    let mut subjects = all.role_bindings.iter().flat_map(|binding| &binding.subjects);
    subjects.any(|subject| subject.kind == "ServiceAccount" && subject.name == account)
}

fn is_tight(context: &SecurityContext) -> bool {
    context.run_as_non_root
        && context.run_as_user == USER
        && !context.allow_privilege_escalation
        && context.read_only_root_filesystem
        && context.capabilities.drop == ["ALL"]
        && context.seccomp_profile.ty == "RuntimeDefault"
}

fn resources(all: &Installation) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, container) in all.containers() {
        if !requests_fit(container) {
            wrong.push(format!("{name}: its requests and limits"));
        }
    }
    for service in &all.services {
        let spec = &service.spec.template.spec;
        for container in &spec.containers {
            let disk = container
                .resources
                .as_ref()
                .and_then(|resources| resources.limits.get("ephemeral-storage"));
            let sizes = spec.volumes.iter().map(|volume| volume.empty_dir.size_limit.as_deref());
            let fits = |size: Option<&str>| Some(amount(size?)? <= amount(disk?)?);
            if !sizes.map(fits).all(|fits| fits == Some(true)) {
                wrong.push(format!("{}: a volume is larger than its disk", service.metadata.name));
            }
            let volume = |name: &str| spec.volumes.iter().any(|volume| volume.name == name);
            if !container.volume_mounts.iter().all(|mount| volume(&mount.name)) {
                wrong.push(format!("{}: a mount without a volume", service.metadata.name));
            }
        }
    }
    wrong
}

fn requests_fit(container: &Container) -> bool {
    let Some(resources) = &container.resources else {
        return false;
    };
    let asked = |name: &str| resources.requests.contains_key(name) && resources.limits.contains_key(name);
    let fits = |(name, request): (&String, &String)| {
        let limit = resources.limits.get(name)?;
        Some(amount(request)? <= amount(limit)?)
    };
    asked("cpu") && asked("memory") && resources.requests.iter().map(fits).all(|fits| fits == Some(true))
}

/// A quantity in thousandths: `500m`, `2`, `64Mi`.
fn amount(quantity: &str) -> Option<u64> {
    let digits = quantity.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &quantity[digits.len()..] {
        "m" => 1,
        "" => 1000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// Who may be given a key. Said here a second time, apart from the table.
fn may_have(key: &str, program: &str) -> bool {
    match key {
        TOKEN_PRIVATE_KEY => program == "auth",
        LINK_SECRET => program == "playback",
        TOKEN_JWKS => ["auth", "upload", "videos", "playback", "notify", "web"].contains(&program),
        _ => STORE_KEYS.contains(&key) && (program == "cloud" || program.parse::<Function>().is_ok()),
    }
}

fn secrets(all: &Installation) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, container) in all.containers() {
        for env in &container.env {
            if let Some(from) = &env.value_from {
                let key = &from.secret_key_ref;
                if key.name != SECRET || !may_have(&key.key, name) {
                    wrong.push(format!("{name}: {} of {}", key.key, key.name));
                }
            } else if ["KEY", "SECRET", "TOKEN", "PASSWORD"]
                .iter()
                .any(|word| env.name.ends_with(word))
            {
                wrong.push(format!("{name}: {} stands in the manifest", env.name));
            }
        }
    }
    wrong
}

fn visibility(all: &Installation) -> Vec<String> {
    let inside = |meta: &Meta| {
        let label = meta.labels.get("networking.knative.dev/visibility");
        label.is_some_and(|label| label == "cluster-local")
    };
    let metas = all.services.iter().map(|service| &service.metadata);
    let wrong = metas.filter(|meta| inside(meta) == (meta.name == crate::table::GATEWAY));
    wrong.map(|meta| meta.name.clone()).collect()
}

fn one_at_a_time(all: &Installation) -> Vec<String> {
    let transcode = all.service(Function::Transcode.name());
    let limit = transcode.and_then(|service| service.spec.template.spec.container_concurrency);
    if limit == Some(1) {
        Vec::new()
    } else {
        vec![format!("containerConcurrency is {limit:?}")]
    }
}

/// Each class of Broker has an ingress of its own.
fn sink(all: &Installation) -> Vec<String> {
    let class = all.brokers.iter().find(|broker| broker.metadata.name == BROKER);
    let class = class.and_then(|broker| broker.metadata.annotations.get("eventing.knative.dev/broker.class"));
    let ingress = match class.map(String::as_str) {
        Some("MTChannelBasedBroker") => {
            format!("http://broker-ingress.knative-eventing.svc.cluster.local/{NAMESPACE}/{BROKER}")
        }
        Some("Kafka") => format!("http://kafka-broker-ingress.knative-eventing.svc.cluster.local/{NAMESPACE}/{BROKER}"),
        Some("RabbitMQBroker") => format!("http://{BROKER}-broker-ingress.{NAMESPACE}.svc.cluster.local"),
        other => return vec![format!("a broker of the class {other:?}")],
    };
    let told = all
        .config_map(crate::table::SETTINGS)
        .and_then(|map| map.data.get("TOKTIK_EVENTS_SINK"));
    if told == Some(&ingress) {
        Vec::new()
    } else {
        vec![format!("{told:?} instead of {ingress}")]
    }
}

fn namespace(all: &Installation) -> Vec<String> {
    let namespaces: BTreeSet<_> = all
        .namespaces
        .iter()
        .map(|object| object.metadata.name.as_str())
        .collect();
    if namespaces != BTreeSet::from([NAMESPACE]) {
        return vec![format!("namespaces {namespaces:?}")];
    }
    let elsewhere = metas(all).filter(|meta| meta.name != NAMESPACE || meta.namespace.is_some());
    let elsewhere = elsewhere.filter(|meta| meta.namespace.as_deref() != Some(NAMESPACE));
    elsewhere.map(|meta| meta.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_iso_8601() {
        assert_eq!(seconds("PT1S"), Some(1));
        assert_eq!(seconds("PT1H2M3S"), Some(3723));
        for wrong in ["", "PT", "10s", "PT1", "P1D", "PTxS", "PT1S2M"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn quantities_are_compared_across_units() {
        assert_eq!(amount("1"), amount("1000m"));
        assert_eq!(amount("1Gi"), amount("1024Mi"));
        assert_eq!(amount("1GB"), None);
        assert_eq!(amount("many"), None);
    }

    #[test]
    fn names_of_hosts() {
        assert!(is_label("probe-s3-object-created"));
        for wrong in ["", "1a", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(64)] {
            assert!(!is_label(wrong), "{wrong}");
        }
    }
}
