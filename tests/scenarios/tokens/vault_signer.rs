//! `signer.type: vault`: the transit secrets engine of Vault or `OpenBao` keeps the key. What is published, which version
//! signs, what an administrator sees.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::signing_keys::{published, token};
use crate::world::fakes::web::{Shown, Web};
use crate::world::{Need, SignedInClient, Transit, VAULT_TOKEN, World, verified};

const MINUTE: Duration = Duration::from_mins(1);

/// 2027-01-15T08:00:00Z.
const MORNING: u64 = 1_800_000_000;

fn header(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

#[tokio::test]
async fn alices_tokens_are_signed_by_vault_and_verify_with_the_published_key() {
    for (kind, algorithm) in [
        ("rsa-2048", "RS256"),
        ("rsa-3072", "RS256"),
        ("ecdsa-p256", "ES256"),
        ("ecdsa-p384", "ES384"),
        ("ecdsa-p521", "ES512"),
    ] {
        let vault = Transit::start(kind);
        let server = World::new().with(&vault.signer()).start().await;
        let scopes = "openid email groups offline_access";
        let alice = SignedInClient::sign_in_alice(&server, "example-app", scopes).await;
        let keys = alice.app.gets("/keys").await.json;
        assert_eq!(verified(&alice.id_token, &keys)["groups"], json!(["admins", "developers"]));
        verified(&alice.access_token, &keys);
        // The header of an ID token is Dex's, and so is the key id: the thumbprint of RFC 7638.
        let kid = keys["keys"][0]["kid"].as_str().unwrap();
        assert_eq!(header(&alice.id_token), json!({ "alg": algorithm, "kid": kid }));
        assert_eq!((kid.len(), keys["keys"].as_array().unwrap().len()), (43, 1), "{keys}");
        let discovery = alice.app.gets("/.well-known/openid-configuration").await.json;
        assert_eq!(discovery["id_token_signing_alg_values_supported"], json!([algorithm]));
        assert_eq!(alice.app.userinfo(&alice.access_token).await.status, 200, "{kind}");
        let refreshed = alice.app.refreshes(&alice.refresh_token).await;
        verified(refreshed.id_token(), &keys);
        // Two signatures for the code and two for the refresh, each of a hash alone.
        let signed = vault.web.requests("/v1/transit/sign/dex");
        assert_eq!(signed.len(), 4, "{kind}");
        assert!(signed.iter().all(|request| !request.body.contains("alice")), "{kind}");
    }
}

/// Without `openid` there is no ID token to sign.
#[tokio::test]
async fn a_client_of_its_own_receives_a_token_signed_by_vault() {
    let vault = Transit::start("ecdsa-p256");
    let more = format!(
        "{}\noauth2:\n  grantTypes: [authorization_code, client_credentials]",
        vault.signer()
    );
    let server = World::new().with(&more).start().await;
    let app = server.relying_party("example-app");
    let response = app.exchange(&[("grant_type", "client_credentials")]).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    verified(response.access_token(), &app.gets("/keys").await.json);
    assert_eq!(vault.web.requests("/v1/transit/sign/dex").len(), 1);
}

#[tokio::test]
async fn a_new_version_in_vault_is_published_an_hour_before_it_signs() {
    if Need::Clock.is_missing() {
        return;
    }
    let vault = Transit::start("rsa-2048");
    let world = World::with_clock().starting_at(MORNING).with(&vault.signer());
    let mut server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let first = published(&app).await;
    let of_version_1 = token(&mut alice, &app).await;
    assert_eq!(header(&of_version_1)["kid"], first[0], "the only version signs at once");

    vault.rotates("2027-01-15T09:00:00.5+01:00");
    server.restart().await;
    let both = published(&app).await;
    assert_eq!((both.len(), both.contains(&first[0])), (2, true), "{both:?}");
    server.advance(58 * MINUTE);
    assert_eq!(header(&token(&mut alice, &app).await)["kid"], first[0], "published 58 minutes ago");
    server.advance(4 * MINUTE);
    let of_version_2 = token(&mut alice, &app).await;
    assert_ne!(header(&of_version_2)["kid"], first[0], "published over an hour ago");
    let keys = app.gets("/keys").await.json;
    verified(&of_version_1, &keys);
    verified(&of_version_2, &keys);

    // A leaked version: the administrator excludes it, and the next signs at once.
    vault.rotates("2027-01-15T10:03:00+01:00");
    vault.allows_only_from(3);
    server.restart().await;
    let last = token(&mut alice, &app).await;
    assert_eq!(published(&app).await, [header(&last)["kid"].as_str().unwrap()]);
}

/// Before the server has read the versions again, which it does every 30 seconds.
#[tokio::test]
async fn a_version_that_vault_refuses_is_replaced_by_the_published_one_at_once() {
    if Need::Clock.is_missing() {
        return;
    }
    let vault = Transit::start("rsa-2048");
    vault.rotates("2027-01-15T07:50:00Z");
    let world = World::with_clock().starting_at(MORNING).with(&vault.signer());
    let server = world.start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    vault.allows_only_from(2);
    let refreshed = alice.app.refreshes(&alice.refresh_token).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);
    assert_ne!(header(refreshed.id_token())["kid"], header(&alice.id_token)["kid"]);
    verified(refreshed.id_token(), &alice.app.gets("/keys").await.json);
    let signed = vault.web.requests("/v1/transit/sign/dex").len();
    let again = alice.app.refreshes(refreshed.refresh_token()).await;
    assert_eq!(header(again.id_token()), header(refreshed.id_token()));
    let requests = vault.web.requests("/v1/transit/sign/dex").len() - signed;
    assert_eq!(requests, 2, "the refused version is not tried again");

    // Nobody has fetched version 3 yet: no token is signed with it, and nothing is used up.
    vault.rotates("2027-01-15T08:00:00Z");
    vault.allows_only_from(3);
    let refused = alice.app.refreshes(again.refresh_token()).await;
    assert_eq!((refused.status, refused.error()), (503, "temporarily_unavailable"));
    server.waits_for_log(1, "a new signing key is published").await;
    let last = alice.app.refreshes(again.refresh_token()).await;
    assert_eq!(last.status, 200, "{}", last.page.body);
    verified(last.id_token(), &alice.app.gets("/keys").await.json);
}

