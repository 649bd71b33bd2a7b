//! What `localstack/compose.yaml` promises: everything in every profile, nothing unpinned, nobody unwatched.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use toktik_deploy::compose::{self, PROFILES};
use toktik_deploy::render;
use toktik_deploy::table::{DEPLOYMENTS, STORE_KEYS};

fn services() -> Map<String, Value> {
    let documents = render::read(&compose::file()).unwrap();
    documents[0]["services"].as_object().unwrap().clone()
}

fn texts(list: &Value) -> BTreeSet<String> {
    let texts = list.as_array().into_iter().flatten();
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn in_profile(profile: &str) -> Vec<(String, Value)> {
    let services = services().into_iter();
    services
        .filter(|(_, service)| texts(&service["profiles"]).contains(profile))
        .collect()
}

#[test]
fn every_profile_has_every_program_and_one_of_each_store() {
    for profile in PROFILES {
        let services = in_profile(profile);
        for deployment in DEPLOYMENTS {
            let found = services.iter().find(|(name, _)| name == deployment.name);
            let (_, service) = found.unwrap_or_else(|| panic!("{profile} has no {}", deployment.name));
            assert_eq!(service["command"][1], deployment.name);
        }
        for store in ["store", "queues", "table"] {
            let aliases = services
                .iter()
                .map(|(_, service)| texts(&service["networks"]["default"]["aliases"]));
            assert_eq!(
                aliases.filter(|aliases| aliases.contains(store)).count(),
                1,
                "{profile}: {store}"
            );
        }
    }
}

#[test]
fn who_has_which_secret_is_as_elsewhere() {
    let services = services();
    for deployment in DEPLOYMENTS {
        let environment = services[deployment.name]["environment"].as_object().unwrap();
        let secret = |value: &Value| value.as_str().is_some_and(|value| value.starts_with("${"));
        let given: BTreeSet<_> = environment
            .iter()
            .filter(|(_, value)| secret(value))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            given,
            deployment.secret_keys().into_iter().collect(),
            "{}",
            deployment.name
        );
    }
    for key in STORE_KEYS {
        assert!(services["gateway"]["environment"].get(key).is_none());
    }
}

#[test]
fn images_are_pinned_and_what_was_built_here_is_pulled_from_nowhere() {
    for (name, service) in services() {
        let image = service["image"].as_str().unwrap();
        let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image}"));
        if image.starts_with("dev.local/") {
            assert_eq!(service["pull_policy"], "never", "{name}");
        } else {
            assert!(tag.contains(|c: char| c.is_ascii_digit()), "{name}: {image}");
        }
    }
}

#[test]
fn whoever_stays_is_asked_whether_it_is_ready() {
    for (name, service) in services() {
        let ends = service["restart"] == "no";
        // It serves nothing.
        let apart = ends || name == "schedule";
        assert_eq!(service["healthcheck"]["test"].is_null(), apart, "{name}");
    }
}

#[test]
fn whoever_waits_waits_for_what_is_there() {
    let services = services();
    for (name, service) in &services {
        for (other, condition) in service["depends_on"].as_object().into_iter().flatten() {
            let other_profiles = texts(&services[other]["profiles"]);
            let elsewhere = !texts(&service["profiles"]).is_subset(&other_profiles);
            // A service of another profile is none at all.
            let may_be_missing = condition["required"] == false;
            assert!(may_be_missing || !elsewhere, "{name} waits for {other}");
            let ends = services[other]["restart"] == "no";
            let expected = if ends {
                "service_completed_successfully"
            } else {
                "service_healthy"
            };
            assert_eq!(condition["condition"], expected, "{name} waits for {other}");
        }
    }
}

#[test]
fn nobody_outside_this_machine_gets_in() {
    for (name, service) in services() {
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
}
