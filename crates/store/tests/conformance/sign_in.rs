use countersign_core::session::EndReason;
use countersign_core::{ConnectorId, LoginScopes, SessionId};
use countersign_store::{
    BlockUser, EventQuery, RedeemCodeOutcome, SignIn, SignInOutcome, UsedAssertion,
};
use serde_json::json;

use crate::on_both_engines;
use crate::world::{
    HOUR, LIMIT, MINUTE, NOW, SignedIn as _, World, code, grant, identity, retention, rotate,
    sign_in,
};

/// Another sign-in by the same browser.
fn again(user: &str, previous: &str, cookie: &str) -> SignIn {
    SignIn { previous_cookie: Some(previous.into()), now: NOW + MINUTE, ..sign_in(user, cookie) }
}

async fn a_sign_in_is_remembered_whole(world: &World) {
    let new_sign_in = sign_in("jane", "cookie-1");
    let outcome = world.store.sign_in(new_sign_in.clone()).await.unwrap();
    assert_eq!(outcome.session(), new_sign_in.id);
    assert!(!outcome.reauthenticated());

    let session = world.store.session_by_cookie("cookie-1").await.unwrap().unwrap();
    assert_eq!(session.id, new_sign_in.id);
    assert_eq!(session.connector, new_sign_in.connector);
    assert_eq!(session.identity, new_sign_in.identity);
    assert_eq!((session.fingerprint, session.login_scopes, session.upstream), {
        (new_sign_in.fingerprint, new_sign_in.login_scopes, new_sign_in.upstream)
    });
    assert_eq!((session.identity_at, session.auth_time, session.created_at), (NOW, NOW, NOW));
    assert_eq!((session.last_seen, session.cookie_until), (NOW, NOW + 8 * HOUR));
    assert_eq!(session.browser_seen, NOW);
    assert_eq!((session.ip.as_str(), session.user_agent.as_str()), ("192.0.2.1", "Firefox"));
    assert_eq!((session.missing_since, session.ended), (None, None));

    assert!(world.store.session_by_cookie("cookie-2").await.unwrap().is_none());
    assert!(world.store.session(&SessionId::new("nobody")).await.unwrap().is_none());
    let query = EventQuery { session: Some(new_sign_in.id), limit: 10, ..EventQuery::default() };
    let events = world.store.events(query).await.unwrap();
    assert_eq!(events.len(), 1);
    let event = &events[0].event;
    assert_eq!(event.details, json!({ "groups": ["dev", "ops"] }));
    assert_eq!((event.kind.as_str(), event.actor.as_str()), ("signed_in", "user:jane"));
    assert_eq!((event.at, event.ip.as_deref()), (NOW, Some("192.0.2.1")));
}

async fn the_same_person_keeps_the_session_and_gets_a_new_cookie(world: &World) {
    let first = world.jane("old").await;
    let grant = world.granted(&first, "app", true).await;
    let mut second = again("jane", "old", "new");
    second.login_scopes = LoginScopes { offline: false, groups: true };
    second.upstream = None;
    let outcome = world.store.sign_in(second).await.unwrap();
    assert_eq!((outcome.session(), outcome.reauthenticated()), (first.clone(), true));

    assert!(world.store.session_by_cookie("old").await.unwrap().is_none());
    let session = world.store.session_by_cookie("new").await.unwrap().unwrap();
    assert_eq!(session.id, first);
    assert_eq!((session.auth_time, session.created_at), (NOW + MINUTE, NOW));
    assert_eq!((session.last_seen, session.browser_seen), (NOW + MINUTE, NOW + MINUTE));
    assert!(world.is_live(&grant).await);
    world.assert_events(&first, &["signed_in", "reauthenticated"]).await;
}

/// An application that requests less must not remove what a command-line tool needs to refresh.
async fn a_later_login_with_fewer_scopes_drops_nothing(world: &World) {
    let jane = world.jane("old").await;
    let mut less = again("jane", "old", "new");
    (less.login_scopes, less.upstream) = (LoginScopes { offline: false, groups: true }, None);
    world.store.sign_in(less).await.unwrap();
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert_eq!(session.upstream.as_deref(), Some("sealed"));
    assert_eq!(session.login_scopes, LoginScopes { offline: true, groups: true });

    let mut reauthentication = again("jane", "new", "newer");
    (reauthentication.login_scopes, reauthentication.upstream) =
        (LoginScopes::default(), Some("resealed".into()));
    world.store.sign_in(reauthentication).await.unwrap();
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert_eq!(session.upstream.as_deref(), Some("resealed"));
    assert_eq!(session.login_scopes, LoginScopes { offline: true, groups: true });
}

