//! The administrator's pages: finding, previewing and ending sessions, and access to them (threats 61, 83,
//! 120-122, 127-129).

use std::process::Command;
use std::time::Duration;

use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Need, Page, RelyingParty, Server, World,
    claims,
};

/// Alice is an administrator, Bob is not.
pub const ADMINS: &str =
    "admin:\n  groups:\n    - {connector: local, group: admins}\nexpiry:\n  idTokens: 10m";

const PAGES: [&str; 9] = [
    "/admin",
    "/admin?group=developers&client=example-app",
    "/admin/end",
    "/admin/end?user=bob%40example.com",
    "/admin/events",
    "/admin/memberships?group=developers",
    "/admin/explain?user=alice%40example.com",
    "/admin/clients",
    "/admin/connectors",
];
const BOBS: &str = "/admin/end?user=bob%40example.com";

/// The tokens of one grant.
struct Held {
    app: RelyingParty,
    access: String,
    refresh: String,
}

impl Held {
    async fn sign_in(server: &Server, who: (&str, &str)) -> Self {
        let app = server.relying_party("example-app");
        let request = app.auth_request("openid email groups offline_access");
        let auth_response = server.browser().logs_in(&request, who.0, who.1).await;
        let response = app.redeems(&request, &auth_response).await;
        let (access, refresh) = (response.access_token().into(), response.refresh_token().into());
        Self { app, access, refresh }
    }

    async fn is_accepted(&self) -> bool {
        self.app.userinfo(&self.access).await.status == 200
    }
}

/// Alice signed in, at this page.
async fn alice_at(server: &Server, path: &str) -> Browser {
    let mut alice = server.browser();
    alice.opens(server.url(path)).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!(alice.page().url.as_str(), server.url(path), "{}", alice.page().text());
    alice
}

