//! Everything running, each part a process, and what has to hold of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName;
use chrono::{TimeDelta, Utc};
use clap::Parser;
use tempfile::TempDir;
use toktik_catalog::videos::Video;
use toktik_events::{Function, Message, Payload};
use toktik_identity::Verifier;
use toktik_janitor::Sweeper;
use toktik_runtime::context::Clients;
use toktik_runtime::settings::{Common, Keep};
use toktik_runtime::{Clock, Context};

use crate::customer::Customer;
use crate::door::House;
use crate::keeper::{Keeper, Part};
use crate::kinds::{Kind, Outcome, named};
use crate::orders::Order;
use crate::sdk::clients;
use crate::until;

/// In the order in which events go through them: what one look misses in a queue is found in a later one.
const WORKERS: [Function; 7] = [
    Function::Janitor,
    Function::Probe,
    Function::Transcode,
    Function::Thumbnail,
    Function::Audio,
    Function::DeadLetter,
    Function::Package,
];
/// Those that change something: notify and web only read.
const SERVERS: [Function; 4] = [Function::Auth, Function::Upload, Function::Videos, Function::Playback];
/// The least there is, seconds: each kill in the middle of a step costs so much.
const LEASE: &str = "3";
/// When the janitor asks again for what lies still; it publishes what is in the outbox long before.
const STUCK: TimeDelta = TimeDelta::minutes(6);

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    common: Common,
}

/// A look at everything that is to be empty in the end.
#[derive(Debug, Default, PartialEq)]
struct Left {
    messages: usize,
    outbox: usize,
    work: usize,
    leases: usize,
    uploads: usize,
    scratch: Vec<String>,
    tools: Vec<String>,
}

pub(crate) struct World {
    pub(crate) house: Arc<House>,
    context: Context,
    clients: Clients,
    ahead: Arc<AtomicI64>,
    customer: Customer,
    clips: BTreeMap<Kind, Vec<u8>>,
    /// What each kind becomes without kills.
    calm: BTreeMap<Kind, Outcome>,
    sent: Vec<(Kind, String)>,
    /// Clips that lay still until the janitor asked for them again.
    pub(crate) rescued: usize,
    seed: Option<u64>,
    began: Instant,
    directory: TempDir,
}

impl World {
    /// Starts everything, and sends one clip of each kind through it undisturbed.
    pub(crate) async fn open(seed: Option<u64>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cloud = start_cloud(directory.path());
        let house = House::new(Arc::clone(&cloud));
        let own = house.door(None).await;
        cloud.ready().await;
        let clients = clients(&own);
        let common = Program::try_parse_from(["chaos"]).unwrap().common;
        toktik::provision::provision(&clients, &common.stores).await.unwrap();
        let (context, ahead) = context(&common, &clients);
        let keepers = start_functions(&house, &own, directory.path()).await;
        house.keepers.set(keepers).ok().unwrap();
        for keeper in house.keepers.get().unwrap().values() {
            keeper.ready().await;
        }
        let clips = Kind::ALL.map(|kind| (kind, kind.bytes(directory.path())));
        let mut world = Self {
            customer: Customer::new(&house),
            house,
            context,
            clients,
            ahead,
            clips: clips.into_iter().collect(),
            calm: BTreeMap::new(),
            sent: Vec::new(),
            rescued: 0,
            seed,
            began: Instant::now(),
            directory,
        };
        world.calm().await;
        world
    }

    async fn calm(&mut self) {
        for (kind, outcome) in self.wave(&Kind::ALL, Vec::new()).await {
            kind.check(&outcome);
            self.calm.insert(kind, outcome);
        }
    }

