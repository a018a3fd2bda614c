//! Groups of Google: spelled as by Dex, read to the last page, and only for an address that Google is authoritative for.

use countersign_core::LoginScopes;
use countersign_core::connector::{ConnectorError, Refusal};
use serde_json::{Value, json};

use crate::google::{CLOUD, DIRECTORY, world};
use crate::oidc::login;
use crate::steps::{ALL, accepted, broken, handle_callback, login_url, refused, trace_text};
use crate::tree::{list, plain, text};
use crate::web::Reply;

#[tokio::test]
async fn groups_are_the_addresses_of_groups_in_dexs_order_and_all_pages_are_read() {
    let world = world().await;
    let direct = world.with_directory(vec![]);
    let groups = accepted(login(&world.provider, &direct).await).identity.groups;
    assert_eq!(groups, ["a@example.com", "b@example.com", "c@example.com"]);
    assert_eq!(world.provider.web.requests(DIRECTORY).len(), 2);
    let bearer = world.provider.web.requests(DIRECTORY)[0].bearer().unwrap().to_owned();
    assert!(bearer.starts_with("for admin@example.com "), "{bearer}");
    accepted(login(&world.provider, &direct).await);
    assert_eq!(world.provider.web.requests("/sa").len(), 1, "the token is kept");

    let all = world.with_directory(vec![("fetchTransitiveGroupMembership", plain("true"))]);
    let groups = accepted(login(&world.provider, &all).await).identity.groups;
    let expected =
        ["a@example.com", "all@example.com", "b@example.com", "ring@example.com", "c@example.com"];
    assert_eq!(groups, expected, "a ring of groups ends");
}

#[tokio::test]
async fn cloud_identity_needs_no_administrator() {
    for (transitive, verb) in [("true", "searchTransitiveGroups"), ("false", "searchDirectGroups")]
    {
        let world = world().await;
        let keys = vec![("fetchTransitiveGroupMembership", plain(transitive))];
        let connector = world.with_cloud(keys);
        let groups = accepted(login(&world.provider, &connector).await).identity.groups;
        assert_eq!(groups, ["x@example.com", "y@example.com"]);
        assert_eq!(world.provider.web.requests(&format!("{CLOUD}{verb}")).len(), 2);
    }
}

#[tokio::test]
async fn groups_are_read_only_if_requested() {
    let world = world().await;
    let connector = world.with_directory(vec![]);
    let plain = LoginScopes::default();
    let redirect = login_url(&connector, plain).await.unwrap();
    let query = world.provider.visited(&redirect);
    let jane = accepted(handle_callback(&connector, &redirect, &query, plain).await.0);
    assert!(jane.identity.groups.is_empty() && world.provider.web.requests(DIRECTORY).is_empty());
    // Required groups are read even without the scope `groups`; Dex does not check them then.
    let guarded = world.with_directory(vec![("groups", list(vec![text("z@example.com")]))]);
    let redirect = login_url(&guarded, plain).await.unwrap();
    let query = world.provider.visited(&redirect);
    let refusal = refused(handle_callback(&guarded, &redirect, &query, plain).await.0);
    let required = vec!["z@example.com".to_owned()];
    assert_eq!(refusal, Refusal::NotInRequiredGroup { required });
    let filtered = world.with_directory(vec![("groups", list(vec![text("b@example.com")]))]);
    let jane = accepted(login(&world.provider, &filtered).await);
    assert_eq!(jane.identity.groups, ["b@example.com"]);
}

/// Threats 95 and 96.
#[tokio::test]
async fn threat_96_groups_are_read_only_for_an_address_google_is_authoritative_for() {
    for (hd, verified, email, is_read) in [
        (json!("example.com"), json!(true), "jane@example.com", true),
        (Value::Null, json!(true), "jane@example.com", false),
        (json!("example.com"), json!(false), "jane@example.com", false),
        (json!("example.com"), json!("true"), "jane@example.com", false),
        (Value::Null, json!(true), "jane@gmail.com", true),
        (Value::Null, json!(true), "jane@gmail.com.evil.com", false),
        (json!("example.com"), json!(true), "jane@example.com@evil.com", false),
        (json!("example.com"), json!(true), "\"jane@example.com\"@evil.com", false),
        (json!("example.com"), json!(true), "@example.com", false),
        (json!("example.com"), json!(true), "", false),
    ] {
        let world = world().await;
        let case = format!("{hd} {verified} {email}");
        world.provider.claims(move |claims| {
            claims.insert("hd".into(), hd.clone());
            claims.insert("email_verified".into(), verified.clone());
            claims.insert("email".into(), json!(email));
        });
        let jane = accepted(login(&world.provider, &world.with_directory(vec![])).await);
        assert_eq!(!world.provider.web.requests(DIRECTORY).is_empty(), is_read, "{case}");
        assert_eq!(
            !jane.identity.groups.is_empty(),
            is_read && email == "jane@example.com",
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_missing_user_is_distinguished_from_a_missing_permission() {
    let world = world().await;
    let connector = world.with_directory(vec![]);
    world.provider.set(|b| b.replies = vec![(DIRECTORY, Reply::Json(404, json!({})))]);
    let redirect = login_url(&connector, ALL).await.unwrap();
    let query = world.provider.visited(&redirect);
    let (login, trace) = handle_callback(&connector, &redirect, &query, ALL).await;
    assert!(accepted(login).identity.groups.is_empty());
    assert!(trace_text(&trace).contains("does not know this address"));
    for (reply, expected) in [
        (Reply::Json(403, json!({ "error": { "code": 403 } })), "may not read groups"),
        (Reply::Json(401, json!({})), "answered 401"),
        (Reply::Json(200, json!({ "groups": [{ "id": "no address" }] })), "JSON"),
        (
            Reply::Json(200, json!({ "groups": [], "nextPageToken": "for ever" })),
            "too many requests",
        ),
        (Reply::Endless, "more than"),
        (Reply::With(429, "Retry-After", "7".into(), json!({})), "again in 7 s"),
    ] {
        world.provider.set(|b| b.replies = vec![(DIRECTORY, reply)]);
        let cause = broken(crate::oidc::login(&world.provider, &connector).await);
        assert!(cause.contains(expected) && cause.contains("Admin Directory API"), "{cause}");
    }
}

/// Google's Directory API reports an exhausted quota with 403, as it does a missing permission.
#[tokio::test]
async fn an_exhausted_quota_passes_by_itself_and_a_missing_permission_does_not() {
    let world = world().await;
    let connector = world.with_directory(vec![]);
    for (reason, passes) in [
        ("quotaExceeded", true),
        ("rateLimitExceeded", true),
        ("userRateLimitExceeded", true),
        ("forbidden", false),
    ] {
        let error = json!({ "errors": [{ "domain": "x", "reason": reason }], "code": 403 });
        let reply = Reply::Json(403, json!({ "error": error }));
        world.provider.set(|b| b.replies = vec![(DIRECTORY, reply)]);
        let failure = login(&world.provider, &connector).await.unwrap_err();
        assert_eq!(matches!(failure, ConnectorError::Unavailable { .. }), passes, "{failure}");
    }
}
