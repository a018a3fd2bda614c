use std::time::Duration;

use countersign_core::GrantId;
use countersign_core::session::EndReason;
use countersign_store::{EventQuery, Rotate, Rotation, Snapshot, StoreError};

use crate::on_both_engines;
use crate::world::{HOUR, MINUTE, NOW, SECOND, World, identity, rotate};

async fn the_current_token_rotates(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    let rotation = world.store.rotate(rotate(&grant, 1, NOW + HOUR)).await.unwrap();
    assert_eq!(rotation, Rotation::Rotated { generation: 2 });
    let (stored, session) = world.store.grant(&grant).await.unwrap().unwrap();
    assert_eq!((stored.generation, stored.mac_key, stored.rotated_at), (2, 8, NOW + HOUR));
    assert_eq!(stored.tokens_until, NOW + HOUR + 10 * MINUTE);
    assert_eq!(session.last_seen, NOW + HOUR);
}

async fn the_last_token_is_never_deleted(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    let shorter = Rotate { tokens_until: NOW + SECOND, ..rotate(&grant, 1, NOW) };
    world.store.rotate(shorter).await.unwrap();
    let (stored, _) = world.store.grant(&grant).await.unwrap().unwrap();
    assert_eq!(stored.tokens_until, NOW + 10 * MINUTE);
}

async fn a_token_that_does_not_rotate_stays(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    for hours in 1..3 {
        let same = Rotate { rotate: false, ..rotate(&grant, 1, NOW + hours * HOUR) };
        let rotation = world.store.rotate(same).await.unwrap();
        assert_eq!(rotation, Rotation::Rotated { generation: 1 });
    }
    let (stored, _) = world.store.grant(&grant).await.unwrap().unwrap();
    assert_eq!((stored.generation, stored.rotated_at), (1, NOW + 2 * HOUR));
}

async fn a_lost_response_is_repeated_within_the_interval(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    world.store.rotate(rotate(&grant, 1, NOW)).await.unwrap();
    let edge = world.store.rotate(rotate(&grant, 1, NOW + 30 * SECOND)).await.unwrap();
    assert_eq!(edge, Rotation::Repeated { generation: 2 });
    let (stored, _) = world.store.grant(&grant).await.unwrap().unwrap();
    assert_eq!((stored.generation, stored.rotated_at), (2, NOW), "the window does not move");
    assert_eq!(stored.tokens_until, NOW + 30 * SECOND + 10 * MINUTE);
    let successor = world.store.rotate(rotate(&grant, 2, NOW + MINUTE)).await.unwrap();
    assert_eq!(successor, Rotation::Rotated { generation: 3 });
}

async fn a_token_reused_later_ends_the_grant(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    let other = world.granted(&jane, "cli", true).await;
    world.store.rotate(rotate(&grant, 1, NOW)).await.unwrap();
    let late = NOW + 30 * SECOND + Duration::from_millis(1);
    let reused = world.store.rotate(rotate(&grant, 1, late)).await.unwrap();
    assert_eq!(reused, Rotation::Reused { tokens_until: NOW + 10 * MINUTE });
    let (stored, _) = world.store.grant(&grant).await.unwrap().unwrap();
    assert_eq!(stored.ended.unwrap().reason, EndReason::RefreshReused);
    for generation in [1, 2, 3] {
        let after = world.store.rotate(rotate(&grant, generation, late)).await.unwrap();
        assert_eq!(after, Rotation::Ended);
    }
    assert!(world.is_live(&other).await);
    world.assert_events(&jane, &["signed_in", "grant_ended"]).await;
    let query = EventQuery { session: Some(jane), limit: 1, ..EventQuery::default() };
    let event = world.store.events(query).await.unwrap().remove(0).event;
    assert_eq!(event.reason.as_deref(), Some("refresh_reused"));
}

async fn an_older_token_ends_the_grant_at_once(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    world.store.rotate(rotate(&grant, 1, NOW)).await.unwrap();
    world.store.rotate(rotate(&grant, 2, NOW)).await.unwrap();
    let reused = world.store.rotate(rotate(&grant, 1, NOW)).await.unwrap();
    assert!(matches!(reused, Rotation::Reused { .. }));
}