    /// Sends these clips, kills as ordered, and returns what became of them.
    async fn wave(&mut self, kinds: &[Kind], orders: Vec<Order>) -> Vec<(Kind, Outcome)> {
        self.house.orders.begin(orders);
        self.customer.sign_in().await;
        self.send_junk().await;
        let mut clips = Vec::new();
        for kind in kinds {
            let id = self.customer.upload(&self.clips[kind]).await;
            clips.push((*kind, id));
        }
        self.settle(&clips).await;
        self.sent.extend(clips.clone());
        for (_, id) in clips.iter().filter(|(kind, _)| kind.is_ready()) {
            self.customer.likes(id).await;
        }
        self.tick().await;
        self.settle(&clips).await;
        let mut outcomes = Vec::new();
        for (kind, id) in clips {
            let video = until("the table answers", async || self.video(&id).await).await;
            let named = until("the table answers", async || self.named(&video).await).await;
            let outcome = Outcome::new(&video, &named);
            self.customer.sees(&id, outcome.status).await;
            outcomes.push((kind, outcome));
        }
        outcomes
    }

    /// The same, with the assertion that kills have changed nothing.
    pub(crate) async fn survives(&mut self, kinds: &[Kind], orders: Vec<Order>) {
        for (kind, outcome) in self.wave(kinds, orders).await {
            assert_eq!(outcome, self.calm[&kind], "{kind:?} became something else by kills");
        }
    }

    /// What nobody can read goes to dead-letter, and ends there.
    async fn send_junk(&self) {
        let send = async || {
            let url = self.context.publisher.queues().url(Function::Probe).await.ok()?;
            let request = self.clients.sqs.send_message().queue_url(url).message_body("?");
            request.send().await.ok()
        };
        until("junk is sent", send).await;
    }

    /// The schedule calls the janitor elsewhere.
    async fn tick(&self) {
        let tick = Message::new(Function::Janitor, Utc::now(), Payload::Tick);
        let publish = async || self.context.publisher.publish(&tick).await.ok();
        until("the janitor is called", publish).await;
    }

    /// Waits until the fate of all these clips is decided and nothing more is on its way. What lies still is asked for
    /// again, as the janitor does after some minutes.
    async fn settle(&mut self, clips: &[(Kind, String)]) {
        let mut rescued = 0;
        until("every clip comes to its end", async || {
            let idle = self.messages().await? == 0;
            for (_, id) in clips {
                if !self.video(id).await?.status.is_final() {
                    if idle {
                        rescued += 1;
                        self.sweep().await?;
                    }
                    return None;
                }
            }
            idle.then_some(())
        })
        .await;
        self.rescued += rescued;
    }

    async fn video(&self, id: &str) -> Option<Video> {
        self.context.catalog.video(id.parse().unwrap()).await.ok()?
    }

    async fn named(&self, video: &Video) -> Option<BTreeSet<String>> {
        let manifest = self.context.catalog.manifest(video.id, video.generation).await.ok()?;
        // What was made of a clip before it was refused is named by nobody.
        let manifest = manifest.filter(|_| video.status.is_watchable());
        Some(manifest.map(|item| named(&item.manifest)).unwrap_or_default())
    }

    /// Messages in all queues, those that are being handled or wait included; none if the cloud does not answer.
    async fn messages(&self) -> Option<usize> {
        let mut total = 0;
        for function in WORKERS {
            let url = self.context.publisher.queues().url(function).await.ok()?;
            let request = self.clients.sqs.get_queue_attributes().queue_url(url);
            let attributes = request
                .attribute_names(QueueAttributeName::All)
                .send()
                .await
                .ok()?
                .attributes?;
            let counts = attributes
                .iter()
                .filter(|(name, _)| name.as_str().starts_with("ApproximateNumberOfMessages"));
            total += counts.map(|(_, count)| count.parse::<usize>().unwrap()).sum::<usize>();
        }
        Some(total)
    }

    /// A round of the janitor some minutes later by its clock, so that whatever lies still does so for long.
    async fn sweep(&self) -> Option<()> {
        self.ahead.fetch_add(STUCK.num_seconds(), Ordering::SeqCst);
        Sweeper::new(&self.context, Keep::UntilReady).round().await.ok()
    }

