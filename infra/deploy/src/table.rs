//! How each program is deployed: what it may use, how long it may take, what it is told, which secrets it is given.
//!
//! Everything else about it follows: from the routes which events reach it, from here how every host runs it.

use toktik_events::Function;

/// Toktik's own namespace, and the one that its addresses name.
pub const NAMESPACE: &str = "toktik";
/// What brings events from function to function.
pub const BROKER: &str = "default";
/// The Secret with everything that nobody may know, and the `ConfigMap` with what every function is told.
pub const SECRET: &str = "toktik";
pub const SETTINGS: &str = "toktik";
pub const SERVICE_ACCOUNT: &str = "toktik";
/// Knative asks no registry about images of `dev.local`; `knative/registry` puts another one in its place.
pub const REGISTRY: &str = "dev.local";
pub const TAG: &str = "latest";
/// Who all our images run as.
pub const USER: u32 = 65532;
/// The one program that people reach. It is no function: it has no part in the pipeline.
pub const GATEWAY: &str = "gateway";

/// Opens the three stores.
pub const STORE_KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
pub const TOKEN_PRIVATE_KEY: &str = "TOKTIK_TOKEN_PRIVATE_KEY";
pub const TOKEN_JWKS: &str = "TOKTIK_TOKEN_JWKS";
pub const LINK_SECRET: &str = "TOKTIK_LINK_SECRET";

/// The most that Knative grants a request, unless its operator says otherwise, in seconds.
pub const LONGEST_REQUEST: u32 = 600;

/// One program on a host.
#[derive(Clone, Copy, Debug)]
pub struct Deployment {
    pub name: &'static str,
    /// What it does, in half a line.
    pub about: &'static str,
    /// Guaranteed, and granted at most.
    pub cpu: [&'static str; 2],
    pub memory: [&'static str; 2],
    /// How much it may keep in `/tmp`. Only those that run ffmpeg write files at all.
    pub scratch: Option<&'static str>,
    /// Requests or events at once in one replica; 0 for as many as come.
    pub concurrency: u32,
    /// Seconds that one may take.
    pub timeout: u32,
    pub max_scale: u32,
    /// Of its own, beside what all are told.
    pub environment: &'static [(&'static str, &'static str)],
    /// Toktik's own secrets, beside the keys of the stores.
    pub secrets: &'static [&'static str],
}

/// A unit of work is planned to fit half of this.
const DEADLINE: (&str, &str) = ("TOKTIK_TRANSCODE_DEADLINE", "600");
/// Who comes beyond what a replica is sent is told to come again.
const STREAMS: (&str, &str) = ("TOKTIK_STREAM_LIMIT", "500");
/// As many as transcode is granted. It stands in the plan, which probe makes.
const CPUS: (&str, &str) = ("TOKTIK_TRANSCODE_CPUS", "2");
/// A clip of a minute is made by so many replicas at once. It stands in the plan, too.
const PARALLELISM: (&str, &str) = ("TOKTIK_TRANSCODE_PARALLELISM", "4");

const HTTP: Deployment = Deployment {
    name: "",
    about: "",
    cpu: ["50m", "1"],
    memory: ["64Mi", "256Mi"],
    scratch: None,
    concurrency: 80,
    timeout: 60,
    max_scale: 20,
    environment: &[],
    secrets: &[TOKEN_JWKS],
};

const EVENTS: Deployment = Deployment {
    concurrency: 20,
    max_scale: 10,
    secrets: &[],
    ..HTTP
};

/// ffmpeg fills the cores that it is given.
const MEDIA: Deployment = Deployment {
    cpu: ["250m", "1"],
    memory: ["128Mi", "1Gi"],
    scratch: Some("2Gi"),
    concurrency: 1,
    timeout: LONGEST_REQUEST,
    max_scale: 20,
    ..EVENTS
};

/// In the order in which a clip meets them.
pub const DEPLOYMENTS: &[Deployment] = &[
    Deployment {
        name: GATEWAY,
        about: "sends each path to its function, and a bucket's paths to the store",
        // An upload may pass through it, streamed.
        concurrency: 0,
        timeout: LONGEST_REQUEST,
        secrets: &[],
        ..HTTP
    },
    Deployment {
        name: "auth",
        about: "accounts, sessions, access tokens",
        // A password takes 19 MiB and a core for a moment; more at once than it has cores it refuses by itself.
        concurrency: 20,
        secrets: &[TOKEN_PRIVATE_KEY, TOKEN_JWKS],
        ..HTTP
    },
    Deployment {
        name: "upload",
        about: "signs uploads and hears of their end",
        ..HTTP
    },
    Deployment {
        name: "videos",
        about: "clips as people see and manage them",
        ..HTTP
    },
    Deployment {
        name: "playback",
        about: "playlists, pictures, links and views",
        secrets: &[TOKEN_JWKS, LINK_SECRET],
        ..HTTP
    },
    Deployment {
        name: "notify",
        about: "tells people what happens while it happens",
        // Streams that are all but asleep.
        concurrency: 500,
        environment: &[STREAMS],
        ..HTTP
    },
    Deployment {
        name: "web",
        about: "the pages that people use",
        ..HTTP
    },
    Deployment {
        name: "probe",
        about: "looks at an upload in the sandbox; refuses it, or plans the work",
        environment: &[DEADLINE, CPUS, PARALLELISM],
        ..MEDIA
    },
    Deployment {
        name: "transcode",
        about: "one unit of a clip, all its renditions from one decode",
        cpu: ["1", "2"],
        memory: ["256Mi", "2Gi"],
        scratch: Some("3Gi"),
        max_scale: 50,
        environment: &[DEADLINE, CPUS],
        ..MEDIA
    },
    Deployment {
        name: "thumbnail",
        about: "poster, storyboard and preview",
        ..MEDIA
    },
    Deployment {
        name: "audio",
        about: "the MP3",
        ..MEDIA
    },
    Deployment {
        name: "package",
        about: "derives manifest and status from the ledger; joins the download",
        // Most of its runs only look at the ledger.
        concurrency: 4,
        ..MEDIA
    },
    Deployment {
        name: "dead-letter",
        about: "fails the clip whose step was given up",
        ..EVENTS
    },
    Deployment {
        name: "janitor",
        about: "sweeps what got stuck or was abandoned",
        timeout: LONGEST_REQUEST,
        max_scale: 2,
        ..EVENTS
    },
];

impl Deployment {
    pub fn named(name: &str) -> Option<&'static Self> {
        DEPLOYMENTS.iter().find(|deployment| deployment.name == name)
    }

