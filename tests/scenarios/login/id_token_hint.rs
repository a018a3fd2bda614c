//! `id_token_hint`: the client names the person it expects (OpenID Connect Core 3.1.2.1 and 3.1.2.2; threat B 37).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Browser, Need, RelyingParty, Server, World, claims,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

/// Signs in with a new browser; returns it with ID and access token.
async fn tokens_of(server: &Server, (login, password): (&str, &str)) -> (Browser, String, String) {
    let (mut browser, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email");
    let auth_response = browser.logs_in(&request, login, password).await;
    let response = app.redeems(&request, &auth_response).await;
    (browser, response.id_token().to_owned(), response.access_token().to_owned())
}

const WHO_ALICE: (&str, &str) = (ALICE, ALICE_PASSWORD);
const WHO_BOB: (&str, &str) = (BOB, BOB_PASSWORD);

async fn prompt_none_with_hint(browser: &mut Browser, app: &RelyingParty, hint: &str) -> String {
    let url =
        app.auth_request_with("openid email", &[("prompt", "none"), ("id_token_hint", hint)]).url;
    let page = browser.get(url).await;
    let location = page.location().unwrap_or_else(|| panic!("{}", page.text()));
    assert!(location.as_str().starts_with(&app.redirect_uri), "{location}");
    let received = |name: &str| location.query_pairs().find(|(key, _)| key == name);
    received("error").map_or_else(|| "code".to_owned(), |(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_hint_of_the_signed_in_person_succeeds_without_a_page() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, hers, _) = tokens_of(&server, WHO_ALICE).await;
    let (mut bob, his, _) = tokens_of(&server, WHO_BOB).await;
    let app = server.relying_party("example-app");
    assert_eq!(prompt_none_with_hint(&mut alice, &app, &hers).await, "code");
    assert_eq!(prompt_none_with_hint(&mut bob, &app, &his).await, "code");
    assert_eq!(prompt_none_with_hint(&mut alice, &app, &his).await, "login_required");
    assert_eq!(prompt_none_with_hint(&mut bob, &app, &hers).await, "login_required");
    assert_eq!(prompt_none_with_hint(&mut server.browser(), &app, &hers).await, "login_required");
}

#[tokio::test]
async fn a_hint_of_another_person_requires_their_login() {
    let server = World::new().with(SKIP).start().await;
    let (mut browser, _, _) = tokens_of(&server, WHO_ALICE).await;
    let (_, his, _) = tokens_of(&server, WHO_BOB).await;
    let app = server.relying_party("example-app");
    for (login, password, expected) in
        [(ALICE, ALICE_PASSWORD, None), (BOB, BOB_PASSWORD, Some(BOB))]
    {
        let request = app.auth_request_with("openid email", &[("id_token_hint", &his)]);
        browser.opens(&request.url).await;
        browser.signs_in(login, password).await;
        match expected {
            None => assert_eq!(browser.auth_error(), "login_required"),
            Some(email) => {
                let response = app.redeems(&request, &browser.auth_response()).await;
                assert_eq!(claims(response.id_token())["email"], email);
            }
        }
    }
}

/// Clients keep ID tokens as hints after they have expired.
#[tokio::test]
async fn an_expired_hint_is_accepted() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock().with(SKIP).with("expiry:\n  idTokens: 1m").start().await;
    let (mut alice, hers, _) = tokens_of(&server, WHO_ALICE).await;
    let (_, his, _) = tokens_of(&server, WHO_BOB).await;
    server.advance(Duration::from_hours(1));
    let app = server.relying_party("example-app");
    assert_eq!(prompt_none_with_hint(&mut alice, &app, &hers).await, "code");
    assert_eq!(prompt_none_with_hint(&mut alice, &app, &his).await, "login_required");
}

/// B 37: anything but an ID token of this issuer is refused.
#[tokio::test]
async fn a_forged_hint_is_an_invalid_request() {
    let (server, other_issuer) =
        (World::new().with(SKIP).start().await, World::new().with(SKIP).start().await);
    let (mut alice, hers, access_token) = tokens_of(&server, WHO_ALICE).await;
    let (_, foreign, _) = tokens_of(&other_issuer, WHO_ALICE).await;
    let app = server.relying_party("example-app");
    let parts: Vec<&str> = hers.split('.').collect();
    let with_header = |header: &str, signature: &str| {
        format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), parts[1])
    };
    let bob = claims(&hers).to_string().replace(ALICE, BOB);
    let last = if parts[2].starts_with('A') { "B" } else { "A" };
    for (what, forged) in [
        ("no algorithm", with_header(r#"{"alg":"none"}"#, "")),
        ("no algorithm, a signature", with_header(r#"{"alg":"none"}"#, parts[2])),
        ("None", with_header(r#"{"alg":"None"}"#, "")),
        ("hmac", with_header(r#"{"alg":"HS256"}"#, parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("another signature", format!("{}.{}.{last}{}", parts[0], parts[1], &parts[2][1..])),
        ("other claims", format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(bob), parts[2])),
        ("another issuer's", foreign),
        ("an access token", access_token),
        ("trailing data", format!("{hers}.x")),
        ("white space", format!("{hers} ")),
        ("a name", ALICE.to_owned()),
        ("nothing", "..".to_owned()),
        ("JSON", r#"{"payload":"e30","signatures":[]}"#.to_owned()),
    ] {
        assert_eq!(
            prompt_none_with_hint(&mut alice, &app, &forged).await,
            "invalid_request",
            "{what}"
        );
    }
    assert_eq!(prompt_none_with_hint(&mut alice, &app, &hers).await, "code");
}
