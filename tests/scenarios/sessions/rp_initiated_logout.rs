//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0; threats D 62, 63, 64): a client signs a
//! person out with an ID token of this session as `id_token_hint`.

use std::time::Duration;

use reqwest::Url;

use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Client, Need, RelyingParty, Server,
    ThirdPartyClient, World,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
pub const BACK: &str = "https://example-app.example.com/bye?from=us";

pub fn world() -> World {
    let app = Client::new("example-app").with(&format!("postLogoutRedirectURIs: ['{BACK}']"));
    let other = Client::new("other").with("postLogoutRedirectURIs: ['https://other.example.com/']");
    World::new().with(SKIP).client(app).client(other).client(Client::public("kubernetes"))
}

pub async fn start() -> (Server, Browser, RelyingParty) {
    let server = world().start().await;
    let (alice, app) = (server.browser(), server.relying_party("example-app"));
    (server, alice, app)
}

pub struct Tokens {
    pub id: String,
    pub access: String,
    pub refresh: Option<String>,
}

pub async fn logs_in_at(browser: &mut Browser, app: &RelyingParty, scopes: &str) -> Tokens {
    let request = app.auth_request(scopes);
    let auth_response = browser.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    Tokens {
        id: response.id_token().to_owned(),
        access: response.access_token().to_owned(),
        refresh: response.json["refresh_token"].as_str().map(str::to_owned),
    }
}

pub fn logout(server: &Server, parameters: &[(&str, &str)]) -> String {
    Url::parse_with_params(&server.url("/logout"), parameters).unwrap().to_string()
}

async fn is_signed_in(browser: &mut Browser, app: &RelyingParty) -> bool {
    browser.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    let location = browser.page().location().unwrap();
    let is_in = location.query_pairs().any(|(name, _)| name == "code");
    assert!(is_in || location.query().unwrap().contains("login_required"), "{location}");
    is_in
}

/// Sections 2 and 3. Grants with `offline_access` stay live.
#[tokio::test]
async fn a_client_signs_alice_out_and_she_is_redirected_back() {
    let (server, mut alice, app) = start().await;
    let kubectl = server.relying_party("kubernetes");
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    assert_eq!(discovery["end_session_endpoint"], server.url("/logout"));
    let web = logs_in_at(&mut alice, &app, "openid").await;
    let offline = logs_in_at(&mut alice, &kubectl, "openid offline_access").await;

    let state = "a b&c=d/é";
    let url = logout(
        &server,
        &[
            ("id_token_hint", web.id.as_str()),
            ("post_logout_redirect_uri", BACK),
            ("state", state),
            ("client_id", "example-app"),
            ("ui_locales", "de"),
            ("logout_hint", ALICE),
        ],
    );
    let page = alice.opens(&url).await;
    assert_eq!(page.status, 303, "{}", page.text());
    let location = page.location().unwrap();
    assert!(location.as_str().starts_with(&format!("{BACK}&state=")), "{location}");
    let parameters: Vec<_> = location.query_pairs().into_owned().collect();
    assert_eq!(parameters, [("from".into(), "us".into()), ("state".into(), state.into())]);
    assert!(!alice.cookies().iter().any(|cookie| cookie.name.ends_with("-session")));
    assert!(!is_signed_in(&mut alice, &app).await);
    assert_eq!(app.userinfo(&web.access).await.status, 401);
    let refreshed = kubectl.refreshes(offline.refresh.as_deref().unwrap()).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);

    // A second request finds nothing to end and is redirected as well.
    let page = alice.opens(&url).await;
    assert_eq!(page.location().unwrap(), location);
}

/// Section 2: by POST too, although SameSite cookies are not sent with a cross-site form.
#[tokio::test]
async fn a_client_may_send_the_logout_request_by_post() {
    let (server, mut alice, app) = start().await;
    let tokens = logs_in_at(&mut alice, &app, "openid").await;
    let fields =
        [("id_token_hint", tokens.id.as_str()), ("post_logout_redirect_uri", BACK), ("state", "s")];
    let mut bare = server.browser();
    let moved = bare.post_form(server.url("/logout"), &fields).await;
    assert_eq!(moved.status, 303, "{}", moved.text());
    let next = moved.location().unwrap();
    assert!(next.as_str().starts_with(&server.url("/logout")), "{next}");
    assert!(!next.as_str().contains(&tokens.id), "the token is not put into a URL");
    let page = alice.opens(next).await;
    assert_eq!(page.location().unwrap().as_str(), format!("{BACK}&state=s"));
    assert!(!is_signed_in(&mut alice, &app).await);
}

