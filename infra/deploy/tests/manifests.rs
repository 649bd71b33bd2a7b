//! What is committed is what the tables say, `kubectl kustomize` can put it together, and every rule holds and bites.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use toktik_deploy::objects::{Container, Installation, Object, ServiceSpec};
use toktik_deploy::render::{self, OVERLAYS};
use toktik_deploy::rules::{RULES, broken};
use toktik_deploy::table::{DEPLOYMENTS, STORE_KEYS};
use toktik_deploy::{files, kn};

/// Asked at run time: clones share what is compiled.
fn root() -> PathBuf {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    here.ancestors().nth(2).unwrap().to_path_buf()
}

fn overlay(name: &str) -> Vec<Value> {
    render::kustomize(&root().join("knative/overlays").join(name)).unwrap()
}

fn installation(documents: &[Value]) -> Installation {
    Installation::read(documents).unwrap()
}

#[test]
fn what_is_committed_is_what_the_tables_say() {
    let root = root();
    for file in files(&root).unwrap() {
        let committed = fs::read_to_string(root.join(&file.path)).unwrap_or_default();
        assert!(
            committed == file.text,
            "{} differs from what the tables say: run `cargo xtask manifests`",
            file.path.display()
        );
    }
}

#[test]
fn every_overlay_keeps_every_rule() {
    let directories = fs::read_dir(root().join("knative/overlays")).unwrap();
    let directories: BTreeSet<_> = directories
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(directories, OVERLAYS.into_iter().map(str::to_owned).collect());
    for name in OVERLAYS {
        let installation = installation(&overlay(name));
        assert_eq!(installation.services.len(), DEPLOYMENTS.len(), "{name}");
        assert_eq!(broken(&installation), BTreeMap::new(), "{name}");
    }
}

#[test]
fn the_local_overlay_pulls_nothing_and_needs_nothing_filled_in() {
    let local = installation(&overlay("local"));
    for (name, container) in local.containers() {
        assert!(
            container.image.starts_with("dev.local/toktik"),
            "{name}: {}",
            container.image
        );
        assert_eq!(container.image_pull_policy.as_deref(), Some("IfNotPresent"), "{name}");
    }
    assert!(local.jobs.iter().any(|job| job.metadata.name == "toktik-secrets"));
    for text in ["example.com", "123456789012"] {
        assert!(
            !overlay("local").iter().any(|object| object.to_string().contains(text)),
            "{text}"
        );
    }
}

/// A function that starts before the Secret is there has to wait for it; only a role does without keys.
#[test]
fn the_stores_keys_may_be_missing_on_aws_alone() {
    for name in OVERLAYS {
        let on_aws = !["local", "minio"].contains(&name);
        let installation = installation(&overlay(name));
        let keys = installation.containers().flat_map(|(_, container)| &container.env);
        for key in keys
            .filter_map(|env| env.value_from.as_ref())
            .map(|from| &from.secret_key_ref)
        {
            let of_store = STORE_KEYS.contains(&key.key.as_str());
            assert_eq!(key.optional, on_aws && of_store, "{name}: {}", key.key);
        }
    }
}

#[test]
fn a_registry_of_ones_own_takes_two_lines() {
    for name in OVERLAYS.into_iter().filter(|name| *name != "local") {
        for (program, container) in installation(&overlay(name)).containers() {
            assert_eq!(
                container.image,
                format!("registry.example.com/toktik/toktik-{program}:0.1.0"),
                "{name}"
            );
        }
    }
}

/// The place of `path` in a document, made where it is missing; `path` is separated by bars.
fn place<'a>(document: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('|')
        .fold(document, |value, part| match part.parse::<usize>() {
            Ok(index) => &mut value[index],
            Err(_) => &mut value[part],
        })
}

