//! Applications that refresh, verify what they get and call userinfo without a pause, while something happens to the
//! servers. A request without a response, or with 503, is repeated once, at another replica. What fails then has failed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client as HttpClient, RequestBuilder};
use serde_json::Value;
use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio::task::JoinSet;

use crate::world::http::bare_client;
use crate::world::{RelyingParty, Server, SignedInClient, verified};

const CLIENTS: usize = 4;
const SCOPES: &str = "openid offline_access";
/// Before a request without a response is repeated.
const PAUSE: Duration = Duration::from_millis(200);
const WAIT_TIMEOUT: Duration = Duration::from_mins(2);

/// Settings with which a slow restart does not count as time.
pub const SETTINGS: &str = "oauth2:\n  skipApprovalScreen: true\nexpiry:\n  idTokens: 10m\n  refreshTokens:\n    \
                            reuseInterval: 30m";

pub struct ContinuousClients {
    run: Arc<Run>,
    tasks: JoinSet<()>,
}

struct Run {
    origins: Vec<String>,
    client: HttpClient,
    is_over: AtomicBool,
    /// Completed by each client.
    rounds: [AtomicUsize; CLIENTS],
    repeated: AtomicUsize,
    failed: Mutex<Vec<String>>,
    /// Held for writing while the database is replaced: a slow machine may take longer to promote a standby than the
    /// `Retry-After` of the response.
    database_is_replaced: RwLock<()>,
}

impl ContinuousClients {
    /// Signs Alice in, once for each client. The servers are replicas of one another.
    pub async fn start(servers: &[&Server]) -> Self {
        let run = Arc::new(Run {
            origins: servers.iter().map(|server| server.origin()).collect(),
            client: bare_client(),
            is_over: AtomicBool::new(false),
            rounds: [const { AtomicUsize::new(0) }; CLIENTS],
            repeated: AtomicUsize::new(0),
            failed: Mutex::default(),
            database_is_replaced: RwLock::default(),
        });
        let mut tasks = JoinSet::new();
        for n in 0..CLIENTS {
            let alice = SignedInClient::sign_in_alice(servers[0], "example-app", SCOPES).await;
            tasks.spawn(refreshes_on_and_on(Arc::clone(&run), alice.app, alice.refresh_token, n));
        }
        Self { run, tasks }
    }

    /// Waits until each client has begun and ended a round, so that none still pauses before it repeats a request that
    /// failed before: the repeated one would fail if its replica were ended next.
    pub async fn go_on(&self) {
        let started = Instant::now();
        let completed = || self.run.rounds.each_ref().map(|rounds| rounds.load(Ordering::SeqCst));
        let before = completed();
        while completed().iter().zip(before).any(|(now, before)| *now < before + 2) {
            self.assert_nothing_failed();
            assert!(
                started.elapsed() < WAIT_TIMEOUT,
                "a client stands still: {before:?}, {:?}",
                completed()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// While the returned value is held, no request is repeated.
    pub async fn database_is_replaced(&self) -> RwLockWriteGuard<'_, ()> {
        self.run.database_is_replaced.write().await
    }

    /// Ends them, and returns how many requests were repeated. Fails if one has failed.
    pub async fn stop(mut self) -> usize {
        self.run.is_over.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.assert_nothing_failed();
        self.run.repeated.load(Ordering::SeqCst)
    }

    fn assert_nothing_failed(&self) {
        let failed = self.run.failed.lock().unwrap();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}

async fn refreshes_on_and_on(run: Arc<Run>, app: RelyingParty, mut token: String, n: usize) {
    let mut at = n;
    while !run.is_over.load(Ordering::SeqCst) {
        at += 1;
        let Some(refreshed) = run.refresh(at, &app, &token).await else { return };
        refreshed["refresh_token"].as_str().unwrap().clone_into(&mut token);
        let Some(keys) = run.get(at + 1, "/keys", "").await else { return };
        verified(refreshed["id_token"].as_str().unwrap(), &keys);
        let access_token = refreshed["access_token"].as_str().unwrap();
        if run.get(at + 1, "/userinfo", access_token).await.is_none() {
            return;
        }
        run.rounds[n].fetch_add(1, Ordering::SeqCst);
    }
}

impl Run {
    async fn refresh(&self, at: usize, app: &RelyingParty, token: &str) -> Option<Value> {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let refresh = |client: &HttpClient, origin: &str| {
            let request = client.post(format!("{origin}/dex/token"));
            request.basic_auth(&app.id, app.secret.as_ref()).form(&fields)
        };
        self.json(at, refresh).await
    }

    async fn get(&self, at: usize, path: &str, bearer: &str) -> Option<Value> {
        let get = |client: &HttpClient, origin: &str| {
            client.get(format!("{origin}/dex{path}")).bearer_auth(bearer)
        };
        self.json(at, get).await
    }

    /// The body of the response 200 of the replica with this number, or else of the next one. `None`: it failed.
    async fn json(
        &self,
        at: usize,
        build: impl Fn(&HttpClient, &str) -> RequestBuilder,
    ) -> Option<Value> {
        let origin = |n: usize| &self.origins[n % self.origins.len()];
        let problem = match send(build(&self.client, origin(at))).await {
            Ok(json) => return Some(json),
            Err(Problem::Refused(problem)) => problem,
            Err(Problem::Temporary(problem, pause)) => {
                self.repeated.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(pause).await;
                let _not_while = self.database_is_replaced.read().await;
                match send(build(&self.client, origin(at + 1))).await {
                    Ok(json) => return Some(json),
                    Err(Problem::Refused(again) | Problem::Temporary(again, _)) => {
                        format!("{problem}; repeated: {again}")
                    }
                }
            }
        };
        self.failed.lock().unwrap().push(problem);
        None
    }
}

enum Problem {
    Refused(String),
    /// May be repeated after this time.
    Temporary(String, Duration),
}

async fn send(request: RequestBuilder) -> Result<Value, Problem> {
    let lost = |error: reqwest::Error| Problem::Temporary(format!("{error:?}"), PAUSE);
    let response = request.send().await.map_err(lost)?;
    let (status, url) = (response.status().as_u16(), response.url().to_string());
    let retry_after = response.headers().get("retry-after").cloned();
    let body = response.text().await.map_err(lost)?;
    match status {
        200 => Ok(serde_json::from_str(&body).unwrap()),
        503 => {
            let seconds = retry_after.expect("503 has Retry-After").to_str().unwrap().parse();
            let pause = Duration::from_secs(seconds.unwrap());
            Err(Problem::Temporary(format!("{url}: 503 {body}"), pause))
        }
        _ => Err(Problem::Refused(format!("{url}: {status} {body}"))),
    }
}
