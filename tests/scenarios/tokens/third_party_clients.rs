//! Third-party client libraries. The crate `openidconnect` signs in and refreshes, and verifies signature,
//! issuer, audience, nonce, times and `at_hash`. The npm package `openid-client` revokes (RFC 7009),
//! introspects (RFC 7662), logs out and reads the administrator's API; `jose` verifies logout tokens.

use serde_json::{Value, json};

use crate::world::http::bare_client;
use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Client, Need, OpenIdClient, RelyingParty, Server,
    ThirdPartyClient, VerifyingLogoutReceiver, World,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const ADMINS: &str = "admin:\n  clients: [ops]";
const BACK: &str = "https://example-app.example.com/bye?from=us";

async fn start() -> (Server, Browser, RelyingParty) {
    let app = Client::new("example-app").with(&format!("postLogoutRedirectURIs: ['{BACK}']"));
    let server = World::new().with(SKIP).client(app).start().await;
    let (alice, app) = (server.browser(), server.relying_party("example-app"));
    (server, alice, app)
}

/// A whole login; the response has `tokens` and the `claims` of the verified ID token.
async fn logs_in_with(
    alice: &mut Browser,
    theirs: &mut OpenIdClient,
    app: &RelyingParty,
    scope: &str,
) -> Value {
    let order = json!({"op": "authorize", "redirect_uri": app.redirect_uri, "scope": scope});
    let request = theirs.executes(order);
    alice.opens(request["url"].as_str().unwrap()).await;
    if alice.page().form_with("password").is_some() {
        alice.signs_in(ALICE, ALICE_PASSWORD).await;
    }
    theirs.executes(json!({"op": "callback", "url": alice.auth_response().url.as_str()}))
}

/// RFC 7009: a refresh token, and with it the whole grant.
#[tokio::test]
async fn upstreams_openid_client_revokes_a_refresh_token() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (server, mut alice, app) = start().await;
    let mut theirs = OpenIdClient::acting_as(&app, &server);
    let scope = "openid email offline_access";
    let first = logs_in_with(&mut alice, &mut theirs, &app, scope).await;
    assert_eq!(first["claims"]["email"], ALICE);
    let other = logs_in_with(&mut alice, &mut theirs, &app, scope).await;
    let refresh = |of: &Value| json!({"op": "refresh", "token": of["tokens"]["refresh_token"]});
    let current = theirs.executes(refresh(&first));

    let token = &current["tokens"]["refresh_token"];
    theirs.executes(json!({"op": "revoke", "token": token, "hint": "refresh_token"}));
    let refused = theirs.attempts(refresh(&current));
    assert_eq!(refused["error"], "invalid_grant", "{refused}");
    assert_eq!(refused["status"], 400, "{refused}");
    let access = current["tokens"]["access_token"].as_str().unwrap();
    assert_eq!(app.userinfo(access).await.status, 401);
    theirs.executes(refresh(&other));
    // Section 2.2: an unknown token is no error.
    theirs.executes(json!({"op": "revoke", "token": token}));
    theirs.executes(json!({"op": "revoke", "token": "never-a-token"}));
}

/// RFC 7662.
#[tokio::test]
async fn upstreams_openid_client_introspects_tokens() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (server, mut alice, app) = start().await;
    let mut theirs = OpenIdClient::acting_as(&app, &server);
    let scope = "openid email offline_access";
    let tokens = logs_in_with(&mut alice, &mut theirs, &app, scope).await;
    let (claims, tokens) = (&tokens["claims"], &tokens["tokens"]);
    for kind in ["access_token", "refresh_token"] {
        let received = theirs.executes(json!({"op": "introspect", "token": tokens[kind]}));
        let received = &received["introspected"];
        assert_eq!(received["active"], true, "{kind}: {received}");
        assert_eq!(received["sub"], claims["sub"], "{kind}: {received}");
        assert_eq!(received["client_id"], "example-app", "{kind}: {received}");
    }
    theirs.executes(json!({"op": "revoke", "token": tokens["access_token"]}));
    for kind in ["access_token", "refresh_token"] {
        let received = theirs.executes(json!({"op": "introspect", "token": tokens[kind]}));
        assert_eq!(received["introspected"], json!({"active": false}), "{kind}");
    }
}

