//! The account pages in Chromium, with many sessions and groups. Writes pictures to target/screenshots.

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
/// The page size that the design allows, stylesheet included.
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

/// Signs Alice in at other browsers, each with a grant for every app.
async fn has_other_sign_ins(server: &Server, apps: &[&RelyingParty], browsers: usize) {
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

async fn checks_layout(alice: &Chromium, name: &str) {
    alice.sees("h1").await;
    alice.screenshot(name).await;
    assert!(!alice.overflows().await, "{name} is wider than the screen");
    let console = alice.console().await;
    let violations: Vec<_> =
        console.iter().filter(|line| line.contains("Security Policy")).collect();
    assert!(violations.is_empty(), "{name}: {violations:?}");
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

async fn tours_account_pages(look: Display, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let (server, app) = start(40).await;
    let grafana = server.relying_party("grafana");
    has_other_sign_ins(&server, &[&app, &grafana, &app], 5).await;
    let alice = Chromium::with(look).await;
    let picture = |page: &str| format!("own-{page}-{name}");
    alice.opens(server.url("/")).await;
    checks_layout(&alice, &picture("signed-out")).await;
    alice.presses("#sign-in").await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.sees(".places").await;
    checks_layout(&alice, &picture("home")).await;

    alice.opens(server.url("/sessions")).await;
    checks_layout(&alice, &picture("sessions")).await;
    alice.presses(".places > li:nth-child(2) a").await;
    alice.sees("dl").await;
    checks_layout(&alice, &picture("session")).await;
    alice.presses("button[name=grant]").await;
    alice.sees("[role=status]").await;
    checks_layout(&alice, &picture("grant-ended")).await;
    alice.presses("button[name=session]").await;
    alice.waits_for_url(&server.url("/?flash=")).await;
    assert!(alice.text().await.contains("The sign-in has ended"), "{}", alice.text().await);
    alice.presses(".places + p ~ details summary, form details summary").await;
    checks_layout(&alice, &picture("ended")).await;
    alice.presses("#end-others").await;
    alice.waits_for_url(&server.url("/?flash=")).await;
    let text = alice.text().await;
    assert!(text.contains("4 other sign-ins have ended"), "{text}");
    alice.opens(server.url("/groups?q=team-01")).await;
    checks_layout(&alice, &picture("groups")).await;
    assert!(!alice.text().await.contains("team-001"), "only groups that match");
}

#[tokio::test]
async fn browser_on_a_desktop_shows_the_account_pages() {
    tours_account_pages(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_in_the_dark_theme_shows_the_account_pages() {
    tours_account_pages(Display::DESKTOP.dark(), "desktop-dark").await;
}

#[tokio::test]
async fn browser_on_a_phone_without_scripts_shows_the_account_pages() {
    tours_account_pages(Display::PHONE.without_scripts(), "phone").await;
}

/// Fifty sessions and five hundred groups: every page stays under the size limit and every entry is on one
/// page.
#[tokio::test]
async fn lists_of_many_sessions_and_groups_are_paged_and_complete() {
    let (server, app) = start(500).await;
    has_other_sign_ins(&server, &[&app], 50).await;
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
    assert_eq!((seen.len(), all.len()), (51, 51), "each session once");

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
