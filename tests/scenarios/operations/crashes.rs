//! kill -9 (threats D 57 and M 139): what was acknowledged is kept, what is single-use is used once, and
//! whoever did not hear the answer asks again.

use std::sync::mpsc;

use reqwest::Client;

use crate::world::http::bare_client;
use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, Browser, Need, RelyingParty, Server, World,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
/// How long a restart takes on a busy machine is no part of these tests.
const FORGIVING: &str = "expiry:\n  refreshTokens:\n    reuseInterval: 30m\n  codes: 30m";
const ROUNDS: usize = 4;
const FAMILIES: usize = 6;

/// A refresh that may never be answered; then it says `None`.
async fn tries_to_refresh(
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

/// Refreshes one family until the server is gone, and tells of every answer.
async fn refreshes_until_the_end(
    app: RelyingParty,
    url: String,
    mut token: String,
    heard: mpsc::Sender<()>,
) -> String {
    let client = bare_client();
    while let Some(next) = tries_to_refresh(&client, &app, &url, &token).await {
        token = next;
        heard.send(()).ok();
    }
    token
}

/// New families of refresh tokens, by their first token.
async fn families(alice: &mut Browser, app: &RelyingParty) -> Vec<String> {
    let mut tokens = Vec::new();
    for _ in 0..FAMILIES {
        let request = app.auth_request("openid offline_access");
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        tokens.push(app.redeems(&request, &auth_response).await.refresh_token().to_owned());
    }
    tokens
}

/// Waits for that many answers on a thread of its own, so that the requests go on.
async fn waits_for(count: usize, heard: mpsc::Receiver<()>) {
    let all = move || (0..count).all(|_| heard.recv().is_ok());
    assert!(tokio::task::spawn_blocking(all).await.unwrap(), "the server answered too little");
}

async fn refreshing_survives(world: World) {
    let mut server = world.with(SKIP).with(FORGIVING).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let first = families(&mut alice, &app).await;
    let mut tokens = first.clone();
    for round in 0..ROUNDS {
        let (tell, heard) = mpsc::channel();
        let mut asking = Vec::new();
        for token in &tokens {
            let (app, url) = (server.relying_party("example-app"), server.url("/token"));
            asking.push(tokio::spawn(refreshes_until_the_end(
                app,
                url,
                token.clone(),
                tell.clone(),
            )));
        }
        waits_for(9 + 4 * round, heard).await;
        server.kill();
        server.restart().await;
        for (kept, asked) in tokens.iter_mut().zip(asking) {
            let last_heard = asked.await.unwrap();
            let (one, two) = tokio::join!(app.refreshes(&last_heard), app.refreshes(&last_heard));
            assert_eq!(one.status, 200, "nobody is locked out: {}", one.page.body);
            assert_eq!(two.status, 200, "nobody is locked out: {}", two.page.body);
            assert_eq!(one.refresh_token(), two.refresh_token(), "one family, not two");
            one.refresh_token().clone_into(kept);
        }
    }
    // Each is still the family that it was: its first token ends it.
    for (first, last) in first.iter().zip(&tokens) {
        assert_eq!(app.refreshes(first).await.error(), "invalid_grant");
        assert_eq!(app.refreshes(last).await.error(), "invalid_grant");
    }
}

#[tokio::test]
async fn a_crash_while_many_refresh_locks_nobody_out() {
    refreshing_survives(World::new()).await;
}

#[tokio::test]
async fn a_crash_while_many_refresh_on_postgres_locks_nobody_out() {
    if Need::Postgres.is_missing() {
        return;
    }
    refreshing_survives(World::with_postgres()).await;
}

/// The access token that a code was redeemed for, if the answer came.
async fn tries_to_redeem(
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
    let asked = bare_client().post(url).basic_auth(&app.id, app.secret.as_ref()).form(&fields);
    let response = asked.send().await.ok()?;
    assert_eq!(response.status().as_u16(), 200);
    let json: serde_json::Value = response.json().await.ok()?;
    Some(json["access_token"].as_str().unwrap().to_owned())
}

/// M 139: killed while codes are being redeemed. A code that was answered is used, and what it gave is
/// there; one that was not is used or not, but never twice.
#[tokio::test]
async fn a_crash_while_codes_are_redeemed_lets_none_be_used_twice() {
    let mut server = World::new().with(SKIP).with(FORGIVING).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    for round in 0..ROUNDS {
        let (asking, arrivals) = begin_redeeming(&server, &mut alice, &app, 2 + 2 * round).await;
        server.kill();
        server.restart().await;
        for (asked, (request, auth_response)) in asking.into_iter().zip(arrivals) {
            let given = asked.await.unwrap();
            if let Some(access_token) = &given {
                assert_eq!(app.userinfo(access_token).await.status, 200, "it was acknowledged");
            }
            let again = app.redeems(&request, &auth_response).await;
            match given {
                Some(_) => assert_eq!((again.status, again.error()), (400, "invalid_grant")),
                None => assert!(matches!(again.status, 200 | 400), "{}", again.page.body),
            }
            let third = app.redeems(&request, &auth_response).await;
            assert_eq!((third.status, third.error()), (400, "invalid_grant"));
        }
    }
}

type Asking = Vec<tokio::task::JoinHandle<Option<String>>>;
type Arrivals = Vec<(AuthRequest, crate::world::AuthResponse)>;

/// Ten codes, all being redeemed, so many of them answered.
async fn begin_redeeming(
    server: &Server,
    alice: &mut Browser,
    app: &RelyingParty,
    answered: usize,
) -> (Asking, Arrivals) {
    let mut arrivals = Vec::new();
    for _ in 0..10 {
        let request = app.auth_request("openid");
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        arrivals.push((request, auth_response));
    }
    let (tell, heard) = mpsc::channel();
    let mut asking = Vec::new();
    for (request, auth_response) in &arrivals {
        let (app, url) = (server.relying_party("example-app"), server.url("/token"));
        let (request, code, tell) = (request.clone(), auth_response.code.clone(), tell.clone());
        asking.push(tokio::spawn(async move {
            let given = tries_to_redeem(app, url, request, code).await;
            tell.send(()).ok();
            given
        }));
    }
    waits_for(answered, heard).await;
    (asking, arrivals)
}
