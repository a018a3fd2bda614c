//! The administrator's pages: headers, size, untrusted text, malformed input, key rotation.

use crate::scenarios::admin::pages::ADMINS;
use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Person, Server, World};

const PAGES: [&str; 10] = [
    "/admin",
    "/admin?state=all&user=bob%40example.com",
    "/admin/end",
    "/admin/end?group=developers",
    "/admin/events",
    "/admin/memberships?group=developers&since=1h",
    "/admin/explain?user=alice%40example.com&client=example-app",
    "/admin/clients",
    "/admin/connectors",
    "/admin/keys",
];
/// The page size that the design allows, stylesheets included.
const LARGEST_PAGE: usize = 30 * 1024;

async fn alice(server: &Server) -> Browser {
    let mut alice = server.browser();
    alice.opens(server.url("/admin")).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!(alice.page().status, 200, "{}", alice.page().text());
    alice
}

async fn signs_in(server: &Server, agent: &str, who: (&str, &str)) {
    let mut browser = server.browser();
    browser.with_user_agent(agent);
    browser.opens(server.url("/sign-in")).await;
    browser.signs_in(who.0, who.1).await;
}

/// Threats 121 and 122.
#[tokio::test]
async fn admin_pages_are_not_framed_not_cached_and_under_30_kb() {
    let server = World::new().with(ADMINS).start().await;
    for _ in 0..14 {
        signs_in(&server, "curl/8.5.0", (BOB, BOB_PASSWORD)).await;
    }
    let mut alice = alice(&server).await;
    let one = alice.page().attributes("tbody a", "href").remove(0);
    let one = one.trim_start_matches("/dex").to_owned();
    let mut style = 0;
    for href in alice.page().attributes("link[rel=stylesheet]", "href") {
        let sheet = alice.get(format!("{}{href}", server.origin())).await;
        assert!(sheet.header("cache-control").unwrap().contains("immutable"));
        style += sheet.body.len();
    }
    for path in PAGES.iter().copied().chain([one.as_str(), "/admin/sessions/none"]) {
        let page = alice.opens(server.url(path)).await;
        assert_eq!(page.status, if path.ends_with("none") { 404 } else { 200 }, "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(policy.contains("form-action 'self'") && !policy.contains("unsafe"), "{policy}");
        assert!(!policy.contains("script-src"), "{path} needs no script: {policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(page.header(name), Some(value), "{path}");
        }
        assert!(page.all("script, [style], [onclick]").is_empty(), "{path}");
        assert!(
            page.body.len() < LARGEST_PAGE,
            "{path}: {} and {style} of styles",
            page.body.len()
        );
        assert!(page.all("h1").len() == 1, "{path}");
        if page.status == 200 {
            assert_eq!(page.all("nav [aria-current=page]").len(), 1, "{path}");
            assert!(page.text().contains("You are alice"), "{path}: {}", page.text());
        }
    }
}

/// Threat 83.
#[tokio::test]
async fn names_chosen_by_users_are_escaped() {
    let evil = "<img src=x onerror=alert(1)>\u{202e}gpj.exe{{7*7}}";
    let alice_herself = Person::new(ALICE, ALICE_PASSWORD).groups(&["admins", evil]);
    let server = World::new().person(alice_herself).with(ADMINS).start().await;
    signs_in(&server, "<b>Evil</b>/1 \"'&", (BOB, BOB_PASSWORD)).await;
    let mut alice = alice(&server).await;
    let mine = alice.page().attributes("tbody tr a", "href");
    let input = "%3Cimg%20src%3Dx%3E%E2%80%AE%22%27";
    let pages = [
        "/admin".to_owned(),
        mine[0].trim_start_matches("/dex").to_owned(),
        mine[1].trim_start_matches("/dex").to_owned(),
        "/admin/events".to_owned(),
        "/admin/explain?user=alice%40example.com".to_owned(),
        format!("/admin?text={input}&group={input}"),
        format!("/admin?created_since={input}"),
        format!("/admin?{input}=1"),
        format!("/admin/end?user={input}"),
        format!("/admin/memberships?group={input}"),
        format!("/admin/explain?user={input}&client={input}"),
    ];
    let mut shown = 0;
    for path in pages {
        let page = alice.opens(server.url(&path)).await;
        let main = page.all("main img, main b[onclick], main script");
        assert!(main.is_empty(), "{path}: {main:?}");
        // Input is shown in its field only.
        let text = page.text();
        assert!(!text.contains('\u{202e}'), "{path}: {text}");
        shown += usize::from(text.contains("<img src=x onerror=alert(1)>gpj.exe{{7*7}}"));
    }
    assert!(shown >= 2, "the name is shown as text");
}

/// Threat 129.
#[tokio::test]
async fn malformed_queries_get_400_with_a_message_at_the_field() {
    let server = World::new().with(ADMINS).start().await;
    let mut alice = alice(&server).await;
    for query in [
        "page=x",
        "page=%27%20OR%201",
        "user=a&user=b",
        "state=dead",
        "seen_since=2026-99-99",
        "nothing=1",
        "text=%00",
    ] {
        let page = alice.opens(server.url(&format!("/admin?{query}"))).await;
        assert_eq!(page.status, 400, "{query}: {}", page.text());
        assert_eq!(page.all("[role=alert]").len(), 1, "{query}: {}", page.text());
        let page = alice.get(server.url(&format!("/admin/events?{query}"))).await;
        assert_eq!(page.status, 400, "{query}: {}", page.text());
    }
    let page = alice.opens(server.url("/admin?seen_since=2026-99-99")).await;
    let field = page.attributes("#seen_since", "aria-describedby");
    assert_eq!(page.all(&format!("#{}", field[0])).len(), 1, "the message is tied to its field");
    assert_eq!(page.attributes("#seen_since", "value"), ["2026-99-99"], "the input is kept");
    for query in ["since=2026-01-02&until=2026-01-01&group=a", "group=a&page=x"] {
        let page = alice.get(server.url(&format!("/admin/memberships?{query}"))).await;
        assert_eq!(page.status, 400, "{query}: {}", page.text());
    }
    for path in ["..%2f..%2fkeys", "%27%20OR%201", "%00", "%ff", &"x".repeat(5000)] {
        let page = alice.get(server.url(&format!("/admin/sessions/{path}"))).await;
        assert!([400, 404].contains(&page.status), "{path}: {}", page.status);
    }
    for text in ["%25", "_", "'", "\\", "%22"] {
        let page = alice.get(server.url(&format!("/admin?text={text}"))).await;
        assert_eq!((page.status, page.all("tbody tr").len()), (200, 0), "{text} is no wildcard");
    }
}

#[tokio::test]
async fn pages_of_sessions_are_complete() {
    let server = World::new().with(ADMINS).start().await;
    for _ in 0..30 {
        signs_in(&server, "curl/8.5.0", (BOB, BOB_PASSWORD)).await;
    }
    let mut alice = alice(&server).await;
    let mut next = Some(server.url("/admin?user=bob%40example.com"));
    let mut seen = std::collections::BTreeSet::new();
    let mut pages = 0;
    while let Some(url) = next {
        let page = alice.opens(&url).await;
        seen.extend(page.attributes("tbody a", "href"));
        next = page.link("Next page").map(String::from);
        pages += 1;
    }
    assert_eq!((seen.len(), pages), (30, 2));
    assert!(alice.page().link("First page").is_some());
}

#[tokio::test]
async fn rotating_the_key_on_the_page_is_recorded_with_the_administrator() {
    let server = World::new().with(ADMINS).start().await;
    let mut alice = alice(&server).await;
    for (keys, message) in [(2, "Key 2 is published"), (2, "Key 2 was published already")] {
        alice.opens(server.url("/admin/keys")).await;
        let form = alice.page().form_with("csrf").unwrap();
        let page = alice.submits(form).await;
        assert!(page.text().contains(message), "{message}: {}", page.text());
        assert_eq!(page.all("tbody tr").len(), keys, "{}", page.text());
    }
    assert!(alice.page().text().contains("Next: published"), "{}", alice.page().text());
    let page = alice.opens(server.url("/admin/events?kind=key_rotated")).await;
    let rows = page.all("tbody tr");
    assert!(rows.iter().any(|row| row.contains("alice from 127.")), "{rows:?}");
    let page = alice.opens(server.url("/admin/memberships?group=developers&since=1h")).await;
    let rows = page.all("tbody tr");
    assert!(rows.len() == 1 && rows[0].contains("still has it"), "{rows:?}");
    let page =
        alice.opens(server.url("/admin/explain?user=alice%40example.com&client=example-app")).await;
    for shown in ["id-of-alice", "developers", "may use this connector", "administrator"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
}
