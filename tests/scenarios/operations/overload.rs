//! Floods (threats F 78 and M 138): unauthenticated requests write nothing, and many logins are queued
//! without stopping other requests.

use std::path::PathBuf;

use crate::scenarios::login::passwords::verifications;
use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, World};

/// The contents of all files of SQLite.
fn database_files(dir: &std::path::Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = ["countersign.db", "countersign.db-wal"].map(|name| dir.join(name));
    files.into_iter().map(|file| (file.clone(), std::fs::read(&file).unwrap_or_default())).collect()
}

/// M 138: no byte is written by authorization requests, wrong passwords, callbacks or anything else without
/// authentication.
#[tokio::test]
async fn unauthenticated_requests_write_nothing() {
    let world = World::new().with("connectors:\n- type: mockCallback\n  id: mock\n  name: Mock\n");
    let dir = world.dir().to_owned();
    let server = world.start().await;
    let app = server.relying_party("example-app");
    let before = database_files(&dir);
    assert!(before.iter().any(|(_, bytes)| bytes.len() > 4096), "the database is there");

    let mut mallory = server.browser();
    for n in 0..300 {
        let connector = ["", "local", "mock"][n % 3];
        let url = app.auth_request_with("openid groups", &[("connector_id", connector)]).url;
        let page = mallory.get(url).await;
        assert!(matches!(page.status, 200 | 303), "{}", page.status);
    }
    for n in 0..30 {
        let mut other = server.browser();
        other.opens(app.auth_request_with("openid", &[("connector_id", "local")]).url).await;
        let login = if n % 2 == 0 { ALICE.to_owned() } else { format!("user{n}@example.com") };
        let page = other.signs_in(&login, "not-the-password").await;
        assert!(matches!(page.status, 401 | 429), "{}", page.status);
        other.get(server.url("/callback?state=s&code=c")).await;
        other.get(server.url("/logout")).await;
        other.post_form(server.url("/logout"), &[("csrf", "guess")]).await;
        app.refreshes("1.grant.1.mac").await;
        app.exchange(&[("grant_type", "authorization_code"), ("code", "guess")]).await;
        app.userinfo("e30.e30.e30").await;
    }
    assert!(database_files(&dir) == before, "unauthenticated requests wrote into the database");

    // A successful login is written, so the right files were compared.
    let mut alice = server.browser();
    let request = app.auth_request_with("openid", &[("connector_id", "mock")]);
    alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert!(database_files(&dir) != before);
}

/// F 78: a limited number of password hashes runs at once; other requests are served meanwhile.
#[tokio::test]
async fn many_logins_do_not_block_other_requests() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let mut tokens = app.redeems(&request, &auth_response).await;
    let before = verifications(&server).await;

    let mut storm = tokio::task::JoinSet::new();
    for n in 0..40 {
        let mut browser = server.browser();
        browser.opens(app.auth_request("openid").url).await;
        storm.spawn(async move {
            let login = format!("user{n}@example.com");
            browser.signs_in(&login, "not-the-password").await.status
        });
    }
    let mut statuses = Vec::new();
    let mut answered_meanwhile = 0;
    while !storm.is_empty() {
        for path in ["/keys", "/.well-known/openid-configuration", "/healthz"] {
            assert_eq!(send(bare_client().get(server.url(path))).await.status, 200, "{path}");
        }
        tokens = app.refreshes(tokens.refresh_token()).await;
        assert_eq!(tokens.status, 200, "{}", tokens.page.body);
        assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
        answered_meanwhile += 1;
        while let Some(done) = storm.try_join_next() {
            statuses.push(done.unwrap());
        }
    }
    assert_eq!(statuses, vec![401; 40]);
    assert_eq!(verifications(&server).await - before, 40, "each was verified, and once");
    assert!(answered_meanwhile > 1, "other requests were served meanwhile");
}

/// F 78: beyond the queue logins get 503.
#[tokio::test]
async fn logins_beyond_the_queue_are_refused_with_503() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let mut storm = tokio::task::JoinSet::new();
    for n in 0..95 {
        let mut browser = server.browser();
        browser.opens(app.auth_request("openid").url).await;
        storm.spawn(async move {
            let page = browser.signs_in(&format!("user{n}@example.com"), "not-the-password").await;
            let describes_time = page.header("retry-after").is_some();
            (page.status, page.form_with("password").is_some(), describes_time)
        });
    }
    let responses = storm.join_all().await;
    for response in &responses {
        assert!(matches!(response, (401, true, false) | (503, true, true)), "{response:?}");
    }
    let (mut alice, request) = (server.browser(), app.auth_request("openid"));
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert_eq!(app.redeems(&request, &auth_response).await.status, 200);
}