    /// Asserts that nothing has been left anywhere, and ends everything.
    pub(crate) async fn close(mut self) {
        let clips = self.sent.clone();
        let empty = Left::default();
        for _ in 0..4 {
            self.sweep().await.unwrap();
            self.settle(&clips).await;
            let left = self.left().await.unwrap();
            if left == empty {
                break;
            }
        }
        // Queues lose nothing: whoever was killed, the event that it was at comes again by itself.
        assert_eq!(self.rescued, 0, "clips lay still until the janitor asked for them");
        // Signs of life of a step whose clip was decided meanwhile run out by the clock.
        let left = self.left_after_leases().await;
        assert_eq!(left, empty, "something has been left");
        self.holds_what_is_named().await;
        println!("{}", self.summary().await);
        let mut trouble = Vec::new();
        for keeper in self.keepers() {
            keeper.stop().await;
            trouble.extend(keeper.trouble());
        }
        assert_eq!(trouble, [] as [String; 0]);
    }

    async fn left_after_leases(&self) -> Left {
        let mut left = self.left().await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while left.leases > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
            left = self.left().await.unwrap();
        }
        left
    }

    async fn left(&self) -> Option<Left> {
        let mut leases = 0;
        for (_, id) in &self.sent {
            let steps = self.context.catalog.steps(id.parse().unwrap(), 1).await.ok()?;
            leases += steps.iter().filter(|step| step.is_leased(Utc::now())).count();
        }
        let items = self.keys_of_items().await?;
        let uploads = self
            .clients
            .s3
            .list_multipart_uploads()
            .bucket("toktik")
            .send()
            .await
            .ok()?;
        let scratch = std::fs::read_dir(scratch(self.directory.path())).ok()?;
        Some(Left {
            messages: self.messages().await?,
            outbox: items.iter().filter(|key| key.starts_with("OUTBOX#")).count(),
            work: items.iter().filter(|key| key.starts_with("WORK#")).count(),
            leases,
            uploads: uploads.uploads().len(),
            scratch: scratch
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect(),
            tools: tools(self.directory.path()),
        })
    }

    async fn keys_of_items(&self) -> Option<Vec<String>> {
        let pages = self
            .clients
            .dynamodb
            .scan()
            .table_name("toktik")
            .into_paginator()
            .items()
            .send();
        let items = pages.collect::<Result<Vec<_>, _>>().await.ok()?;
        Some(items.iter().map(|item| item["pk"].as_s().unwrap().clone()).collect())
    }

    /// The bucket has every object that a manifest names, and no other.
    async fn holds_what_is_named(&self) {
        let mut named = BTreeSet::new();
        for (_, id) in &self.sent {
            let video = self.video(id).await.unwrap();
            named.extend(self.named(&video).await.unwrap());
        }
        let stored: BTreeSet<String> = self.context.objects.list("").await.unwrap().into_iter().collect();
        let missing: Vec<_> = named.difference(&stored).collect();
        let unnamed: Vec<_> = stored.difference(&named).collect();
        assert!(
            missing.is_empty() && unnamed.is_empty(),
            "missing {missing:#?}, left {unnamed:#?}"
        );
    }

    /// Runs of steps that a kill broke off.
    async fn broken_off(&self) -> u32 {
        let mut runs = 0;
        for (_, id) in &self.sent {
            let steps = self.context.catalog.steps(id.parse().unwrap(), 1).await.unwrap();
            runs += steps.iter().map(|step| step.attempts.saturating_sub(1)).sum::<u32>();
        }
        runs
    }

    async fn summary(&self) -> String {
        format!(
            "chaos: {}, {} kills, {} clips, {} runs broken off and made up for, {} clips asked for again, {:.0} s",
            self.seed
                .map_or_else(|| "at boundaries".to_owned(), |seed| format!("seed {seed}")),
            self.house.orders.history().len(),
            self.sent.len(),
            self.broken_off().await,
            self.rescued,
            self.began.elapsed().as_secs_f64()
        )
    }

    fn keepers(&self) -> Vec<&Arc<Keeper>> {
        // The cloud last: functions give back what they are at.
        let functions = self.house.keepers.get().into_iter().flat_map(HashMap::values);
        functions.chain([&self.house.cloud]).collect()
    }
}

