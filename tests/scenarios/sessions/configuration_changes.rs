//! Changes of the configuration file apply to people who are signed in already (threat D 58): at the next
//! refresh, and in the browser.

use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Client, Person, RelyingParty, Server, World, claims,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

/// A browser and tokens from before the change.
struct Held {
    browser: Browser,
    refresh_token: String,
    access_token: String,
}

fn app(server: &Server) -> RelyingParty {
    server.relying_party("example-app")
}

/// Signs Alice in, then stops the server.
async fn sign_in_and_stop(world: &World) -> Held {
    let mut server = world.clone().start().await;
    let (mut browser, app) = (server.browser(), app(&server));
    let request = app.auth_request("openid groups offline_access");
    let auth_response = browser.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
    assert!(server.stop().await.success());
    let (refresh_token, access_token) = (tokens.refresh_token(), tokens.access_token());
    let (refresh_token, access_token) = (refresh_token.to_owned(), access_token.to_owned());
    Held { browser, refresh_token, access_token }
}

async fn assert_session_is_over(server: &Server, held: &mut Held) {
    let refused = app(server).refreshes(&held.refresh_token).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant"), "{}", refused.page.body);
    let silent = app(server).auth_request_with("openid", &[("prompt", "none")]);
    held.browser.opens(silent.url).await;
    assert_eq!(held.browser.auth_error(), "login_required");
}

fn alice() -> Person {
    Person::new(ALICE, ALICE_PASSWORD).groups(&["admins", "developers"])
}

/// CVE-2022-31677 (Pinniped), CVE-2025-53942 (authentik): groups stayed as they were at the first login.
#[tokio::test]
async fn a_removed_group_is_absent_from_the_next_token() {
    let alice = alice();
    let world = World::new().with(SKIP).person(alice.clone());
    let mut held = sign_in_and_stop(&world).await;
    let server = world.person(alice.groups(&["developers"])).start().await;
    let refreshed = app(&server).refreshes(&held.refresh_token).await;
    assert_eq!(claims(refreshed.id_token())["groups"], serde_json::json!(["developers"]));
    let userinfo = app(&server).userinfo(refreshed.access_token()).await.json;
    assert_eq!(userinfo["groups"], serde_json::json!(["developers"]));

    let request = app(&server).auth_request("openid groups");
    held.browser.opens(&request.url).await;
    let tokens = app(&server).redeems(&request, &held.browser.auth_response()).await;
    assert_eq!(claims(tokens.id_token())["groups"], serde_json::json!(["developers"]));
}

/// CVE-2026-43983 (Pocket ID): a changed password must end the sessions of the old one.
#[tokio::test]
async fn a_changed_password_ends_the_sessions_of_the_old_one() {
    let world = World::new().with(SKIP);
    let mut held = sign_in_and_stop(&world).await;
    let server = world.person(Person::new(ALICE, "alice-has-a-new-one-1")).start().await;
    assert_session_is_over(&server, &mut held).await;
    let request = app(&server).auth_request("openid");
    let auth_response = held.browser.logs_in(&request, ALICE, "alice-has-a-new-one-1").await;
    assert_eq!(app(&server).redeems(&request, &auth_response).await.status, 200);
}

/// A password section without Alice.
fn others() -> String {
    let hash = bcrypt::hash("carol-sings-3-songs", 10).unwrap();
    format!(
        "staticPasswords:\n- email: carol@example.com\n  hash: '{hash}'\n  userID: carol\n  \
         username: carol"
    )
}

