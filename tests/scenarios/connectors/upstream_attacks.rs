//! Upstreams that lead elsewhere, are exchanged for others, or are taken away while somebody is on the way
//! (threats H 98, 101, 103 and 104), and addresses that only somebody says (J 119).

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

/// As far as the upstream's own "yes": what brings her back.
async fn leaves(browser: &mut Browser, app: &RelyingParty, connector: &str) -> reqwest::Url {
    browser.opens(app.auth_request_with("openid", &[("connector_id", connector)]).url).await;
    let upstream = browser.page().location().expect("it is next");
    browser.get(upstream).await.location().expect("it sends her back")
}

/// ID, access and refresh token of a login by this connector.
async fn comes_by(browser: &mut Browser, app: &RelyingParty, connector: &str) -> [String; 3] {
    let scopes = "openid email groups offline_access";
    let request = app.auth_request_with(scopes, &[("connector_id", connector)]);
    browser.opens(&request.url).await;
    browser.continues_to_fake_upstream().await;
    let told = app.redeems(&request, &browser.auth_response()).await;
    [told.id_token(), told.access_token(), told.refresh_token()].map(str::to_owned)
}

fn is_signed_in(browser: &Browser) -> bool {
    browser.cookies().iter().any(|cookie| cookie.name.ends_with("-session"))
}

fn refused(page: &Page, browser: &Browser, what: &str) {
    assert!(page.status >= 400 && page.location().is_none(), "{what}: {}", page.text());
    assert!(!is_signed_in(browser), "{what}");
}

/// H 101: what may be asked is decided before it is asked, so nothing that answers may move it.
#[tokio::test]
async fn an_upstream_that_redirects_us_leads_us_nowhere() {
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
        refused(jane.page(), &jane, path);
        assert!(!provider.web.asked(path).is_empty(), "{path} was asked");
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
        let form =
            jane.continues_to_fake_upstream().await.form_with("authorize").expect("GitHub asks");
        jane.submits(form.press("authorize", "1")).await;
        refused(jane.page(), &jane, path);
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

/// H 101; CVE-2026-23603 (Gitea): a picture is an address that somebody else chose.
#[tokio::test]
async fn nobody_fetches_her_picture_or_her_profile() {
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
    comes_by(&mut jane, &app, "corp").await;
    for path in ["/", "/groups"] {
        let page = jane.opens(server.url(path)).await;
        assert!(page.status < 400 && !page.body.contains(&inside.url), "{path}: {}", page.body);
    }
    assert!(inside.requests().is_empty(), "{:?}", inside.requests());
}

/// H 103: who somebody is is what one upstream says, together with which one it was.
#[tokio::test]
async fn one_id_at_two_upstreams_is_two_people() {
    let (first, second) = (Provider::start().await, Provider::start().await);
    let server = world(&[oidc("first", &first), oidc("second", &second)]).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let keys = app.gets("/keys").await.json;
    let [ours, _, _] = comes_by(&mut jane, &app, "first").await;
    let other = app.auth_request_with("openid", &[("connector_id", "second"), ("prompt", "none")]);
    jane.opens(other.url).await;
    assert_eq!(jane.auth_error(), "login_required", "the one is not the other");
    let [theirs, _, _] = comes_by(&mut server.browser(), &app, "second").await;
    let [ours, theirs] = [&ours, &theirs].map(|token| verified(token, &keys));
    assert_eq!(ours["email"], theirs["email"]);
    assert_eq!(ours["sub"], dex_sub("1234", "first"));
    assert_eq!(theirs["sub"], dex_sub("1234", "second"));
}

/// H 103 and D 58: the id of the connector stayed, the workspace behind it did not.
#[tokio::test]
async fn a_connector_that_became_another_house_takes_nobody_over() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    new.claims(|claims| {
        claims.insert("groups".into(), json!(["the-new-owners"]));
    });
    let world = world(&[oidc("corp", &old)]);
    let mut server = world.clone().start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let [_, access, refresh] = comes_by(&mut jane, &app, "corp").await;
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
    assert!(new.web.asked("/token").is_empty(), "no token of the old house goes to the new one");
    comes_by(&mut jane, &app, "corp").await;
}

/// H 104; CVE-2026-2603: she left by a way in that is closed when she comes back.
#[tokio::test]
async fn a_trip_that_began_by_a_way_that_is_closed_since_ends_nowhere() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    let world = world(&[oidc("corp", &old)]);
    let closed = world.clone().with("connectors: []");
    let moved = world.clone().with(&format!("connectors:\n{}", oidc("corp", &new)));
    let not_hers = Client::new("example-app").with("allowedConnectors: [local]");
    let narrowed = world.clone().client(not_hers);
    for (what, changed) in [("closed", closed), ("moved", moved), ("not hers", narrowed)] {
        let server = world.clone().start().await;
        let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
        let back = leaves(&mut jane, &app, "corp").await;
        drop(server);
        let asked = old.web.asked("/token").len();
        let _server = changed.start().await;
        let page = jane.opens(&back).await.clone();
        let code = page.location().filter(|to| to.as_str().contains("code="));
        assert!(code.is_none() && page.status >= 300, "{what}: {}", page.text());
        assert!(what == "not hers" || !is_signed_in(&jane), "{what}");
        assert!(new.web.asked("/token").is_empty(), "{what}: a code of the old house");
        assert!(what != "closed" || old.web.asked("/token").len() == asked, "{what}");
    }
    // All the same it would have been a login.
    let server = world.start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let back = leaves(&mut jane, &app, "corp").await;
    jane.opens(back).await;
    jane.auth_response();
}

/// H 98: of two codes, states or issuers neither is the answer, and no code is spent.
#[tokio::test]
async fn an_answer_of_an_upstream_says_everything_once() {
    let provider = Provider::start().await;
    let server = world(&[oidc("corp", &provider)]).start().await;
    let app = server.relying_party("example-app");
    for more in ["code=the-code", "code=another", "state=another", "error=access_denied", "code="] {
        let mut jane = server.browser();
        let back = leaves(&mut jane, &app, "corp").await;
        for url in [format!("{back}&{more}"), format!("{back}&%63ode=the-code")] {
            let page = jane.opens(url).await.clone();
            refused(&page, &jane, more);
        }
    }
    assert!(provider.web.asked("/token").is_empty());
}

/// J 119; CVE-2023-36456 (authentik): the address in the audit log is where it came from, not what it said.
#[tokio::test]
async fn nobody_writes_another_address_into_the_audit_log() {
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
