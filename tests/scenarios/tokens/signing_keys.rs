//! Signing keys: publication, rotation and agreement between replicas (threats 71, 72 and 75).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Need, RelyingParty, Server, World, claims, verified,
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// The `kid`s of the published keys, sorted.
pub async fn published(app: &RelyingParty) -> Vec<String> {
    let response = app.gets("/keys").await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    let set = response.json["keys"].as_array().unwrap().iter();
    let mut names: Vec<_> = set.map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
    names.sort();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "every key has a name of its own: {names:?}");
    names
}

/// The `kid` of the key that signed a token.
fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// An ID token of a new login in this browser.
pub async fn token(alice: &mut Browser, app: &RelyingParty) -> String {
    let request = app.auth_request("openid email");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    app.redeems(&request, &auth_response).await.id_token().to_owned()
}

/// Threat 71. With a rotation period of six hours and token lifetimes of ten minutes.
#[tokio::test]
async fn a_new_key_is_published_an_hour_before_it_signs_and_an_old_one_outlives_its_tokens() {
    if Need::Clock.is_missing() {
        return;
    }
    let expiry = "expiry:\n  idTokens: 10m\n  signingKeys: 6h";
    let mut server = World::with_clock().with(expiry).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let at_first = published(&app).await;
    let [old] = &at_first[..] else { panic!("{at_first:?}") };
    assert_eq!(kid(&token(&mut alice, &app).await), *old, "the first signs at once");

    server.advance(Duration::from_mins(4 * 60 + 59));
    server.restart().await;
    assert_eq!(published(&app).await, at_first, "4:59");
    server.advance(MINUTE);
    server.restart().await;
    let both = published(&app).await;
    assert_eq!((both.len(), both.contains(old)), (2, true), "5:00");
    assert_eq!(kid(&token(&mut alice, &app).await), *old, "5:00");
    // After the restart the server decides by its clock.
    server.advance(Duration::from_mins(58));
    let last = token(&mut alice, &app).await;
    assert_eq!(kid(&last), *old, "5:58");
    server.advance(3 * MINUTE);
    let next = kid(&token(&mut alice, &app).await);
    assert!(next != *old && both.contains(&next), "6:01");

    // The last token by the old key may be issued at 6:00 and expire at 6:10; ten more minutes allow for
    // clock differences.
    server.advance(18 * MINUTE);
    server.restart().await;
    assert_eq!(published(&app).await, both, "6:19");
    verified(&last, &app.gets("/keys").await.json);
    server.advance(3 * MINUTE);
    server.restart().await;
    assert_eq!(published(&app).await, [next], "6:22");
}

/// A key stays valid for caches of `max-age`, and for tokens issued before the lifetimes were shortened.
#[tokio::test]
async fn a_key_is_kept_for_the_longest_lifetime_ever_configured() {
    if Need::Clock.is_missing() {
        return;
    }
    let long = "expiry:\n  idTokens: 8h\n  signingKeys: 6h";
    let world = World::with_clock().with(long);
    let short = world.clone().with("expiry:\n  idTokens: 10m\n  signingKeys: 6h");
    let mut server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let of_eight_hours = token(&mut alice, &app).await;
    server.stop().await;

    let mut server = short.start().await;
    for hours in [5, 2] {
        server.advance(hours * HOUR);
        server.restart().await;
    }
    let app = server.relying_party("example-app");
    assert_eq!(published(&app).await.len(), 2, "7:00, long after the other one signs");
    verified(&of_eight_hours, &app.gets("/keys").await.json);
}

#[tokio::test]
async fn keys_have_max_age_300_and_an_etag() {
    let server = World::new().start().await;
    let keys = reqwest::get(server.url("/keys")).await.unwrap();
    let header = |name: &str| keys.headers()[name].to_str().unwrap().to_owned();
    assert!(header("cache-control").contains("max-age=300"), "{}", header("cache-control"));
    assert_eq!(header("content-type"), "application/json");
    let (client, tag) = (reqwest::Client::new(), header("etag"));
    let ask = |tag: &str| client.get(server.url("/keys")).header("if-none-match", tag).send();
    let again = ask(&tag).await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()["etag"], tag.as_str());
    assert_eq!(ask("\"another\"").await.unwrap().status(), 200);
}

