//! PKCE (RFC 7636, RFC 9700 section 2.1.1; threats B 24-26).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::world::{ALICE, ALICE_PASSWORD, Client, RelyingParty, Server, World};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// The error of `/auth` for these parameters; empty if the request is accepted.
async fn auth_error_for(server: &Server, app: &RelyingParty, more: &str, less: &[&str]) -> String {
    let left_out: Vec<_> = less.iter().map(|name| (*name, "")).collect();
    let url = app.auth_request_with("openid", &left_out).url;
    let page = server.browser().get(format!("{url}{more}")).await;
    let location = page.location().unwrap_or_else(|| panic!("{more}: {}", page.text()));
    if location.as_str().starts_with(&server.issuer()) {
        return String::new();
    }
    assert!(location.as_str().starts_with(&app.redirect_uri), "{location}");
    let error = location.query_pairs().find(|(name, _)| name == "error");
    error.map(|(_, value)| value.into_owned()).unwrap()
}

/// A login with these PKCE parameters, exchanged with this verifier.
async fn exchanged(
    server: &Server,
    app: &RelyingParty,
    challenge: &[(&str, &str)],
    verifier: Option<&str>,
) -> (u16, String) {
    let mut all = vec![("code_challenge", ""), ("code_challenge_method", "")];
    all.retain(|(name, _)| !challenge.iter().any(|(other, _)| other == name));
    all.extend_from_slice(challenge);
    let request = app.auth_request_with("openid", &all);
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", auth_response.code.as_str()),
        ("redirect_uri", &request.redirect_uri),
    ];
    fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    let response = app.exchange(&fields).await;
    (response.status, response.json["error"].as_str().unwrap_or_default().to_owned())
}

const GOOD: (u16, &str) = (200, "");
const REFUSED: (u16, &str) = (400, "invalid_grant");

fn as_str((status, error): &(u16, String)) -> (u16, &str) {
    (*status, error)
}

/// B 24; CVE-2023-48228.
#[tokio::test]
async fn a_code_with_a_challenge_requires_its_verifier() {
    let server = World::new().with(SKIP).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let others = app.auth_request("openid").verifier;
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let right = request.verifier.as_str();
    let challenge = s256(right);
    let (longer, padded) = (format!("{right}A"), format!("{right}="));
    let (long, odd) = ("a".repeat(129), format!("{}+", &right[1..]));
    let (before, behind, nul) = (format!(" {right}"), format!("{right}\n"), format!("{right}\0"));
    for wrong in [
        None,
        Some(""),
        Some(&right[..42]),
        Some(&right[1..]),
        Some(longer.as_str()),
        Some(&padded),
        Some(&long),
        Some(&odd),
        Some(&before),
        Some(&behind),
        Some(&nul),
        Some(&others),
        Some(&challenge),
        Some(&s256(&challenge)),
    ] {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", auth_response.code.as_str()),
            ("redirect_uri", &request.redirect_uri),
        ];
        fields.extend(wrong.map(|verifier| ("code_verifier", verifier)));
        let response = app.exchange(&fields).await;
        assert_eq!((response.status, response.error()), REFUSED, "{wrong:?}");
    }
    assert_eq!(app.redeems(&request, &auth_response).await.status, 200);
}

/// B 24: the lengths and the alphabet of RFC 7636 section 4.1.
#[tokio::test]
async fn verifiers_of_43_to_128_characters_are_accepted() {
    let server = World::new().with(SKIP).start().await;
    let app = server.relying_party("example-app");
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (verifier, expected) in [
        ("a".repeat(42), REFUSED),
        ("a".repeat(43), GOOD),
        ("a".repeat(128), GOOD),
        ("a".repeat(129), REFUSED),
        (alphabet.into(), GOOD),
        (format!("{alphabet}+"), REFUSED),
        (format!("{alphabet}\u{e9}"), REFUSED),
    ] {
        let challenge = s256(&verifier);
        let challenge = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
        let end = exchanged(&server, &app, &challenge, Some(&verifier)).await;
        assert_eq!(as_str(&end), expected, "{verifier}");
    }
}

/// B 25; CVE-2024-23647: Mallory removes the challenge from Alice's request; the client sends its verifier,
/// and the exchange must fail.
#[tokio::test]
async fn a_verifier_without_a_challenge_is_refused() {
    let server = World::new().with(SKIP).start().await;
    let app = server.relying_party("example-app");
    let verifier = app.auth_request("openid").verifier;
    let end = exchanged(&server, &app, &[], Some(&verifier)).await;
    assert_eq!(as_str(&end), REFUSED);
    // A confidential client may omit PKCE in both requests.
    let end = exchanged(&server, &app, &[], None).await;
    assert_eq!(as_str(&end), GOOD);
}

