//! Authorization codes: single use, short-lived, bound to client, redirect URI and PKCE verifier (RFC 6749
//! section 4.1.3, RFC 9700 section 4.5; threats A 10, B 21-23, 29-31).

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, AuthResponse, Client, Need, RelyingParty, Server, World,
    claims,
};

/// Alice signs in to `app`; the code has not been exchanged yet.
async fn with_code(
    server: &Server,
    app: &RelyingParty,
    scopes: &str,
) -> (AuthRequest, AuthResponse) {
    let request = app.auth_request(scopes);
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    (request, auth_response)
}

/// The code exchange with one field replaced, or left out (`None`).
async fn exchange_with(
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

/// All tokens of the first exchange are refused.
async fn assert_tokens_refused(app: &RelyingParty, access_token: &str, refresh_token: &str) {
    let received = app.userinfo(access_token).await;
    assert_eq!(received.status, 401, "{}", received.page.body);
    let refreshed = app.refreshes(refresh_token).await;
    assert_eq!((refreshed.status, refreshed.error()), (400, "invalid_grant"));
}

/// B 21; RFC 6749 section 4.1.2: the second use may be that of the legitimate client.
#[tokio::test]
async fn two_concurrent_exchanges_of_a_code_end_its_grant() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let issued = with_code(&server, &app, "openid offline_access").await;
    let first = app.redeems(&issued.0, &issued.1).await;
    assert_eq!(app.userinfo(first.access_token()).await.status, 200);
    assert_eq!(exchange_with(&app, &issued, AS_IT_IS).await, refused());
    assert_tokens_refused(&app, first.access_token(), first.refresh_token()).await;
    assert_eq!(exchange_with(&app, &issued, AS_IT_IS).await, refused());
}

/// B 21: half a minute later, and long after the code itself has expired.
#[tokio::test]
async fn a_later_second_exchange_of_a_code_ends_its_grant() {
    if Need::Clock.is_missing() {
        return;
    }
    for later in [Duration::from_secs(30), Duration::from_mins(20)] {
        let server = World::with_clock().start().await;
        let app = server.relying_party("example-app");
        let issued = with_code(&server, &app, "openid offline_access").await;
        let first = app.redeems(&issued.0, &issued.1).await;
        let second = app.refreshes(first.refresh_token()).await;
        assert_eq!(second.status, 200, "{}", second.page.body);
        server.advance(later);
        assert_eq!(app.userinfo(first.access_token()).await.status, 200);
        assert_eq!(exchange_with(&app, &issued, AS_IT_IS).await, refused(), "{later:?}");
        assert_tokens_refused(&app, first.access_token(), second.refresh_token()).await;
        assert_eq!(app.userinfo(second.access_token()).await.status, 401);
    }
}

/// B 21: also with a wrong verifier, since the code has leaked.
#[tokio::test]
async fn a_second_exchange_ends_only_the_grant_of_this_code() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let mut issued = Vec::new();
    for _ in 0..2 {
        let request = app.auth_request("openid offline_access");
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let tokens = app.redeems(&request, &auth_response).await;
        issued.push(((request, auth_response), tokens));
    }
    let (first, second) = (&issued[0], &issued[1]);
    assert_eq!(
        exchange_with(&app, &first.0, ("code_verifier", Some(&"x".repeat(43)))).await,
        refused()
    );
    assert_tokens_refused(&app, first.1.access_token(), first.1.refresh_token()).await;
    assert_eq!(app.userinfo(second.1.access_token()).await.status, 200);
    assert_eq!(app.refreshes(second.1.refresh_token()).await.status, 200);
}

/// B 22; CVE-2026-47386, CVE-2026-1035: a check followed by a write would let several through.
#[tokio::test]
async fn of_fifty_concurrent_exchanges_on_two_replicas_one_succeeds() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = World::with_postgres().start().await;
    let other = one.replica().await;
    let issued =
        Arc::new(with_code(&one, &one.relying_party("example-app"), "openid offline_access").await);
    let mut all = JoinSet::new();
    for n in 0..50 {
        let mut app = one.relying_party("example-app");
        app.via_replica(if n % 2 == 0 { &one } else { &other });
        let issued = Arc::clone(&issued);
        all.spawn(async move { app.redeems(&issued.0, &issued.1).await });
    }
    let responses = all.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) =
        responses.iter().partition(|response| response.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 49), "{lost:?}");
    for response in lost {
        assert_eq!((response.status, response.error()), (400, "invalid_grant"));
    }
    // The other forty-nine count as reuse, so the grant has ended.
    for replica in [&one, &other] {
        let mut app = one.relying_party("example-app");
        app.via_replica(replica);
        assert_tokens_refused(&app, won[0].access_token(), won[0].refresh_token()).await;
    }
}