/// Section 2: "the OP SHOULD accept ID Tokens … even when the exp time has passed".
#[tokio::test]
async fn an_expired_id_token_is_accepted_as_hint() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().with(SKIP).with("expiry:\n  idTokens: 10m").start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let tokens = logs_in_at(&mut alice, &app, "openid").await;
    server.advance(Duration::from_hours(1));
    assert!(is_signed_in(&mut alice, &app).await);
    let page = alice.opens(logout(&server, &[("id_token_hint", &tokens.id)])).await;
    assert!(page.status == 200 && page.form_with("csrf").is_none(), "{}", page.text());
    assert!(!is_signed_in(&mut alice, &app).await);
}

/// D 62: without a token of this session a confirmation is required.
#[tokio::test]
async fn a_hint_of_another_session_requires_confirmation() {
    let (server, mut alice, app) = start().await;
    let (mut session, mut bob) = (server.browser(), server.browser());
    let hers = logs_in_at(&mut alice, &app, "openid").await;
    let other_login = logs_in_at(&mut session, &app, "openid").await;
    let request = app.auth_request("openid");
    let auth_response = bob.logs_in(&request, BOB, BOB_PASSWORD).await;
    let bobs = app.redeems(&request, &auth_response).await.id_token().to_owned();
    for parameters in [
        vec![],
        vec![("client_id", "example-app"), ("post_logout_redirect_uri", BACK)],
        vec![("id_token_hint", bobs.as_str()), ("post_logout_redirect_uri", BACK)],
        vec![("id_token_hint", other_login.id.as_str())],
        vec![("id_token_hint", "not a token")],
        vec![("logout_hint", ALICE)],
        vec![("request", "1.not-sealed-by-us")],
    ] {
        let page = alice.opens(logout(&server, &parameters)).await;
        let is_confirmation = page.status == 200 && page.form_with("csrf").is_some();
        assert!(
            is_confirmation && page.headers.get("set-cookie").is_none(),
            "{parameters:?}: {}",
            page.text()
        );
        assert!(is_signed_in(&mut alice, &app).await, "{parameters:?}");
    }
    // HEAD is refused: it would run the handler of GET.
    let url = logout(&server, &[("id_token_hint", &hers.id)]);
    let head = crate::world::http::bare_client().head(&url);
    assert_eq!(crate::world::http::send(head).await.status, 405);
    assert!(is_signed_in(&mut alice, &app).await);
}

/// A confirmed request is redirected back, since the hint's client requested it.
#[tokio::test]
async fn after_her_confirmation_alice_is_redirected_back() {
    let (server, mut alice, app) = start().await;
    let mut session = server.browser();
    logs_in_at(&mut alice, &app, "openid").await;
    let other_login = logs_in_at(&mut session, &app, "openid").await;
    let parameters =
        [("id_token_hint", other_login.id.as_str()), ("post_logout_redirect_uri", BACK)];
    let page = alice.opens(logout(&server, &parameters)).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(!policy.contains("form-action"), "browsers stop the redirect after a form: {policy}");
    let form = page.form_with("csrf").unwrap();
    let page = alice.submits(form).await;
    assert_eq!(page.location().unwrap().as_str(), BACK);
    assert!(!is_signed_in(&mut alice, &app).await);
    assert!(is_signed_in(&mut session, &app).await);
}

/// oauth2-proxy's `--backend-logout-url`: the client's back end sends the request, without the person's browser.
#[tokio::test]
async fn a_clients_back_end_ends_the_session_of_its_id_token() {
    let (server, mut alice, app) = start().await;
    let kubectl = server.relying_party("kubernetes");
    let web = logs_in_at(&mut alice, &app, "openid").await;
    let offline = logs_in_at(&mut alice, &kubectl, "openid offline_access").await;
    let mut back_end = server.browser();
    let page = back_end.opens(logout(&server, &[("id_token_hint", &web.id)])).await;
    assert_eq!((page.status, page.all("h1")), (200, vec!["You are signed out".to_owned()]));
    assert!(!is_signed_in(&mut alice, &app).await);
    assert_eq!(app.userinfo(&web.access).await.status, 401);
    // Grants with `offline_access` stay live, as after any logout.
    let refreshed = kubectl.refreshes(offline.refresh.as_deref().unwrap()).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);
    let events = server.runs_command(&["events", "--config", "CONFIG", "--output", "json"], &[]);
    let events = String::from_utf8(events.stdout).unwrap();
    assert!(events.contains("client:example-app"), "the event names the client: {events}");
}

