//! From `signer.type: local` to `vault`: the keys that signed before stay published as long as a token of theirs is
//! valid, they sign until Vault's key has been published for an hour, and a leaked one is dropped.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::signing_keys::published;
use crate::world::{Need, SignedInClient, Transit, World, sealed, verified};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// 2027-01-15T08:00:00Z.
const MORNING: u64 = 1_800_000_000;

fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn tokens_of_our_own_keys_verify_after_the_change_to_vault() {
    if Need::Clock.is_missing() {
        return;
    }
    let vault = Transit::start("rsa-2048");
    let expiry = "expiry:\n  idTokens: 10m\n  signingKeys: 6h";
    let world = World::with_clock().starting_at(MORNING).with(expiry);
    let with_vault = world.clone().with(&vault.signer());
    let mut server = world.start().await;
    let scopes = "openid offline_access";
    let before = SignedInClient::sign_in_alice(&server, "example-app", scopes).await;
    server.stop().await;

    let mut server = with_vault.start().await;
    let app = server.relying_party("example-app");
    verified(&before.id_token, &app.gets("/keys").await.json);
    assert_eq!(app.userinfo(&before.access_token).await.status, 200);
    // Whoever has fetched the keys five minutes ago knows the old one alone.
    let at_once = app.refreshes(&before.refresh_token).await;
    assert_eq!(kid(at_once.id_token()), kid(&before.id_token));
    assert_eq!(published(&app).await.len(), 2, "Vault's key is published an hour before it signs");
    server.advance(61 * MINUTE);
    let of_vault = app.refreshes(at_once.refresh_token()).await;
    verified(of_vault.id_token(), &app.gets("/keys").await.json);
    assert_ne!(kid(of_vault.id_token()), kid(&before.id_token));

    // An hour of signing, ten minutes of the last token, ten more: then it is dropped.
    server.advance(17 * MINUTE);
    server.restart().await;
    assert_eq!(published(&app).await.len(), 2, "78 minutes");
    server.advance(4 * MINUTE);
    server.restart().await;
    assert_eq!(published(&app).await, [kid(of_vault.id_token())], "82 minutes");
}

/// With type vault there is no `keysRotationPeriod`, and the key is older than the default of `expiry.signingKeys`.
#[tokio::test]
async fn a_key_of_a_long_period_outlives_a_change_to_vault_that_fails_and_one_that_does_not() {
    if Need::Clock.is_missing() {
        return;
    }
    let vault = Transit::start("rsa-2048");
    let world = World::with_clock().starting_at(MORNING);
    let month = "signer:\n  config:\n    keysRotationPeriod: 720h";
    let with_vault = world.clone().with(&vault.signer());
    let mut server = world.with(month).start().await;
    server.advance(240 * HOUR);
    let alice = SignedInClient::sign_in_alice(&server, "example-app", "openid").await;
    let app = &alice.app;
    let old = published(app).await;
    assert_eq!(old, [kid(&alice.id_token)]);

    vault.fails(sealed());
    server.rewrites_config(|_| with_vault);
    server.waits_for_log(1, "configuration_reload_failed").await;
    assert_eq!(published(app).await, old);
    assert_eq!(app.userinfo(&alice.access_token).await.status, 200);

    vault.recovers();
    server.sends_signal("HUP");
    server.waits_for_log(1, "configuration_reloaded").await;
    for when in ["after the reload", "after a restart"] {
        let keys = app.gets("/keys").await.json;
        verified(&alice.id_token, &keys);
        assert_eq!(keys["keys"].as_array().unwrap().len(), 2, "{when}: {keys}");
        assert_eq!(app.userinfo(&alice.access_token).await.status, 200, "{when}");
        server.restart().await;
    }
}

#[tokio::test]
async fn a_leaked_key_from_before_the_change_to_vault_is_dropped_by_its_kid() {
    let vault = Transit::start("rsa-2048");
    let world = World::new();
    let with_vault = world.clone().with(&vault.signer());
    let mut server = world.start().await;
    let scopes = "openid offline_access";
    let before = SignedInClient::sign_in_alice(&server, "example-app", scopes).await;
    server.stop().await;
    let mut server = with_vault.start().await;
    let leaked = kid(&before.id_token);
    let runs = |arguments: &[&str]| {
        let arguments = [&["keys"], arguments, &["--config", "CONFIG"]].concat();
        let output = server.runs_command(&arguments, &[]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    // Number 1 is Vault's first version, too.
    let (status, _, error) = runs(&["drop", "1", "--yes"]);
    assert!(status == Some(1) && error.contains("is dropped by its kid"), "{error}");
    let (status, dropped, error) = runs(&["drop", &leaked, "--yes"]);
    assert_eq!(status, Some(0), "{error}");
    let dropped: Value = serde_json::from_str(&dropped).unwrap();
    assert_eq!((&dropped["kid"], &dropped["made"]), (&json!(leaked), &json!(false)));
    server.restart().await;
    let app = server.relying_party("example-app");
    assert_eq!(published(&app).await, [dropped["signing_kid"].as_str().unwrap()]);
    assert_eq!(app.userinfo(&before.access_token).await.status, 401);
    let refreshed = app.refreshes(&before.refresh_token).await;
    assert_eq!(kid(refreshed.id_token()), dropped["signing_kid"].as_str().unwrap());
}