/// Tells what is needed to find the trouble again.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let history = self.house.orders.history();
        if let Some(seed) = self.seed {
            eprintln!("again: cargo xtask chaos --seed {seed} --kills {}", history.len());
        }
        eprintln!("{} kills:\n  {}", history.len(), history.join("\n  "));
        eprintln!("not carried out: {:?}", self.house.orders.left());
        for keeper in self.keepers() {
            eprintln!("{:?}\n{}", keeper.trouble(), keeper.told());
        }
    }
}

fn scratch(directory: &Path) -> std::path::PathBuf {
    directory.join("scratch")
}

fn start_cloud(directory: &Path) -> Arc<Keeper> {
    let data = directory.join("data");
    let arguments = ["cloud", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let environment = [
        ("TOKTIK_CLOUD_ACCESS_KEY_ID", "test"),
        ("TOKTIK_CLOUD_SECRET_ACCESS_KEY", "test-secret"),
    ];
    Keeper::start(
        Part::Cloud,
        owned(arguments),
        pairs(environment),
        "The embedded cloud is at ",
    )
}

async fn start_functions(house: &Arc<House>, own: &str, directory: &Path) -> HashMap<Part, Arc<Keeper>> {
    let scratch = scratch(directory);
    std::fs::create_dir(&scratch).unwrap();
    let part_size = crate::kinds::PART.to_string();
    let mut keepers = HashMap::new();
    for function in WORKERS.into_iter().chain(SERVERS) {
        let door = house.door(Some(function)).await;
        let environment = [
            ("AWS_ENDPOINT_URL", door.as_str()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test-secret"),
            ("TOKTIK_TOKEN_SECRET", "0123456789abcdef0123456789abcdef"),
            ("TOKTIK_LINK_SECRET", "0123456789abcdef0123456789abcdef"),
            ("TOKTIK_LISTEN", "127.0.0.1:0"),
            ("TOKTIK_PUBLIC_S3_URL", own),
            ("TOKTIK_SCRATCH_DIR", scratch.to_str().unwrap()),
            ("TOKTIK_MULTIPART_THRESHOLD", &part_size),
            ("TOKTIK_PART_SIZE", &part_size),
            ("TOKTIK_LEASE", LEASE),
            // What it does between two deliveries belongs to one of them.
            ("TOKTIK_CONCURRENCY", "1"),
        ];
        let words = if WORKERS.contains(&function) {
            "metrics="
        } else {
            "address="
        };
        let part = Part::Function(function);
        let keeper = Keeper::start(part, owned(["run", function.name()]), pairs(environment), words);
        keepers.insert(part, keeper);
    }
    keepers
}

fn owned<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// The stores as the test itself sees them, with a clock that it can put forward.
fn context(common: &Common, clients: &Clients) -> (Context, Arc<AtomicI64>) {
    static CLOSED: OnceLock<Arc<Verifier>> = OnceLock::new();
    let verifier = CLOSED.get_or_init(|| Arc::new(Verifier::closed()));
    let mut context = Context::new(common, clients.clone(), Arc::clone(verifier)).unwrap();
    let ahead = Arc::new(AtomicI64::new(0));
    let hand = Arc::clone(&ahead);
    context.clock = Clock::from_fn(move || Utc::now() + TimeDelta::seconds(hand.load(Ordering::SeqCst)));
    (context, ahead)
}

/// The command lines of the tools that work here, whoever their parent is by now.
fn tools(directory: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let at_work = |process: &Path| {
        let here = std::fs::read_link(process.join("cwd")).ok()?.starts_with(directory);
        let command = std::fs::read(process.join("cmdline")).ok().filter(|_| here)?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    };
    processes.filter_map(|entry| at_work(&entry.path())).collect()
}
