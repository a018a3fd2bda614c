//! A code is good once, soon, for the application it was given to, at the address it was given at
//! (RFC 6749 section 4.1.3, RFC 9700 section 4.5; threats A 10, B 21-23, 29-31).

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, AuthResponse, Client, Need, RelyingParty, Server, World,
    claims,
};

/// Alice signs in to `app`; the code is on its way and nobody has used it.
async fn with_code(
    server: &Server,
    app: &RelyingParty,
    scopes: &str,
) -> (AuthRequest, AuthResponse) {
    let request = app.auth_request(scopes);
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    (request, auth_response)
}

/// The exchange with something else in place of one of its fields; `None` leaves it out.
async fn brings(
    app: &RelyingParty,
    (request, auth_response): &(AuthRequest, AuthResponse),
    other: (&str, Option<&str>),
) -> (u16, String) {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", &auth_response.code),
        ("redirect_uri", &request.redirect_uri),
        ("code_verifier", &request.verifier),
    ];
    fields.retain(|(name, _)| *name != other.0);
    fields.extend(other.1.map(|value| (other.0, value)));
    let response = app.exchange(&fields).await;
    assert!(response.json.get("access_token").is_none() || response.status == 200);
    (response.status, response.json["error"].as_str().unwrap_or_default().to_owned())
}

fn refused() -> (u16, String) {
    (400, "invalid_grant".into())
}

const AS_IT_IS: (&str, Option<&str>) = ("grant_type", Some("authorization_code"));

/// Everything the first exchange gave is dead.
async fn assert_dead(app: &RelyingParty, access_token: &str, refresh_token: &str) {
    let told = app.userinfo(access_token).await;
    assert_eq!(told.status, 401, "{}", told.page.body);
    let refreshed = app.refreshes(refresh_token).await;
    assert_eq!((refreshed.status, refreshed.error()), (400, "invalid_grant"));
}

/// B 21; RFC 6749 section 4.1.2: whoever comes second may have been the rightful first.
#[tokio::test]
async fn a_code_used_twice_at_once_ends_what_it_gave() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let given = with_code(&server, &app, "openid offline_access").await;
    let first = app.redeems(&given.0, &given.1).await;
    assert_eq!(app.userinfo(first.access_token()).await.status, 200);
    assert_eq!(brings(&app, &given, AS_IT_IS).await, refused());
    assert_dead(&app, first.access_token(), first.refresh_token()).await;
    assert_eq!(brings(&app, &given, AS_IT_IS).await, refused());
}

/// B 21: half a minute later, and long after the code itself would have been too old.
#[tokio::test]
async fn a_code_used_twice_later_ends_what_it_gave() {
    if Need::Clock.is_missing() {
        return;
    }
    for later in [Duration::from_secs(30), Duration::from_secs(20 * 60)] {
        let server = World::with_clock().start().await;
        let app = server.relying_party("example-app");
        let given = with_code(&server, &app, "openid offline_access").await;
        let first = app.redeems(&given.0, &given.1).await;
        let second = app.refreshes(first.refresh_token()).await;
        assert_eq!(second.status, 200, "{}", second.page.body);
        server.advance(later);
        assert_eq!(app.userinfo(first.access_token()).await.status, 200);
        assert_eq!(brings(&app, &given, AS_IT_IS).await, refused(), "{later:?}");
        assert_dead(&app, first.access_token(), second.refresh_token()).await;
        assert_eq!(app.userinfo(second.access_token()).await.status, 401);
    }
}

/// B 21: also a second use that brings the wrong verifier is one: the code itself is out.
#[tokio::test]
async fn a_second_use_ends_only_what_this_code_gave() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let mut given = Vec::new();
    for _ in 0..2 {
        let request = app.auth_request("openid offline_access");
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let tokens = app.redeems(&request, &auth_response).await;
        given.push(((request, auth_response), tokens));
    }
    let (first, second) = (&given[0], &given[1]);
    assert_eq!(brings(&app, &first.0, ("code_verifier", Some(&"x".repeat(43)))).await, refused());
    assert_dead(&app, first.1.access_token(), first.1.refresh_token()).await;
    assert_eq!(app.userinfo(second.1.access_token()).await.status, 200);
    assert_eq!(app.refreshes(second.1.refresh_token()).await.status, 200);
}

/// B 22; CVE-2026-47386, CVE-2026-1035: a look and then a write would let several through.
#[tokio::test]
async fn of_fifty_at_the_same_moment_on_two_replicas_one_gets_the_tokens() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = World::with_postgres().start().await;
    let other = one.replica().await;
    let given =
        Arc::new(with_code(&one, &one.relying_party("example-app"), "openid offline_access").await);
    let mut all = JoinSet::new();
    for n in 0..50 {
        let mut app = one.relying_party("example-app");
        app.via_replica(if n % 2 == 0 { &one } else { &other });
        let given = Arc::clone(&given);
        all.spawn(async move { app.redeems(&given.0, &given.1).await });
    }
    let responses = all.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) =
        responses.iter().partition(|response| response.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 49), "{lost:?}");
    for response in lost {
        assert_eq!((response.status, response.error()), (400, "invalid_grant"));
    }
    // And the forty-nine were replays, so the one has lost what it got.
    for replica in [&one, &other] {
        let mut app = one.relying_party("example-app");
        app.via_replica(replica);
        assert_dead(&app, won[0].access_token(), won[0].refresh_token()).await;
    }
}

