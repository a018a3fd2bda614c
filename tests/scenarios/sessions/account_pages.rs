//! The account pages of a signed-in person: her sessions and grants, and ending them (threats D 61, 62, 64).

use crate::world::http::{bare_client, send};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Client, Page, RelyingParty, Server, World,
};

const LAPTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 \
                     (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

/// The tokens of one grant.
struct Held {
    access: String,
    refresh: String,
}

async fn start() -> (Server, RelyingParty) {
    let skip = "oauth2:\n  skipApprovalScreen: true";
    let server = World::new().client(Client::new("wiki")).with(skip).start().await;
    let app = server.relying_party("example-app");
    (server, app)
}

async fn signed_in(server: &Server, agent: &str, person: (&str, &str)) -> Browser {
    let mut browser = server.browser();
    browser.with_user_agent(agent);
    browser.opens(server.url("/sign-in")).await;
    browser.signs_in(person.0, person.1).await;
    browser
}

async fn alice_on(server: &Server, agent: &str) -> Browser {
    signed_in(server, agent, (ALICE, ALICE_PASSWORD)).await
}

async fn grant_to(browser: &mut Browser, app: &RelyingParty) -> Held {
    let request = app.auth_request("openid email groups offline_access");
    browser.opens(&request.url).await;
    let tokens = app.redeems(&request, &browser.auth_response()).await;
    Held { access: tokens.access_token().into(), refresh: tokens.refresh_token().into() }
}

/// Whether userinfo, introspection and refresh accept the tokens; all three must agree.
async fn is_accepted(app: &RelyingParty, held: &mut Held) -> bool {
    let userinfo = app.userinfo(&held.access).await.status;
    let introspected = app.posts("/token/introspect", &[("token", &held.access)]).await;
    let active = introspected.json["active"].as_bool().unwrap();
    let refreshed = app.refreshes(&held.refresh).await;
    match refreshed.status {
        200 => held.refresh = refreshed.refresh_token().into(),
        _ => assert_eq!(refreshed.error(), "invalid_grant"),
    }
    assert_eq!((userinfo == 200, active), (refreshed.status == 200, refreshed.status == 200));
    active
}

/// The values of the buttons with this name, in document order.
fn buttons(page: &Page, name: &str) -> Vec<String> {
    page.attributes(&format!("button[name={name}]"), "value")
}

async fn presses(browser: &mut Browser, name: &str, value: &str) -> Page {
    let form = browser.page().form_with(name).expect("a form with this button");
    browser.submits(form.press(name, value)).await.clone()
}

#[tokio::test]
async fn alice_sees_both_her_sessions_and_ends_the_other_one() {
    let (server, app) = start().await;
    let (mut work, mut phone) = (alice_on(&server, LAPTOP).await, alice_on(&server, PHONE).await);
    let (mut at_work, mut at_phone) =
        (grant_to(&mut work, &app).await, grant_to(&mut phone, &app).await);
    assert!(
        is_accepted(&app, &mut at_work).await && is_accepted(&app, &mut at_phone).await,
        "both sessions are live"
    );

    let page = work.opens(server.url("/")).await;
    let cards = page.all(".places > li");
    assert_eq!(cards.len(), 2, "{cards:?}");
    assert!(
        cards[0].contains("Firefox on Linux") && cards[0].contains("This browser"),
        "{cards:?}"
    );
    assert!(cards[1].contains("Safari on iPhone"), "{cards:?}");
    assert!(!cards[1].contains("This browser"), "{cards:?}");
    for card in &cards {
        for shown in ["127.", "The example-app", "stays signed in", "your email address"] {
            assert!(card.contains(shown), "{shown}: {card}");
        }
    }
    let other = buttons(page, "session").remove(0);
    let page = presses(&mut work, "session", &other).await;
    assert_eq!(page.url.path(), "/dex/");
    let status = page.all("[role=status]").concat();
    for expected in ["The sign-in has ended", "stops working in", "Kubernetes may go by"] {
        assert!(status.contains(expected), "{expected}: {status}");
    }
    assert_eq!(page.all(".places > li").len(), 1);
    // A second click, whose answer replaces the first (issue 9, item 8).
    let csrf = page.attributes("input[name=csrf]", "value").remove(0);
    let fields = [("csrf", csrf.as_str()), ("session", &other)];
    let again = work.post_form(server.url("/sessions"), &fields).await;
    assert_eq!(again.status, 303, "{}", again.text());
    let page = work.opens(again.location().unwrap()).await;
    assert!(
        page.all("[role=status]").concat().contains("The sign-in has ended"),
        "{}",
        page.text()
    );

    assert!(!is_accepted(&app, &mut at_phone).await);
    assert!(is_accepted(&app, &mut at_work).await, "this session stays live");
    let page = phone.opens(server.url("/")).await;
    assert!(page.text().contains("You are not signed in"), "{}", page.text());
    server.waits_for_log(1, "ended_by_user").await;
    let log = server.log();
    let line = log.lines().find(|line| line.contains("ended_by_user")).unwrap();
    assert!(
        line.contains("id-of-alice") && line.contains(&other),
        "the event names user and session: {line}"
    );
}

#[tokio::test]
async fn ending_one_grant_leaves_the_other_grants_live() {
    let (server, app) = start().await;
    let wiki = server.relying_party("wiki");
    let mut alice = alice_on(&server, LAPTOP).await;
    let mut first = grant_to(&mut alice, &app).await;
    let mut second = grant_to(&mut alice, &app).await;
    let mut third = grant_to(&mut alice, &wiki).await;

    let page = alice.opens(server.url("/")).await;
    let lines = page.all(".grants > li");
    assert_eq!(lines.len(), 3, "one line for each grant: {lines:?}");
    let of_wiki = lines.iter().position(|line| line.contains("The wiki")).unwrap();
    let wikis = buttons(page, "grant").remove(of_wiki);
    let page = presses(&mut alice, "grant", &wikis).await;
    assert!(page.all("[role=status]").concat().contains("What The wiki was given has ended"));
    assert_eq!(page.all(".grants > li").len(), 2);
    assert!(!is_accepted(&wiki, &mut third).await);
    assert!(is_accepted(&app, &mut first).await && is_accepted(&app, &mut second).await);

    // Submitted again, as by a second click, whose answer replaces the first (issue 9, item 8): the same answer, and no
    // other grant ends.
    let form = alice.page().form_with("grant").unwrap();
    let csrf = form.fields.iter().find(|(name, _)| name == "csrf").unwrap().1.clone();
    let fields = [("csrf", csrf.as_str()), ("grant", &wikis)];
    let again = alice.post_form(server.url("/sessions"), &fields).await;
    assert_eq!(again.status, 303, "{}", again.text());
    let page = alice.opens(again.location().unwrap()).await;
    assert!(page.all("[role=status]").concat().contains("What The wiki was given has ended"));
    assert!(is_accepted(&app, &mut first).await && is_accepted(&app, &mut second).await);
}

#[tokio::test]
async fn ending_all_other_sessions_keeps_this_one() {
    let (server, app) = start().await;
    let (mut here, mut there, mut other_browser) = (
        alice_on(&server, LAPTOP).await,
        alice_on(&server, PHONE).await,
        alice_on(&server, "curl/8").await,
    );
    let mut bob = signed_in(&server, LAPTOP, (BOB, BOB_PASSWORD)).await;
    let (mut mine, mut lost, mut bobs) = (
        grant_to(&mut here, &app).await,
        grant_to(&mut there, &app).await,
        grant_to(&mut bob, &app).await,
    );
    here.opens(server.url("/")).await;
    let page = presses(&mut here, "others", "all").await;
    let status = page.all("[role=status]").concat();
    assert!(status.contains("2 other sign-ins have ended"), "{status}");
    assert!(is_accepted(&app, &mut mine).await && is_accepted(&app, &mut bobs).await);
    assert!(!is_accepted(&app, &mut lost).await);
    for browser in [&mut there, &mut other_browser] {
        assert!(browser.opens(server.url("/")).await.text().contains("You are not signed in"));
    }
}

#[tokio::test]
async fn ending_the_current_session_signs_the_browser_out() {
    let (server, app) = start().await;
    let mut alice = alice_on(&server, LAPTOP).await;
    let mut held = grant_to(&mut alice, &app).await;
    alice.opens(server.url("/")).await;
    let own = alice.clicks("Firefox on Linux").await;
    assert!(own.all("h1").concat().contains("This browser"), "{}", own.text());
    let csrf = own.attributes("input[name=csrf]", "value").remove(0);
    let own = buttons(own, "session").remove(0);
    let cookies = alice.cookies().iter().map(|c| format!("{}={}", c.name, c.value));
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    let page = presses(&mut alice, "session", &own).await;
    assert!(page.text().contains("You are not signed in"), "{}", page.text());
    assert!(page.all("[role=status]").concat().contains("stops working in"), "{}", page.text());
    assert!(!alice.cookies().iter().any(|cookie| cookie.name.ends_with("-session")));
    assert!(!is_accepted(&app, &mut held).await, "her grants end too");
    // A second click, sent before the first answer removed the cookie: it begins no new login.
    let fields = [("csrf", csrf.as_str()), ("session", own.as_str())];
    let request = bare_client().post(server.url("/sessions")).form(&fields);
    let again = send(request.header("cookie", &cookies)).await;
    assert_eq!((again.status, again.header("location")), (303, Some("/dex/")), "{}", again.text());
}

/// D 62: without a session of her own, a session or grant id ends nothing.
#[tokio::test]
async fn nobody_else_can_end_alices_sessions_or_grants() {
    let (server, app) = start().await;
    let (mut alice, mut bob) =
        (alice_on(&server, LAPTOP).await, signed_in(&server, LAPTOP, (BOB, BOB_PASSWORD)).await);
    let mut held = grant_to(&mut alice, &app).await;
    let page = alice.opens(server.url("/")).await.clone();
    let session = page.attributes(".place a", "href").remove(0);
    let session = session.rsplit('/').next().unwrap().to_owned();
    let grant = buttons(&page, "grant").remove(0);
    let csrf = |page: &Page| page.attributes("input[name=csrf]", "value").remove(0);
    let hers = csrf(&page);
    let bobs = csrf(bob.opens(server.url("/")).await);

    for (name, id) in [("session", &session), ("grant", &grant)] {
        let fields = [("csrf", bobs.as_str()), (name, id)];
        let page = bob.post_form(server.url("/sessions"), &fields).await;
        assert_eq!(page.status, 404, "{name}: {}", page.text());
        for csrf in ["", "guess", &bobs] {
            let page =
                alice.post_form(server.url("/sessions"), &[("csrf", csrf), (name, id)]).await;
            assert_eq!(page.status, 403, "{name} {csrf}");
        }
        let link = server.url(&format!("/sessions?{name}={id}&csrf={hers}"));
        assert_eq!(alice.get(link).await.status, 200, "GET ends nothing");
        let cookies = alice.cookies().iter().map(|c| format!("{}={}", c.name, c.value));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        for (header, value) in
            [("origin", "https://evil.example.com"), ("sec-fetch-site", "same-site")]
        {
            let fields = [("csrf", hers.as_str()), (name, id.as_str())];
            let request = bare_client().post(server.url("/sessions")).form(&fields);
            let page = send(request.header("cookie", &cookies).header(header, value)).await;
            assert_eq!(page.status, 403, "{name} {header}");
        }
    }
    let page = bob.get(server.url(&format!("/sessions/{session}"))).await;
    assert_eq!((page.status, page.body.contains(ALICE)), (404, false));
    let both = [("csrf", hers.as_str()), ("session", &session), ("grant", &grant)];
    assert_eq!(
        alice.post_form(server.url("/sessions"), &both).await.status,
        400,
        "session and grant together are refused"
    );
    assert!(is_accepted(&app, &mut held).await);
}

/// Threat 126: the flash message shown depends on the sealed query parameter, not on any link.
#[tokio::test]
async fn a_link_cannot_make_the_page_claim_that_a_session_ended() {
    let (server, _app) = start().await;
    let (mut alice, mut mallory) =
        (alice_on(&server, LAPTOP).await, signed_in(&server, LAPTOP, (BOB, BOB_PASSWORD)).await);
    let _other = signed_in(&server, PHONE, (BOB, BOB_PASSWORD)).await;
    mallory.opens(server.url("/")).await;
    let page = presses(&mut mallory, "others", "all").await;
    let flash = page.url.query().unwrap().to_owned();
    assert_eq!(page.all("[role=status]").len(), 1);
    for query in [flash.as_str(), "flash=", "flash=x", "flash=SignIn&ended=yes"] {
        let page = alice.opens(server.url(&format!("/?{query}"))).await;
        assert_eq!((page.status, page.all("[role=status]").len()), (200, 0), "{query}");
    }
}