/// A token that is not a valid hint ends no session, and the page says so.
#[tokio::test]
async fn a_back_end_with_an_invalid_hint_ends_nothing_and_the_page_names_the_reason() {
    let (server, mut alice, app) = start().await;
    let foreign = world().start().await;
    let foreign_app = foreign.relying_party("example-app");
    let theirs = logs_in_at(&mut foreign.browser(), &foreign_app, "openid").await;
    let web = logs_in_at(&mut alice, &app, "openid").await;
    // The last one is valid, but not of the client that names itself.
    for (hint, client) in [
        ("not a token", None),
        (web.access.as_str(), None),
        (theirs.id.as_str(), None),
        (web.id.as_str(), Some(("client_id", "kubernetes"))),
    ] {
        let mut back_end = server.browser();
        let parameters: Vec<_> = std::iter::once(("id_token_hint", hint)).chain(client).collect();
        let page = back_end.opens(logout(&server, &parameters)).await;
        assert_eq!(page.status, 200);
        assert!(page.text().contains("no session was ended"), "{}", page.text());
        assert!(is_signed_in(&mut alice, &app).await);
    }
}

/// The page offers to sign out command-line tools, if there are any.
#[tokio::test]
async fn command_line_tools_are_signed_out_only_if_selected() {
    let (server, mut alice, app) = start().await;
    let kubectl = server.relying_party("kubernetes");
    logs_in_at(&mut alice, &app, "openid").await;
    assert!(alice.opens(server.url("/logout")).await.all("input[name=tools]").is_empty());
    for (ends, status) in [(false, 200), (true, 400)] {
        let offline = logs_in_at(&mut alice, &kubectl, "openid offline_access").await;
        let page = alice.opens(server.url("/logout")).await;
        assert_eq!(page.attributes("input[name=tools]", "value"), ["end"], "{}", page.text());
        let mut form = page.form_with("csrf").unwrap();
        assert!(!form.fields.iter().any(|(name, _)| name == "tools"), "not selected by default");
        if ends {
            form.fields.push(("tools".into(), "end".into()));
        }
        let text = alice.submits(form).await.text();
        assert!(text.contains(if ends { "signed out too" } else { "stay signed in" }), "{text}");
        let refreshed = kubectl.refreshes(offline.refresh.as_deref().unwrap()).await;
        assert_eq!(refreshed.status, status, "{}", refreshed.page.body);
    }
}

/// Dex's `refreshTokenLifetime: session`.
#[tokio::test]
async fn with_refresh_token_lifetime_session_refresh_tokens_end_at_logout() {
    let app = Client::new("example-app").with("refreshTokenLifetime: session");
    let server = World::new().with(SKIP).client(app).client(Client::public("cli")).start().await;
    let (app, cli) = (server.relying_party("example-app"), server.relying_party("cli"));
    let mut alice = server.browser();
    let web = logs_in_at(&mut alice, &app, "openid offline_access").await;
    let tool = logs_in_at(&mut alice, &cli, "openid offline_access").await;
    alice.opens(logout(&server, &[("id_token_hint", &web.id)])).await;
    let refused = app.refreshes(web.refresh.as_deref().unwrap()).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant"));
    assert_eq!(cli.refreshes(tool.refresh.as_deref().unwrap()).await.status, 200);
}

/// With the crate `openidconnect`, which discovers the endpoint and builds the request.
#[tokio::test]
async fn relying_party_openidconnect_signs_alice_out() {
    if Need::RelyingParty.is_missing() {
        return;
    }
    let (server, mut alice, app) = start().await;
    let mut theirs = ThirdPartyClient::signing_out_to(&app, &server.issuer(), "email", BACK);
    let url = theirs.step("authorize")["url"].as_str().unwrap().to_owned();
    alice.opens(&url).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    theirs.receives_callback(alice.auth_response().url.as_str());
    theirs.step("tokens");
    theirs.step("userinfo");
    let step = theirs.step("logout");
    let url = step["url"].as_str().unwrap();
    assert!(url.starts_with(&server.url("/logout?")) && url.contains("id_token_hint="), "{url}");
    let page = alice.opens(url).await;
    let location = page.location().unwrap_or_else(|| panic!("{}", page.text()));
    assert_eq!(location.as_str(), format!("{BACK}&state={}", step["state"].as_str().unwrap()));
    assert!(!is_signed_in(&mut alice, &app).await);
    theirs.step("done");
}