async fn without_an_interval_nothing_is_repeated(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    world.store.rotate(rotate(&grant, 1, NOW)).await.unwrap();
    let strict = Rotate { reuse_interval: Duration::ZERO, ..rotate(&grant, 1, NOW) };
    assert!(matches!(world.store.rotate(strict).await.unwrap(), Rotation::Reused { .. }));
}

async fn a_token_newer_than_the_database_is_adopted(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    let rotation = world.store.rotate(rotate(&grant, 5, NOW)).await.unwrap();
    assert_eq!(rotation, Rotation::DatabaseRestored { generation: 6 });
    let lost = world.store.rotate(rotate(&grant, 5, NOW)).await.unwrap();
    assert_eq!(lost, Rotation::Repeated { generation: 6 });
    let next = world.store.rotate(rotate(&grant, 6, NOW)).await.unwrap();
    assert_eq!(next, Rotation::Rotated { generation: 7 });
    world.assert_events(&jane, &["signed_in", "database_restored"]).await;
}

async fn what_is_not_refreshable_is_not_refreshed(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "app", false).await;
    assert_eq!(world.store.rotate(rotate(&grant, 1, NOW)).await.unwrap(), Rotation::Ended);
    assert!(world.is_live(&grant).await);
    let nothing = GrantId::new("nothing");
    assert_eq!(world.store.rotate(rotate(&nothing, 1, NOW)).await.unwrap(), Rotation::Ended);
}

async fn the_revalidation_is_stored_whatever_the_outcome(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    let snapshot = |user: &str, groups: &[&str]| Snapshot {
        session: jane.clone(),
        identity: identity(user, groups),
        fingerprint: "fingerprint".into(),
        upstream: Some("newer".into()),
        used_upstream: None,
        auth_time: NOW,
        lease: Some(NOW + HOUR),
        now: NOW + HOUR,
    };
    let with = |generation, snapshot| Rotate {
        snapshot: Some(snapshot),
        ..rotate(&grant, generation, NOW + HOUR)
    };
    let rotation = world.store.rotate(with(1, snapshot("jane", &["dev"]))).await.unwrap();
    assert_eq!(rotation, Rotation::Rotated { generation: 2 });
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert_eq!((session.identity.groups, session.identity_at), (vec!["dev".into()], NOW + HOUR));
    assert_eq!(session.upstream.as_deref(), Some("newer"));
    world.assert_events(&jane, &["signed_in", "groups_changed"]).await;

    let repeated = world.store.rotate(with(1, snapshot("jane", &["root"]))).await.unwrap();
    assert_eq!(repeated, Rotation::Repeated { generation: 2 });
    let (stored, session) = world.store.grant(&grant).await.unwrap().unwrap();
    assert_eq!((stored.generation, session.identity.groups), (2, vec!["root".to_owned()]));
    assert!(world.store.lease_upstream(&jane, NOW, NOW + HOUR).await.unwrap());
    let at = NOW + 2 * HOUR;
    let reused = Rotate { now: at, ..with(1, snapshot("jane", &["late"])) };
    assert!(matches!(world.store.rotate(reused).await.unwrap(), Rotation::Reused { .. }));
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert_eq!(session.identity.groups, ["late"]);
    assert!(world.store.lease_upstream(&jane, NOW, at).await.unwrap(), "the lease was released");
    let grant = world.granted(&jane, "cli", true).await;
    let with = |generation, snapshot| Rotate {
        snapshot: Some(snapshot),
        ..rotate(&grant, generation, NOW + HOUR)
    };
    let foreign = world.store.rotate(with(1, snapshot("joe", &["root"]))).await;
    assert!(matches!(foreign, Err(StoreError::Corrupt(_))));
    let (stored, session) = world.store.grant(&grant).await.unwrap().unwrap();
    assert_eq!((stored.generation, session.identity.groups), (1, vec!["late".to_owned()]));
}

on_both_engines!(
    the_current_token_rotates,
    the_last_token_is_never_deleted,
    a_token_that_does_not_rotate_stays,
    a_lost_response_is_repeated_within_the_interval,
    a_token_reused_later_ends_the_grant,
    an_older_token_ends_the_grant_at_once,
    without_an_interval_nothing_is_repeated,
    a_token_newer_than_the_database_is_adopted,
    what_is_not_refreshable_is_not_refreshed,
    the_revalidation_is_stored_whatever_the_outcome,
);