/// B 23; CVE-2026-28513, CVE-2026-55672. It must not be a way to burn another's code, either.
#[tokio::test]
async fn another_application_gets_nothing_for_a_code_and_spoils_nothing() {
    let uri = "https://example-app.example.com/callback";
    let shared = Client::new("shared").redirects_to(&[uri]);
    let server = World::new().client(shared).client(Client::public("cli")).start().await;
    let app = server.relying_party("example-app");
    let given = with_code(&server, &app, "openid offline_access").await;
    for thief in ["shared", "cli"] {
        let thief = server.relying_party(thief);
        assert_eq!(brings(&thief, &given, AS_IT_IS).await, refused(), "{}", thief.id);
    }
    let tokens = app.redeems(&given.0, &given.1).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    // Nor does it end what the code has given meanwhile.
    assert_eq!(brings(&server.relying_party("shared"), &given, AS_IT_IS).await, refused());
    assert_eq!(app.refreshes(tokens.refresh_token()).await.status, 200);
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
}

/// A 10: a code caught at one of an application's addresses is not good at another; A 9: nor without.
#[tokio::test]
async fn a_code_is_redeemed_with_the_address_it_came_to() {
    let uris = ["https://a.example.com/callback", "https://a.example.com/other"];
    let server = World::new().client(Client::new("two").redirects_to(&uris)).start().await;
    let app = server.relying_party("two");
    let given = with_code(&server, &app, "openid").await;
    for other in [
        Some(uris[1]),
        Some("https://a.example.com/callback/"),
        Some("https://A.example.com/callback"),
        Some(""),
        None,
    ] {
        assert_eq!(brings(&app, &given, ("redirect_uri", other)).await, refused(), "{other:?}");
    }
    assert_eq!(app.redeems(&given.0, &given.1).await.status, 200);
}

/// B 30; CVE-2026-27840: a prefix of a token was as good as the token.
#[tokio::test]
async fn a_code_is_itself_and_nothing_like_it() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let given = with_code(&server, &app, "openid").await;
    let code = given.1.code.clone();
    let swapped: String = code
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    let flipped = |at: usize| {
        let mut bytes = code.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    for twin in [
        code[..code.len() - 1].to_owned(),
        code[..8].to_owned(),
        format!("{code}A"),
        format!("{code}="),
        format!("{code}\0"),
        format!("{code}\n"),
        format!(" {code}"),
        format!("{code} "),
        format!("{code}%"),
        flipped(0),
        flipped(code.len() - 1),
        swapped,
        "x".repeat(20_000),
        "' OR '1'='1".into(),
        "%".into(),
    ] {
        assert_eq!(brings(&app, &given, ("code", Some(&twin))).await, refused(), "{twin:.60}");
    }
    for nothing in [Some(""), None] {
        let (status, error) = brings(&app, &given, ("code", nothing)).await;
        assert_eq!((status, error.as_str()), (400, "invalid_request"));
    }
    assert_eq!(app.redeems(&given.0, &given.1).await.status, 200);
}

/// B 29: `expiry.codes`, a minute if nothing is said.
#[tokio::test]
async fn a_code_grows_old() {
    if Need::Clock.is_missing() {
        return;
    }
    for (yaml, young, old) in [("", 40, 61), ("expiry:\n  codes: 5m", 280, 301)] {
        let server = World::with_clock().with(yaml).start().await;
        let app = server.relying_party("example-app");
        let given = with_code(&server, &app, "openid").await;
        server.advance(Duration::from_secs(young));
        assert_eq!(app.redeems(&given.0, &given.1).await.status, 200, "{yaml}");
        let given = with_code(&server, &app, "openid").await;
        server.advance(Duration::from_secs(old));
        assert_eq!(brings(&app, &given, AS_IT_IS).await, refused(), "{yaml}");
    }
}

/// B 31; RFC 9700 section 4.5: Mallory brings Alice's code into a login of her own.
#[tokio::test]
async fn a_stolen_code_does_not_fit_into_another_login() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let stolen = with_code(&server, &app, "openid").await;
    let mallory = app.auth_request("openid");
    let verifier = ("code_verifier", Some(mallory.verifier.as_str()));
    assert_eq!(brings(&app, &stolen, verifier).await, refused());
    // Where it fits, it says whose it is.
    let tokens = app.redeems(&stolen.0, &stolen.1).await;
    let nonce = claims(tokens.id_token())["nonce"].clone();
    assert_eq!(nonce, stolen.0.nonce);
    assert_ne!(nonce, mallory.nonce);
}
