//! Crashes by SIGKILL (threats D 57 and M 139): acknowledged writes are kept, single-use values are used
//! once, and a client without a response can retry.

use std::sync::mpsc;

use reqwest::Client;

use crate::world::http::bare_client;
use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, Browser, Need, RelyingParty, Server, World,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
/// Restarts on a busy machine must not count as time.
const FORGIVING: &str = "expiry:\n  refreshTokens:\n    reuseInterval: 30m\n  codes: 30m";
const ROUNDS: usize = 4;
const FAMILIES: usize = 6;

/// A refresh, or `None` if no response came.
async fn try_refresh(
    client: &Client,
    app: &RelyingParty,
    url: &str,
    token: &str,
) -> Option<String> {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let request = client.post(url).basic_auth(&app.id, app.secret.as_ref()).form(&fields);
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let body = response.text().await.ok()?;
    assert_eq!(status, 200, "{body}");
    let json: serde_json::Value = serde_json::from_str(&body).ok()?;
    Some(json["refresh_token"].as_str().unwrap().to_owned())
}

/// Refreshes one grant until the server is gone, and reports every response.
async fn refresh_until_crash(
    app: RelyingParty,
    url: String,
    mut token: String,
    responded: mpsc::Sender<()>,
) -> String {
    let client = bare_client();
    while let Some(next) = try_refresh(&client, &app, &url, &token).await {
        token = next;
        responded.send(()).ok();
    }
    token
}

/// New grants, by their first refresh tokens.
async fn new_refresh_tokens(alice: &mut Browser, app: &RelyingParty) -> Vec<String> {
    let mut tokens = Vec::new();
    for _ in 0..FAMILIES {
        let request = app.auth_request("openid offline_access");
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        tokens.push(app.redeems(&request, &auth_response).await.refresh_token().to_owned());
    }
    tokens
}

/// Waits for this many responses on a thread of its own, so that the requests continue.
async fn wait_for_responses(count: usize, responded: mpsc::Receiver<()>) {
    let all = move || (0..count).all(|_| responded.recv().is_ok());
    assert!(tokio::task::spawn_blocking(all).await.unwrap(), "the server answered too little");
}

async fn refreshing_survives_crashes(world: World) {
    let mut server = world.with(SKIP).with(FORGIVING).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let first = new_refresh_tokens(&mut alice, &app).await;
    let mut tokens = first.clone();
    for round in 0..ROUNDS {
        let (sender, responded) = mpsc::channel();
        let mut requests = Vec::new();
        for token in &tokens {
            let (app, url) = (server.relying_party("example-app"), server.url("/token"));
            requests.push(tokio::spawn(refresh_until_crash(
                app,
                url,
                token.clone(),
                sender.clone(),
            )));
        }
        wait_for_responses(9 + 4 * round, responded).await;
        server.kill();
        server.restart().await;
        for (kept, task) in tokens.iter_mut().zip(requests) {
            let last_received = task.await.unwrap();
            let (one, two) =
                tokio::join!(app.refreshes(&last_received), app.refreshes(&last_received));
            assert_eq!(one.status, 200, "still refreshable: {}", one.page.body);
            assert_eq!(two.status, 200, "still refreshable: {}", two.page.body);
            assert_eq!(one.refresh_token(), two.refresh_token(), "one family, not two");
            one.refresh_token().clone_into(kept);
        }
    }
    // Each is the same grant as before: reuse of its first token ends it.
    for (first, last) in first.iter().zip(&tokens) {
        assert_eq!(app.refreshes(first).await.error(), "invalid_grant");
        assert_eq!(app.refreshes(last).await.error(), "invalid_grant");
    }
}

#[tokio::test]
async fn a_crash_during_refreshes_loses_no_grant() {
    refreshing_survives_crashes(World::new()).await;
}

#[tokio::test]
async fn a_crash_during_refreshes_on_postgres_loses_no_grant() {
    if Need::Postgres.is_missing() {
        return;
    }
    refreshing_survives_crashes(World::with_postgres()).await;
}

/// The access token of a code exchange, if the response came.
async fn try_exchange(
    app: RelyingParty,
    url: String,
    request: AuthRequest,
    code: String,
) -> Option<String> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", &request.redirect_uri),
        ("code_verifier", &request.verifier),
    ];
    let request = bare_client().post(url).basic_auth(&app.id, app.secret.as_ref()).form(&fields);
    let response = request.send().await.ok()?;
    assert_eq!(response.status().as_u16(), 200);
    let json: serde_json::Value = response.json().await.ok()?;
    Some(json["access_token"].as_str().unwrap().to_owned())
}

/// M 139: killed during code exchanges. A code whose exchange got a response is used, and its tokens are valid; one
/// without a response is used at most once.
#[tokio::test]
async fn a_crash_during_code_exchanges_lets_no_code_be_used_twice() {
    let mut server = World::new().with(SKIP).with(FORGIVING).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    for round in 0..ROUNDS {
        let (requests, arrivals) = start_exchanges(&server, &mut alice, &app, 2 + 2 * round).await;
        server.kill();
        server.restart().await;
        for (task, (request, auth_response)) in requests.into_iter().zip(arrivals) {
            let issued = task.await.unwrap();
            if let Some(access_token) = &issued {
                assert_eq!(app.userinfo(access_token).await.status, 200, "it was acknowledged");
            }
            let again = app.redeems(&request, &auth_response).await;
            match issued {
                Some(_) => assert_eq!((again.status, again.error()), (400, "invalid_grant")),
                None => assert!(matches!(again.status, 200 | 400), "{}", again.page.body),
            }
            let third = app.redeems(&request, &auth_response).await;
            assert_eq!((third.status, third.error()), (400, "invalid_grant"));
        }
    }
}

type ExchangeTasks = Vec<tokio::task::JoinHandle<Option<String>>>;
type Arrivals = Vec<(AuthRequest, crate::world::AuthResponse)>;

/// Starts exchanging ten codes, and waits for this many responses.
async fn start_exchanges(
    server: &Server,
    alice: &mut Browser,
    app: &RelyingParty,
    answered: usize,
) -> (ExchangeTasks, Arrivals) {
    let mut arrivals = Vec::new();
    for _ in 0..10 {
        let request = app.auth_request("openid");
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        arrivals.push((request, auth_response));
    }
    let (sender, responded) = mpsc::channel();
    let mut requests = Vec::new();
    for (request, auth_response) in &arrivals {
        let (app, url) = (server.relying_party("example-app"), server.url("/token"));
        let (request, code, sender) = (request.clone(), auth_response.code.clone(), sender.clone());
        requests.push(tokio::spawn(async move {
            let issued = try_exchange(app, url, request, code).await;
            sender.send(()).ok();
            issued
        }));
    }
    wait_for_responses(answered, responded).await;
    (requests, arrivals)
}