/// RP-Initiated Logout 1.0 sections 2 and 3.
#[tokio::test]
async fn upstreams_openid_client_logs_alice_out_and_gets_her_redirected_back() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (server, mut alice, app) = start().await;
    let mut theirs = OpenIdClient::acting_as(&app, &server);
    let here = logs_in_with(&mut alice, &mut theirs, &app, "openid").await;
    let requested = theirs.executes(json!({
        "op": "logout", "id_token": here["tokens"]["id_token"], "back": BACK, "state": "s 1",
    }));
    let page = alice.opens(requested["url"].as_str().unwrap()).await;
    let place = page.location().unwrap_or_else(|| panic!("{}", page.text()));
    assert_eq!(place.as_str(), format!("{BACK}&state=s+1"));
    let received =
        theirs.executes(json!({"op": "introspect", "token": here["tokens"]["access_token"]}));
    assert_eq!(received["introspected"]["active"], false);
    alice.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    assert_eq!(alice.auth_error(), "login_required");
}

/// RFC 6749 section 4.4: only clients in `admin.clients`.
#[tokio::test]
async fn upstreams_openid_client_lists_sessions_with_a_client_credentials_token() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let world = World::new().with(SKIP).with(ADMINS).client(Client::new("ops"));
    let server = world.start().await;
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid email");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let sid =
        crate::world::claims(app.redeems(&request, &auth_response).await.id_token())["sid"].clone();

    let order = json!({"op": "client_credentials", "scope": "countersign:admin"});
    let mut ops = OpenIdClient::acting_as(&server.relying_party("ops"), &server);
    let token = ops.executes(order.clone())["tokens"]["access_token"].clone();
    let url = server.url("/api/v1/sessions");
    let listed = ops.executes(json!({"op": "read", "token": token, "url": url}));
    assert_eq!(listed["status"], 200, "{listed}");
    let found = listed["body"]["sessions"].as_array().unwrap();
    assert_eq!(found.iter().map(|session| &session["id"]).collect::<Vec<_>>(), [&sid], "{listed}");

    let mut other = OpenIdClient::acting_as(&app, &server);
    let refused = other.attempts(order);
    assert_eq!(refused["error"], "unauthorized_client", "{refused}");
}

/// Back-Channel Logout 1.0 sections 2.4 to 2.8, as `jose` verifies them: the logout token names the session
/// of her ID token.
#[tokio::test]
async fn upstreams_jose_verifies_the_logout_token_of_a_session_ended_by_an_administrator() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let world = World::new().with(SKIP).with(ADMINS).client(Client::new("ops"));
    let mut grafana = VerifyingLogoutReceiver::start(&world, "grafana");
    let server = world.client(grafana.client("grafana")).start().await;
    let (app, ops) = (server.relying_party("grafana"), server.relying_party("ops"));
    let mut theirs = OpenIdClient::acting_as(&app, &server);
    let (mut home, mut work) = (server.browser(), server.browser());
    let at_home = logs_in_with(&mut home, &mut theirs, &app, "openid").await["claims"].clone();
    let at_work = logs_in_with(&mut work, &mut theirs, &app, "openid").await["claims"].clone();
    assert_ne!(at_home["sid"], at_work["sid"]);

    let admin = ops.client_credentials_token().await;
    for (ended, claims) in [&at_home, &at_work].into_iter().enumerate() {
        let path = format!("/sessions/{}", claims["sid"].as_str().unwrap());
        let response = ops.calls_api("DELETE", &path, &admin, Value::Null).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        server.waits_for_log(ended + 1, "logout_notification_delivered").await;
        let received = &grafana.accepted()[ended];
        assert_eq!((&received["sub"], &received["sid"]), (&claims["sub"], &claims["sid"]));
        assert_eq!(received["iss"], server.issuer());
    }
    assert!(grafana.refused().is_empty(), "{:?}", grafana.refused());
    assert_eq!(grafana.accepted().len(), 2);
}

