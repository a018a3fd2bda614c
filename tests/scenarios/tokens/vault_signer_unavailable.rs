//! `signer.type: vault` while Vault is unreachable, sealed, or refuses: no code and no refresh token is used up, and the
//! administrator reads why.

use std::time::{Duration, Instant};

use crate::world::fakes::web::Reply;
use crate::world::http::{bare_client, send};
use crate::world::{
    ALICE, ALICE_PASSWORD, Client, JsonResponse, Need, Page, Server, SignedInClient, Transit,
    World, sealed, verified,
};

async fn readiness(server: &Server) -> Page {
    send(bare_client().get(format!("{}/healthz/ready", server.telemetry()))).await
}

fn assert_unavailable(response: &JsonResponse) {
    assert_eq!(response.status, 503, "{}", response.page.body);
    assert_eq!(response.error(), "temporarily_unavailable");
    assert_eq!(response.page.header("retry-after"), Some("2"));
}

/// Beyond the reuse interval a token that had been rotated would end the session.
#[tokio::test]
async fn a_refresh_while_vault_is_down_is_answered_503_and_the_same_token_works_later() {
    if Need::Clock.is_missing() {
        return;
    }
    let vault = Transit::start("rsa-2048");
    let server = World::with_clock().with(&vault.signer()).start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    for (fault, cause) in [
        (Reply::Nothing, "the transit sign API cannot be reached"),
        (sealed(), "it is sealed"),
        (Reply::Json(429, serde_json::json!({ "errors": [] })), "answered 429"),
        (Reply::Silence, "did not answer in time"),
    ] {
        vault.fails(fault);
        assert_unavailable(&alice.app.refreshes(&alice.refresh_token).await);
        server.waits_for_log(1, cause).await;
        // Named by readiness, but tokens are still verified here.
        let ready = readiness(&server).await;
        assert_eq!(ready.status, 200, "{}", ready.body);
        assert!(ready.body.contains(cause), "{}", ready.body);
        assert_eq!(alice.app.userinfo(&alice.access_token).await.status, 200);
    }
    server.advance(Duration::from_mins(5));
    vault.recovers();
    let refreshed = alice.app.refreshes(&alice.refresh_token).await;
    verified(refreshed.id_token(), &alice.app.gets("/keys").await.json);
    assert!(!readiness(&server).await.body.contains("signer_problem"));
    assert_eq!(alice.app.refreshes(refreshed.refresh_token()).await.status, 200);
}

