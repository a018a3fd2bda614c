//! Third-party client libraries. The crate `openidconnect` signs in and refreshes, and verifies signature,
//! issuer, audience, nonce, times and `at_hash` itself. The npm package `openid-client` revokes (RFC 7009),
//! introspects (RFC 7662), signs out and reads the administrator's API; `jose` verifies logout tokens.

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

/// The whole way of a login: its answer holds `tokens`, and the `claims` of the ID token it verified.
async fn signs_on(
    alice: &mut Browser,
    theirs: &mut OpenIdClient,
    app: &RelyingParty,
    scope: &str,
) -> Value {
    let order = json!({"op": "authorize", "redirect_uri": app.redirect_uri, "scope": scope});
    let asked = theirs.executes(order);
    alice.opens(asked["url"].as_str().unwrap()).await;
    if alice.page().form_with("password").is_some() {
        alice.signs_in(ALICE, ALICE_PASSWORD).await;
    }
    theirs.executes(json!({"op": "comes back", "url": alice.auth_response().url.as_str()}))
}

/// RFC 7009: her refresh token, and with it whatever came of the same code.
#[tokio::test]
async fn upstreams_openid_client_gives_a_refresh_token_back() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (server, mut alice, app) = start().await;
    let mut theirs = OpenIdClient::acting_as(&app, &server);
    let scope = "openid email offline_access";
    let first = signs_on(&mut alice, &mut theirs, &app, scope).await;
    assert_eq!(first["claims"]["email"], ALICE);
    let other = signs_on(&mut alice, &mut theirs, &app, scope).await;
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
    // Section 2.2: a token that is gone, or never was, is no error.
    theirs.executes(json!({"op": "revoke", "token": token}));
    theirs.executes(json!({"op": "revoke", "token": "never-a-token"}));
}

/// RFC 7662.
#[tokio::test]
async fn upstreams_openid_client_asks_what_a_token_is_worth() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (server, mut alice, app) = start().await;
    let mut theirs = OpenIdClient::acting_as(&app, &server);
    let scope = "openid email offline_access";
    let tokens = signs_on(&mut alice, &mut theirs, &app, scope).await;
    let (claims, tokens) = (&tokens["claims"], &tokens["tokens"]);
    for kind in ["access_token", "refresh_token"] {
        let told = theirs.executes(json!({"op": "introspect", "token": tokens[kind]}));
        let told = &told["told"];
        assert_eq!(told["active"], true, "{kind}: {told}");
        assert_eq!(told["sub"], claims["sub"], "{kind}: {told}");
        assert_eq!(told["client_id"], "example-app", "{kind}: {told}");
    }
    theirs.executes(json!({"op": "revoke", "token": tokens["access_token"]}));
    for kind in ["access_token", "refresh_token"] {
        let told = theirs.executes(json!({"op": "introspect", "token": tokens[kind]}));
        assert_eq!(told["told"], json!({"active": false}), "{kind}");
    }
}

/// RP-Initiated Logout 1.0 sections 2 and 3.
#[tokio::test]
async fn upstreams_openid_client_signs_her_out_and_gets_her_back() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (server, mut alice, app) = start().await;
    let mut theirs = OpenIdClient::acting_as(&app, &server);
    let here = signs_on(&mut alice, &mut theirs, &app, "openid").await;
    let asked = theirs.executes(json!({
        "op": "log out", "id_token": here["tokens"]["id_token"], "back": BACK, "state": "s 1",
    }));
    let page = alice.opens(asked["url"].as_str().unwrap()).await;
    let place = page.location().unwrap_or_else(|| panic!("{}", page.text()));
    assert_eq!(place.as_str(), format!("{BACK}&state=s+1"));
    let told =
        theirs.executes(json!({"op": "introspect", "token": here["tokens"]["access_token"]}));
    assert_eq!(told["told"]["active"], false);
    alice.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    assert_eq!(alice.auth_error(), "login_required");
}

/// RFC 6749 section 4.4: a client of `admin.clients`, and no other.
#[tokio::test]
async fn upstreams_openid_client_lists_sessions_with_a_token_of_its_own() {
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

    let order = json!({"op": "own token", "scope": "countersign:admin"});
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

/// Back-Channel Logout 1.0 sections 2.4 to 2.8, as `jose` verifies them: an end by an administrator names the
/// session that her ID token named.
#[tokio::test]
async fn upstreams_jose_believes_the_logout_token_of_an_administrators_end() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let world = World::new().with(SKIP).with(ADMINS).client(Client::new("ops"));
    let mut grafana = VerifyingLogoutReceiver::start(&world, "grafana");
    let server = world.client(grafana.client("grafana")).start().await;
    let (app, ops) = (server.relying_party("grafana"), server.relying_party("ops"));
    let mut theirs = OpenIdClient::acting_as(&app, &server);
    let (mut home, mut work) = (server.browser(), server.browser());
    let at_home = signs_on(&mut home, &mut theirs, &app, "openid").await["claims"].clone();
    let at_work = signs_on(&mut work, &mut theirs, &app, "openid").await["claims"].clone();
    assert_ne!(at_home["sid"], at_work["sid"]);

    let admin = ops.client_credentials_token().await;
    for (ended, claims) in [&at_home, &at_work].into_iter().enumerate() {
        let path = format!("/sessions/{}", claims["sid"].as_str().unwrap());
        let response = ops.calls_api("DELETE", &path, &admin, Value::Null).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        server.waits_for_log(ended + 1, "logout_notification_delivered").await;
        let told = &grafana.accepted()[ended];
        assert_eq!((&told["sub"], &told["sid"]), (&claims["sub"], &claims["sid"]));
        assert_eq!(told["iss"], server.issuer());
    }
    assert!(grafana.refused().is_empty(), "{:?}", grafana.refused());
    assert_eq!(grafana.accepted().len(), 2);
}

/// Section 2.6; it is the receiver that is tried here: one that believed everything would show nothing above.
#[tokio::test]
async fn upstreams_jose_refuses_what_is_no_logout_token_for_it() {
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
    let here = signs_on(&mut alice, &mut theirs, &app, "openid").await;
    for token in ["id_token", "access_token"] {
        let form = [("logout_token", here["tokens"][token].as_str().unwrap())];
        assert_eq!(
            bare_client().post(&grafana.url).form(&form).send().await.unwrap().status(),
            400
        );
    }
    let refused = grafana.refused();
    assert!(refused.iter().all(|refusal| refusal["claim"] == "typ"), "{refused:?}");

    // What is for another application is refused, and not told again (section 2.8).
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

/// One life of that application, from discovery to userinfo, in the shoes of `client`.
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
    // It compares the `sub` of userinfo with the one it knows.
    let userinfo = theirs.step("userinfo");
    assert_eq!(userinfo["email"], ALICE, "{userinfo}");
    theirs.step("done");
}

#[tokio::test]
async fn relying_party_of_other_people_logs_alice_in_and_refreshes() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    runs_as(World::new(), "example-app", "RS256").await;
}

#[tokio::test]
async fn relying_party_of_other_people_without_a_secret_does_the_same() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    runs_as(World::new().client(Client::public("cli")), "cli", "RS256").await;
}

#[tokio::test]
async fn relying_party_of_other_people_reads_tokens_signed_by_es256() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    let signer = "signer:\n  type: local\n  config:\n    algorithm: ES256";
    runs_as(World::new().with(signer), "example-app", "ES256").await;
}
