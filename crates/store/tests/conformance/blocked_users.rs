//! A user is blocked while requests of the user are in progress, which read the session before.

use countersign_core::session::EndReason;
use countersign_core::{ConnectorId, Timestamp};
use countersign_store::{BlockUser, IssueCodeOutcome, RedeemCodeOutcome, Rotation, Snapshot};

use crate::on_both_engines;
use crate::world::{HOUR, LIMIT, NOW, World, code, ended, grant, identity, rotate};

async fn block_jane(world: &World, expires_at: Option<Timestamp>) {
    let block = BlockUser {
        connector: ConnectorId::new("ldap"),
        user_id: "jane".into(),
        reason: "stolen laptop".into(),
        by: "user:admin".into(),
        now: NOW,
        expires_at,
    };
    world.store.block_user(block).await.unwrap();
}

async fn nothing_is_issued_once_the_user_is_blocked(world: &World) {
    let jane = world.jane("c").await;
    let cli = world.granted(&jane, "cli", true).await;
    let issued = code(&jane, "app");
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    block_jane(world, None).await;

    let other = world.store.issue_code(code(&jane, "other"), NOW).await.unwrap();
    assert_eq!(other, IssueCodeOutcome::SessionEnded);
    let redeem = || {
        let grant = grant(&issued, true);
        world.store.redeem_code(&issued.hash, &issued.client, grant, NOW, LIMIT)
    };
    assert_eq!(redeem().await.unwrap(), RedeemCodeOutcome::SessionEnded);
    let without_code = grant(&code(&jane, "other"), false);
    assert_eq!(world.store.issue_grant(without_code, NOW, LIMIT).await.unwrap(), None);
    assert_eq!(world.store.rotate(rotate(&cli, 1, NOW)).await.unwrap(), Rotation::Ended);
    let revalidated = rotate(&cli, 1, NOW);
    let snapshot = Snapshot {
        session: jane.clone(),
        identity: identity("jane", &["dev"]),
        fingerprint: "ldap:ldap.example.com".into(),
        upstream: Some("newer".into()),
        auth_time: NOW,
        lease: None,
        now: NOW,
    };
    let revalidated = countersign_store::Rotate { snapshot: Some(snapshot), ..revalidated };
    assert_eq!(world.store.rotate(revalidated).await.unwrap(), Rotation::Ended);
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert!(session.ended.is_none() && world.is_live(&cli).await, "a block ends nothing");

    let ldap = ConnectorId::new("ldap");
    assert!(world.store.unblock_user(&ldap, "jane", "user:admin", NOW).await.unwrap());
    let redeemed = redeem().await.unwrap();
    assert!(matches!(redeemed, RedeemCodeOutcome::Granted { .. }), "{redeemed:?}: it was not used");
    let rotated = world.store.rotate(rotate(&cli, 1, NOW)).await.unwrap();
    assert_eq!(rotated, Rotation::Rotated { generation: 2 }, "it was not used");
}

async fn tokens_are_issued_again_when_the_block_has_expired(world: &World) {
    let jane = world.jane("c").await;
    let cli = world.granted(&jane, "cli", true).await;
    block_jane(world, Some(NOW + HOUR)).await;
    assert_eq!(world.store.rotate(rotate(&cli, 1, NOW)).await.unwrap(), Rotation::Ended);
    let rotated = world.store.rotate(rotate(&cli, 1, NOW + HOUR)).await.unwrap();
    assert_eq!(rotated, Rotation::Rotated { generation: 2 });
}

async fn grants_of_a_blocked_user_can_be_ended(world: &World) {
    let jane = world.jane("c").await;
    let cli = world.granted(&jane, "cli", true).await;
    block_jane(world, None).await;
    let administrator = ended(EndReason::Administrator, NOW);
    let end = world.store.end_grants(&jane, None, &administrator).await.unwrap();
    assert_eq!(end.unwrap().grants, 1);
    assert!(!world.is_live(&cli).await);
}

on_both_engines!(
    nothing_is_issued_once_the_user_is_blocked,
    tokens_are_issued_again_when_the_block_has_expired,
    grants_of_a_blocked_user_can_be_ended,
);
