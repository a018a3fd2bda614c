//! A GitHub that limits requests, fails or responds wrongly: limits are respected, time and memory are bounded, and no
//! user is accepted by mistake.

use std::time::{Duration, Instant};

use countersign_core::connector::Refusal;
use serde_json::json;

use crate::fake_github::{GitHub, Limit};
use crate::github::{connector, login};
use crate::steps::{
    ALL, accepted, broken, current, handle_callback, login_url, refresh, refused, trace_text,
};
use crate::tree::{list, map, plain, text};
use crate::web::{Reply, Web};

/// Threat 97: 403 rate limit, abuse 429.
#[tokio::test]
async fn a_rate_limit_is_reported_and_respected() {
    for (limit, expected) in [
        (Limit::Primary { reset_in: 1800 }, "answered 403: too many requests, again in "),
        (
            Limit::Secondary { status: 403, retry_after: Some(120) },
            "answered 403: too many requests, again in 120 s",
        ),
        (
            Limit::Secondary { status: 429, retry_after: None },
            "answered 429: too many requests, again in 60 s",
        ),
    ] {
        let fake = GitHub::start().await;
        let connector = connector(&fake, vec![]);
        let jane = accepted(login(&fake, &connector, ALL).await.0);
        fake.set(|state| state.limit = Some(limit));
        let (response, trace) = login(&fake, &connector, ALL).await;
        let reason = broken(response);
        assert!(reason.contains(expected), "{reason}");
        assert!(
            trace_text(&trace).contains("GitHub limits this person's requests"),
            "{}",
            trace_text(&trace)
        );

        let reason = broken(refresh(&connector, &jane, ALL).await);
        assert!(reason.contains(expected), "{reason}");
        let request_count = fake.request_count("/user");
        for _ in 0..5 {
            let reason = broken(refresh(&connector, &jane, ALL).await);
            assert!(reason.contains("gets no further request for"), "{reason}");
        }
        assert_eq!(fake.request_count("/user"), request_count, "it was left alone");
        // The limit of one token does not delay other users.
        fake.set(|state| {
            state.limit = None;
            state.signed_in = "bob".to_owned();
        });
        let bob = accepted(login(&fake, &connector, ALL).await.0);
        current(refresh(&connector, &bob, ALL).await);
        // It applies to her new login too.
        fake.set(|state| state.signed_in = "jane".to_owned());
        let emails = fake.request_count("/user/emails");
        assert!(
            broken(login(&fake, &connector, ALL).await.0).contains("gets no further request for")
        );
        assert_eq!(fake.request_count("/user/emails"), emails);
    }
}

/// Threats 100 and 102.
#[tokio::test]
async fn unexpected_slow_and_oversized_responses_are_errors_within_limits() {
    let fake = GitHub::start().await;
    let orgs = list(vec![map(vec![("name", text("acme"))])]);
    let connector = connector(&fake, vec![("orgs", orgs)]);
    let ok = Reply::ok;
    let member = "/orgs/acme/members/jane";
    for (path, reply, expected) in [
        ("/user", ok(json!({})), "user API did not answer with the JSON"),
        ("/user", ok(json!({ "id": "42", "login": "jane" })), "did not answer with the JSON"),
        ("/user", ok(json!({ "id": -1, "login": "jane" })), "did not answer with the JSON"),
        ("/user", ok(json!({ "id": 42, "login": "../orgs/acme" })), "not one of GitHub's"),
        ("/user", ok(json!({ "id": 42, "login": ".." })), "not one of GitHub's"),
        ("/user", ok(json!(null)), "did not answer with the JSON"),
        ("/user", Reply::Text(200, "text/html", "<html>".to_owned()), "with the JSON"),
        ("/user", Reply::Json(502, json!({ "message": "secret" })), "user API answered 502"),
        ("/user", Reply::Json(401, json!({ "message": "proxy" })), "user API answered 401"),
        ("/user", Reply::Redirect("https://evil.example/user".to_owned()), "answered 302"),
        ("/user", Reply::Nothing, "user API cannot be reached"),
        ("/user", Reply::Silence, "user API did not answer in time"),
        ("/user", Reply::Endless, "more than 1048576 bytes"),
        ("/user/emails", Reply::Endless, "more than 1048576 bytes"),
        ("/user/emails", ok(json!({ "email": "a@b" })), "e-mail API did not answer"),
        ("/user/emails", Reply::Json(404, json!({})), "e-mail API answered 404"),
        (member, Reply::Json(200, json!({})), "members API answered 200"),
        (member, Reply::Json(500, json!({})), "members API answered 500"),
        (member, Reply::Silence, "members API did not answer in time"),
        ("/user/teams", ok(json!({ "items": [] })), "teams API did not answer"),
        ("/user/teams", ok(json!([{ "name": 5 }])), "teams API did not answer"),
        ("/user/teams", Reply::Json(403, json!({})), "teams API answered 403"),
        ("/login/oauth/access_token", ok(json!({})), "lacks an access token"),
        ("/login/oauth/access_token", Reply::Endless, "more than 1048576 bytes"),
        (
            "/login/oauth/access_token",
            ok(json!({ "access_token": "a\r\nb", "token_type": "bearer" })),
            "does not fit a header",
        ),
        (
            "/login/oauth/access_token",
            ok(json!({ "access_token": "nobody's", "token_type": "bearer" })),
            "refuses the token it has just issued",
        ),
    ] {
        fake.set(|state| state.replies = vec![(path, reply)]);
        let began = Instant::now();
        let (response, trace) = login(&fake, &connector, ALL).await;
        let reason = broken(response);
        assert!(reason.contains(expected), "{path}: {reason}");
        assert!(!reason.contains("secret") && !trace_text(&trace).contains("secret"), "{reason}");
        assert!(began.elapsed() < Duration::from_secs(4), "{path} {:?}", began.elapsed());
    }
    fake.set(|state| state.replies.clear());
    accepted(login(&fake, &connector, ALL).await.0);
}

