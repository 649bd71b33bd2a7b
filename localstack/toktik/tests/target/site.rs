//! Toktik on the target: a process for each function, and the gateway in front.

use std::collections::HashMap;

use futures::future::join_all;
use toktik_events::Function;

use crate::account::Account;
use crate::names::names;
use crate::running::Running;

pub(crate) struct Site {
    functions: HashMap<Function, Running>,
    pub(crate) front: Running,
}

/// Of a machine that others use too.
const LEASE: &str = "30";

impl Site {
    /// Everything but these functions.
    pub(crate) async fn without(account: &Account, left_out: &[Function]) -> Self {
        Self::of(account, left_out, None).await
    }

    /// Everything, and this store is reached through the gateway, as in `compose.yaml`.
    pub(crate) async fn in_front_of(account: &Account, store: &str) -> Self {
        Self::of(account, &[], Some(store)).await
    }

    async fn of(account: &Account, left_out: &[Function], store: Option<&str>) -> Self {
        account.provisioned().await;
        let wanted = Function::ALL
            .into_iter()
            .filter(|function| !left_out.contains(function));
        let started = wanted.map(async |function| (function, start(account, function, store.is_some()).await));
        let functions: HashMap<_, _> = join_all(started).await.into_iter().collect();
        let doors = functions
            .iter()
            .map(|(function, running)| (function.name().to_owned(), running.base.clone()));
        let doors = names(doors.collect()).await;
        let mut command = account.program(&["run", "gateway", "--listen", "127.0.0.1:0"]);
        command.args(["--target", &format!("{doors}/{{function}}")]);
        if let Some(store) = store {
            command.args(["--store", store]);
        }
        let front = Running::start(&mut command, "address=").await;
        Self { functions, front }
    }

    pub(crate) async fn open(account: &Account) -> Self {
        Self::without(account, &[]).await
    }

    /// Everything ends when told to, and without complaint.
    pub(crate) async fn close(self) {
        let ended = self.functions.into_iter().map(async |(function, running)| {
            let said = running.stop().await;
            assert!(!said.contains("panicked"), "{function}: {said}");
        });
        join_all(ended).await;
        self.front.stop().await;
    }
}

async fn start(account: &Account, function: Function, store_beside_api: bool) -> Running {
    let mut command = account.program(&["run", function.name()]);
    command
        .env("TOKTIK_TOKEN_SECRET", "0123456789abcdef0123456789abcdef")
        .env("TOKTIK_LINK_SECRET", "fedcba9876543210fedcba9876543210")
        .env("TOKTIK_LISTEN", "127.0.0.1:0")
        .env("TOKTIK_TRUST_PROXY", "forwarded")
        .env("TOKTIK_STORE_BESIDE_API", store_beside_api.to_string())
        .env("TOKTIK_SCRATCH_DIR", account.directory.path())
        .env("TOKTIK_LEASE", LEASE)
        .env("TOKTIK_MULTIPART_THRESHOLD", "5500000")
        .env("TOKTIK_PART_SIZE", "5242880");
    let works = function.takes_events();
    Running::start(&mut command, if works { "metrics=" } else { "address=" }).await
}
