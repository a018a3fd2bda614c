//! A user is blocked while requests of the user are in progress, which read the session before.

use countersign_core::ids::random_id;
use countersign_core::session::EndReason;
use countersign_core::{ConnectorId, Timestamp};
use countersign_store::{
    BlockUser, IssueCodeOutcome, RedeemCodeOutcome, Rotate, Rotation, SignIn, SignInOutcome,
    Snapshot, StoreError,
};

use crate::on_both_engines;
use crate::world::{
    HOUR, LIMIT, NOW, SignedIn as _, World, code, ended, grant, identity, rotate, sign_in,
};

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
        used_upstream: None,
        auth_time: NOW,
        lease: None,
        now: NOW,
    };
    let revalidated = Rotate { snapshot: Some(snapshot), ..revalidated };
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

/// The password grant, and the exchange of an upstream's token.
async fn a_session_without_a_browser_is_stored_with_its_grant_or_not_at_all(world: &World) {
    let sign_in = || SignIn { cookie: random_id().unwrap(), ..sign_in("jane", "") };
    let first = sign_in();
    let wanted = grant(&code(&first.id, "cli"), true);
    let stored = world.store.sign_in_with_grant(first.clone(), wanted.clone()).await.unwrap();
    assert_eq!(stored.session(), first.id);
    assert!(world.is_live(&wanted.id).await);
    let rotated = world.store.rotate(rotate(&wanted.id, 1, NOW)).await.unwrap();
    assert_eq!(rotated, Rotation::Rotated { generation: 2 });

    let second = sign_in();
    let foreign = grant(&code(&first.id, "cli"), true);
    let refused = world.store.sign_in_with_grant(second.clone(), foreign.clone()).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    block_jane(world, None).await;
    let wanted = grant(&code(&second.id, "cli"), true);
    let refused = world.store.sign_in_with_grant(second.clone(), wanted.clone()).await.unwrap();
    assert!(matches!(refused, SignInOutcome::Blocked(_)), "{refused:?}");
    assert!(world.store.session(&second.id).await.unwrap().is_none());
    assert!(!world.is_live(&foreign.id).await && !world.is_live(&wanted.id).await);
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
    a_session_without_a_browser_is_stored_with_its_grant_or_not_at_all,
    tokens_are_issued_again_when_the_block_has_expired,
    grants_of_a_blocked_user_can_be_ended,
);
