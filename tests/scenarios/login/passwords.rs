//! Password logins (threats F 76, 77 and 79): no account enumeration, slow guessing, no lockout of the owner,
//! whole-password comparison.

use std::collections::HashSet;
use std::time::Duration;

use crate::world::http::{bare_client, send};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Need, Page, Person, Server, World,
};

const WRONG: &str = "not-the-password-at-all";

/// A server that trusts `X-Forwarded-For`.
pub fn behind_a_proxy(world: World) -> World {
    let http = world.origin().replace("http://", "");
    world.with(&format!(
        "web:\n  http: {http}\n  clientRemoteIP:\n    header: X-Forwarded-For\n    \
         trustedProxies: [127.0.0.0/8]"
    ))
}

/// Number of password verifications since the start of the server.
pub async fn verifications(server: &Server) -> u64 {
    let metrics = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await;
    let name = "countersign_password_hashes_total ";
    let line = metrics.body.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no such metric: {}", metrics.body)).parse().unwrap()
}

/// One attempt from this address, with a new browser.
pub async fn attempt(server: &Server, address: &str, login: &str, password: &str) -> Page {
    let mut browser = server.browser();
    let app = server.relying_party("example-app");
    browser.with_forwarded_for(address).opens(app.auth_request("openid").url).await;
    browser.signs_in(login, password).await.clone()
}

/// True if the password was accepted.
fn is_accepted(page: &Page) -> bool {
    page.form_with("approval").is_some()
}

/// Status and body without the login, the sealed state and the reference of the response.
fn anonymous(page: &Page, login: &str) -> (u16, String) {
    let mut body = page.body.replace(login, "LOGIN");
    for reference in page.all("#reference") {
        body = body.replace(&reference, "REFERENCE");
    }
    for form in page.forms() {
        for (_, value) in form.fields.iter().filter(|(name, _)| name == "req") {
            body = body.replace(value, "REQ");
        }
    }
    (page.status, body)
}

/// F 76: CVE-2023-39522 (authentik), CVE-2025-69413 (Gitea). Verifications are counted, not timed.
#[tokio::test]
async fn existing_and_unknown_accounts_get_the_same_response_and_the_same_work() {
    let server = World::new().start().await;
    let mut seen = Vec::new();
    for login in [ALICE, BOB, "nobody@example.com", "nobody", "ALICE@example.com"] {
        let before = verifications(&server).await;
        let page = attempt(&server, "192.0.2.1", login, WRONG).await;
        seen.push((anonymous(&page, login), verifications(&server).await - before));
    }
    assert_eq!((seen[0].0.0, seen[0].1), (401, 1));
    for other in &seen {
        assert_eq!(other, &seen[0]);
    }
}

/// F 79: invalid passwords are refused before a verification.
#[tokio::test]
async fn an_invalid_password_is_refused_without_a_verification() {
    let server = World::new().start().await;
    let before = verifications(&server).await;
    let (long, longer) = ("p".repeat(1025), "p".repeat(60_000));
    for login in [ALICE, "nobody@example.com"] {
        for password in ["", "\0", &format!("{ALICE_PASSWORD}\0"), &long, &longer] {
            let page = attempt(&server, "192.0.2.1", login, password).await;
            assert_eq!(page.status, 401, "{login} with {} bytes", password.len());
        }
    }
    for login in ["", " ", &"n".repeat(300)] {
        let page = attempt(&server, "192.0.2.1", login, WRONG).await;
        assert_eq!(page.status, 401, "{login:?}");
    }
    // An empty login is verified like an unknown one; one of 300 characters is refused.
    assert!(verifications(&server).await - before <= 2);
}

/// F 78: the size limit of forms.
#[tokio::test]
async fn a_password_of_one_megabyte_is_refused_with_413() {
    let server = World::new().start().await;
    let before = verifications(&server).await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.opens(app.auth_request("openid").url).await;
    let page = alice.signs_in(ALICE, &"p".repeat(1 << 20)).await;
    assert_eq!(page.status, 413, "{}", page.text());
    assert_eq!(verifications(&server).await, before);
}

/// F 79: bcrypt uses 72 bytes of a password; longer ones must not be truncated silently.
#[tokio::test]
async fn a_password_is_compared_in_full() {
    let seventy_two = "0123456789ab".repeat(6);
    let server = World::new().person(Person::new("carol@example.com", &seventy_two)).start().await;
    let right = attempt(&server, "192.0.2.1", "carol@example.com", &seventy_two).await;
    assert!(is_accepted(&right), "{}", right.text());
    let variants =
        [format!("{seventy_two}X"), format!("{seventy_two} "), seventy_two[..71].to_owned()];
    for variant in variants {
        let page = attempt(&server, "192.0.2.1", "carol@example.com", &variant).await;
        assert_eq!(page.status, 401, "{} bytes", variant.len());
    }
    for near in [
        format!("{ALICE_PASSWORD} "),
        format!(" {ALICE_PASSWORD}"),
        ALICE_PASSWORD.to_uppercase(),
        format!("{ALICE_PASSWORD}\n"),
        ALICE_PASSWORD.replace('a', "а"),
    ] {
        assert_eq!(attempt(&server, "192.0.2.1", ALICE, &near).await.status, 401, "{near:?}");
    }
    assert!(is_accepted(&attempt(&server, "192.0.2.1", ALICE, ALICE_PASSWORD).await));
}