    /// None for the gateway.
    pub fn function(&self) -> Option<Function> {
        self.name.parse().ok()
    }

    pub fn answers_requests(&self) -> bool {
        self.function().is_some_and(Function::answers_requests)
    }

    pub fn is_public(&self) -> bool {
        self.name == GATEWAY
    }

    /// What a queue worker is told of its own: a request's deadline does not bind it, and nobody starts others beside it.
    pub fn environment_of_workers(&self) -> impl Iterator<Item = &(&'static str, &'static str)> {
        let of_replicas = [DEADLINE, PARALLELISM];
        self.environment.iter().filter(move |told| !of_replicas.contains(told))
    }

    /// What everybody like it is told stands in this `ConfigMap`.
    pub fn settings(&self) -> &'static str {
        if self.is_public() { "toktik-gateway" } else { SETTINGS }
    }

    /// Keys of the Secret that it is given, the stores' first: an overlay knows them by their place.
    pub fn secret_keys(&self) -> Vec<&'static str> {
        let store: &[&str] = if self.is_public() { &[] } else { &STORE_KEYS };
        [store, self.secrets].concat()
    }

    pub fn image(&self) -> String {
        format!("{REGISTRY}/toktik-{}:{TAG}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_function_is_deployed_and_nothing_else_but_the_gateway() {
        let deployed: BTreeSet<_> = DEPLOYMENTS.iter().map(|deployment| deployment.name).collect();
        let functions = Function::ALL.into_iter().map(Function::name);
        assert_eq!(deployed, functions.chain([GATEWAY]).collect());
        assert_eq!(deployed.len(), DEPLOYMENTS.len());
    }
}
