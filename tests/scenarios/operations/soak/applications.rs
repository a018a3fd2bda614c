//! What applications do during the long run, and what they may rely on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client as HttpClient, Method, RequestBuilder};
use serde_json::Value;
use tokio::sync::RwLock;

use crate::world::{ALICE, ALICE_PASSWORD, Browser, RelyingParty, claims, verified};

const LONGEST_WAIT: Duration = Duration::from_mins(2);
/// Of those that have ended, as many are tried again and again.
const MOST_ENDED: usize = 200;

/// What applications and faults share.
pub struct Run {
    pub until: Instant,
    pub origins: Vec<String>,
    pub client: HttpClient,
    /// The administrator's token.
    pub admin: String,
    /// Held for reading by a browser that signs in, which does not repeat requests as applications do.
    pub calm: RwLock<()>,
    pub ended: Mutex<Vec<String>>,
    pub counts: Mutex<BTreeMap<&'static str, usize>>,
    pub next: AtomicUsize,
}

pub struct Reply {
    pub status: u16,
    pub json: Value,
    /// An earlier request may have been carried out, and its answer was lost.
    was_lost: bool,
}

impl Run {
    pub fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    pub fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    /// Repeats a request at one replica after the other until it has an answer other than 503.
    pub async fn request(&self, build: impl Fn(&HttpClient, &str) -> RequestBuilder) -> Reply {
        let (started, mut was_lost) = (Instant::now(), false);
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed) % self.origins.len();
            match build(&self.client, &self.origins[n]).send().await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    match response.text().await {
                        Ok(body) if status == 503 => {
                            was_lost |= body.contains("may have been made");
                            self.count("answered 503, repeated");
                        }
                        Ok(body) => {
                            let json = serde_json::from_str(&body).unwrap_or(Value::Null);
                            return Reply { status, json, was_lost };
                        }
                        Err(_) => was_lost = true,
                    }
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
    let mut refreshes = 0;
    for _ in 0..(3 + n % 5) {
        let reply = run.refresh(app, &token).await;
        assert_eq!(reply.status, 200, "an acknowledged grant is lost: {}", reply.json);
        run.count("refreshes");
        refreshes += 1;
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
        // The token before the current one would be repeated, not refused.
        1 if refreshes > 1 => {
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

pub async fn application(run: Arc<Run>, app: RelyingParty, mut browser: Browser, number: usize) {
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
