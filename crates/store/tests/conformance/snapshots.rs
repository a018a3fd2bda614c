use countersign_core::SessionId;
use countersign_core::session::EndReason;
use countersign_store::{Missing, SignIn, Snapshot};

use crate::on_both_engines;
use crate::world::{HOUR, MINUTE, NOW, SECOND, SignedIn as _, World, ended, identity, sign_in};

fn snapshot(session: &SessionId, user: &str, groups: &[&str]) -> Snapshot {
    Snapshot {
        session: session.clone(),
        identity: identity(user, groups),
        fingerprint: "fingerprint".into(),
        upstream: None,
        used_upstream: None,
        auth_time: NOW,
        lease: None,
        now: NOW + HOUR,
    }
}

async fn one_upstream_refresh_at_a_time(world: &World) {
    let jane = world.jane("c").await;
    let until = NOW + 30 * SECOND;
    assert!(world.store.lease_upstream(&jane, NOW, until).await.unwrap());
    assert!(!world.store.lease_upstream(&jane, NOW, until).await.unwrap());
    assert!(!world.store.lease_upstream(&jane, until, until + MINUTE).await.unwrap());
    let late = until + SECOND;
    assert!(world.store.lease_upstream(&jane, late, late + MINUTE).await.unwrap(), "it ran out");
    world.store.release_upstream(&jane, late + MINUTE).await.unwrap();
    assert!(world.store.lease_upstream(&jane, late, late + MINUTE).await.unwrap());

    let lease = Some(late + MINUTE);
    let snapshot = Snapshot { lease, ..snapshot(&jane, "jane", &["dev", "ops"]) };
    world.store.update_snapshot(snapshot).await.unwrap();
    assert!(world.store.lease_upstream(&jane, late, late + MINUTE).await.unwrap(), "given back");

    let over = ended(EndReason::Administrator, NOW);
    world.store.end_session(&jane, over, None).await.unwrap();
    assert!(!world.store.lease_upstream(&jane, NOW + HOUR, NOW + 2 * HOUR).await.unwrap());
}

/// A request was stopped for longer than its lease, and another has acquired the next one.
async fn an_expired_lease_is_not_released_for_its_successor(world: &World) {
    let jane = world.jane("c").await;
    let (expired, late) = (NOW + 30 * SECOND, NOW + MINUTE);
    assert!(world.store.lease_upstream(&jane, NOW, expired).await.unwrap());
    assert!(world.store.lease_upstream(&jane, late, late + 30 * SECOND).await.unwrap());
    let is_free = || world.store.lease_upstream(&jane, late, late + HOUR);

    world.store.release_upstream(&jane, expired).await.unwrap();
    assert!(!is_free().await.unwrap(), "released by who does not hold it");
    let snapshot = Snapshot { lease: Some(expired), ..snapshot(&jane, "jane", &["dev"]) };
    assert!(world.store.update_snapshot(snapshot).await.unwrap());
    assert!(!is_free().await.unwrap(), "released with a late result");
    world.store.mark_missing(&jane, EndReason::UpstreamMissing, MINUTE, late).await.unwrap();
    assert!(!is_free().await.unwrap(), "released with a late refusal");
    world.store.release_upstream(&jane, late + 30 * SECOND).await.unwrap();
    assert!(is_free().await.unwrap(), "released by its holder");
}

async fn a_snapshot_replaces_the_identity(world: &World) {
    let jane = world.jane("c").await;
    world.store.mark_missing(&jane, EndReason::UpstreamMissing, MINUTE, NOW).await.unwrap();
    assert!(world.store.update_snapshot(snapshot(&jane, "jane", &["admins"])).await.unwrap());
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert_eq!(session.identity, identity("jane", &["admins"]));
    assert_eq!((session.fingerprint.as_str(), session.upstream), ("fingerprint", None));
    assert_eq!((session.identity_at, session.missing_since), (NOW + HOUR, None));
    world.assert_events(&jane, &["signed_in", "groups_changed"]).await;

    assert!(!world.store.update_snapshot(snapshot(&jane, "joe", &[])).await.unwrap());
    let nobody = SessionId::new("nobody");
    assert!(!world.store.update_snapshot(snapshot(&nobody, "jane", &[])).await.unwrap());
    let over = ended(EndReason::Administrator, NOW);
    world.store.end_session(&jane, over, None).await.unwrap();
    assert!(!world.store.update_snapshot(snapshot(&jane, "jane", &[])).await.unwrap());
}