/// RFC 3339 of seconds since the epoch, by the program `date`.
fn date(at: i64) -> String {
    let output = Command::new("date").args(["-u", "-d", &format!("@{at}"), "+%FT%TZ"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
}

/// Submits the page's POST form with added fields.
async fn presses(browser: &mut Browser, fields: &[(&str, &str)]) -> Page {
    let form = browser.page().forms().into_iter().find(|form| form.is_post).expect("a form");
    let mut form = form;
    form.fields.extend(fields.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    browser.submits(form).await.clone()
}

#[tokio::test]
async fn alice_finds_previews_and_ends_bobs_sessions_and_sees_when_the_last_token_expires() {
    let server = World::new().with(ADMINS).start().await;
    let (bobs, hers) = (
        Held::sign_in(&server, (BOB, BOB_PASSWORD)).await,
        Held::sign_in(&server, (ALICE, ALICE_PASSWORD)).await,
    );
    let mut alice = alice_at(&server, "/admin").await;
    assert_eq!(alice.page().all("tbody tr").len(), 3, "{}", alice.page().text());
    let form = alice.page().form_with("text").unwrap().fill("text", "BOB@");
    let page = alice.submits(form).await;
    let rows = page.all("tbody tr");
    assert_eq!(rows.len(), 1, "{rows:?}");
    for shown in ["bob", "Email", "127.", "The example-app", "Live", " UTC"] {
        assert!(rows[0].contains(shown), "{shown}: {rows:?}");
    }

    let page = alice.clicks("End these").await;
    assert_eq!(page.all(".sums dd"), ["1", "1", "1"], "{}", page.text());
    assert!(page.all(".chips").concat().contains("The example-app 1"), "{}", page.text());
    let announced = page.attributes("main p time", "datetime").remove(0);
    assert!(bobs.is_accepted().await, "a preview ends nothing");
    let page = presses(&mut alice, &[]).await;
    let status = page.all("[role=status]").concat();
    for expected in ["One session has ended", "One grant has ended", "expires", "UTC", "Kubernetes"]
    {
        assert!(status.contains(expected), "{expected}: {status}");
    }
    assert_eq!(page.attributes(".note time", "datetime"), std::slice::from_ref(&announced));
    // The token's own `exp`, or up to a second later.
    let expires_at = claims(&bobs.access)["exp"].as_i64().unwrap();
    let expected = [date(expires_at), date(expires_at + 1)];
    assert!(expected.contains(&announced), "{announced}, not {expected:?}");

    assert!(!bobs.is_accepted().await);
    assert_eq!(bobs.app.refreshes(&bobs.refresh).await.error(), "invalid_grant");
    assert!(hers.is_accepted().await, "other sessions stay live");
    let page = alice.opens(server.url("/admin/events?kind=sessions_ended")).await;
    let rows = page.all("tbody tr");
    assert!(rows.len() == 1 && rows[0].contains("alice from 127."), "{rows:?}");
    assert!(!rows[0].contains("id-of-alice"), "a name, not an id: {rows:?}");
    let hrefs = page.attributes("tbody a", "href");
    assert_eq!(hrefs, ["/dex/admin/events?actor=user%3Aid-of-alice%40local"], "the exact id");
    assert!(rows[0].contains("text: BOB@"), "the event contains the filter: {rows:?}");
}

#[tokio::test]
async fn a_session_page_shows_details_and_ends_one_grant_or_the_session() {
    let server = World::new().with(ADMINS).start().await;
    let bobs = Held::sign_in(&server, (BOB, BOB_PASSWORD)).await;
    let mut alice = alice_at(&server, "/admin?user=bob%40example.com").await;
    let page = alice.clicks("bob").await.clone();
    for shown in [
        "Session of bob",
        BOB,
        "id-of-bob",
        "Grants to applications",
        "refreshable",
        "Signed in",
        "As of",
    ] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    assert!(!page.all(".trace li").is_empty(), "the trace of the sign-in: {}", page.text());
    let grant = page.attributes("button[name=grant]", "value").remove(0);
    let page = presses(&mut alice, &[("grant", &grant)]).await;
    assert!(page.text().contains("The session goes on"), "{}", page.text());
    // A second click, whose answer replaces the first (issue 9, item 8): the same session, and no error.
    let page = presses(&mut alice, &[("grant", &grant)]).await;
    assert!(page.status == 200 && page.text().contains("Session of bob"), "{}", page.text());
    assert!(!bobs.is_accepted().await);
    assert!(page.attributes("button[name=grant]", "value").is_empty());
    let session = page.attributes("button[name=session]", "value").remove(0);
    let page = presses(&mut alice, &[("session", &session)]).await;
    assert!(page.text().contains("One session has ended"), "{}", page.text());
    assert!(page.text().contains("Ended by alice , by an administrator"), "{}", page.text());
    assert_eq!(alice.opens(server.url("/admin")).await.all("tbody tr").len(), 1, "only her own");
    // A session id in the form of another page is refused.
    let other = [("session", session.as_str())];
    let csrf = alice.opens(server.url("/admin/keys")).await.attributes("[name=csrf]", "value");
    let fields = [("csrf", csrf[0].as_str()), other[0]];
    let page = alice.post_form(server.url("/admin/sessions/another"), &fields).await;
    assert_eq!(page.status, 400, "{}", page.text());
}

/// Threat 127: a form with a missing or foreign CSRF token changes nothing.
#[tokio::test]
async fn a_form_without_the_right_csrf_token_ends_nothing() {
    let server = World::new().with(ADMINS).start().await;
    let bobs = Held::sign_in(&server, (BOB, BOB_PASSWORD)).await;
    let mut alice = alice_at(&server, BOBS).await;
    let mut bob = server.browser();
    bob.opens(server.url("/")).await;
    bob.clicks("Sign in").await;
    bob.signs_in(BOB, BOB_PASSWORD).await;
    let his = bob.page().attributes("[name=csrf]", "value").remove(0);
    for path in [BOBS, "/admin/keys", "/admin/connectors", "/admin/sessions/x"] {
        for csrf in ["", "guess", &his] {
            let page = alice.post_form(server.url(path), &[("csrf", csrf)]).await;
            assert_eq!(page.status, 403, "{path} {csrf}: {}", page.text());
        }
    }
    let hers = alice.page().attributes("[name=csrf]", "value").remove(0);
    let page = alice.get(server.url(&format!("{BOBS}&csrf={hers}"))).await;
    assert_eq!(page.status, 400, "GET ends nothing: {}", page.text());
    let page = bob.post_form(server.url(BOBS), &[("csrf", &his)]).await;
    assert_eq!(page.status, 403, "{}", page.text());
    let page = server.browser().post_form(server.url(BOBS), &[("csrf", &hers)]).await;
    assert_eq!(page.status, 303, "not signed in: redirected to the login");
    assert!(bobs.is_accepted().await);
    let page = presses(&mut alice, &[]).await;
    assert!(
        page.text().contains("One session has ended"),
        "the right form ends it: {}",
        page.text()
    );
}

#[tokio::test]
async fn an_old_authentication_is_renewed_before_ending_and_input_is_kept() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().with(ADMINS).start().await;
    let bobs = Held::sign_in(&server, (BOB, BOB_PASSWORD)).await;
    let mut alice = alice_at(&server, BOBS).await;
    server.advance(Duration::from_mins(14));
    alice.opens(server.url(BOBS)).await;
    server.advance(Duration::from_mins(2));
    let page = presses(&mut alice, &[]).await;
    assert!(page.form_with("password").is_some(), "{}", page.text());
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!(page.url.path(), "/dex/admin/end");
    assert!(page.text().contains("bob@example.com"), "{}", page.text());
    assert_eq!(page.all(".sums dd"), ["1", "1", "1"], "nothing has ended: {}", page.text());
    let page = presses(&mut alice, &[]).await;
    assert!(page.text().contains("One session has ended"), "{}", page.text());
    assert_eq!(bobs.app.refreshes(&bobs.refresh).await.error(), "invalid_grant");
    // Reading needs no recent authentication.
    server.advance(Duration::from_hours(1));
    let page = alice.opens(server.url("/admin/keys")).await;
    assert!(page.text().contains("Signing keys"), "{}", page.text());
    let page = presses(&mut alice, &[]).await;
    assert!(page.form_with("password").is_some(), "{}", page.text());
}

/// Sessions that begin after the preview are not ended.
#[tokio::test]
async fn sessions_that_begin_after_the_preview_stay_live() {
    let server = World::new().with(ADMINS).start().await;
    let first = Held::sign_in(&server, (BOB, BOB_PASSWORD)).await;
    let mut alice = alice_at(&server, BOBS).await;
    let later = Held::sign_in(&server, (BOB, BOB_PASSWORD)).await;
    presses(&mut alice, &[]).await;
    assert!(!first.is_accepted().await);
    assert!(later.is_accepted().await);
}

#[tokio::test]
async fn all_sessions_end_only_with_the_checkbox() {
    let server = World::new().with(ADMINS).start().await;
    let bobs = Held::sign_in(&server, (BOB, BOB_PASSWORD)).await;
    let mut alice = alice_at(&server, "/admin/end").await;
    for query in [
        "?everything=yes",
        "?grup=developers",
        "?created_since=yesterday",
        "?everything=true&user=a",
    ] {
        let page = alice.opens(server.url(&format!("/admin/end{query}"))).await;
        assert_eq!(page.status, 400, "{query}: {}", page.text());
        assert!(page.all("[role=alert]").concat().contains("not understood"), "{}", page.text());
    }
    for query in ["?everything=true", "?created_since=1h"] {
        let page = alice.opens(server.url(&format!("/admin/end{query}"))).await;
        assert_eq!(page.all(".sums dd")[0], "2", "{}", page.text());
        assert!(page.text().contains("your own"), "{}", page.text());
        let page = presses(&mut alice, &[]).await;
        assert_eq!(page.status, 400, "{}", page.text());
        assert!(page.text().contains("Nothing was ended"), "{}", page.text());
    }
    assert!(bobs.is_accepted().await);
    let page = presses(&mut alice, &[("sure", "yes")]).await;
    assert_eq!(page.status, 200, "{}", page.text());
    for expected in ["2 sessions have ended", "Your own session has ended too"] {
        assert!(page.text().contains(expected), "{expected}: {}", page.text());
    }
    assert!(!bobs.is_accepted().await);
    assert!(alice.opens(server.url("/admin")).await.form_with("password").is_some());
}

#[tokio::test]
async fn only_administrators_see_the_pages() {
    let server = World::new().with(ADMINS).start().await;
    for path in PAGES.iter().chain(&["/admin/keys", "/admin/sessions/x"]) {
        let mut bob = server.browser();
        let page = bob.opens(server.url(path)).await;
        assert!(page.form_with("password").is_some(), "{path}: {}", page.text());
        let page = bob.signs_in(BOB, BOB_PASSWORD).await;
        assert_eq!((page.status, page.url.as_str()), (403, server.url(path).as_str()));
        assert!(page.text().contains("This is for administrators"), "{}", page.text());
        assert!(page.all("table, form").is_empty(), "{}", page.body);
        let page = bob.clicks("Sign in as somebody else").await;
        assert!(page.form_with("password").is_some(), "{path}: {}", page.text());
        let page = bob.signs_in(ALICE, ALICE_PASSWORD).await;
        assert_ne!(page.status, 403, "{path}: {}", page.text());
    }
    let mut bob = server.browser();
    bob.opens(server.url("/sign-in")).await;
    assert!(bob.signs_in(BOB, BOB_PASSWORD).await.link("Administration").is_none());
    let mut alice = alice_at(&server, "/admin").await;
    alice.opens(server.url("/")).await;
    assert_eq!(alice.clicks("Administration").await.url.as_str(), server.url("/admin"));

    let server = World::new().start().await;
    let alice = alice_at(&server, "/admin").await;
    assert_eq!(alice.page().status, 403);
    assert!(alice.page().text().contains("admin.groups"), "{}", alice.page().text());
}