/// The documents with one thing changed; null takes it away.
fn changed(documents: &[Value], kind: &str, name: &str, path: &str, value: Value) -> Vec<Value> {
    let mut documents = documents.to_vec();
    let found = documents
        .iter_mut()
        .find(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    let document = found.unwrap_or_else(|| panic!("no {kind} {name}"));
    match (path.rsplit_once('|'), value) {
        (Some((parent, field)), Value::Null) => {
            let parent = place(document, parent).as_object_mut().unwrap();
            assert!(parent.remove(field).is_some(), "{path}");
        }
        (_, value) => *place(document, path) = value,
    }
    documents
}

const ANNOTATIONS: &str = "spec|template|metadata|annotations|autoscaling.knative.dev/";
const POD: &str = "spec|template|spec|";
const CONTAINER: &str = "spec|template|spec|containers|0|";
const UPLOADED: &str = "toktik.video.uploaded.v1";

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn each_rule_finds_what_breaks_it() {
    let (service, trigger) = ("Service probe", "Trigger probe-video-uploaded");
    let breaks: &[(&str, &str, String, Value)] = &[
        (
            "autoscaling annotations stand on the template",
            service,
            "metadata|annotations|autoscaling.knative.dev/min-scale".into(),
            json!("1"),
        ),
        (
            "autoscaling annotations have values that Knative takes",
            service,
            format!("{ANNOTATIONS}activation-scale"),
            json!("1"),
        ),
        (
            "autoscaling annotations have values that Knative takes",
            service,
            format!("{ANNOTATIONS}window"),
            json!("5s"),
        ),
        (
            "autoscaling annotations have values that Knative takes",
            service,
            format!("{ANNOTATIONS}window"),
            json!("3601s"),
        ),
        (
            "autoscaling annotations have values that Knative takes",
            service,
            format!("{ANNOTATIONS}min-scale"),
            json!("99"),
        ),
        (
            "autoscaling annotations have values that Knative takes",
            service,
            format!("{ANNOTATIONS}max-scale"),
            json!("many"),
        ),
        (
            "autoscaling annotations have values that Knative takes",
            service,
            format!("{ANNOTATIONS}minScale"),
            json!("1"),
        ),
        (
            "both timeouts are set, and Knative grants them",
            service,
            format!("{POD}responseStartTimeoutSeconds"),
            Value::Null,
        ),
        (
            "both timeouts are set, and Knative grants them",
            service,
            format!("{POD}responseStartTimeoutSeconds"),
            json!(601),
        ),
        (
            "both timeouts are set, and Knative grants them",
            service,
            format!("{POD}timeoutSeconds"),
            json!(601),
        ),
        (
            "both timeouts are set, and Knative grants them",
            service,
            format!("{POD}timeoutSeconds"),
            json!(599),
        ),
        (
            "no variable is Knative's own",
            service,
            format!("{CONTAINER}env|0|name"),
            json!("PORT"),
        ),
        (
            "no variable is Knative's own",
            service,
            format!("{CONTAINER}env|0|name"),
            json!("K_SERVICE"),
        ),
        (
            "no variable is Knative's own",
            service,
            format!("{CONTAINER}env|1|name"),
            json!("AWS_ACCESS_KEY_ID"),
        ),
        (
            "no variable is Knative's own",
            "ConfigMap toktik",
            "data|K_SINK".into(),
            json!("http://x"),
        ),
        (
            "no port is Knative's own",
            service,
            format!("{CONTAINER}ports"),
            json!([{"containerPort": 8012}]),
        ),
        (
            "a probe has one handler",
            service,
            format!("{CONTAINER}readinessProbe|tcpSocket"),
            json!({"port": 8080}),
        ),
        (
            "a probe has one handler",
            service,
            format!("{CONTAINER}readinessProbe"),
            json!({}),
        ),
        (
            "a probe has one handler",
            service,
            format!("{CONTAINER}readinessProbe"),
            Value::Null,
        ),
        (
            "a probe has one handler",
            service,
            format!("{CONTAINER}readinessProbe|failureThreshold"),
            json!(3),
        ),
        (
            "names are names of hosts",
            trigger,
            "metadata|name".into(),
            json!("Probe_uploaded"),
        ),
        (
            "deliveries back off, and count time as ISO 8601 does",
            trigger,
            "spec|delivery|backoffDelay".into(),
            Value::Null,
        ),
        (
            "deliveries back off, and count time as ISO 8601 does",
            trigger,
            "spec|delivery|backoffPolicy".into(),
            Value::Null,
        ),
        (
            "deliveries back off, and count time as ISO 8601 does",
            trigger,
            "spec|delivery|backoffPolicy".into(),
            json!("never"),
        ),
        (
            "deliveries back off, and count time as ISO 8601 does",
            trigger,
            "spec|delivery|timeout".into(),
            json!("600s"),
        ),
        (
            "deliveries back off, and count time as ISO 8601 does",
            trigger,
            "spec|delivery|format".into(),
            json!("JSON"),
        ),
        (
            "deliveries back off, and count time as ISO 8601 does",
            trigger,
            "spec|delivery|deadLetterSink".into(),
            Value::Null,
        ),
        (
            "deliveries back off, and count time as ISO 8601 does",
            "Broker default",
            "spec|delivery".into(),
            Value::Null,
        ),
        (
            "a filter's item has one dialect and attributes of events",
            trigger,
            "spec|filters|0|suffix".into(),
            json!({"type": ".v1"}),
        ),
        (
            "a filter's item has one dialect and attributes of events",
            trigger,
            "spec|filters|0|exact".into(),
            json!({"type": UPLOADED, "data": "x"}),
        ),
        (
            "a filter's item has one dialect and attributes of events",
            trigger,
            "spec|filters|0|exact".into(),
            json!({"type": UPLOADED, "Source": "x"}),
        ),
        (
            "what is named is there",
            trigger,
            "spec|delivery|deadLetterSink|ref|name".into(),
            json!("nobody"),
        ),
        ("what is named is there", trigger, "spec|broker".into(), json!("other")),
        (
            "what is named is there",
            "PingSource janitor",
            "spec|sink|ref|name".into(),
            json!("nobody"),
        ),
        (
            "what is named is there",
            "IntegrationSource uploads",
            "spec|sink|ref|kind".into(),
            json!("Channel"),
        ),
        (
            "what is named is there",
            service,
            format!("{POD}serviceAccountName"),
            json!("somebody"),
        ),
        (
            "what is named is there",
            service,
            format!("{CONTAINER}envFrom|0|configMapRef|name"),
            json!("other"),
        ),
        (
            "triggers and routes agree",
            trigger,
            "spec|filters|0|exact|type".into(),
            json!("toktik.video.uploaded.v2"),
        ),
        (
            "triggers and routes agree",
            trigger,
            "spec|subscriber|ref|name".into(),
            json!("audio"),
        ),
        (
            "every program is contained",
            service,
            format!("{CONTAINER}securityContext|runAsNonRoot"),
            json!(false),
        ),
        (
            "every program is contained",
            service,
            format!("{CONTAINER}securityContext|capabilities|drop"),
            json!([]),
        ),
        (
            "every program is contained",
            service,
            format!("{CONTAINER}securityContext"),
            Value::Null,
        ),
        (
            "every program is contained",
            service,
            format!("{POD}automountServiceAccountToken"),
            Value::Null,
        ),
        (
            "requests fit limits, and disks what lies on them",
            service,
            format!("{CONTAINER}resources|limits|cpu"),
            json!("1m"),
        ),
        (
            "requests fit limits, and disks what lies on them",
            service,
            format!("{CONTAINER}resources|limits|memory"),
            json!("much"),
        ),
        (
            "requests fit limits, and disks what lies on them",
            service,
            format!("{POD}volumes|0|emptyDir|sizeLimit"),
            json!("9Gi"),
        ),
        (
            "requests fit limits, and disks what lies on them",
            service,
            format!("{POD}volumes|0|emptyDir|sizeLimit"),
            Value::Null,
        ),
        (
            "requests fit limits, and disks what lies on them",
            service,
            format!("{CONTAINER}volumeMounts|0|name"),
            json!("other"),
        ),
        (
            "secrets go to whom they are for",
            service,
            format!("{CONTAINER}env|0|valueFrom|secretKeyRef|key"),
            json!("TOKTIK_TOKEN_PRIVATE_KEY"),
        ),
        (
            "secrets go to whom they are for",
            service,
            format!("{CONTAINER}env|0|valueFrom|secretKeyRef|name"),
            json!("other"),
        ),
        (
            "secrets go to whom they are for",
            service,
            format!("{CONTAINER}env|1"),
            json!({"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}),
        ),
        (
            "only the gateway is public",
            service,
            "metadata|labels|networking.knative.dev/visibility".into(),
            Value::Null,
        ),
        (
            "only the gateway is public",
            "Service gateway",
            "metadata|labels|networking.knative.dev/visibility".into(),
            json!("cluster-local"),
        ),
        (
            "transcode does one thing at a time",
            "Service transcode",
            format!("{POD}containerConcurrency"),
            json!(2),
        ),
        (
            "events are sent to the broker that is there",
            "ConfigMap toktik",
            "data|TOKTIK_EVENTS_SINK".into(),
            json!("http://x"),
        ),
        (
            "events are sent to the broker that is there",
            "Broker default",
            "metadata|annotations|eventing.knative.dev/broker.class".into(),
            json!("Kafka"),
        ),
        (
            "everything is in one namespace",
            service,
            "metadata|namespace".into(),
            json!("default"),
        ),
    ];
    let whole = overlay("aws");
    for (rule, object, path, value) in breaks {
        let (kind, name) = object.split_once(' ').unwrap();
        let documents = changed(&whole, kind, name, path, value.clone());
        let broken = broken(&installation(&documents));
        assert_eq!(broken.keys().collect::<Vec<_>>(), [rule], "{object}: {path} = {value}");
    }
    let tried: BTreeSet<_> = breaks.iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(tried, RULES.iter().map(|rule| rule.name).collect());
}

#[test]
fn a_route_has_one_trigger() {
    let whole = overlay("local");
    let is_trigger = |document: &&Value| document["kind"] == "Trigger";
    let first = whole.iter().find(is_trigger).unwrap().clone();
    let without: Vec<Value> = whole.iter().filter(|document| **document != first).cloned().collect();
    let twice: Vec<Value> = whole.iter().chain([&first]).cloned().collect();
    for documents in [without, twice] {
        let broken = broken(&installation(&documents));
        assert_eq!(broken.keys().collect::<Vec<_>>(), [&"triggers and routes agree"]);
    }
}

/// Unknown fields are slips of the pen; known ones that Knative refuses by default are none of ours either.
#[test]
fn fields_that_nobody_takes_are_refused() {
    let documents = overlay("aws");
    let refused: &[(&str, String, Value)] = &[
        ("Service probe", format!("{CONTAINER}lifecycle"), json!({})),
        (
            "Service probe",
            format!("{CONTAINER}livenessProbe"),
            json!({"httpGet": {"path": "/healthz"}}),
        ),
        (
            "Service probe",
            format!("{CONTAINER}env|0|valueFrom"),
            json!({"fieldRef": {"fieldPath": "metadata.name"}}),
        ),
        ("Service probe", format!("{CONTAINER}env|0|value"), json!(1)),
        (
            "Service probe",
            format!("{CONTAINER}securityContext|privileged"),
            json!(true),
        ),
        (
            "Service probe",
            format!("{CONTAINER}securityContext|capabilities|add"),
            json!(["SYS_ADMIN"]),
        ),
        (
            "Service probe",
            format!("{POD}terminationGracePeriodSeconds"),
            json!(30),
        ),
        ("Service probe", format!("{POD}securityContext"), json!({"fsGroup": 1})),
        ("Service probe", format!("{POD}initContainers"), json!([])),
        ("Service probe", format!("{POD}nodeSelector"), json!({"a": "b"})),
        (
            "Service probe",
            format!("{POD}volumes|0|persistentVolumeClaim"),
            json!({"claimName": "x"}),
        ),
        ("Service probe", format!("{POD}timeoutSecond"), json!(1)),
        (
            "Trigger probe-video-uploaded",
            "spec|filter".into(),
            json!({"attributes": {}}),
        ),
        (
            "Trigger probe-video-uploaded",
            "spec|filters|0|cesql".into(),
            json!("true"),
        ),
        ("Broker default", "kind".into(), json!("Borker")),
        (
            "PingSource janitor",
            "spec|ceOverrides".into(),
            json!({"extensions": {"type": "x"}}),
        ),
    ];
    for (object, path, value) in refused {
        let (kind, name) = object.split_once(' ').unwrap();
        let documents = changed(&documents, kind, name, path, value.clone());
        assert!(Installation::read(&documents).is_err(), "{object}: {path} = {value}");
    }
}

/// A command's words, options as pairs; an option without a value has an empty one.
fn commands(text: &str, start: &str) -> Vec<(String, Vec<(String, String)>)> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.strip_prefix(start));
    lines
        .map(|line| {
            let mut words = line.split_whitespace().peekable();
            let name = words.next().unwrap().to_owned();
            let mut options = Vec::new();
            while let Some(option) = words.next() {
                let value = words.next_if(|word| !word.starts_with("--")).unwrap_or_default();
                options.push((option.to_owned(), value.to_owned()));
            }
            (name, options)
        })
        .collect()
}

/// What `kn` would be told to make the same Service.
fn options(service: &Object<ServiceSpec>) -> Vec<(String, String)> {
    let spec = &service.spec.template.spec;
    let [container] = &spec.containers[..] else {
        panic!("one container")
    };
    let Container { image, env, .. } = container;
    let annotation =
        |name: &str| service.spec.template.metadata.annotations[&format!("autoscaling.knative.dev/{name}")].clone();
    let resources = container.resources.as_ref().unwrap();
    let list = |map: &BTreeMap<String, String>| format!("cpu={},memory={}", map["cpu"], map["memory"]);
    let context = container.security_context.as_ref().unwrap();
    let path = &container
        .readiness_probe
        .as_ref()
        .unwrap()
        .http_get
        .as_ref()
        .unwrap()
        .path;
    let mut options = vec![
        ("--image", image.clone()),
        ("--pull-policy", container.image_pull_policy.clone().unwrap()),
        ("--service-account", spec.service_account_name.clone().unwrap()),
        ("--security-context", "strict".to_owned()),
        ("--user", context.run_as_user.to_string()),
        (
            "--scale",
            format!("{}..{}", annotation("min-scale"), annotation("max-scale")),
        ),
        ("--timeout", spec.timeout_seconds.unwrap().to_string()),
        ("--probe-readiness", format!("http::8080:{path}")),
        ("--request", list(&resources.requests)),
        ("--limit", list(&resources.limits)),
    ];
    if service
        .metadata
        .labels
        .contains_key("networking.knative.dev/visibility")
    {
        options.push(("--cluster-local", String::new()));
    }
    options.extend(
        spec.container_concurrency
            .map(|limit| ("--concurrency-limit", limit.to_string())),
    );
    options.extend(
        container
            .env_from
            .iter()
            .map(|from| ("--env-from", format!("cm:{}", from.config_map_ref.name))),
    );
    for env in env {
        options.push(match (&env.value, &env.value_from) {
            (Some(value), None) => ("--env", format!("{}={value}", env.name)),
            (None, Some(from)) => {
                let key = &from.secret_key_ref;
                (
                    "--env-value-from",
                    format!("{}=secret:{}:{}", env.name, key.name, key.key),
                )
            }
            _ => panic!("{env:?}"),
        });
    }
    for (volume, mount) in spec.volumes.iter().zip(&container.volume_mounts) {
        let (name, size) = (&volume.name, volume.empty_dir.size_limit.as_ref().unwrap());
        options.push(("--volume", format!("{name}=emptyDir:{name}:size={size}")));
        options.push(("--mount", format!("{}={name}", mount.mount_path)));
    }
    let mut options: Vec<_> = options
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    options.sort();
    options
}

#[test]
fn kn_is_told_the_same_as_kubectl() {
    let base = installation(&render::kustomize(&root().join("knative/base")).unwrap());
    let commanded = commands(&kn::services(), "kn service apply ");
    assert_eq!(commanded.len(), base.services.len());
    for (name, mut told) in commanded {
        told.sort();
        assert_eq!(told, options(base.service(&name).unwrap()), "{name}");
    }
    let exact = |trigger: &&Object<_>| -> bool {
        let trigger: &Object<toktik_deploy::objects::TriggerSpec> = trigger;
        trigger.spec.filters.iter().all(|filter| filter.exact.is_some())
    };
    let triggers = base.triggers.iter().filter(exact).map(|trigger| {
        let spec = &trigger.spec;
        let ty = &spec.filters[0].exact.as_ref().unwrap()["type"];
        let options = [
            ("--broker", spec.broker.clone()),
            ("--filter", format!("type={ty}")),
            ("--sink", format!("ksvc:{}", spec.subscriber.to.name)),
        ];
        let options = options.map(|(name, value)| (name.to_owned(), value)).to_vec();
        (trigger.metadata.name.clone(), options)
    });
    let mut triggers: Vec<_> = triggers.collect();
    let mut commanded = commands(&kn::events(), "kn trigger create ");
    triggers.sort();
    commanded.sort();
    assert_eq!(commanded, triggers);
    let broker = &base.brokers[0];
    let delivery = broker.spec.delivery.as_ref().unwrap();
    let text = |value: &Option<String>| value.clone().unwrap();
    let expected = [
        (
            "--class",
            broker.metadata.annotations["eventing.knative.dev/broker.class"].clone(),
        ),
        (
            "--dl-sink",
            format!("ksvc:{}", delivery.dead_letter_sink.as_ref().unwrap().to.name),
        ),
        ("--retry", delivery.retry.unwrap().to_string()),
        ("--backoff-policy", text(&delivery.backoff_policy)),
        ("--backoff-delay", text(&delivery.backoff_delay)),
        ("--timeout", text(&delivery.timeout)),
    ];
    let [ping] = &base.pings[..] else {
        panic!("one schedule")
    };
    let (name, spec) = (&ping.metadata.name, &ping.spec);
    let command = format!(
        "kn source ping create {name} --schedule '{}' --data '{}' --sink ksvc:{}",
        spec.schedule, spec.data, spec.sink.to.name
    );
    assert!(kn::events().lines().any(|line| line == command), "{command}");
    let commanded = commands(&kn::events(), "kn broker create ");
    let expected = expected.map(|(name, value)| (name.to_owned(), value)).to_vec();
    assert_eq!(commanded, [(broker.metadata.name.clone(), expected)]);
}

#[test]
fn openfaas_runs_every_function_with_what_it_is_granted_elsewhere() {
    let yaml = fs::read_to_string(root().join("infra/openfaas/stack.yaml")).unwrap();
    let [stack] = &render::read(&yaml).unwrap()[..] else {
        panic!("one document")
    };
    assert_eq!(stack["version"], json!(1.0));
    let functions = stack["functions"].as_object().unwrap();
    let expected: BTreeSet<_> = DEPLOYMENTS
        .iter()
        .map(|deployment| deployment.name)
        .filter(|name| *name != "gateway")
        .collect();
    assert_eq!(functions.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
    for (name, function) in functions {
        let known = [
            "skip_build",
            "image",
            "labels",
            "annotations",
            "readonly_root_filesystem",
            "requests",
            "limits",
            "environment",
            "secrets",
        ];
        let fields = function.as_object().unwrap();
        assert!(
            fields.keys().all(|field| known.contains(&field.as_str())),
            "{name}: {fields:?}"
        );
        for map in ["labels", "annotations", "environment", "requests", "limits"] {
            let map = fields[map].as_object().unwrap();
            assert!(map.values().all(Value::is_string), "{name}: {map:?}");
        }
        let deployment = DEPLOYMENTS.iter().find(|deployment| deployment.name == name).unwrap();
        assert_eq!(
            fields["limits"],
            json!({"cpu": deployment.cpu[1], "memory": deployment.memory[1]}),
            "{name}"
        );
        let secrets = fields["secrets"].as_array().unwrap();
        let given = |secret: &str| secrets.contains(&json!(secret));
        assert_eq!(given("toktik-token-private-key"), name == "auth", "{name}");
        assert_eq!(given("toktik-token-jwks"), deployment.answers_requests(), "{name}");
        assert_eq!(
            fields["environment"].get("TOKTIK_LINK_SECRET").is_some(),
            name == "playback",
            "{name}"
        );
        // Whoever takes events over HTTP would take them from anybody who reaches OpenFaaS' gateway.
        let host = fields["environment"].get("TOKTIK_HOST");
        assert_eq!(host == Some(&json!("queue")), !deployment.answers_requests(), "{name}");
    }
}
