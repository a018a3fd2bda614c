//! Refresh without the user: rotating refresh tokens, refusals, and errors that must not end sessions.

use countersign_core::Secret;
use countersign_core::connector::SignedIn;
use serde_json::json;

use crate::oidc::{connector, login};
use crate::provider::Provider;
use crate::steps::{ALL, accepted, broken, current, missing, not_possible, refresh};
use crate::tree::{list, plain, text};
use crate::web::Reply;

fn groups() -> crate::steps::Keys {
    vec![("insecureEnableGroups", plain("true"))]
}

#[tokio::test]
async fn a_refresh_rereads_the_groups_and_returns_the_next_token() {
    let provider = Provider::start().await;
    provider.set(|b| b.rotates = true);
    let connector = connector(&provider, groups());
    assert!(connector.refresh.as_ref().unwrap().needs_offline_login());
    let jane = accepted(login(&provider, &connector).await);
    provider.claims(|claims| {
        claims.insert("groups".into(), json!(["left"]));
        claims.remove("name");
    });
    let again = current(refresh(&connector, &jane, ALL).await);
    assert_eq!(again.identity.groups, ["left"]);
    assert_eq!(again.identity.username, "Jane Doe", "a thin token keeps the name");
    let token = |person: &SignedIn| person.upstream.as_ref().unwrap().expose().to_owned();
    assert_ne!(token(&again), token(&jane));
    let third = current(refresh(&connector, &again, ALL).await);
    assert_ne!(token(&third), token(&again));
}

#[tokio::test]
async fn an_upstream_that_does_not_rotate_keeps_its_token() {
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![]);
    let jane = accepted(login(&provider, &connector).await);
    let again = current(refresh(&connector, &jane, ALL).await);
    assert_eq!(again.upstream.unwrap().expose(), jane.upstream.unwrap().expose());
}

#[tokio::test]
async fn a_token_spent_before_something_else_failed_is_not_lost() {
    let provider = Provider::start().await;
    provider.set(|b| b.rotates = true);
    let connector = connector(&provider, vec![("getUserInfo", plain("true"))]);
    let jane = accepted(login(&provider, &connector).await);
    provider.set(|b| b.replies = vec![("/userinfo", Reply::Json(500, json!({})))]);
    assert!(broken(refresh(&connector, &jane, ALL).await).contains("500"));
    provider.set(|b| b.replies.clear());
    let again = current(refresh(&connector, &jane, ALL).await);
    assert_eq!(provider.web.requests("/token").len(), 2, "one login, one refresh");
    current(refresh(&connector, &again, ALL).await);
}

/// A reload builds the connector anew from the same configuration.
#[tokio::test]
async fn a_token_spent_before_the_connector_was_replaced_is_not_lost() {
    let provider = Provider::start().await;
    provider.set(|b| b.rotates = true);
    let config = || vec![("getUserInfo", plain("true"))];
    let (before, after) = (connector(&provider, config()), connector(&provider, config()));
    let jane = accepted(login(&provider, &before).await);
    provider.set(|b| b.replies = vec![("/userinfo", Reply::Json(500, json!({})))]);
    assert!(broken(refresh(&before, &jane, ALL).await).contains("500"));
    provider.set(|b| b.replies.clear());
    let used = before.refresh.as_ref().unwrap().used_refresh_tokens().unwrap();
    after.refresh.as_ref().unwrap().share_used_refresh_tokens(used);
    let again = current(refresh(&after, &jane, ALL).await);
    assert_eq!(provider.web.requests("/token").len(), 2, "one login, one refresh");
    current(refresh(&after, &again, ALL).await);
}

