//! The engineer's page in a real browser, with as much on it as real life brings; pictures of it are in
//! target/screenshots.

use thirtyfour::By;

use crate::world::{
    ALICE, ALICE_PASSWORD, Chromium, Client, Display, Need, Person, RelyingParty, Server, World,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 \
     Safari/537.36 Edg/139.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
];
/// Design.md section 6, stylesheet included.
const LARGEST_PAGE: usize = 30 * 1024;

async fn start(groups: usize) -> (Server, RelyingParty) {
    let names: Vec<_> =
        (0..groups).map(|n| format!("team-{n:03}@engineering.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let alice = Person::new(ALICE, ALICE_PASSWORD).groups(&names);
    let world = World::new().person(alice).client(Client::new("grafana")).with(SKIP);
    let server = world.start().await;
    let app = server.relying_party("example-app");
    (server, app)
}

/// Signed in elsewhere, each with what it gave.
async fn is_signed_in_elsewhere(server: &Server, apps: &[&RelyingParty], browsers: usize) {
    for agent in AGENTS.iter().cycle().take(browsers) {
        let mut browser = server.browser();
        browser.with_user_agent(agent);
        browser.opens(server.url("/sign-in")).await;
        browser.signs_in(ALICE, ALICE_PASSWORD).await;
        for app in apps {
            let request = app.auth_request("openid email groups offline_access");
            browser.opens(&request.url).await;
            app.redeems(&request, &browser.auth_response()).await;
        }
    }
}

async fn looks_at(alice: &Chromium, name: &str) {
    alice.sees("h1").await;
    alice.screenshot(name).await;
    assert!(!alice.overflows().await, "{name} is wider than the screen");
    let said = alice.console().await;
    let bad: Vec<_> = said.iter().filter(|line| line.contains("Security Policy")).collect();
    assert!(bad.is_empty(), "{name}: {bad:?}");
    assert_eq!(alice.driver.find_all(By::Css("h1")).await.unwrap().len(), 1, "{name}");
    for button in alice.driver.find_all(By::Css("button")).await.unwrap() {
        if !button.is_displayed().await.unwrap() {
            continue;
        }
        let (_, _, _, height) = {
            let rect = button.rect().await.unwrap();
            (rect.x, rect.y, rect.width, rect.height)
        };
        assert!(height >= 44.0, "{name}: a button of {height} pixels");
    }
}

async fn tour(look: Display, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let (server, app) = start(40).await;
    let grafana = server.relying_party("grafana");
    is_signed_in_elsewhere(&server, &[&app, &grafana, &app], 5).await;
    let alice = Chromium::with(look).await;
    let picture = |page: &str| format!("own-{page}-{name}");
    alice.opens(server.url("/")).await;
    looks_at(&alice, &picture("signed-out")).await;
    alice.presses("#sign-in").await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.sees(".places").await;
    looks_at(&alice, &picture("home")).await;

    alice.opens(server.url("/sessions")).await;
    looks_at(&alice, &picture("sessions")).await;
    alice.presses(".places > li:nth-child(2) a").await;
    alice.sees("dl").await;
    looks_at(&alice, &picture("session")).await;
    alice.presses("button[name=grant]").await;
    alice.sees("[role=status]").await;
    looks_at(&alice, &picture("grant-ended")).await;
    alice.presses("button[name=session]").await;
    alice.waits_for_url(&server.url("/?notice=")).await;
    assert!(alice.text().await.contains("The sign-in has ended"), "{}", alice.text().await);
    alice.presses(".places + p ~ details summary, form details summary").await;
    looks_at(&alice, &picture("ended")).await;
    alice.presses("#end-others").await;
    alice.waits_for_url(&server.url("/?notice=")).await;
    let text = alice.text().await;
    assert!(text.contains("4 other sign-ins have ended"), "{text}");
    alice.opens(server.url("/groups?q=team-01")).await;
    looks_at(&alice, &picture("groups")).await;
    assert!(!alice.text().await.contains("team-001"), "only what was looked for");
}

#[tokio::test]
async fn browser_on_a_desk_sees_her_own_pages() {
    tour(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_on_a_desk_at_night_sees_her_own_pages() {
    tour(Display::DESKTOP.dark(), "desktop-dark").await;
}

#[tokio::test]
async fn browser_on_a_phone_without_scripts_sees_her_own_pages() {
    tour(Display::PHONE.without_scripts(), "phone").await;
}

/// Fifty sign-ins and five hundred groups: every page small, everything reachable.
#[tokio::test]
async fn however_much_there_is_every_page_stays_small_and_everything_is_reached() {
    let (server, app) = start(500).await;
    is_signed_in_elsewhere(&server, &[&app], 50).await;
    let mut alice = server.browser();
    alice.opens(server.url("/sign-in")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let style = alice.page().attributes("link[rel=stylesheet]", "href").remove(0);
    let style = alice.get(format!("{}{style}", server.origin())).await.body.len();

    let (mut seen, mut next) = (Vec::new(), Some(server.url("/sessions")));
    while let Some(url) = next {
        let page = alice.opens(&url).await;
        assert!(page.body.len() + style < LARGEST_PAGE, "{url}: {}", page.body.len());
        seen.extend(page.attributes(".places > li > .place a", "href"));
        next = page.link("Older").map(String::from);
    }
    let all: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), all.len()), (51, 51), "each once");

    let (mut seen, mut next) = (Vec::new(), Some(server.url("/groups")));
    while let Some(url) = next {
        let page = alice.opens(&url).await;
        assert!(page.body.len() + style < LARGEST_PAGE, "{url}: {}", page.body.len());
        seen.extend(page.all(".chips li"));
        next = page.link("More").map(String::from);
    }
    assert_eq!(seen.len(), 500);
    let home = alice.opens(server.url("/")).await;
    assert!(home.body.len() + style < LARGEST_PAGE, "{}", home.body.len());
    for link in ["Show all 51 sign-ins", "Show all 500 groups"] {
        assert!(home.link(link).is_some(), "{link}: {}", home.text());
    }
}