/// The retry of a refresh within the reuse interval issues tokens too, so it needs the same checks as the
/// first attempt.
#[tokio::test]
async fn a_retry_within_the_reuse_interval_is_refused_after_a_password_change() {
    let world = World::new().with(SKIP);
    let mut server = world.clone().start().await;
    let request = app(&server).auth_request("openid offline_access");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let first = app(&server).redeems(&request, &auth_response).await.refresh_token().to_owned();
    assert_eq!(app(&server).refreshes(&first).await.status, 200);
    assert_eq!(
        app(&server).refreshes(&first).await.status,
        200,
        "a retry within the reuse interval succeeds"
    );
    server.stop().await;
    let server = world.person(Person::new(ALICE, "alice-has-a-new-one-1")).start().await;
    let refused = app(&server).refreshes(&first).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant"), "{}", refused.page.body);
    // Refused because of the password; a retry is not reported as reuse.
    assert!(refused.page.body.contains("has changed"), "{}", refused.page.body);
}

/// CVE-2026-58422 (Gitea): a removed account that was added again got its old tokens back.
#[tokio::test]
async fn a_removed_account_is_refused_also_after_it_is_added_again() {
    let alice = alice();
    let world = World::new().with(SKIP).person(alice.clone());
    let mut held = sign_in_and_stop(&world).await;
    let mut server = world.clone().with(&others()).start().await;
    assert_session_is_over(&server, &mut held).await;
    assert_eq!(app(&server).userinfo(&held.access_token).await.status, 401);
    server.stop().await;

    let server = world.start().await;
    let refused = app(&server).refreshes(&held.refresh_token).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant"));
    assert_eq!(app(&server).userinfo(&held.access_token).await.status, 401);
    let request = app(&server).auth_request("openid");
    let auth_response = held.browser.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert_eq!(
        app(&server).redeems(&request, &auth_response).await.status,
        200,
        "she may sign in again"
    );
}

/// A session of a removed connector is not refreshed.
#[tokio::test]
async fn a_session_of_a_removed_connector_is_refused() {
    let world = World::new().with(SKIP);
    let mut held = sign_in_and_stop(&world).await;
    let mock = "connectors:\n- type: mockCallback\n  id: mock\n  name: Mock\n";
    let closed = world.with("enablePasswordDB: false").with("staticPasswords:").with(mock);
    let server = closed.start().await;
    assert_session_is_over(&server, &mut held).await;
}

#[tokio::test]
async fn a_connector_no_longer_allowed_for_a_client_is_refused_at_refresh() {
    let mock = "connectors:\n- type: mockCallback\n  id: mock\n  name: Mock\n";
    let world = World::new().with(SKIP).with(mock).client(Client::new("wiki"));
    let server = world.clone().start().await;
    let mut alice = server.browser();
    let mut tokens = Vec::new();
    for id in ["example-app", "wiki"] {
        let app = server.relying_party(id);
        let request = app.auth_request_with("openid offline_access", &[("connector_id", "local")]);
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        tokens.push(app.redeems(&request, &auth_response).await.refresh_token().to_owned());
    }
    drop(server);
    let wiki = Client::new("wiki").with("allowedConnectors: [mock]");
    let server = world.client(wiki).start().await;
    let refused = server.relying_party("wiki").refreshes(&tokens[1]).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant"));
    assert_eq!(app(&server).refreshes(&tokens[0]).await.status, 200);
}

#[tokio::test]
async fn tokens_of_a_removed_client_are_refused() {
    let world = World::new().with(SKIP).client(Client::new("wiki"));
    let held = sign_in_and_stop(&world).await;
    let gone = "staticClients:\n- id: wiki\n  secret: the-secret-of-wiki-61616161\n  name: Wiki\n  \
                redirectURIs: ['https://wiki.example.com/callback']";
    let server = world.with(gone).start().await;
    let refused = app(&server).refreshes(&held.refresh_token).await;
    assert_eq!((refused.status, refused.error()), (401, "invalid_client"));
    let wiki = server.relying_party("wiki");
    assert_eq!(wiki.userinfo(&held.access_token).await.status, 401);
    let other = wiki.refreshes(&held.refresh_token).await;
    assert_eq!((other.status, other.error()), (400, "invalid_grant"));
}
