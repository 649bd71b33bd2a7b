//! The settings that every function has. Each is a flag and a `TOKTIK_…` variable; `--help` lists them with defaults.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

/// What every function is told.
#[derive(Args, Clone, Debug)]
pub struct Common {
    #[command(flatten)]
    pub server: Server,
    #[command(flatten)]
    pub stores: Stores,
    #[command(flatten)]
    pub terms: Terms,
    #[command(flatten)]
    pub events: Events,
    #[command(flatten)]
    pub addresses: Addresses,
    #[command(flatten)]
    pub log: Log,
}

/// Where a program without events listens.
#[derive(Args, Clone, Debug)]
pub struct Listen {
    /// Address to serve on. Unset: all addresses at the port in PORT, or 127.0.0.1:8080
    #[arg(long, env = "TOKTIK_LISTEN")]
    pub listen: Option<SocketAddr>,
}

impl Listen {
    pub fn listen(&self) -> SocketAddr {
        listen(self.listen)
    }
}

#[derive(Args, Clone, Debug)]
pub struct Server {
    /// Address to serve on. Unset: all addresses at the port in PORT, or 127.0.0.1:8080; a queue worker, which serves
    /// only health and metrics, takes any free port of 127.0.0.1
    #[arg(long, env = "TOKTIK_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// What a single function runs on: it serves HTTP, works off its queue, or is an AWS Lambda. Unset: Lambda there,
    /// HTTP where PORT is set, else the queue if the function takes events
    #[arg(long, env = "TOKTIK_HOST", value_enum)]
    pub host: Option<Host>,
    /// Events handled at once by a queue worker, or of one batch by a Lambda. Unset: one per core for light steps, one
    /// for transcode
    #[arg(long, env = "TOKTIK_CONCURRENCY")]
    pub concurrency: Option<NonZeroUsize>,
    /// For the only worker of a queue: it takes all that the queue has, and handles so many events beside the others that make
    /// a clip playable, and so many of short clips. Of several workers it would leave the others idle. Unset: a queue worker
    /// handles what comes first; `up` has 2 for transcode
    #[arg(long, env = "TOKTIK_EXPRESS", value_name = "EVENTS")]
    pub express: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Host {
    Http,
    Queue,
    Lambda,
}

/// Lambda gives every function the address of its runtime API in this.
pub(crate) const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

impl Server {
    pub fn listen(&self) -> SocketAddr {
        listen(self.listen)
    }

    /// Several queue workers may be on one machine.
    pub fn listen_beside_work(&self) -> SocketAddr {
        let told = self.listen.is_some() || is_set("PORT");
        if told {
            self.listen()
        } else {
            SocketAddr::from(([127, 0, 0, 1], 0))
        }
    }

    /// Where the platform says what it is, that; the queue otherwise.
    pub fn host(&self) -> Host {
        self.host.unwrap_or_else(|| match () {
            () if is_set(RUNTIME_API) => Host::Lambda,
            () if is_set("PORT") => Host::Http,
            () => Host::Queue,
        })
    }
}

/// Platforms say the port and nothing else.
fn listen(told: Option<SocketAddr>) -> SocketAddr {
    let port = || std::env::var("PORT").ok()?.parse().ok();
    match (told, port()) {
        (Some(listen), _) => listen,
        (None, Some(port)) => SocketAddr::from(([0, 0, 0, 0], port)),
        (None, None) => SocketAddr::from(([127, 0, 0, 1], 8080)),
    }
}

#[derive(Args, Clone, Debug)]
pub struct Stores {
    /// Bucket of uploads and of what is made of them
    #[arg(long, env = "TOKTIK_BUCKET", default_value = "toktik")]
    pub bucket: String,
    /// DynamoDB table of everything else
    #[arg(long, env = "TOKTIK_TABLE", default_value = "toktik")]
    pub table: String,
    /// What queue names begin with; the function's name follows
    #[arg(long, env = "TOKTIK_QUEUE_PREFIX", default_value = "toktik-")]
    pub queue_prefix: String,
    /// How often a running step renews its lease and looks whether its clip is still wanted, seconds
    #[arg(long, env = "TOKTIK_LEASE_CHECK", default_value = "10", value_parser = seconds)]
    pub lease_check: Duration,
}

/// How soon the dead are missed.
#[derive(Args, Clone, Debug)]
pub struct Terms {
    /// How long a step, or the delivery of an event, may be without a sign of life before somebody else takes it over,
    /// seconds; the same for all functions, at least 3. A busy machine needs more than an idle one
    #[arg(long, env = "TOKTIK_LEASE", default_value = "30", value_parser = term)]
    pub lease: Duration,
}

#[derive(Args, Clone, Debug)]
pub struct Events {
    /// Send events to this address, such as a Knative Broker, instead of to queues
    #[arg(long, env = "TOKTIK_EVENTS_SINK")]
    pub events_sink: Option<String>,
    /// Take events over HTTP only with this bearer token
    #[arg(long, env = "TOKTIK_EVENTS_TOKEN", hide_env_values = true)]
    pub events_token: Option<String>,
}

impl Events {
    /// Ours, or the one that a Knative `SinkBinding` gives.
    pub fn sink(&self) -> Option<String> {
        self.events_sink.clone().or_else(|| std::env::var("K_SINK").ok())
    }
}

#[derive(Args, Clone, Debug)]
pub struct Addresses {
    /// Address under which people reach the service. Unset: the request's own Host
    #[arg(long, env = "TOKTIK_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Address under which browsers reach the object store. Unset: the request's own Host where the store is served
    /// beside the API, else the store's own address
    #[arg(long, env = "TOKTIK_PUBLIC_S3_URL")]
    pub public_s3_url: Option<String>,
    /// Which of a proxy's words to believe: none (`false`); the last X-Forwarded-For and the X-Forwarded-Proto that a
    /// proxy in front adds (`true`); or the Forwarded header (RFC 7239) that Toktik's own gateway puts in place of any
    /// other, where nobody else can reach this function (`forwarded`)
    #[arg(
        long,
        env = "TOKTIK_TRUST_PROXY",
        default_value = "false",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        value_parser = trust
    )]
    pub trust_proxy: Trust,
    /// The object store is reached under the same address as this API, as behind Toktik's gateway: URLs are signed for
    /// the request's own Host
    #[arg(long, env = "TOKTIK_STORE_BESIDE_API", value_parser = BoolishValueParser::new())]
    pub store_beside_api: bool,
}

