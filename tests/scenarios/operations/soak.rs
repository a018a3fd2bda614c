//! The long runs of `./test soak`, on two replicas with PostgreSQL, across failovers of PostgreSQL, and on SQLite. Servers
//! are killed, restarted, reloaded and cut off from their connections, and keys are rotated, while applications sign in,
//! refresh and are signed out. Each application checks what it may rely on from the tokens that it has: an acknowledged
//! grant is not lost, none is doubled, what has ended stays ended, and each token verifies with the published keys.

mod applications;
mod guesses;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use applications::{Run, application};

use crate::scenarios::admin::api::ADMINS;
use crate::scenarios::operations::database_down::{Database, wait_until_ready};
use crate::world::http::bare_client;
use crate::world::{Client, Need, PrimaryAndStandby, Server, World};

const MINUTES: &str = "COUNTERSIGN_SOAK_MINUTES";
/// They run one after the other and share the minutes.
const RUNS: u64 = 3;
const APPLICATIONS: usize = 6;
/// Restarts on a busy machine must not count as time.
const SETTINGS: &str = "oauth2:\n  skipApprovalScreen: true\nexpiry:\n  idTokens: 24h\n  codes: 30m\n  \
                        refreshTokens:\n    reuseInterval: 30m\nlogger:\n  level: error";

/// What happens to the servers, one after the other and again from the beginning.
#[derive(Clone, Copy)]
enum Fault {
    Kill,
    Reload,
    KeyRotation,
    /// All servers, one after the other.
    Restart,
    /// PostgreSQL ends all connections.
    LostConnections,
    /// PostgreSQL's primary stops, its standby is promoted, and the old primary becomes the standby.
    Failover,
}

/// The servers of one run, and their database as far as it takes part.
struct Target {
    servers: Vec<Server>,
    faults: &'static [Fault],
    database: Option<Database>,
    servers_of_database: Option<PrimaryAndStandby>,
}

fn world(world: World) -> World {
    world.with(SETTINGS).with(ADMINS).client(Client::new("ops"))
}

#[ignore = "minutes long: ./test soak"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_loses_no_grant_and_revives_none() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = world(World::with_postgres());
    let database = Some(Database::new(&world));
    let one = world.start().await;
    let servers = vec![one.replica().await, one];
    let faults = &[
        Fault::Kill,
        Fault::Reload,
        Fault::KeyRotation,
        Fault::Kill,
        Fault::LostConnections,
        Fault::Restart,
    ];
    soak(Target { servers, faults, database, servers_of_database: None }).await;
}

#[ignore = "minutes long: ./test soak"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_across_failovers_loses_no_grant_and_revives_none() {
    if Need::Postgres.is_missing() {
        return;
    }
    let (primary, standby) = World::on_primary_and_standby();
    let one = world(primary).start().await;
    let servers = vec![one.replica().await, one];
    let faults =
        &[Fault::Failover, Fault::Kill, Fault::KeyRotation, Fault::Failover, Fault::Reload];
    soak(Target { servers, faults, database: None, servers_of_database: Some(standby) }).await;
}

#[ignore = "minutes long: ./test soak"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_on_sqlite_loses_no_grant_and_revives_none() {
    let servers = vec![world(World::new()).start().await];
    let faults = &[Fault::Kill, Fault::Reload, Fault::KeyRotation, Fault::Kill, Fault::Restart];
    soak(Target { servers, faults, database: None, servers_of_database: None }).await;
}

async fn soak(mut target: Target) {
    let minutes = std::env::var(MINUTES).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(minutes.unwrap_or(10) * 60 / RUNS);
    let one = &target.servers[0];
    let run = Arc::new(Run {
        until: Instant::now() + time,
        origins: target.servers.iter().map(Server::origin).collect(),
        client: bare_client(),
        admin: one.relying_party("ops").client_credentials_token().await,
        calm: tokio::sync::RwLock::default(),
        ended: Mutex::default(),
        counts: Mutex::default(),
        next: std::sync::atomic::AtomicUsize::new(0),
    });
    let applications: Vec<_> = (0..APPLICATIONS)
        .map(|n| {
            let app = one.relying_party("example-app");
            tokio::spawn(application(Arc::clone(&run), app, one.browser(), n))
        })
        .collect();
    let mut n = 0;
    while run.goes_on() {
        target.suffers(target.faults[n % target.faults.len()], n, &run).await;
        n += 1;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    for application in applications {
        application.await.unwrap();
    }
    println!("after {} seconds:", time.as_secs());
    let counts = run.counts.lock().unwrap();
    for (what, times) in &*counts {
        println!("{times:8} {what}");
    }
    let happened = target.faults.iter().take(n).map(|fault| fault.name());
    for what in ["codes exchanged", "refreshes", "ended grants refused"].into_iter().chain(happened)
    {
        assert!(counts.contains_key(what), "no {what}");
    }
}

impl Target {
    async fn suffers(&mut self, fault: Fault, n: usize, run: &Run) {
        let one = n % self.servers.len();
        match fault {
            Fault::Reload => self.servers[one].sends_signal("HUP"),
            Fault::KeyRotation => rotates_keys(run).await,
            Fault::Kill => {
                let _no_login = run.calm.write().await;
                self.servers[one].kill();
                self.servers[one].restart().await;
            }
            Fault::Restart => {
                let _no_login = run.calm.write().await;
                for server in &mut self.servers {
                    server.restart().await;
                }
            }
            Fault::LostConnections => {
                let _no_login = run.calm.write().await;
                self.database.as_ref().unwrap().ends_connections();
                self.are_ready().await;
            }
            Fault::Failover => {
                let _no_login = run.calm.write().await;
                let database = self.servers_of_database.as_mut().unwrap();
                tokio::task::block_in_place(|| database.fails_over());
                self.are_ready().await;
                let database = self.servers_of_database.as_ref().unwrap();
                tokio::task::block_in_place(|| database.repairs_standby());
            }
        }
        run.count(fault.name());
    }

    async fn are_ready(&self) {
        for server in &self.servers {
            wait_until_ready(server).await;
        }
    }
}

async fn rotates_keys(run: &Run) {
    let rotation = run.request(|client, origin| {
        client.post(format!("{origin}/dex/api/v1/keys/rotate")).bearer_auth(&run.admin)
    });
    let reply = rotation.await;
    assert!(reply.status < 500, "{}", reply.json);
}

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kills",
            Self::Reload => "reloads",
            Self::KeyRotation => "key rotations",
            Self::Restart => "restarts of all servers",
            Self::LostConnections => "times that all connections ended",
            Self::Failover => "failovers",
        }
    }
}
