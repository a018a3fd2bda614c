//! Attacks by and on upstreams: redirects, a replaced or removed connector during a login (threats H 98, 101,
//! 103 and 104), and forged client addresses (J 119).

use serde_json::{Value, json};

use crate::scenarios::admin::api::ADMINS;
use crate::world::fakes::github::{self, GitHub};
use crate::world::fakes::provider::{CLIENT, Provider, SECRET};
use crate::world::fakes::web::Reply;
use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Client, OtherOrigin, Page, RelyingParty, Server, World,
    dex_sub, verified,
};

const RULES: &str = "oauth2:\n  skipApprovalScreen: true\nsessions:\n  upstreamRefreshInterval: 0s";

fn oidc(id: &str, provider: &Provider) -> String {
    format!(
        "- type: oidc\n  id: {id}\n  name: The {id}\n  config:\n    issuer: {}\n    clientID: \
         {CLIENT}\n    clientSecret: \"{SECRET}\"\n    getUserInfo: true\n    \
         insecureEnableGroups: true\n",
        provider.web.url
    )
}

fn world(connectors: &[String]) -> World {
    World::new().with(&format!("connectors:\n{}", connectors.concat())).with(RULES)
}

/// Follows the login through the upstream's approval; returns the callback URL.
async fn callback_url(browser: &mut Browser, app: &RelyingParty, connector: &str) -> reqwest::Url {
    browser.opens(app.auth_request_with("openid", &[("connector_id", connector)]).url).await;
    let upstream = browser.page().location().expect("it is next");
    browser.get(upstream).await.location().expect("a redirect back")
}

/// ID, access and refresh token of a login at this connector.
async fn tokens_from(browser: &mut Browser, app: &RelyingParty, connector: &str) -> [String; 3] {
    let scopes = "openid email groups offline_access";
    let request = app.auth_request_with(scopes, &[("connector_id", connector)]);
    browser.opens(&request.url).await;
    browser.continues_to_fake_upstream().await;
    let tokens = app.redeems(&request, &browser.auth_response()).await;
    [tokens.id_token(), tokens.access_token(), tokens.refresh_token()].map(str::to_owned)
}

fn is_signed_in(browser: &Browser) -> bool {
    browser.cookies().iter().any(|cookie| cookie.name.ends_with("-session"))
}

fn assert_refused(page: &Page, browser: &Browser, what: &str) {
    assert!(page.status >= 400 && page.location().is_none(), "{what}: {}", page.text());
    assert!(!is_signed_in(browser), "{what}");
}

/// H 101: redirects of back-channel requests are not followed.
#[tokio::test]
async fn redirects_of_an_upstream_are_not_followed() {
    let inside = OtherOrigin::start();
    for path in ["/.well-known/openid-configuration", "/keys", "/token", "/userinfo"] {
        let provider = Provider::start().await;
        let server = world(&[oidc("corp", &provider)]).start().await;
        let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
        let to = format!("{}/latest/meta-data", inside.url);
        provider.set(|behaviour| behaviour.replies = vec![(path, Reply::Redirect(to))]);
        jane.opens(app.auth_request_with("openid", &[("connector_id", "corp")]).url).await;
        if jane.page().location().is_some() {
            jane.continues_to_fake_upstream().await;
        }
        assert_refused(jane.page(), &jane, path);
        assert!(!provider.web.requests(path).is_empty(), "{path} was requested");
        let mut alice = server.browser();
        let request = app.auth_request_with("openid", &[("connector_id", "local")]);
        alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    }
    for path in ["/login/oauth/access_token", "/user"] {
        let fake = GitHub::start().await;
        let server = world(&[super_github(&fake)]).start().await;
        let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
        let to = format!("{}/latest/meta-data", inside.url);
        fake.set(|state| state.replies = vec![(path, Reply::Redirect(to))]);
        jane.opens(app.auth_request_with("openid", &[("connector_id", "github")]).url).await;
        let form = jane
            .continues_to_fake_upstream()
            .await
            .form_with("authorize")
            .expect("GitHub's authorization form");
        jane.submits(form.press("authorize", "1")).await;
        assert_refused(jane.page(), &jane, path);
    }
    assert!(inside.requests().is_empty(), "{:?}", inside.requests());
}

fn super_github(fake: &GitHub) -> String {
    let at = &fake.web.url;
    format!(
        "- type: github\n  id: github\n  name: GitHub\n  config:\n    clientID: {}\n    \
         clientSecret: {}\n    apiURLs: {{web: \"{at}\", api: \"{at}\"}}\n",
        github::CLIENT,
        github::SECRET
    )
}

/// H 101; CVE-2026-23603 (Gitea): these claims contain URLs chosen by somebody else.
#[tokio::test]
async fn picture_and_profile_urls_are_not_fetched() {
    let inside = OtherOrigin::start();
    let provider = Provider::start().await;
    let url = inside.url.clone();
    provider.claims(move |claims| {
        for name in ["picture", "profile", "website", "avatar_url"] {
            claims.insert(name.into(), json!(format!("{url}/{name}")));
        }
    });
    let server = world(&[oidc("corp", &provider)]).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    tokens_from(&mut jane, &app, "corp").await;
    for path in ["/", "/groups"] {
        let page = jane.opens(server.url(path)).await;
        assert!(page.status < 400 && !page.body.contains(&inside.url), "{path}: {}", page.body);
    }
    assert!(inside.requests().is_empty(), "{:?}", inside.requests());
}