/// B 23; CVE-2026-28513, CVE-2026-55672. Nor can another client use up the code.
#[tokio::test]
async fn a_code_of_another_client_is_refused_and_stays_usable() {
    let uri = "https://example-app.example.com/callback";
    let shared = Client::new("shared").redirects_to(&[uri]);
    let server = World::new().client(shared).client(Client::public("cli")).start().await;
    let app = server.relying_party("example-app");
    let issued = with_code(&server, &app, "openid offline_access").await;
    for thief in ["shared", "cli"] {
        let thief = server.relying_party(thief);
        assert_eq!(exchange_with(&thief, &issued, AS_IT_IS).await, refused(), "{}", thief.id);
    }
    let tokens = app.redeems(&issued.0, &issued.1).await;
    assert_eq!(tokens.status, 200, "{}", tokens.page.body);
    // Nor does it end the grant afterwards.
    assert_eq!(exchange_with(&server.relying_party("shared"), &issued, AS_IT_IS).await, refused());
    assert_eq!(app.refreshes(tokens.refresh_token()).await.status, 200);
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
}

/// A 10: the redirect URI must be that of the request; A 9: it must not be missing.
#[tokio::test]
async fn a_code_is_exchanged_only_with_its_redirect_uri() {
    let uris = ["https://a.example.com/callback", "https://a.example.com/other"];
    let server = World::new().client(Client::new("two").redirects_to(&uris)).start().await;
    let app = server.relying_party("two");
    let issued = with_code(&server, &app, "openid").await;
    for other in [
        Some(uris[1]),
        Some("https://a.example.com/callback/"),
        Some("https://A.example.com/callback"),
        Some(""),
        None,
    ] {
        assert_eq!(
            exchange_with(&app, &issued, ("redirect_uri", other)).await,
            refused(),
            "{other:?}"
        );
    }
    assert_eq!(app.redeems(&issued.0, &issued.1).await.status, 200);
}

/// B 30; CVE-2026-27840: a prefix of a token was accepted as the token.
#[tokio::test]
async fn an_altered_code_is_refused() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let issued = with_code(&server, &app, "openid").await;
    let code = issued.1.code.clone();
    let swapped: String = code
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    let flipped = |at: usize| {
        let mut bytes = code.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    for altered in [
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
        assert_eq!(
            exchange_with(&app, &issued, ("code", Some(&altered))).await,
            refused(),
            "{altered:.60}"
        );
    }
    for nothing in [Some(""), None] {
        let (status, error) = exchange_with(&app, &issued, ("code", nothing)).await;
        assert_eq!((status, error.as_str()), (400, "invalid_request"));
    }
    assert_eq!(app.redeems(&issued.0, &issued.1).await.status, 200);
}

/// B 29: `expiry.codes`, one minute by default.
#[tokio::test]
async fn an_expired_code_is_refused() {
    if Need::Clock.is_missing() {
        return;
    }
    for (yaml, young, old) in [("", 40, 61), ("expiry:\n  codes: 5m", 280, 301)] {
        let server = World::with_clock().with(yaml).start().await;
        let app = server.relying_party("example-app");
        let issued = with_code(&server, &app, "openid").await;
        server.advance(Duration::from_secs(young));
        assert_eq!(app.redeems(&issued.0, &issued.1).await.status, 200, "{yaml}");
        let issued = with_code(&server, &app, "openid").await;
        server.advance(Duration::from_secs(old));
        assert_eq!(exchange_with(&app, &issued, AS_IT_IS).await, refused(), "{yaml}");
    }
}

/// B 31; RFC 9700 section 4.5: Mallory injects Alice's code into a login of her own.
#[tokio::test]
async fn a_stolen_code_is_refused_in_another_login() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let stolen = with_code(&server, &app, "openid").await;
    let mallory = app.auth_request("openid");
    let verifier = ("code_verifier", Some(mallory.verifier.as_str()));
    assert_eq!(exchange_with(&app, &stolen, verifier).await, refused());
    // In its own login it identifies Alice.
    let tokens = app.redeems(&stolen.0, &stolen.1).await;
    let nonce = claims(tokens.id_token())["nonce"].clone();
    assert_eq!(nonce, stolen.0.nonce);
    assert_ne!(nonce, mallory.nonce);
}