/// B 26: unsupported methods and malformed challenges.
#[tokio::test]
async fn only_s256_is_supported_by_default() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let both = ["code_challenge", "code_challenge_method"];
    let challenge = s256("the verifier does not matter here at all, it never comes");
    let more = format!("&code_challenge={challenge}");
    assert_eq!(
        auth_error_for(&server, &app, &more, &both).await,
        "invalid_request",
        "plain is the default"
    );
    for method in ["plain", "", "S512", "s256", "S256%20", "PLAIN", "none"] {
        let more = format!("{more}&code_challenge_method={method}");
        assert_eq!(
            auth_error_for(&server, &app, &more, &both).await,
            "invalid_request",
            "{method}"
        );
    }
    let wrapped = STANDARD.encode(digest(&SHA256, b"padded, and with another alphabet"));
    for odd in ["x", &"a".repeat(42), &"a".repeat(44), &"a".repeat(129), &wrapped, "%00", ""] {
        let more =
            format!("&code_challenge={}&code_challenge_method=S256", odd.replace('+', "%2B"));
        assert_eq!(auth_error_for(&server, &app, &more, &both).await, "invalid_request", "{odd}");
    }
    let valid = format!("&code_challenge={challenge}&code_challenge_method=S256");
    assert_eq!(auth_error_for(&server, &app, &valid, &both).await, "");
    let discovery = app.gets("/.well-known/openid-configuration").await.json;
    assert_eq!(discovery["code_challenge_methods_supported"], serde_json::json!(["S256"]));
}

/// B 26: `plain`, and an omitted method as its synonym, only if configured.
#[tokio::test]
async fn plain_is_accepted_only_where_configured() {
    let yaml = "oauth2:\n  skipApprovalScreen: true\n  pkce:\n    codeChallengeMethodsSupported: [S256, plain]";
    let server = World::new().with(yaml).start().await;
    let app = server.relying_party("example-app");
    let verifier = app.auth_request("openid").verifier;
    let (value, hashed) = (("code_challenge", verifier.as_str()), s256(&verifier));
    let (plain, s256) = (("code_challenge_method", "plain"), ("code_challenge_method", "S256"));
    for (challenge, sent_verifier, expected) in [
        (vec![value, plain], verifier.as_str(), GOOD),
        (vec![value], &verifier, GOOD),
        (vec![value, plain], &hashed, REFUSED),
        // The method is not guessed.
        (vec![("code_challenge", hashed.as_str()), s256], &hashed, REFUSED),
        (vec![("code_challenge", &hashed), plain], &verifier, REFUSED),
        (vec![("code_challenge", &hashed), s256], &verifier, GOOD),
    ] {
        let end = exchanged(&server, &app, &challenge, Some(sent_verifier)).await;
        assert_eq!(as_str(&end), expected, "{challenge:?}");
    }
}

/// B 26; RFC 9700 section 2.1.1.
#[tokio::test]
async fn a_public_client_must_use_pkce() {
    let both = ["code_challenge", "code_challenge_method"];
    let world = || World::new().client(Client::public("cli"));
    let server = world().start().await;
    let (cli, app) = (server.relying_party("cli"), server.relying_party("example-app"));
    assert_eq!(auth_error_for(&server, &cli, "", &both).await, "invalid_request");
    assert_eq!(auth_error_for(&server, &cli, "&code_challenge=", &both).await, "invalid_request");
    assert_eq!(auth_error_for(&server, &cli, "", &[]).await, "");
    assert_eq!(auth_error_for(&server, &app, "", &both).await, "");

    let relaxed = "oauth2:\n  pkce:\n    requireForPublicClients: false";
    let server = world().with(relaxed).start().await;
    assert_eq!(auth_error_for(&server, &server.relying_party("cli"), "", &both).await, "");

    let strict = "oauth2:\n  pkce:\n    enforce: true";
    let server = world().with(strict).start().await;
    for id in ["cli", "example-app"] {
        let app = server.relying_party(id);
        assert_eq!(auth_error_for(&server, &app, "", &both).await, "invalid_request", "{id}");
        assert_eq!(auth_error_for(&server, &app, "", &[]).await, "", "{id}");
    }
}