/// The versions that were read before the outage verify.
#[tokio::test]
async fn tokens_are_verified_however_long_vault_is_down() {
    if Need::Clock.is_missing() {
        return;
    }
    let vault = Transit::start("rsa-2048");
    let server = World::with_clock().with(&vault.signer()).start().await;
    let alice = SignedInClient::sign_in_alice(&server, "example-app", "openid").await;
    vault.fails(Reply::Nothing);
    server.advance(Duration::from_hours(2));
    server.waits_for_log(1, "the signing key cannot be read").await;
    let started = Instant::now();
    let ready = loop {
        let ready = readiness(&server).await;
        if ready.status == 200 || started.elapsed() > Duration::from_mins(1) {
            break ready;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(ready.body.contains("the transit keys API cannot be reached"), "{}", ready.body);
    assert!(ready.body.contains("its versions were last read at"), "{}", ready.body);
    verified(&alice.id_token, &alice.app.gets("/keys").await.json);
    assert_eq!(alice.app.userinfo(&alice.access_token).await.status, 200);
}

#[tokio::test]
async fn a_policy_that_lost_read_is_reported_although_vault_signs() {
    let vault = Transit::start("ecdsa-p256");
    let server = World::new().with(&vault.signer()).start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    let up = async || {
        let metrics = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await;
        let mut lines = metrics.body.lines();
        lines.find(|line| line.starts_with("countersign_signer_up ")).map(str::to_owned)
    };
    assert_eq!(up().await.as_deref(), Some("countersign_signer_up 1"));
    let errors = serde_json::json!({ "errors": ["permission denied"] });
    vault.fails_to_name_versions(Reply::Json(403, errors));
    server.waits_for_log(1, "signer_failed").await;
    let refreshed = alice.app.refreshes(&alice.refresh_token).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);
    let ready = readiness(&server).await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(ready.body.contains("its policy lacks read on transit/keys/dex"), "{}", ready.body);
    assert_eq!(up().await.as_deref(), Some("countersign_signer_up 0"));
    vault.recovers();
    server.waits_for_log(1, "signer_recovered").await;
    assert_eq!(server.count_in_log("signer_failed"), 1);
    assert_eq!(up().await.as_deref(), Some("countersign_signer_up 1"));
}

#[tokio::test]
async fn a_code_is_not_used_up_while_vault_is_down() {
    let vault = Transit::start("ecdsa-p256");
    let server = World::new().with(&vault.signer()).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    vault.fails(Reply::Nothing);
    assert_unavailable(&app.redeems(&request, &auth_response).await);
    vault.recovers();
    let tokens = app.redeems(&request, &auth_response).await;
    verified(tokens.id_token(), &app.gets("/keys").await.json);
}

#[tokio::test]
async fn a_policy_that_does_not_allow_signing_is_a_misconfiguration_and_uses_up_nothing() {
    let vault = Transit::start("rsa-2048");
    let server = World::new().with(&vault.signer()).start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    vault.accepts_only("hvs.another-token");
    let response = alice.app.refreshes(&alice.refresh_token).await;
    assert_eq!((response.status, response.error()), (500, "server_error"));
    assert!(response.page.body.contains("An administrator must act."), "{}", response.page.body);
    let cause = "its policy lacks read on transit/keys/dex and update on transit/sign/dex";
    server.waits_for_log(1, cause).await;
    vault.accepts_only(crate::world::VAULT_TOKEN);
    assert_eq!(alice.app.refreshes(&alice.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_server_that_cannot_sign_does_not_start_and_names_the_cause() {
    for (fault, cause) in [
        (Reply::Nothing, "the transit keys API cannot be reached"),
        (sealed(), "it is sealed"),
        (Reply::Json(404, serde_json::json!({ "errors": [] })), "there is no key dex"),
        (Reply::Redirect("http://127.0.0.1:1/".to_owned()), "addr must be the active node"),
    ] {
        let vault = Transit::start("rsa-2048");
        vault.fails(fault);
        let log = World::new().with(&vault.signer()).refuses_to_start().await;
        assert!(log.contains(cause), "{cause}:\n{log}");
    }
    let vault = Transit::start("ed25519");
    let log = World::new().with(&vault.signer()).refuses_to_start().await;
    assert!(log.contains("ed25519"), "{log}");
    assert!(log.contains("expected one of rsa-2048, rsa-3072, rsa-4096, ecdsa-p256"), "{log}");
}

/// Ending a session from the command line must not need Vault.
#[tokio::test]
async fn commands_on_the_database_work_while_vault_is_down() {
    let vault = Transit::start("rsa-2048");
    let server = World::new().with(&vault.signer()).start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    vault.fails(Reply::Nothing);
    let end = ["sessions", "end", "--user", ALICE, "--yes", "--config", "CONFIG"];
    let output = server.runs_command(&end, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    vault.recovers();
    assert_eq!(alice.app.refreshes(&alice.refresh_token).await.error(), "invalid_grant");
}

#[tokio::test]
async fn check_lets_vault_sign_and_verifies_the_signature() {
    let vault = Transit::start("rsa-2048");
    vault.rotates("2021-01-01T00:00:00Z");
    let world = World::new().with(&vault.signer());
    let check = || {
        let output = world.runs_before_start(&["check", "CONFIG"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let (status, text) = check();
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains(&format!("signer: transit/keys/dex at {}", vault.web.url)), "{text}");
    assert!(text.contains("version 1, RS256, of 2020-02-29T09:30:00"), "{text}");
    assert!(text.contains("version 2 signed, and its signature verifies"), "{text}");

    vault.accepts_only("hvs.another-token");
    let (status, text) = check();
    assert_eq!(status, Some(78), "{text}");
    assert!(text.contains("its policy lacks read on transit/keys/dex"), "{text}");

    vault.fails(sealed());
    let (status, text) = check();
    assert_eq!(status, Some(0), "as with a database that is not reached from here: {text}");
    assert!(text.contains("the signer was not examined: Vault: it is sealed"), "{text}");
}

/// A new client or certificate does not wait for Vault.
#[tokio::test]
async fn a_reload_that_does_not_change_the_signer_succeeds_while_vault_is_down() {
    let vault = Transit::start("rsa-2048");
    let mut server = World::new().with(&vault.signer()).start().await;
    vault.fails(sealed());
    server.rewrites_config(|world| world.client(Client::new("grafana")));
    server.sends_signal("HUP");
    server.waits_for_log(1, "configuration_reloaded").await;
    assert_eq!(server.count_in_log("configuration_reload_failed"), 0, "{}", server.log());
    vault.recovers();
    let (mut alice, grafana) = (server.browser(), server.relying_party("grafana"));
    let request = grafana.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = grafana.redeems(&request, &auth_response).await;
    verified(tokens.id_token(), &grafana.gets("/keys").await.json);
}

#[tokio::test]
async fn a_reload_that_could_not_be_applied_is_repeated_until_it_succeeds() {
    if Need::Clock.is_missing() {
        return;
    }
    let vault = Transit::start("rsa-2048");
    let mut server = World::with_clock().with(&vault.signer()).start().await;
    vault.fails(sealed());
    let signer =
        vault.signer_with(&format!("token: {}\n    timeout: 4s", crate::world::VAULT_TOKEN));
    server.rewrites_config(|world| world.with(&signer).client(Client::new("grafana")));
    server.sends_signal("HUP");
    server.waits_for_log(1, "it is tried again every 30 seconds").await;
    vault.recovers();
    server.advance(Duration::from_secs(31));
    server.waits_for_log(1, "configuration_reloaded").await;
    assert_eq!(server.count_in_log("configuration_reload_failed"), 1, "{}", server.log());
    let (mut alice, grafana) = (server.browser(), server.relying_party("grafana"));
    assert_eq!(alice.opens(grafana.auth_request("openid").url).await.status, 200);
}