const SPELLINGS: [&str; 5] =
    ["BOB@example.com", " bob@example.com ", "bob@EXAMPLE.com", "Bob@Example.Com\t", BOB];

/// F 77: CVE-2025-24806 (Authelia), CVE-2024-4629 (Keycloak).
#[tokio::test]
async fn ten_wrong_passwords_are_allowed_for_all_spellings_of_a_login() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = behind_a_proxy(World::with_stopped_clock()).start().await;
    let known_address = "198.51.100.7";
    assert!(is_accepted(&attempt(&server, known_address, BOB, BOB_PASSWORD).await));
    for n in 0..10 {
        let guess = attempt(&server, &format!("203.0.113.{n}"), SPELLINGS[n % 5], WRONG).await;
        assert_eq!(guess.status, 401, "guess {n}");
    }
    let before = verifications(&server).await;
    for (n, spelling) in SPELLINGS.iter().enumerate() {
        let page = attempt(&server, &format!("203.0.113.{}", 20 + n), spelling, BOB_PASSWORD).await;
        assert_eq!(page.status, 429, "{spelling:?}: the right password is delayed too");
        let seconds: u64 = page.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&seconds), "{seconds}");
        assert_eq!(page.all("[role=alert]").len(), 1, "{}", page.text());
        assert!(page.form_with("password").is_some(), "the form can be submitted again");
    }
    assert_eq!(verifications(&server).await, before, "without a verification");
    // Bob is not delayed at an address where he has signed in before; Alice is not delayed at all.
    assert!(is_accepted(&attempt(&server, known_address, BOB, BOB_PASSWORD).await));
    assert!(is_accepted(&attempt(&server, "203.0.113.1", ALICE, ALICE_PASSWORD).await));
}

/// F 77: delayed, never locked.
#[tokio::test]
async fn after_ten_wrong_passwords_one_attempt_is_allowed_every_30_seconds() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = behind_a_proxy(World::with_stopped_clock()).start().await;
    for _ in 0..10 {
        assert_eq!(attempt(&server, "203.0.113.1", BOB, WRONG).await.status, 401);
    }
    for _ in 0..3 {
        server.advance(Duration::from_secs(31));
        assert_eq!(attempt(&server, "203.0.113.2", BOB, WRONG).await.status, 401);
        assert_eq!(attempt(&server, "203.0.113.3", BOB, BOB_PASSWORD).await.status, 429);
    }
    server.advance(Duration::from_secs(31));
    assert!(
        is_accepted(&attempt(&server, "203.0.113.4", BOB, BOB_PASSWORD).await),
        "accepted after the delay"
    );
    for _ in 0..10 {
        assert_eq!(
            attempt(&server, "203.0.113.1", BOB, WRONG).await.status,
            401,
            "the counter restarted"
        );
    }
}

/// F 76 and 77: otherwise the delay would reveal which accounts exist.
#[tokio::test]
async fn an_unknown_account_is_delayed_like_an_existing_one() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = behind_a_proxy(World::with_stopped_clock()).start().await;
    let mut seen = HashSet::new();
    for login in [BOB, "nobody@example.com"] {
        let mut statuses = Vec::new();
        for n in 0..12 {
            statuses.push(attempt(&server, &format!("203.0.113.{n}"), login, WRONG).await.status);
        }
        seen.insert(statuses);
    }
    assert_eq!(seen, HashSet::from([[vec![401; 10], vec![429; 2]].concat()]));
}

/// F 77: CVE-2026-47203 (Authelia): concurrent attempts are counted before they are verified.
#[tokio::test]
async fn thirty_concurrent_attempts_count_as_thirty() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = behind_a_proxy(World::with_stopped_clock()).start().await;
    let app = server.relying_party("example-app");
    let mut guessing = tokio::task::JoinSet::new();
    for n in 0..30 {
        let mut browser: Browser = server.browser();
        browser
            .with_forwarded_for(&format!("203.0.113.{n}"))
            .opens(app.auth_request("openid").url)
            .await;
        guessing.spawn(async move { browser.signs_in(BOB, WRONG).await.status });
    }
    let mut statuses = guessing.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![401; 10], vec![429; 20]].concat());
    assert_eq!(verifications(&server).await, 10);
}

/// F 77: password spraying is counted by address, and not by a forwarded header that is not trusted.
#[tokio::test]
async fn one_address_has_a_hundred_attempts_for_all_accounts() {
    if Need::Clock.is_missing() {
        return;
    }
    // No proxy is trusted here.
    let server = World::with_stopped_clock().start().await;
    let app = server.relying_party("example-app");
    let mut mallory = server.browser();
    mallory.opens(app.auth_request("openid").url).await;
    let mut statuses = Vec::new();
    for n in 0..103 {
        mallory.with_forwarded_for(&format!("203.0.113.{n}"));
        statuses.push(mallory.signs_in(&format!("user{n}@example.com"), "").await.status);
    }
    assert_eq!(statuses, [vec![401; 100], vec![429; 3]].concat());
}
