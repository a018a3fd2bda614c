//! The long run of `./test soak`: two replicas on PostgreSQL are killed, restarted, reloaded and cut off from their
//! connections, and keys are rotated, while applications sign in, refresh and are signed out. Each application checks
//! what it may rely on from the tokens that it has: an acknowledged grant is not lost, none is doubled, what has ended
//! stays ended, and each token verifies with the published keys.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client as HttpClient, Method, RequestBuilder};
use serde_json::Value;
use tokio::sync::RwLock;

use crate::scenarios::admin::api::ADMINS;
use crate::scenarios::operations::database_down::Database;
use crate::world::http::bare_client;
use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Client, Need, RelyingParty, Server, World, claims, verified,
};

const MINUTES: &str = "COUNTERSIGN_SOAK_MINUTES";
const APPLICATIONS: usize = 6;
/// Restarts on a busy machine must not count as time.
const SETTINGS: &str = "oauth2:\n  skipApprovalScreen: true\nexpiry:\n  idTokens: 10m\n  codes: 30m\n  \
                        refreshTokens:\n    reuseInterval: 30m\nlogger:\n  level: error";
const LONGEST_WAIT: Duration = Duration::from_mins(2);
/// Of those that have ended, as many are tried again and again.
const MOST_ENDED: usize = 200;

/// What applications and faults share.
struct Run {
    until: Instant,
    origins: Vec<String>,
    client: HttpClient,
    /// The administrator's token.
    admin: String,
    /// Held for reading by a browser that signs in, which does not repeat requests as applications do.
    calm: RwLock<()>,
    ended: Mutex<Vec<String>>,
    counts: Mutex<BTreeMap<&'static str, usize>>,
    next: AtomicUsize,
}

struct Reply {
    status: u16,
    json: Value,
    /// An earlier request may have been carried out, and its answer was lost.
    was_lost: bool,
}

impl Run {
    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    /// Repeats a request at one replica after the other until it has an answer other than 503.
    async fn request(&self, build: impl Fn(&HttpClient, &str) -> RequestBuilder) -> Reply {
        let (started, mut was_lost) = (Instant::now(), false);
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed) % self.origins.len();
            match build(&self.client, &self.origins[n]).send().await {
                Ok(response) if response.status() == 503 => self.count("answered 503, repeated"),
                Ok(response) => {
                    let status = response.status().as_u16();
                    if let Ok(body) = response.text().await {
                        let json = serde_json::from_str(&body).unwrap_or(Value::Null);
                        return Reply { status, json, was_lost };
                    }
                    was_lost = true;
                }
                Err(error) => {
                    was_lost |= !error.is_connect();
                    self.count(if error.is_connect() {
                        "refused connections"
                    } else {
                        "lost answers"
                    });
                }
            }
            assert!(started.elapsed() < LONGEST_WAIT, "no answer for {LONGEST_WAIT:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn token(&self, app: &RelyingParty, fields: &[(&str, &str)]) -> Reply {
        self.request(|client, origin| {
            let request = client.post(format!("{origin}/dex/token"));
            request.basic_auth(&app.id, app.secret.as_ref()).form(fields)
        })
        .await
    }

    async fn refresh(&self, app: &RelyingParty, token: &str) -> Reply {
        self.token(app, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn get(&self, path: &str, bearer: &str) -> Reply {
        self.request(|client, origin| client.get(format!("{origin}/dex{path}")).bearer_auth(bearer))
            .await
    }

    async fn assert_verifies(&self, id_token: &str) {
        verified(id_token, &self.get("/keys", "").await.json);
    }

    async fn assert_ended(&self, app: &RelyingParty, token: &str) {
        let reply = self.refresh(app, token).await;
        assert_eq!((reply.status, &reply.json["error"]), (400, &"invalid_grant".into()));
        self.count("ended grants refused");
    }
}

/// Signs in and exchanges the code. `None`: the server was killed before it could answer, and the code is used.
async fn new_grant(run: &Run, app: &RelyingParty, browser: &mut Browser) -> Option<Value> {
    let request = app.auth_request("openid offline_access");
    let code = {
        let _calm = run.calm.read().await;
        browser.logs_in(&request, ALICE, ALICE_PASSWORD).await.code
    };
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &request.redirect_uri),
        ("code_verifier", &request.verifier),
    ];
    let reply = run.token(app, &fields).await;
    if reply.status == 400 && reply.was_lost {
        run.count("codes whose answer was lost");
        return None;
    }
    assert_eq!(reply.status, 200, "{}", reply.json);
    run.count("codes exchanged");
    Some(reply.json)
}