/// Issue 9, item 10: what the upstream returned is kept although its ID token cannot be used, and the next attempt asks
/// the upstream again instead of judging the same ID token again.
#[tokio::test]
async fn a_token_returned_with_an_unusable_id_token_is_the_one_to_use_next() {
    let provider = Provider::start().await;
    provider.set(|b| b.rotates = true);
    let mut keys = groups();
    keys.push(("userIDKey", text("email")));
    let connector = connector(&provider, keys);
    let refreshing = connector.refresh.clone().unwrap();
    let mut jane = accepted(login(&provider, &connector).await);
    let first = jane.upstream.clone().unwrap();
    assert!(refreshing.successor(&first).await.is_none(), "it was not used");
    provider.claims(|claims| {
        claims.insert("groups".into(), json!(5));
    });
    assert!(broken(refresh(&connector, &jane, ALL).await).contains("not a list of groups"));

    let next = refreshing.successor(&first).await.expect("the upstream returned another token");
    assert_ne!(next.expose(), first.expose());
    assert!(next.expose().contains(r#""Sub":"1234""#), "{}", next.expose());
    jane.upstream = Some(next);
    provider.claims(|claims| {
        claims.insert("groups".into(), json!(["left"]));
    });
    assert_eq!(current(refresh(&connector, &jane, ALL).await).identity.groups, ["left"]);
    assert_eq!(provider.web.requests("/token").len(), 3, "a login, and each refresh asked");
}

#[tokio::test]
async fn a_token_is_not_lost_when_the_caller_disconnects() {
    let provider = Provider::start().await;
    provider.set(|b| b.rotates = true);
    let connector = connector(&provider, vec![]);
    let jane = accepted(login(&provider, &connector).await);
    // The client disconnects, so the future is dropped at its first await.
    let refreshing = refresh(&connector, &jane, ALL);
    tokio::select! {
        biased;
        _ = refreshing => panic!("it cannot be done at once"),
        () = tokio::task::yield_now() => {}
    }
    while provider.web.requests("/token").len() < 2 {
        tokio::task::yield_now().await;
    }
    current(refresh(&connector, &jane, ALL).await);
}

#[tokio::test]
async fn two_who_bring_the_same_token_at_once_spend_it_once() {
    let provider = Provider::start().await;
    provider.set(|b| b.rotates = true);
    let connector = connector(&provider, vec![]);
    let jane = accepted(login(&provider, &connector).await);
    let (one, two) = tokio::join!(refresh(&connector, &jane, ALL), refresh(&connector, &jane, ALL));
    let token = |person: SignedIn| person.upstream.unwrap().expose().to_owned();
    assert_eq!(token(current(one)), token(current(two)));
    assert_eq!(provider.web.requests("/token").len(), 2, "one login, one refresh");
}

#[tokio::test]
async fn a_refused_token_is_missing_and_a_broken_upstream_is_unavailable() {
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![]);
    let jane = accepted(login(&provider, &connector).await);
    provider.forget_refresh_tokens();
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("invalid_grant"));
    for (reply, expected) in [
        (Reply::Json(500, json!({ "error": "server_error" })), "500 server_error"),
        (Reply::Json(401, json!({ "error": "invalid_client" })), "401 invalid_client"),
        (Reply::Json(400, json!({ "error": "<b>html</b>" })), "answered 400"),
        (Reply::With(429, "Retry-After", "30".into(), json!({})), "again in 30 s"),
        (Reply::Text(200, "text/html", "<html>".into()), "JSON"),
        (Reply::Nothing, "cannot be reached"),
        (Reply::Silence, "in time"),
    ] {
        provider.set(|b| b.replies = vec![("/token", reply)]);
        let cause = broken(refresh(&connector, &jane, ALL).await);
        assert!(cause.contains(expected) && !cause.contains("html"), "{cause}");
    }
}

#[tokio::test]
async fn who_left_the_required_group_is_missing() {
    let provider = Provider::start().await;
    let mut keys = groups();
    keys.push(("allowedGroups", list(vec![text("staff")])));
    let connector = connector(&provider, keys);
    let jane = accepted(login(&provider, &connector).await);
    provider.claims(|claims| {
        claims.insert("groups".into(), json!(["other"]));
    });
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("staff"));
}

/// OpenID Connect Core 1.0 section 12.2: the answer might not contain an ID token.
#[tokio::test]
async fn without_an_id_token_the_last_identity_is_kept_and_userinfo_is_requested_if_configured() {
    let provider = Provider::start().await;
    let thin = connector(&provider, vec![]);
    let jane = accepted(login(&provider, &thin).await);
    provider.set(|b| {
        b.without_id_token = true;
        b.userinfo = json!({ "email": "jane@example.com", "email_verified": true })
            .as_object()
            .unwrap()
            .clone();
    });
    let kept = current(refresh(&thin, &jane, ALL).await);
    assert_eq!(kept.identity, jane.identity);
    assert!(kept.upstream.is_some(), "it can be refreshed");
    let refreshing = connector(&provider, vec![("getUserInfo", plain("true"))]);
    assert_eq!(current(refresh(&refreshing, &jane, ALL).await).identity.user_id, "1234");
}