/// What is believed of where a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// What the connection says.
    #[default]
    Connection,
    /// `X-Forwarded-For` and its kin, to which each proxy adds.
    XForwarded,
    /// `Forwarded`, which the gateway replaces.
    Forwarded,
}

fn trust(text: &str) -> Result<Trust, String> {
    match text {
        "forwarded" => Ok(Trust::Forwarded),
        "true" | "yes" | "on" | "1" => Ok(Trust::XForwarded),
        "false" | "no" | "off" | "0" | "" => Ok(Trust::Connection),
        _ => Err("expected false, true or forwarded".to_owned()),
    }
}

/// What becomes of the uploaded file itself.
#[derive(Args, Clone, Debug)]
pub struct Originals {
    /// How long uploaded files are kept: `until-ready`, `forever`, or a number of days after the clip is ready
    #[arg(long, env = "TOKTIK_KEEP_SOURCE", default_value = "until-ready", value_parser = keep)]
    pub keep_source: Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    UntilReady,
    Forever,
    Days(u32),
}

fn keep(text: &str) -> Result<Keep, String> {
    match text {
        "until-ready" => Ok(Keep::UntilReady),
        "forever" => Ok(Keep::Forever),
        days => {
            let expected = "expected until-ready, forever or a number of days";
            days.parse().map(Keep::Days).map_err(|_| expected.to_owned())
        }
    }
}

#[derive(Args, Clone, Debug)]
pub struct Log {
    /// What to log, as `level` or `target=level,…`. Of crates that are not Toktik's nothing below `info` is logged, since
    /// that would show secrets. The embedded store's protocol layer logs an error for each request that it refuses,
    /// which anybody could fill a disk with
    #[arg(long, env = "TOKTIK_LOG", default_value = "info,s3s=off")]
    pub log: String,
    /// `text` for people, `json` for machines. Unset: json on Lambda, text elsewhere
    #[arg(long, env = "TOKTIK_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

impl Log {
    pub fn format(&self) -> LogFormat {
        let usual = if is_set(RUNTIME_API) {
            LogFormat::Json
        } else {
            LogFormat::Text
        };
        self.log_format.unwrap_or(usual)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// How long a signed URL may be good: seven days are the most that S3 takes.
pub fn signed_lifetime(text: &str) -> Result<Duration, String> {
    const WEEK: Duration = Duration::from_hours(7 * 24);
    let lifetime = seconds(text)?;
    if (Duration::from_secs(1)..=WEEK).contains(&lifetime) {
        return Ok(lifetime);
    }
    Err("from 1 to 604800 seconds (seven days)".to_owned())
}

/// Queues count in whole seconds, and three signs of life have to fit in. They hold a message for 12 hours at most.
fn term(text: &str) -> Result<Duration, String> {
    let number: u64 = text.parse().map_err(|_| "not a whole number of seconds".to_owned())?;
    if (3..=43_200).contains(&number) {
        return Ok(Duration::from_secs(number));
    }
    Err("from 3 to 43200 seconds".to_owned())
}

/// A duration given as a number of seconds, fractions allowed.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|_| "not a duration".to_owned())
}