/// The keys are read again every 30 seconds; a reload reads them too.
#[tokio::test]
async fn a_running_server_follows_a_rotation_in_vault() {
    let vault = Transit::start("ecdsa-p256");
    let server = World::new().with(&vault.signer()).start().await;
    let app = server.relying_party("example-app");
    let first = published(&app).await;
    vault.rotates("2026-01-01T00:00:00Z");
    server.waits_for_log(1, "a new signing key is published").await;
    let both = published(&app).await;
    assert_eq!((both.len(), both.contains(&first[0])), (2, true), "{both:?}");
}

#[tokio::test]
async fn an_administrator_sees_vaults_keys_and_cannot_rotate_or_drop_them_here() {
    let vault = Transit::start("rsa-2048");
    vault.rotates("2021-01-01T00:00:00Z");
    let server = World::new().with(&vault.signer()).start().await;
    let runs = |arguments: &[&str]| {
        let output = server.runs_command(arguments, &[]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let list = runs(&["keys", "list", "--output", "json", "--config", "CONFIG"]);
    let keys: Value = serde_json::from_str(&list.1).unwrap_or_else(|_| panic!("{list:?}"));
    let keys = keys.as_array().or(keys["keys"].as_array()).unwrap();
    let signer = format!("transit/keys/dex at {}", vault.web.url);
    let shown: Vec<_> =
        keys.iter().map(|key| (&key["number"], &key["state"], &key["signer"])).collect();
    let signer_value = Value::from(signer.clone());
    assert_eq!(
        shown,
        [
            (&json!(2), &json!("signing"), &signer_value),
            (&json!(1), &json!("retired"), &signer_value)
        ],
        "and no key of our own"
    );
    let table = runs(&["keys", "list", "--output", "table", "--config", "CONFIG"]).1;
    assert!(table.contains(&format!("The signing key is kept by {signer}.")), "{table}");
    for command in [vec!["rotate"], vec!["drop", "1", "--yes"], vec!["drop", "1"]] {
        let arguments = [&["keys"], &command[..], &["--config", "CONFIG"]].concat();
        let (status, _, error) = runs(&arguments);
        assert_eq!(status, Some(1), "{error}");
        assert!(error.contains(&format!("kept by {signer}")), "{error}");
        assert!(error.contains("vault write -f transit/keys/dex/rotate"), "{error}");
    }
    // By its kid neither.
    let kid = keys[0]["kid"].as_str().unwrap();
    for command in [vec!["drop", "--yes", kid], vec!["drop", kid]] {
        let arguments = [&["keys"], &command[..], &["--config", "CONFIG"]].concat();
        let (status, _, error) = runs(&arguments);
        assert_eq!(status, Some(1), "{error}");
        assert!(error.contains("min_encryption_version"), "{error}");
    }
    assert_eq!(published(&server.relying_party("example-app")).await.len(), 2);
}

/// A Vault agent writes a new token into the file; Vault no longer accepts the one before.
#[tokio::test]
async fn the_token_is_read_from_a_file_again_when_vault_refuses_it() {
    let vault = Transit::start("ecdsa-p256");
    let world = World::new();
    let file = world.dir().join("vault-token");
    std::fs::write(&file, format!("{VAULT_TOKEN}\n")).unwrap();
    let server =
        world.with(&vault.signer_with(&format!("tokenFile: {}", file.display()))).start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    std::fs::write(&file, "hvs.the-next-token-of-the-agent").unwrap();
    vault.accepts_only("hvs.the-next-token-of-the-agent");
    let refreshed = alice.app.refreshes(&alice.refresh_token).await;
    verified(refreshed.id_token(), &alice.app.gets("/keys").await.json);
    server.assert_no_secret_in_log(&["hvs."]);
}

/// As in Dex, `VAULT_ADDR` and `VAULT_TOKEN` stand in for the keys of the file.
#[tokio::test]
async fn address_token_and_certificate_come_from_the_environment() {
    let vault = Transit::start("ecdsa-p256");
    let signer = "signer:\n  type: vault\n  config:\n    keyName: dex";
    let server = World::new()
        .with(signer)
        .env("VAULT_ADDR", &vault.web.url)
        .env("VAULT_TOKEN", VAULT_TOKEN)
        .start()
        .await;
    let alice = SignedInClient::sign_in_alice(&server, "example-app", "openid").await;
    verified(&alice.id_token, &alice.app.gets("/keys").await.json);
    server.assert_no_secret_in_log(&[VAULT_TOKEN]);
}

#[tokio::test]
async fn vaults_certificate_is_verified_with_the_configured_authority() {
    let vault = Transit::start("ecdsa-p256");
    let (tls, pem) = Web::start_tls(Shown::SelfSigned, vault.handler()).await;
    let signer = format!(
        "signer:\n  type: vault\n  config:\n    addr: {}\n    keyName: dex\n    token: {VAULT_TOKEN}",
        tls.url
    );
    let log = World::new().with(&signer).refuses_to_start().await;
    assert!(log.contains("certificate of the transit keys API is not acceptable"), "{log}");
    let world = World::new();
    let file = world.dir().join("vault-ca.pem");
    std::fs::write(&file, pem).unwrap();
    let trusting = format!("{signer}\n    rootCA: {}", file.display());
    let server = world.clone().with(&trusting).start().await;
    let alice = SignedInClient::sign_in_alice(&server, "example-app", "openid").await;
    verified(&alice.id_token, &alice.app.gets("/keys").await.json);
    let file = file.to_str().unwrap();
    World::new().with(&signer).env("VAULT_CACERT", file).start().await;
}

/// A renewable token is renewed in the second half of its life.
#[tokio::test]
async fn vaults_token_is_renewed() {
    let vault = Transit::start("ecdsa-p256");
    vault.token_lives(1000, 3600, true);
    let server = World::new().with(&vault.signer()).start().await;
    assert_eq!(vault.web.requests("/v1/auth/token/renew-self").len(), 1);
    assert_eq!(server.count_in_log("cannot be renewed"), 0);
    drop(server);
    vault.token_lives(1000, 3600, false);
    let server = World::new().with(&vault.signer()).start().await;
    assert_eq!(vault.web.requests("/v1/auth/token/renew-self").len(), 1, "not renewable");
    server.waits_for_log(1, "the Vault token expires in 16m40s and cannot be renewed").await;
}