/// H 103: a person is identified by the upstream's `sub` together with the connector.
#[tokio::test]
async fn the_same_id_at_two_upstreams_is_two_people() {
    let (first, second) = (Provider::start().await, Provider::start().await);
    let server = world(&[oidc("first", &first), oidc("second", &second)]).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let keys = app.gets("/keys").await.json;
    let [ours, _, _] = tokens_from(&mut jane, &app, "first").await;
    let other = app.auth_request_with("openid", &[("connector_id", "second"), ("prompt", "none")]);
    jane.opens(other.url).await;
    assert_eq!(jane.auth_error(), "login_required", "another person");
    let [theirs, _, _] = tokens_from(&mut server.browser(), &app, "second").await;
    let [ours, theirs] = [&ours, &theirs].map(|token| verified(token, &keys));
    assert_eq!(ours["email"], theirs["email"]);
    assert_eq!(ours["sub"], dex_sub("1234", "first"));
    assert_eq!(theirs["sub"], dex_sub("1234", "second"));
}

/// H 103 and D 58: the connector id stays, the issuer behind it changes.
#[tokio::test]
async fn a_connector_with_a_new_issuer_inherits_no_sessions() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    new.claims(|claims| {
        claims.insert("groups".into(), json!(["the-new-owners"]));
    });
    let world = world(&[oidc("corp", &old)]);
    let mut server = world.clone().start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let [_, access, refresh] = tokens_from(&mut jane, &app, "corp").await;
    server.stop().await;

    let moved = format!("connectors:\n{}", oidc("corp", &new));
    let server = world.with(&moved).start().await;
    let app = server.relying_party("example-app");
    let response = app.refreshes(&refresh).await;
    assert_eq!(
        (response.status, response.error()),
        (400, "invalid_grant"),
        "{}",
        response.page.body
    );
    assert_eq!(app.userinfo(&access).await.status, 401);
    jane.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    assert_eq!(jane.auth_error(), "login_required");
    assert!(!jane.opens(server.url("/")).await.body.contains("jane@example.com"));
    assert!(
        new.web.requests("/token").is_empty(),
        "no token of the old issuer is sent to the new one"
    );
    tokens_from(&mut jane, &app, "corp").await;
}

/// H 104; CVE-2026-2603: the connector was removed between redirect and callback.
#[tokio::test]
async fn a_login_started_at_a_connector_that_was_removed_is_refused() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    let world = world(&[oidc("corp", &old)]);
    let closed = world.clone().with("connectors: []");
    let moved = world.clone().with(&format!("connectors:\n{}", oidc("corp", &new)));
    let not_hers = Client::new("example-app").with("allowedConnectors: [local]");
    let narrowed = world.clone().client(not_hers);
    for (what, changed) in [("closed", closed), ("moved", moved), ("not hers", narrowed)] {
        let server = world.clone().start().await;
        let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
        let back = callback_url(&mut jane, &app, "corp").await;
        drop(server);
        let requests = old.web.requests("/token").len();
        let _server = changed.start().await;
        let page = jane.opens(&back).await.clone();
        let code = page.location().filter(|to| to.as_str().contains("code="));
        assert!(code.is_none() && page.status >= 300, "{what}: {}", page.text());
        assert!(what == "not hers" || !is_signed_in(&jane), "{what}");
        assert!(new.web.requests("/token").is_empty(), "{what}: a code of the old issuer");
        assert!(what != "closed" || old.web.requests("/token").len() == requests, "{what}");
    }
    // Unchanged, it would have been a login.
    let server = world.start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let back = callback_url(&mut jane, &app, "corp").await;
    jane.opens(back).await;
    jane.auth_response();
}

/// H 98: repeated `code`, `state` or `iss` are refused, without using the code.
#[tokio::test]
async fn repeated_parameters_of_an_upstream_response_are_refused() {
    let provider = Provider::start().await;
    let server = world(&[oidc("corp", &provider)]).start().await;
    let app = server.relying_party("example-app");
    for more in ["code=the-code", "code=another", "state=another", "error=access_denied", "code="] {
        let mut jane = server.browser();
        let back = callback_url(&mut jane, &app, "corp").await;
        for url in [format!("{back}&{more}"), format!("{back}&%63ode=the-code")] {
            let page = jane.opens(url).await.clone();
            assert_refused(&page, &jane, more);
        }
    }
    assert!(provider.web.requests("/token").is_empty());
}

/// J 119; CVE-2023-36456 (authentik): the audit log has the address of the connection, not of an untrusted
/// header.
#[tokio::test]
async fn a_forged_forwarding_header_does_not_reach_the_audit_log() {
    for (trusted, forged, known) in [
        ("203.0.113.0/24", "198.51.100.7", None),
        ("127.0.0.0/8", "198.51.100.7, 192.0.2.44", Some("192.0.2.44")),
        ("127.0.0.0/8", "198.51.100.7, 192.0.2.44, 127.0.0.5", Some("192.0.2.44")),
        ("127.0.0.0/8", "198.51.100.7, nonsense\"}", None),
    ] {
        let world = World::new().client(Client::new("ops")).with(ADMINS);
        let web = format!(
            "web:\n  http: {}\n  clientRemoteIP:\n    header: X-Forwarded-For\n    trustedProxies: \
             ['{trusted}']\n",
            world.origin().trim_start_matches("http://")
        );
        let server = world.with(&web).start().await;
        let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
        alice.with_forwarded_for(forged);
        alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
        let written = audit(&server).await;
        assert!(!written.contains("198.51.100.7") && !written.contains("nonsense"), "{written}");
        let expected = format!("\"ip\":\"{}", known.unwrap_or("127."));
        assert!(written.contains(&expected), "{trusted} {forged}: {written}");
    }
}

async fn audit(server: &Server) -> String {
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let read = async |path| ops.calls_api("GET", path, &token, Value::Null).await.json.to_string();
    format!("{}{}", read("/sessions").await, read("/events").await)
}