/// Refreshes a grant some times, and ends it in one of three ways.
async fn lives(run: &Run, app: &RelyingParty, tokens: Value, n: usize) {
    let text = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    let first = text(&tokens, "refresh_token");
    let (mut token, mut access) = (first.clone(), text(&tokens, "access_token"));
    for _ in 0..(3 + n % 5) {
        let reply = run.refresh(app, &token).await;
        assert_eq!(reply.status, 200, "an acknowledged grant is lost: {}", reply.json);
        run.count("refreshes");
        run.assert_verifies(&text(&reply.json, "id_token")).await;
        (token, access) = (text(&reply.json, "refresh_token"), text(&reply.json, "access_token"));
        assert_eq!(run.get("/userinfo", &access).await.status, 200);
        if !run.goes_on() {
            break;
        }
    }
    match n % 3 {
        0 => {
            let sid = text(&claims(&access), "sid");
            let reply = run
                .request(|client, origin| {
                    let path = format!("{origin}/dex/api/v1/sessions/{sid}");
                    client.request(Method::DELETE, path).bearer_auth(&run.admin)
                })
                .await;
            // Gone already: the answer to an earlier request was lost.
            assert!(matches!(reply.status, 200 | 404), "{}", reply.json);
            run.count("sessions ended by an administrator");
        }
        1 => {
            // Long rotated: a second family would go on, and the grant would not end.
            run.assert_ended(app, &first).await;
            run.count("reused tokens");
        }
        _ => {
            let fields = [("token", token.as_str())];
            let reply = run
                .request(|client, origin| {
                    let request = client.post(format!("{origin}/dex/revoke"));
                    request.basic_auth(&app.id, app.secret.as_ref()).form(&fields)
                })
                .await;
            assert_eq!(reply.status, 200, "{}", reply.json);
            run.count("revoked tokens");
        }
    }
    for _ in 0..2 {
        run.assert_ended(app, &token).await;
        assert_eq!(run.get("/userinfo", &access).await.status, 401, "it has ended");
    }
    let mut ended = run.ended.lock().unwrap();
    ended.push(token);
    if ended.len() > MOST_ENDED {
        ended.remove(0);
    }
}

async fn application(run: Arc<Run>, app: RelyingParty, mut browser: Browser, number: usize) {
    let mut n = number;
    while run.goes_on() {
        if let Some(tokens) = new_grant(&run, &app, &mut browser).await {
            lives(&run, &app, tokens, n).await;
        }
        n += 1;
        let old = {
            let ended = run.ended.lock().unwrap();
            let known = ended.len().max(1);
            ended.get((n * 7) % known).cloned()
        };
        if let Some(old) = old {
            run.assert_ended(&app, &old).await;
        }
    }
}

/// One fault after the other, until the time is over.
async fn faults(run: &Run, servers: &mut [Server; 2], database: &Database) {
    let mut n = 0;
    while run.goes_on() {
        let one = n % 2;
        match n % 5 {
            0 | 3 => {
                let _no_login = run.calm.write().await;
                servers[one].kill();
                servers[one].restart().await;
                run.count("kills");
            }
            1 => {
                servers[one].sends_signal("HUP");
                run.count("reloads");
            }
            2 => {
                let reply = run
                    .request(|client, origin| {
                        client
                            .post(format!("{origin}/dex/api/v1/keys/rotate"))
                            .bearer_auth(&run.admin)
                    })
                    .await;
                assert!(reply.status < 500, "{}", reply.json);
                run.count("key rotations");
            }
            _ => {
                let _no_login = run.calm.write().await;
                database.ends_connections();
                for server in servers.iter_mut() {
                    server.restart().await;
                }
                run.count("rolling restarts");
            }
        }
        n += 1;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[ignore = "minutes long: ./test soak"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_loses_no_grant_and_revives_none() {
    if Need::Postgres.is_missing() {
        return;
    }
    let minutes = std::env::var(MINUTES).ok().and_then(|text| text.parse::<u64>().ok());
    let world = World::with_postgres().with(SETTINGS).with(ADMINS).client(Client::new("ops"));
    let database = Database::new(&world);
    let one = world.start().await;
    let other = one.replica().await;
    let admin = one.relying_party("ops").client_credentials_token().await;
    let run = Arc::new(Run {
        until: Instant::now() + Duration::from_mins(minutes.unwrap_or(10)),
        origins: vec![one.origin(), other.origin()],
        client: bare_client(),
        admin,
        calm: RwLock::default(),
        ended: Mutex::default(),
        counts: Mutex::default(),
        next: AtomicUsize::new(0),
    });
    let applications: Vec<_> = (0..APPLICATIONS)
        .map(|n| {
            let app = one.relying_party("example-app");
            tokio::spawn(application(Arc::clone(&run), app, one.browser(), n))
        })
        .collect();
    let mut servers = [one, other];
    faults(&run, &mut servers, &database).await;
    for application in applications {
        application.await.unwrap();
    }
    println!("after {} minutes:", minutes.unwrap_or(10));
    for (what, times) in &*run.counts.lock().unwrap() {
        println!("{times:8} {what}");
    }
    let counts = run.counts.lock().unwrap();
    for what in ["codes exchanged", "refreshes", "kills", "reloads", "ended grants refused"] {
        assert!(counts.contains_key(what), "no {what}");
    }
}