/// Threat 71. 342 characters are 2048 bits.
#[tokio::test]
async fn keys_and_discovery_contain_nothing_private() {
    for algorithm in ["RS256", "ES256"] {
        let signer = format!("signer:\n  type: local\n  config:\n    algorithm: {algorithm}");
        let server = World::new().with(&signer).start().await;
        let app = server.relying_party("example-app");
        let discovery = app.gets("/.well-known/openid-configuration").await.json;
        let alias = app.gets("/.well-known/oauth-authorization-server").await.json;
        let algorithms = &discovery["id_token_signing_alg_values_supported"];
        assert_eq!(*algorithms, serde_json::json!([algorithm]));
        assert_eq!(discovery["jwks_uri"], server.url("/keys"));
        assert_eq!(alias["jwks_uri"], discovery["jwks_uri"]);
        assert_eq!((&discovery["keys"], &alias["keys"]), (&Value::Null, &Value::Null));

        for key in app.gets("/keys").await.json["keys"].as_array().unwrap() {
            let mut members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
            members.sort_unstable();
            match algorithm {
                "RS256" => {
                    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
                    assert_eq!(key["n"].as_str().unwrap().len(), 342);
                }
                _ => assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]),
            }
        }
    }
}

/// Threat 72: every replica accepts the tokens of every other, from the start.
#[tokio::test]
async fn replicas_that_start_together_on_an_empty_database_agree_on_one_key() {
    if Need::Postgres.is_missing() {
        return;
    }
    let worlds = World::with_postgres().with("expiry:\n  idTokens: 10m\n  signingKeys: 6h");
    let (second, third) = (worlds.second_replica(), worlds.second_replica());
    let mut replicas: [Server; 3] =
        tokio::join!(worlds.start(), second.start(), third.start()).into();
    assert_all_alike(&replicas, 1).await;
    // With a period of one hour the next key is due at once, so the second start races for it.
    for replica in &mut replicas {
        replica.rewrites_config(|world| world.with("expiry:\n  idTokens: 10m\n  signingKeys: 1h"));
    }
    let [a, b, c] = &mut replicas;
    tokio::join!(a.restart(), b.restart(), c.restart());
    assert_all_alike(&replicas, 2).await;
}

async fn assert_all_alike(replicas: &[Server], keys: usize) {
    let mut app = replicas[0].relying_party("example-app");
    let mut signed_by = Vec::new();
    let known = published(app.via_replica(&replicas[0])).await;
    assert_eq!(known.len(), keys, "{known:?}");
    for (n, replica) in replicas.iter().enumerate() {
        let next = &replicas[(n + 1) % replicas.len()];
        let mut alice = replicas[0].browser();
        let request = app.auth_request("openid email offline_access");
        alice.via_replica(replica).opens(&request.url).await;
        alice.via_replica(next).signs_in(ALICE, ALICE_PASSWORD).await;
        if alice.page().form_with("approval").is_some() {
            alice.via_replica(replica).approves().await;
        }
        let response = app.via_replica(next).redeems(&request, &alice.auth_response()).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        let again = app.via_replica(replica).refreshes(response.refresh_token()).await;
        assert_eq!(again.status, 200, "{}", again.page.body);
        for token in [response.id_token(), again.id_token()] {
            verified(token, &app.via_replica(&replicas[0]).gets("/keys").await.json);
            signed_by.push(kid(token));
        }
        assert_eq!(published(app.via_replica(replica)).await, known);
    }
    signed_by.dedup();
    assert_eq!(signed_by.len(), 1, "one key signs: {signed_by:?}");
}

/// Threat 75: `iss` is the configured value, whatever the Host header.
#[tokio::test]
async fn the_issuer_is_the_configured_one_byte_for_byte_whatever_the_host_header() {
    let world = World::new();
    let issuer = format!("{}/tenants/a/", world.origin());
    let server = world.with(&format!("issuer: {issuer}")).start().await;
    let base = issuer.trim_end_matches('/');
    let client = reqwest::Client::new();
    for host in ["evil.example.com", "evil.example.com:5556", "127.0.0.1"] {
        let url = format!("{base}/.well-known/openid-configuration");
        let response = client.get(url).header("host", host).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(!text.contains("evil"), "{status}: {text}");
        if status == 200 {
            let json: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["issuer"], issuer, "with its trailing slash");
            assert_eq!(json["jwks_uri"], format!("{base}/keys"));
        }
    }
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    let query = request.url.split_once('?').unwrap().1;
    alice.opens(format!("{base}/auth?{query}")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    let auth_response = alice.auth_response();
    assert_eq!(auth_response.iss.as_deref(), Some(issuer.as_str()));
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", auth_response.code.as_str()),
        ("redirect_uri", request.redirect_uri.as_str()),
        ("code_verifier", request.verifier.as_str()),
        ("client_id", app.id.as_str()),
        ("client_secret", app.secret.as_deref().unwrap()),
    ];
    let response = client.post(format!("{base}/token")).form(&fields).send().await.unwrap();
    let response: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(claims(response["id_token"].as_str().unwrap())["iss"], issuer);
}