/// Section 2.6; checks the receiver itself, since one that accepts everything would make the test above
/// worthless.
#[tokio::test]
async fn upstreams_jose_refuses_other_tokens_as_logout_tokens() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let world = World::new().with(SKIP);
    let mut grafana = VerifyingLogoutReceiver::start(&world, "grafana");
    let wiki = grafana.client("wiki");
    let server = world.client(grafana.client("grafana")).client(wiki).start().await;
    let app = server.relying_party("grafana");
    let mut theirs = OpenIdClient::acting_as(&app, &server);
    let mut alice = server.browser();
    let here = logs_in_with(&mut alice, &mut theirs, &app, "openid").await;
    for token in ["id_token", "access_token"] {
        let form = [("logout_token", here["tokens"][token].as_str().unwrap())];
        assert_eq!(
            bare_client().post(&grafana.url).form(&form).send().await.unwrap().status(),
            400
        );
    }
    let refused = grafana.refused();
    assert!(refused.iter().all(|refusal| refusal["claim"] == "typ"), "{refused:?}");

    // A token with another audience is refused, and not sent again (section 2.8).
    let wiki = server.relying_party("wiki");
    let request = wiki.auth_request("openid");
    wiki.redeems(&request, &alice.logs_in(&request, ALICE, ALICE_PASSWORD).await).await;
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").unwrap();
    alice.submits(form).await;
    server.waits_for_log(1, "logout_notification_delivered").await;
    server.waits_for_log(1, "logout_notification_failed").await;
    let [accepted] = &grafana.accepted()[..] else { panic!("{:?}", grafana.accepted()) };
    assert_eq!(accepted["sid"], here["claims"]["sid"]);
    assert_eq!(grafana.refused()[2]["claim"], "aud", "{:?}", grafana.refused());
}

/// The whole program of tests/relying-party, from discovery to userinfo, as `client`.
async fn runs_as(world: World, client: &str, algorithm: &str) {
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party(client));
    let scopes = "email groups offline_access";
    let mut theirs = ThirdPartyClient::acting_as(&app, &server.issuer(), scopes);

    let authorize = theirs.step("authorize");
    let url = authorize["url"].as_str().unwrap();
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    assert!(url.starts_with(discovery["authorization_endpoint"].as_str().unwrap()), "{url}");
    assert!(url.contains("code_challenge_method=S256"), "{url}");
    assert!(url.contains("nonce=") && url.contains("state="), "{url}");
    let algorithms = &discovery["id_token_signing_alg_values_supported"];
    assert_eq!(*algorithms, serde_json::json!([algorithm]));

    alice.opens(url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    theirs.receives_callback(alice.auth_response().url.as_str());

    let tokens = theirs.step("tokens");
    assert_eq!(tokens["email"], ALICE, "{tokens}");
    assert!(tokens["subject"].as_str().is_some_and(|subject| !subject.is_empty()), "{tokens}");
    let refreshed = theirs.step("refreshed");
    assert_eq!(refreshed["subject"], tokens["subject"], "{refreshed}");
    // The library compares the `sub` of userinfo with that of the ID token.
    let userinfo = theirs.step("userinfo");
    assert_eq!(userinfo["email"], ALICE, "{userinfo}");
    theirs.step("done");
}

#[tokio::test]
async fn relying_party_openidconnect_logs_alice_in_and_refreshes() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    runs_as(World::new(), "example-app", "RS256").await;
}

#[tokio::test]
async fn relying_party_openidconnect_as_a_public_client_logs_alice_in() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    runs_as(World::new().client(Client::public("cli")), "cli", "RS256").await;
}

#[tokio::test]
async fn relying_party_openidconnect_verifies_es256() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    let signer = "signer:\n  type: local\n  config:\n    algorithm: ES256";
    runs_as(World::new().with(signer), "example-app", "ES256").await;
}