/// The user id is of a claim that only the ID token of the sign-in has; `sub` is the same (section 12.2).
#[tokio::test]
async fn a_user_id_that_a_refresh_does_not_repeat_is_kept() {
    let provider = Provider::start().await;
    provider.claims(|claims| {
        claims.insert("oid".into(), json!("jane-1"));
    });
    let keys = vec![("userIDKey", text("oid")), ("getUserInfo", plain("true"))];
    let connector = connector(&provider, keys);
    let jane = accepted(login(&provider, &connector).await);
    provider.set(|b| {
        b.without_id_token = true;
        b.userinfo = json!({ "email": "new@example.com", "email_verified": true })
            .as_object()
            .unwrap()
            .clone();
    });
    let again = current(refresh(&connector, &jane, ALL).await).identity;
    assert_eq!((again.user_id.as_str(), again.email.as_str()), ("jane-1", "new@example.com"));
    provider.set(|b| {
        b.userinfo.insert("sub".into(), json!("somebody-else"));
    });
    assert!(broken(refresh(&connector, &jane, ALL).await).contains("another user"));
}

/// Nothing but the user id shows whose claims these are if the session began before the `sub` was stored.
#[tokio::test]
async fn a_user_id_is_not_kept_where_the_sub_of_the_sign_in_is_unknown() {
    let provider = Provider::start().await;
    provider.claims(|claims| {
        claims.insert("oid".into(), json!("jane-1"));
    });
    let connector = connector(&provider, vec![("userIDKey", text("oid"))]);
    let mut jane = accepted(login(&provider, &connector).await);
    let stored = jane.upstream.as_ref().unwrap().expose().to_owned();
    let without_sub = stored.replace(r#","Sub":"1234""#, "");
    assert_ne!(without_sub, stored);
    jane.upstream = Some(Secret::new(without_sub));
    provider.claims(|claims| {
        claims.remove("oid");
        claims.insert("sub".into(), json!("somebody-else"));
    });
    assert!(broken(refresh(&connector, &jane, ALL).await).contains("\"oid\""));
}

/// A claim that is null says no more than one that is missing: it is a defect, and no statement about the address.
#[tokio::test]
async fn an_email_verified_that_is_null_at_a_refresh_is_a_defect_and_no_refusal() {
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![]);
    let jane = accepted(login(&provider, &connector).await);
    provider.claims(|claims| {
        claims.insert("email_verified".into(), serde_json::Value::Null);
    });
    assert!(broken(refresh(&connector, &jane, ALL).await).contains("email_verified"));
}

#[tokio::test]
async fn without_an_upstream_token_a_refresh_is_not_possible_and_nothing_is_requested() {
    let provider = Provider::start().await;
    provider.set(|b| b.without_refresh_token = true);
    let connector = connector(&provider, vec![]);
    let mut jane = accepted(login(&provider, &connector).await);
    assert!(jane.upstream.is_none());
    for upstream in [None, Some(""), Some("{}"), Some(r#"{"RefreshToken":null}"#), Some("[]")] {
        jane.upstream = upstream.map(Secret::new);
        not_possible(refresh(&connector, &jane, ALL).await);
    }
    assert_eq!(provider.web.requests("/token").len(), 1);
}

/// OpenID Connect Core 1.0 section 12.2: `sub` MUST be that of the original ID token, whatever the user id is.
#[tokio::test]
async fn threat_160_an_id_token_of_another_sub_is_refused_before_userinfo_is_requested() {
    for user_id_key in ["sub", "oid"] {
        let provider = Provider::start().await;
        provider.claims(|claims| {
            claims.insert("oid".into(), json!("jane-1"));
        });
        let keys = vec![("userIDKey", text(user_id_key)), ("getUserInfo", plain("true"))];
        let connector = connector(&provider, keys);
        provider.set(|b| b.userinfo = serde_json::Map::new());
        let jane = accepted(login(&provider, &connector).await);
        let requests = provider.web.requests("/userinfo").len();
        provider.claims(|claims| {
            claims.insert("oid".into(), json!("jane-1"));
            claims.insert("sub".into(), json!("somebody-else"));
        });
        assert!(broken(refresh(&connector, &jane, ALL).await).contains("another subject"));
        assert_eq!(provider.web.requests("/userinfo").len(), requests, "{user_id_key}");
    }
}
