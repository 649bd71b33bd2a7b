//! The kinds of objects in our manifests, each with the fields that we allow ourselves, and no others.
//!
//! A field that is not here is either a slip of the pen or one that Knative refuses by default: `lifecycle`,
//! `terminationGracePeriodSeconds`, the pod's `securityContext`, `initContainers`, `nodeSelector`, a claim for a volume,
//! `fieldRef`. Who needs another one adds it here.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub type Map = BTreeMap<String, String>;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    pub name: String,
    pub namespace: Option<String>,
    #[serde(default)]
    pub labels: Map,
    #[serde(default)]
    pub annotations: Map,
}

/// An object of any kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object<S> {
    pub api_version: String,
    pub kind: String,
    pub metadata: Meta,
    pub spec: S,
}

/// An object that has its contents beside its name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plain {
    pub api_version: String,
    pub kind: String,
    pub metadata: Meta,
    #[serde(default)]
    pub data: Map,
    pub automount_service_account_token: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    pub api_version: String,
    pub kind: String,
    pub metadata: Meta,
    pub rules: Vec<PolicyRule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRule {
    pub api_groups: Vec<String>,
    pub resources: Vec<String>,
    pub verbs: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleBinding {
    pub api_version: String,
    pub kind: String,
    pub metadata: Meta,
    pub role_ref: RoleRef,
    pub subjects: Vec<Subject>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleRef {
    pub api_group: String,
    pub kind: String,
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
}

/// Knative's Service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    pub template: RevisionTemplate,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisionTemplate {
    #[serde(default)]
    pub metadata: TemplateMeta,
    pub spec: RevisionSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateMeta {
    #[serde(default)]
    pub labels: Map,
    #[serde(default)]
    pub annotations: Map,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevisionSpec {
    pub service_account_name: Option<String>,
    pub automount_service_account_token: Option<bool>,
    pub enable_service_links: Option<bool>,
    pub container_concurrency: Option<u32>,
    pub timeout_seconds: Option<u32>,
    pub response_start_timeout_seconds: Option<u32>,
    pub containers: Vec<Container>,
    #[serde(default)]
    pub volumes: Vec<Volume>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    pub name: Option<String>,
    pub image: String,
    pub image_pull_policy: Option<String>,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub env_from: Vec<EnvFrom>,
    #[serde(default)]
    pub env: Vec<Env>,
    #[serde(default)]
    pub ports: Vec<ContainerPort>,
    pub readiness_probe: Option<Probe>,
    pub startup_probe: Option<Probe>,
    pub resources: Option<Resources>,
    pub security_context: Option<SecurityContext>,
    #[serde(default)]
    pub volume_mounts: Vec<VolumeMount>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvFrom {
    pub config_map_ref: Named,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Env {
    pub name: String,
    pub value: Option<String>,
    pub value_from: Option<ValueFrom>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValueFrom {
    pub secret_key_ref: KeyRef,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRef {
    pub name: String,
    pub key: String,
    #[serde(default)]
    pub optional: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerPort {
    pub container_port: u16,
    pub name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    pub http_get: Option<HttpGet>,
    pub tcp_socket: Option<TcpSocket>,
    pub period_seconds: Option<u32>,
    pub timeout_seconds: Option<u32>,
    pub failure_threshold: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGet {
    pub path: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpSocket {
    pub port: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    pub requests: Map,
    pub limits: Map,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecurityContext {
    pub run_as_non_root: bool,
    pub run_as_user: u32,
    pub allow_privilege_escalation: bool,
    pub read_only_root_filesystem: bool,
    pub capabilities: Capabilities,
    pub seccomp_profile: SeccompProfile,
}

/// None are ever added.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    pub drop: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeccompProfile {
    #[serde(rename = "type")]
    pub ty: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeMount {
    pub name: String,
    pub mount_path: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    pub name: String,
    pub empty_dir: EmptyDir,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmptyDir {
    pub size_limit: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerSpec {
    pub config: Option<Reference>,
    pub delivery: Option<Delivery>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reference {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
}

/// Where events go: always to an object that has an address.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    #[serde(rename = "ref")]
    pub to: Reference,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    pub format: Option<String>,
    pub timeout: Option<String>,
    pub retry: Option<u32>,
    pub backoff_policy: Option<String>,
    pub backoff_delay: Option<String>,
    pub dead_letter_sink: Option<Destination>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerSpec {
    pub broker: String,
    pub filters: Vec<Filter>,
    pub subscriber: Destination,
    pub delivery: Option<Delivery>,
}

/// The dialects that we use.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    pub exact: Option<Map>,
    pub prefix: Option<Map>,
    pub suffix: Option<Map>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PingSpec {
    pub schedule: String,
    pub content_type: String,
    pub data: String,
    pub sink: Destination,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntegrationSpec {
    pub aws: Aws,
    pub sink: Destination,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    pub sqs: Sqs,
    pub auth: Auth,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sqs {
    pub arn: String,
    pub region: String,
    pub wait_time_seconds: Option<u32>,
    pub max_messages_per_poll: Option<u32>,
    pub visibility_timeout: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    pub secret: Option<SecretRef>,
    pub service_account_name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    #[serde(rename = "ref")]
    pub to: Named,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RabbitSpec {
    pub rabbitmq_cluster_reference: ClusterReference,
    pub queue_type: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterReference {
    pub name: String,
    pub namespace: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentSpec {
    pub replicas: u32,
    pub strategy: Strategy,
    pub selector: Selector,
    pub template: PodTemplate,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    #[serde(rename = "type")]
    pub ty: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    pub match_labels: Map,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodTemplate {
    #[serde(default)]
    pub metadata: TemplateMeta,
    pub spec: PodSpec,
}

/// A pod of Kubernetes' own, which may have more than Knative allows.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSpec {
    pub service_account_name: Option<String>,
    pub automount_service_account_token: Option<bool>,
    pub enable_service_links: Option<bool>,
    pub restart_policy: Option<String>,
    pub security_context: Option<PodSecurityContext>,
    pub containers: Vec<Container>,
    #[serde(default)]
    pub volumes: Vec<Volume>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSecurityContext {
    pub fs_group: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobSpec {
    pub backoff_limit: u32,
    pub ttl_seconds_after_finished: u32,
    pub template: PodTemplate,
}

/// Kubernetes' Service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoreServiceSpec {
    pub selector: Map,
    pub ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    pub name: String,
    pub port: u16,
    pub target_port: u16,
}

/// Everything that one `kubectl apply` brings, by kind.
#[derive(Clone, Debug, Default)]
pub struct Installation {
    pub namespaces: Vec<Plain>,
    pub service_accounts: Vec<Plain>,
    pub config_maps: Vec<Plain>,
    pub roles: Vec<Role>,
    pub role_bindings: Vec<RoleBinding>,
    pub services: Vec<Object<ServiceSpec>>,
    pub brokers: Vec<Object<BrokerSpec>>,
    pub triggers: Vec<Object<TriggerSpec>>,
    pub pings: Vec<Object<PingSpec>>,
    pub integrations: Vec<Object<IntegrationSpec>>,
    pub rabbits: Vec<Object<RabbitSpec>>,
    pub deployments: Vec<Object<DeploymentSpec>>,
    pub jobs: Vec<Object<JobSpec>>,
    pub core_services: Vec<Object<CoreServiceSpec>>,
}

impl Installation {
    pub fn read(documents: &[Value]) -> anyhow::Result<Self> {
        let mut installation = Self::default();
        for document in documents {
            let [version, kind] = ["apiVersion", "kind"].map(|field| document[field].as_str().unwrap_or_default());
            let name = document["metadata"]["name"].as_str().unwrap_or_default();
            installation
                .add(version, kind, document)
                .with_context(|| format!("{kind} {name}"))?;
        }
        Ok(installation)
    }

    fn add(&mut self, version: &str, kind: &str, document: &Value) -> anyhow::Result<()> {
        match (version, kind) {
            ("v1", "Namespace") => put(&mut self.namespaces, document),
            ("v1", "ServiceAccount") => put(&mut self.service_accounts, document),
            ("v1", "ConfigMap") => put(&mut self.config_maps, document),
            ("v1", "Service") => put(&mut self.core_services, document),
            ("apps/v1", "Deployment") => put(&mut self.deployments, document),
            ("batch/v1", "Job") => put(&mut self.jobs, document),
            ("rbac.authorization.k8s.io/v1", "Role") => put(&mut self.roles, document),
            ("rbac.authorization.k8s.io/v1", "RoleBinding") => put(&mut self.role_bindings, document),
            ("serving.knative.dev/v1", "Service") => put(&mut self.services, document),
            ("eventing.knative.dev/v1", "Broker") => put(&mut self.brokers, document),
            ("eventing.knative.dev/v1", "Trigger") => put(&mut self.triggers, document),
            ("eventing.knative.dev/v1alpha1", "RabbitmqBrokerConfig") => put(&mut self.rabbits, document),
            ("sources.knative.dev/v1", "PingSource") => put(&mut self.pings, document),
            ("sources.knative.dev/v1alpha1", "IntegrationSource") => put(&mut self.integrations, document),
            _ => bail!("{version} {kind} is no kind that we use"),
        }
    }

    /// The containers of everything that runs, with the name of what runs it.
    pub fn containers(&self) -> impl Iterator<Item = (&str, &Container)> {
        let services = self.services.iter().flat_map(|service| {
            let containers = &service.spec.template.spec.containers;
            containers
                .iter()
                .map(|container| (service.metadata.name.as_str(), container))
        });
        let pods = self
            .pods()
            .flat_map(|(name, pod)| pod.containers.iter().map(move |container| (name, container)));
        services.chain(pods)
    }

    pub fn pods(&self) -> impl Iterator<Item = (&str, &PodSpec)> {
        let deployments = self
            .deployments
            .iter()
            .map(|deployment| (deployment.metadata.name.as_str(), &deployment.spec.template.spec));
        let jobs = self
            .jobs
            .iter()
            .map(|job| (job.metadata.name.as_str(), &job.spec.template.spec));
        deployments.chain(jobs)
    }

    pub fn service(&self, name: &str) -> Option<&Object<ServiceSpec>> {
        self.services.iter().find(|service| service.metadata.name == name)
    }

    pub fn config_map(&self, name: &str) -> Option<&Plain> {
        self.config_maps.iter().find(|map| map.metadata.name == name)
    }
}

fn put<T: DeserializeOwned>(list: &mut Vec<T>, document: &Value) -> anyhow::Result<()> {
    list.push(serde_json::from_value(document.clone())?);
    Ok(())
}
