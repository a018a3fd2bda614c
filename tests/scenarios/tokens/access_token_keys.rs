//! `signer.accessTokenAlgorithm`: access tokens signed with keys of their own.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::signing_keys::published;
use crate::world::{ALICE, ALICE_PASSWORD, Need, RelyingParty, Server, World, verified};

const HOUR: Duration = Duration::from_hours(1);
const SIGNER: &str =
    "signer:\n  accessTokenAlgorithm: ES256\n  config:\n    keysRotationPeriod: 6h";
const EXPIRY: &str = "expiry:\n  idTokens: 10m";

fn header(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

/// The headers of the ID token and of the access token of a new login.
async fn headers(server: &Server, app: &RelyingParty) -> (Value, Value) {
    let request = app.auth_request("openid email offline_access");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    (header(tokens.id_token()), header(tokens.access_token()))
}

#[tokio::test]
async fn access_tokens_are_es256_and_id_tokens_stay_rs256() {
    let server = World::new().with(SIGNER).start().await;
    let app = server.relying_party("example-app");
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    assert_eq!(discovery["id_token_signing_alg_values_supported"], json!(["RS256"]));
    let request = app.auth_request("openid email offline_access");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let first = app.redeems(&request, &auth_response).await;
    let refreshed = app.refreshes(first.refresh_token()).await;
    let keys = app.gets("/keys").await.json;
    for tokens in [&first, &refreshed] {
        assert_eq!(header(tokens.id_token())["alg"], "RS256");
        assert_eq!(header(tokens.access_token())["alg"], "ES256");
        assert_eq!(header(tokens.access_token())["typ"], "at+jwt");
        verified(tokens.id_token(), &keys);
        verified(tokens.access_token(), &keys);
        let userinfo = app.userinfo(tokens.access_token()).await;
        assert_eq!((userinfo.status, &userinfo.json["email"]), (200, &json!(ALICE)));
        let token = [("token", tokens.access_token())];
        let introspected = app.posts("/token/introspect", &token).await;
        assert_eq!(introspected.json["active"], true);
    }
    app.posts("/revoke", &[("token", refreshed.access_token())]).await;
    assert_eq!(app.userinfo(refreshed.access_token()).await.status, 401);
}

#[tokio::test]
async fn a_key_for_access_tokens_is_published_before_it_signs_rotates_and_goes() {
    if Need::Clock.is_missing() {
        return;
    }
    let plain = World::with_clock().with(EXPIRY);
    let with_key = plain.clone().with(SIGNER);
    let mut server = plain.clone().start().await;
    let app = server.relying_party("example-app");
    assert_eq!(published(&app).await.len(), 1);

    server.rewrites_config(|_| with_key);
    server.restart().await;
    assert_eq!(published(&app).await.len(), 2, "published at once");
    let (id_token, access_token) = headers(&server, &app).await;
    assert_eq!(access_token["kid"], id_token["kid"], "the new key does not sign yet");
    server.advance(HOUR);
    let (id_token, first) = headers(&server, &app).await;
    assert_eq!((&id_token["alg"], &first["alg"]), (&json!("RS256"), &json!("ES256")));

    // The key of access tokens signs from 1:00 to 7:00; its successor is published at 6:00.
    server.advance(5 * HOUR);
    server.restart().await;
    server.advance(HOUR);
    let (_, second) = headers(&server, &app).await;
    assert_eq!(second["alg"], "ES256");
    assert_ne!(second["kid"], first["kid"]);
    server.advance(HOUR);
    server.restart().await;
    let kids = published(&app).await;
    assert!(!kids.iter().any(|kid| first["kid"] == **kid), "its tokens have expired: {kids:?}");

    server.rewrites_config(|_| plain);
    server.restart().await;
    let (id_token, access_token) = headers(&server, &app).await;
    assert_eq!(access_token["kid"], id_token["kid"], "without the setting one key signs both");
    let known = published(&app).await;
    assert!(known.iter().any(|kid| second["kid"] == **kid), "it still verifies");
    server.advance(8 * HOUR);
    server.restart().await;
    let known = published(&app).await;
    assert!(!known.iter().any(|kid| second["kid"] == **kid), "it is gone: {known:?}");
}
