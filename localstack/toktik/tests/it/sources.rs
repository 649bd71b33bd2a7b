//! How often the steps of a clip ask the bucket for what was uploaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use clap::Parser;
use tokio_util::sync::CancellationToken;
use toktik_catalog::videos::Status;
use toktik_objects::{CredentialsEnd, Objects};
use toktik_runtime::worker::Worker;
use toktik_runtime::workshop::{Workshop, Workshops};
use toktik_runtime::{Context, Serverless};

use crate::clips::tiny_clip;
use crate::harness::House;
use crate::running::program;

/// Counts what is read of uploads.
#[derive(Clone, Debug, Default)]
struct Reads(Arc<AtomicUsize>);

impl Intercept for Reads {
    fn name(&self) -> &'static str {
        "reads"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        if request.method() == "GET" && request.uri().contains("/uploads/") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// A process that works for a house, and is watched.
struct Process<'a> {
    house: &'a House,
    context: Context,
    reads: Reads,
}

#[derive(Parser)]
struct Program<S: clap::Args> {
    #[command(flatten)]
    settings: S,
}

impl<'a> Process<'a> {
    fn of(house: &'a House) -> Self {
        let reads = Reads::default();
        let config = house.cloud.s3_client().config().to_builder();
        let client = aws_sdk_s3::Client::from_conf(config.interceptor(reads.clone()).build());
        let objects = Objects::new(client, house.context.objects.bucket(), CredentialsEnd::default());
        let context = Context {
            objects,
            ..house.context.clone()
        };
        Self { house, context, reads }
    }

    fn settings<S: clap::Args>(&self) -> S {
        let scratch = self.house.directory().join("scratch");
        let launcher = program();
        let arguments = [
            "program".as_ref(),
            "--scratch-dir".as_ref(),
            scratch.as_os_str(),
            "--sandbox-launcher".as_ref(),
            launcher.as_os_str(),
        ];
        Program::<S>::try_parse_from(arguments).unwrap().settings
    }

    /// Handles what one function is asked for.
    async fn does<F: Serverless<Settings: clap::Args>>(&self) {
        let service = F::start(self.settings(), &self.context).unwrap();
        let worker = Worker {
            function: F::NAME,
            handler: service.events.unwrap(),
            context: self.context.clone(),
            concurrency: 1,
            express: 0,
        };
        let handled = worker.drain(&CancellationToken::new()).await.unwrap();
        assert!(handled > 0, "{} was asked for nothing", F::NAME);
    }

    /// A step that takes as long as the test holds it.
    async fn works_on(&self, id: &str) -> Workshop {
        let workshops = Workshops::new(&self.settings()).unwrap();
        let workshop = workshops
            .open(Duration::from_mins(1), &CancellationToken::new())
            .unwrap();
        let video = self.house.kept(id).await;
        workshop.fetch_source(&self.context, &video).await.unwrap();
        workshop
    }

    fn reads(&self) -> usize {
        self.reads.0.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_reads_a_source_and_all_who_work_on_it_together_once_more() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, tiny_clip(house.directory())).await;
    let process = Process::of(&house);
    process.does::<toktik_probe::Probe>().await;
    assert_eq!(process.reads(), 1);

    let one_of_them = process.works_on(&id).await;
    assert_eq!(process.reads(), 2);
    tokio::join!(
        process.does::<toktik_transcode::Transcode>(),
        process.does::<toktik_thumbnail::Thumbnail>(),
        process.does::<toktik_audio::Audio>(),
    );
    assert_eq!(process.reads(), 2);
    drop(one_of_them);
    let scratch = house.directory().join("scratch");
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0, "nothing is kept");

    drop(process.works_on(&id).await);
    assert_eq!(process.reads(), 3, "who comes later reads again");
    house.drain().await;
    let kept = house.kept(&id).await;
    assert_eq!((kept.status, kept.warnings), (Status::Ready, Vec::<String>::new()));
}
