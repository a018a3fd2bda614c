//! The whole server goes away and comes back: what callers get meanwhile, and how soon.
//!
//! Needs a cluster of its own, so it runs where PostgreSQL's programs are: in the folder named by
//! `COUNTERSIGN_TEST_POSTGRES_BIN`, or where Debian puts them. As root they run as `postgres`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use countersign_store::{Location, PostgresOptions, Store, StoreError};

use crate::world::{SECOND, SignedIn as _, sign_in};

/// An answer "at once", on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(700);

struct Cluster {
    bin: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    as_postgres: bool,
}

impl Cluster {
    fn start_new() -> Option<Self> {
        let Some(bin) = programs() else {
            let required = std::env::var("COUNTERSIGN_REQUIRE_POSTGRES").is_ok_and(|v| v == "1");
            assert!(!required, "PostgreSQL is required, but its programs are not found");
            println!("did not run: PostgreSQL's programs are not found");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let as_postgres = is_root(folder.path());
        if as_postgres {
            let owned = Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap();
            assert!(owned.success());
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { bin, folder, port, as_postgres };
        let made = cluster.run("initdb", &["-U", "postgres", "-A", "trust", "--no-sync"]);
        assert!(made, "initdb failed");
        cluster.start();
        Some(cluster)
    }

    fn start(&self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={} -c fsync=off",
            self.port,
            self.folder.path().display()
        );
        assert!(self.run("pg_ctl", &["-w", "-o", &options, "start"]), "it does not start");
    }

    fn stop(&self) {
        assert!(self.run("pg_ctl", &["-m", "immediate", "stop"]), "it does not stop");
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let path = self.bin.join(program);
        let mut command = match self.as_postgres {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        command.arg("-D").arg(self.folder.path().join("data")).args(arguments);
        command.current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    }

    async fn open(&self) -> Store {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port);
        let mut options = PostgresOptions::from_url(&url).unwrap();
        options.connect_timeout = 2 * SECOND;
        Store::open(&Location::Postgres(options)).await.unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-m", "immediate", "stop"]);
    }
}

fn programs() -> Option<PathBuf> {
    if let Ok(bin) = std::env::var("COUNTERSIGN_TEST_POSTGRES_BIN") {
        return Some(bin.into());
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions.flatten().map(|version| version.path().join("bin")).collect();
    found.retain(|bin| bin.join("initdb").exists());
    found.sort();
    found.pop()
}

/// Whoever made the folder is who we are; the server refuses to run as root.
fn is_root(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder).unwrap().uid() == 0
}

fn unavailable<T>(outcome: Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

/// Thirty people at once, reading and writing; how long the last of them waits to be refused.
async fn thirty_are_refused(store: &Store) -> Duration {
    let began = Instant::now();
    let waiting: Vec<_> = (0..30)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                match n % 3 {
                    0 => unavailable(store.sign_in(sign_in("jane", &format!("c-{n}"))).await),
                    1 => unavailable(store.session_by_cookie("c").await),
                    _ => {
                        unavailable(store.ping().await) && unavailable(store.database_time().await)
                    }
                }
            })
        })
        .collect();
    for outcome in waiting {
        assert!(outcome.await.unwrap(), "an answer from a server that is down");
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_down_one_waits_and_the_others_fail_at_once() {
    let Some(cluster) = Cluster::start_new() else { return };
    let store = cluster.open().await;
    let jane = store.sign_in(sign_in("jane", "c")).await.unwrap().session();

    cluster.stop();
    assert!(unavailable(store.session(&jane).await), "the first one finds out");
    let waited = thirty_are_refused(&store).await;
    assert!(waited < AT_ONCE, "they queued for {waited:?}");

    tokio::time::sleep(SECOND + SECOND / 10).await;
    let (other, id) = (store.clone(), jane.clone());
    let reading = tokio::spawn(async move { unavailable(other.session(&id).await) });
    tokio::time::sleep(SECOND / 5).await;
    let waited = thirty_are_refused(&store).await;
    assert!(waited < AT_ONCE, "they queued for {waited:?} behind the one that looks again");
    assert!(reading.await.unwrap());

    cluster.start();
    let began = Instant::now();
    while store.session(&jane).await.is_err() {
        assert!(began.elapsed() < 10 * SECOND, "it is back and nobody looked");
        tokio::time::sleep(SECOND / 20).await;
    }
    for n in 0..20 {
        store.sign_in(sign_in("jane", &format!("back-{n}"))).await.unwrap();
        store.ping().await.unwrap();
    }
    store.close().await;
}