#[tokio::test]
async fn a_next_page_at_another_host_or_in_a_cycle_is_not_followed() {
    let fake = GitHub::start().await;
    let other = Web::start(|_, _| Reply::ok(json!([]))).await;
    let connector = connector(&fake, vec![("loadAllGroups", plain("true"))]);
    let port = fake.web.url.rsplit(':').next().unwrap();
    let next = |url: &str| {
        let link = format!("<{url}>; rel=\"next\"");
        Reply::With(200, "Link", link, json!([{ "login": "acme" }]))
    };
    for (url, expected) in [
        (format!("{}/user/orgs?page=2", other.url), "somewhere else"),
        (format!("http://user@evil.example:{port}/user/orgs"), "somewhere else"),
        (format!("https://127.0.0.1:{port}/user/orgs"), "somewhere else"),
        ("/user/orgs?page=2".to_owned(), "somewhere else"),
        (format!("{}/user/orgs?page=2", fake.web.url), "too many requests for one login"),
    ] {
        fake.set(|state| state.replies = vec![("/user/orgs", next(&url))]);
        let reason = broken(login(&fake, &connector, ALL).await.0);
        assert!(reason.contains(expected), "{url}: {reason}");
    }
    assert!(other.requests("/user/orgs").is_empty(), "no token went there");
    assert_eq!(fake.request_count("/user/orgs"), 4 + 100);
}

/// Threats 98 and 99.
#[tokio::test]
async fn what_comes_back_is_a_code_once_or_a_refusal() {
    let fake = GitHub::start().await;
    let connector = connector(&fake, vec![]);
    let redirect = login_url(&connector, ALL).await.unwrap();
    let query = fake.visited(&redirect.url);
    accepted(handle_callback(&connector, &redirect, &query, ALL).await.0);
    let denied = |code: &str| Refusal::UpstreamDenied { code: code.to_owned() };
    let again = handle_callback(&connector, &redirect, &query, ALL).await.0;
    assert_eq!(refused(again), denied("bad_verification_code"));
    // The code of another user's login is refused in this browser: PKCE binds it to the login that requested it.
    let other = login_url(&connector, ALL).await.unwrap();
    let stolen = fake.visited(&other.url);
    let outcome = handle_callback(&connector, &redirect, &stolen, ALL).await.0;
    assert_eq!(refused(outcome), denied("bad_verification_code"));
    for (pairs, expected) in [
        (vec![("error", "access_denied")], "access_denied"),
        (vec![], "invalid_request"),
        (vec![("code", "a"), ("code", "b")], "invalid_request"),
    ] {
        let query: Vec<(String, String)> =
            pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let response = handle_callback(&connector, &redirect, &query, ALL).await.0;
        assert_eq!(refused(response), denied(expected));
    }
    for (error, expected) in [
        ("application_suspended", "error=application_suspended"),
        ("<b>\r\nSet-Cookie: a", "an unknown error"),
    ] {
        let query = [("error".to_owned(), error.to_owned())];
        let reason = broken(handle_callback(&connector, &redirect, &query, ALL).await.0);
        assert!(reason.contains(expected) && !reason.contains("Set-Cookie"), "{reason}");
    }
    let unverified = Reply::ok(json!({ "error": "unverified_user_email" }));
    fake.set(|state| state.replies = vec![("/login/oauth/access_token", unverified)]);
    assert_eq!(refused(login(&fake, &connector, ALL).await.0), Refusal::EmailNotVerified);
}