async fn a_revalidation_of_the_login_before_replaces_nothing(world: &World) {
    let jane = world.jane("c").await;
    let again = SignIn {
        previous_cookie: Some("c".into()),
        upstream: Some("newer".into()),
        now: NOW + MINUTE,
        ..sign_in("jane", "d")
    };
    assert_eq!(world.store.sign_in(again).await.unwrap().session(), jane);
    let stored = world.store.update_snapshot(snapshot(&jane, "jane", &["former"])).await;
    assert!(stored.unwrap(), "the session is live");
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert_eq!(session.identity, identity("jane", &["dev", "ops"]));
    assert_eq!(session.upstream.as_deref(), Some("newer"));
    assert_eq!(session.identity_at, NOW + MINUTE);
}

async fn upstream_data_are_replaced_only_while_they_are_the_ones_that_were_used(world: &World) {
    let jane = world.jane("c").await;
    let replaces = |before, after| world.store.replace_upstream(&jane, before, after);
    assert!(replaces("sealed", "second").await.unwrap());
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert_eq!(session.upstream.as_deref(), Some("second"));
    assert_eq!((session.identity_at, session.missing_since), (NOW, None), "nothing else changes");
    assert!(!replaces("sealed", "third").await.unwrap(), "another request has replaced them");

    let over = ended(EndReason::Administrator, NOW);
    world.store.end_session(&jane, over, None).await.unwrap();
    assert!(!replaces("second", "third").await.unwrap());
}

/// The login returned no upstream data and kept those of before, which the revalidation has used up meanwhile.
async fn a_login_without_upstream_data_does_not_keep_used_ones(world: &World) {
    let jane = world.jane("c").await;
    let again = SignIn {
        previous_cookie: Some("c".into()),
        upstream: None,
        now: NOW + MINUTE,
        ..sign_in("jane", "d")
    };
    assert_eq!(world.store.sign_in(again).await.unwrap().session(), jane);
    let late = Snapshot {
        upstream: Some("next".into()),
        used_upstream: Some("sealed".into()),
        ..snapshot(&jane, "jane", &["former"])
    };
    assert!(world.store.update_snapshot(late).await.unwrap());
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert_eq!(session.upstream.as_deref(), Some("next"));
    assert_eq!(session.identity, identity("jane", &["dev", "ops"]), "that of the login");
}

async fn only_the_second_refusal_after_a_while_ends_the_session(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    let missing = |at| world.store.mark_missing(&jane, EndReason::UpstreamMissing, 5 * MINUTE, at);
    assert_eq!(missing(NOW).await.unwrap(), Missing::First);
    assert_eq!(missing(NOW + 4 * MINUTE).await.unwrap(), Missing::Pending);
    assert_eq!(
        world.store.session(&jane).await.unwrap().unwrap().missing_since,
        Some(NOW),
        "counted from the first"
    );
    let Missing::Ended(end) = missing(NOW + 5 * MINUTE).await.unwrap() else {
        panic!("it should have ended")
    };
    assert_eq!((end.grants_ended, end.tokens_until), (1, Some(NOW + 10 * MINUTE)));
    assert!(!world.is_live(&grant).await);
    let over = world.store.session(&jane).await.unwrap().unwrap().ended.unwrap();
    assert_eq!((over.reason, over.by.as_str()), (EndReason::UpstreamMissing, "upstream"));
    assert_eq!(missing(NOW + HOUR).await.unwrap(), Missing::NotLive);
}

on_both_engines!(
    one_upstream_refresh_at_a_time,
    an_expired_lease_is_not_released_for_its_successor,
    a_snapshot_replaces_the_identity,
    a_revalidation_of_the_login_before_replaces_nothing,
    a_login_without_upstream_data_does_not_keep_used_ones,
    upstream_data_are_replaced_only_while_they_are_the_ones_that_were_used,
    only_the_second_refusal_after_a_while_ends_the_session,
);