async fn a_later_login_with_more_scopes_is_stored(world: &World) {
    let mut first = sign_in("jane", "old");
    (first.login_scopes, first.upstream) = (LoginScopes { offline: false, groups: true }, None);
    let jane = world.store.sign_in(first).await.unwrap().session();
    let mut more = again("jane", "old", "new");
    more.login_scopes = LoginScopes { offline: true, groups: false };
    world.store.sign_in(more).await.unwrap();
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert_eq!(session.login_scopes, LoginScopes { offline: true, groups: true });
    assert_eq!(session.upstream.as_deref(), Some("sealed"));
}

async fn another_user_inherits_neither_scopes_nor_upstream_data(world: &World) {
    world.jane("hers").await;
    let mut joe = again("joe", "hers", "his");
    (joe.login_scopes, joe.upstream) = (LoginScopes::default(), None);
    let joe = world.store.sign_in(joe).await.unwrap().session();
    let session = world.store.session(&joe).await.unwrap().unwrap();
    assert_eq!((session.login_scopes, session.upstream), (LoginScopes::default(), None));
}

/// A tool that refreshes every minute must not keep a browser signed on over the weekend.
async fn only_the_browser_renews_the_browsers_idle_time(world: &World) {
    let jane = world.jane("c").await;
    let cli = world.granted(&jane, "cli", true).await;
    let seen = async || {
        let session = world.store.session(&jane).await.unwrap().unwrap();
        (session.browser_seen, session.last_seen)
    };
    world.store.rotate(rotate(&cli, 1, NOW + HOUR)).await.unwrap();
    assert_eq!(seen().await, (NOW, NOW + HOUR), "a refresh");
    let mut fresh = code(&jane, "app");
    fresh.expires_at = NOW + 4 * HOUR;
    world.store.issue_code(fresh.clone(), NOW + 2 * HOUR).await.unwrap();
    assert_eq!(seen().await, (NOW + 2 * HOUR, NOW + 2 * HOUR), "a code");
    let redeemed = world
        .store
        .redeem_code(&fresh.hash, &fresh.client, grant(&fresh, false), NOW + 3 * HOUR, LIMIT)
        .await;
    assert!(matches!(redeemed.unwrap(), RedeemCodeOutcome::Granted { .. }));
    assert_eq!(seen().await, (NOW + 2 * HOUR, NOW + 3 * HOUR), "its redemption");
    let (request, client) = (&code(&jane, "app").request, &fresh.client);
    world.store.finish_refused(request, &jane, client, NOW + 4 * HOUR).await.unwrap();
    assert_eq!(seen().await.0, NOW + 2 * HOUR, "a refusal changes nothing");
}

async fn changed_groups_at_the_next_sign_in_are_recorded(world: &World) {
    let first = world.jane("old").await;
    let mut reordered = again("jane", "old", "new");
    reordered.identity = identity("jane", &["ops", "dev"]);
    world.store.sign_in(reordered).await.unwrap();
    let mut promoted = again("jane", "new", "newer");
    promoted.identity = identity("jane", &["dev", "admins"]);
    world.store.sign_in(promoted).await.unwrap();
    let kinds = ["signed_in", "reauthenticated", "reauthenticated", "groups_changed"];
    world.assert_events(&first, &kinds).await;
    let query = EventQuery { session: Some(first), limit: 1, ..EventQuery::default() };
    let events = world.store.events(query).await.unwrap();
    let groups = json!({ "before": ["ops", "dev"], "after": ["dev", "admins"] });
    assert_eq!(events[0].event.details, groups);
}

async fn another_person_gets_another_session_and_the_first_is_signed_out(world: &World) {
    let jane = world.jane("hers").await;
    let short = world.granted(&jane, "app", false).await;
    let joe = world.store.sign_in(again("joe", "hers", "his")).await.unwrap();
    assert_ne!(joe.session(), jane);
    assert!(!joe.reauthenticated());
    assert!(world.store.session_by_cookie("hers").await.unwrap().is_none());
    assert!(!world.is_live(&short).await);
    let over = world.store.session(&jane).await.unwrap().unwrap().ended.unwrap();
    assert_eq!((over.reason, over.by.as_str()), (EndReason::Replaced, "user:joe"));
    world.assert_events(&jane, &["signed_in", "signed_out"]).await;
}

async fn the_same_name_at_another_connector_is_another_person(world: &World) {
    let jane = world.jane("hers").await;
    let mut other_connector = again("jane", "hers", "his");
    other_connector.connector = ConnectorId::new("github");
    let outcome = world.store.sign_in(other_connector).await.unwrap();
    assert_ne!(outcome.session(), jane);
}

async fn another_fingerprint_inherits_nothing(world: &World) {
    let jane = world.jane("hers").await;
    let offline = world.granted(&jane, "cli", true).await;
    let mut rebuilt = again("jane", "hers", "new");
    rebuilt.fingerprint = "ldap:other.example.com".into();
    let outcome = world.store.sign_in(rebuilt).await.unwrap();
    assert_ne!(outcome.session(), jane);
    assert!(!world.is_live(&offline).await);
    let over = world.store.session(&jane).await.unwrap().unwrap().ended.unwrap();
    assert_eq!(over.reason, EndReason::FingerprintChanged);
    world.assert_events(&jane, &["signed_in", "session_ended"]).await;
}

async fn a_cookie_of_an_ended_session_is_no_cookie(world: &World) {
    let jane = world.jane("hers").await;
    let ended = crate::world::ended(EndReason::Administrator, NOW);
    world.store.end_session(&jane, ended, None).await.unwrap().unwrap();
    assert!(world.store.session_by_cookie("hers").await.unwrap().is_none());
    let outcome = world.store.sign_in(again("jane", "hers", "new")).await.unwrap();
    assert_ne!(outcome.session(), jane);
}

async fn an_assertion_signs_in_once_until_its_login_has_expired(world: &World) {
    let presented = |user: &str, cookie: &str| {
        let assertion =
            UsedAssertion { hash: "hash of corp and _a1".into(), expires_at: NOW + HOUR };
        SignIn { assertion: Some(assertion), ..sign_in(user, cookie) }
    };
    world.store.sign_in(presented("jane", "first")).await.unwrap().session();
    let again = SignIn { previous_cookie: Some("first".into()), ..presented("jane", "second") };
    let refused = world.store.sign_in(again).await.unwrap();
    assert_eq!(refused, SignInOutcome::AssertionReused);
    assert!(world.store.session_by_cookie("first").await.unwrap().is_some(), "nothing was written");
    assert!(world.store.session_by_cookie("second").await.unwrap().is_none());
    // Kept as long as the login is valid, then deleted.
    let kept = world.store.collect(retention(NOW + HOUR)).await.unwrap();
    assert_eq!(kept.used_assertions, 0);
    let deleted = world.store.collect(retention(NOW + 2 * HOUR)).await.unwrap();
    assert_eq!(deleted.used_assertions, 1);
}

/// A sign-in that is refused because of a block does not use up the assertion.
async fn a_blocked_person_uses_up_no_assertion(world: &World) {
    let block = BlockUser {
        connector: ConnectorId::new("ldap"),
        user_id: "jane".into(),
        reason: "stolen laptop".into(),
        by: "user:admin".into(),
        now: NOW,
        expires_at: None,
    };
    world.store.block_user(block).await.unwrap();
    let assertion = || Some(UsedAssertion { hash: "a".into(), expires_at: NOW + HOUR });
    let blocked = SignIn { assertion: assertion(), ..sign_in("jane", "c") };
    let outcome = world.store.sign_in(blocked).await.unwrap();
    assert!(matches!(outcome, SignInOutcome::Blocked(_)), "{outcome:?}");
    let other = SignIn { assertion: assertion(), ..sign_in("joe", "d") };
    world.store.sign_in(other).await.unwrap().session();
}

on_both_engines!(
    a_sign_in_is_remembered_whole,
    the_same_person_keeps_the_session_and_gets_a_new_cookie,
    a_later_login_with_fewer_scopes_drops_nothing,
    a_later_login_with_more_scopes_is_stored,
    another_user_inherits_neither_scopes_nor_upstream_data,
    only_the_browser_renews_the_browsers_idle_time,
    changed_groups_at_the_next_sign_in_are_recorded,
    another_person_gets_another_session_and_the_first_is_signed_out,
    the_same_name_at_another_connector_is_another_person,
    another_fingerprint_inherits_nothing,
    a_cookie_of_an_ended_session_is_no_cookie,
    an_assertion_signs_in_once_until_its_login_has_expired,
    a_blocked_person_uses_up_no_assertion,
);
