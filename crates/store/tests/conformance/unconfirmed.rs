//! Uses whose caller stopped waiting, as a request does that has reached its time limit: the operation goes on, and what
//! it has used is reverted.

use std::future::Future;
use std::pin::pin;
use std::time::Instant;

use countersign_core::GrantId;
use countersign_store::{RedeemCodeOutcome, Rotation, Store};
use sqlx::Connection;

use crate::on_both_engines;
use crate::world::{HOUR, LIMIT, NOW, SECOND, World, code, grant, rotate};

/// At one for each second they would take twice as long as a refresh token may be used again.
const MANY: usize = 60;
/// The MAC key of [`rotate`], which stays when a rotation is reverted. [`grant`] has another one.
const OF_A_ROTATION: i64 = 8;

/// Begins the operation and stops waiting for it.
async fn abandon<T>(operation: impl Future<Output = T>) {
    let mut operation = pin!(operation);
    tokio::select! {
        biased;
        _ = &mut operation => panic!("it was answered at once"),
        () = std::future::ready(()) => {}
    }
}

/// Generation and MAC key of a grant.
async fn generation(store: &Store, granted: &GrantId) -> (i64, i64) {
    let (grant, _) = store.grant(granted).await.unwrap().unwrap();
    (grant.generation, grant.mac_key)
}

async fn an_abandoned_rotation_is_reverted(world: &World) {
    let jane = world.jane("c").await;
    let granted = world.granted(&jane, "cli", true).await;
    abandon(world.store.rotate(rotate(&granted, 1, NOW))).await;
    let found = generation(&world.store, &granted).await;
    assert_eq!(found, (1, OF_A_ROTATION), "rotated and reverted before a retry reads it");
    let other = world.replica().await;
    let retried = other.rotate(rotate(&granted, 1, NOW + HOUR)).await.unwrap();
    assert_eq!(retried, Rotation::Rotated { generation: 2 }, "long after the reuse interval");
    other.close().await;
}

async fn an_abandoned_redemption_is_reverted(world: &World) {
    let jane = world.jane("c").await;
    let issued = code(&jane, "cli");
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    let (first, second) = (grant(&issued, true), grant(&issued, true));
    let (hash, client) = (&issued.hash, &issued.client);
    abandon(world.store.redeem_code(hash, client, first.clone(), NOW, LIMIT)).await;
    let stored = world.store.code(hash).await.unwrap().unwrap();
    assert_eq!((stored.used_at, stored.code.grant), (None, None));
    assert!(world.store.grant(&first.id).await.unwrap().is_none(), "nobody has its tokens");
    let other = world.replica().await;
    let redeemed = other.redeem_code(hash, client, second, NOW, LIMIT).await.unwrap();
    assert!(matches!(redeemed, RedeemCodeOutcome::Granted { .. }), "{redeemed:?}");
    other.close().await;
}

/// Another replica, which knows nothing of them, can use all of them within the reuse interval.
async fn many_are_reverted_one_after_the_other_without_pauses(world: &World) {
    let jane = world.jane("c").await;
    let mut grants = Vec::new();
    for _ in 0..MANY {
        grants.push(world.granted(&jane, "cli", true).await);
    }
    let (other, began) = (world.replica().await, Instant::now());
    for granted in &grants {
        abandon(world.store.rotate(rotate(granted, 1, NOW))).await;
    }
    for granted in &grants {
        while generation(&other, granted).await != (1, OF_A_ROTATION) {
            assert!(began.elapsed() < 30 * SECOND, "some are not reverted");
            tokio::time::sleep(SECOND / 100).await;
        }
    }
    other.close().await;
}

async fn a_store_that_is_closed_reverts_them_first(world: &World) {
    let jane = world.jane("c").await;
    let granted = world.granted(&jane, "cli", true).await;
    let closing = world.replica().await;
    abandon(closing.rotate(rotate(&granted, 1, NOW))).await;
    closing.close().await;
    assert_eq!(generation(&world.store, &granted).await, (1, OF_A_ROTATION));
}

on_both_engines!(
    an_abandoned_rotation_is_reverted,
    an_abandoned_redemption_is_reverted,
    many_are_reverted_one_after_the_other_without_pauses,
    a_store_that_is_closed_reverts_them_first,
);

/// The operation waits for a lock when its caller gives up, and commits afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_commits_after_it_was_abandoned_is_reverted() {
    let Some(world) = World::postgres().await else { return };
    let jane = world.jane("c").await;
    let granted = world.granted(&jane, "cli", true).await;
    let mut server = world.server().await;
    sqlx::raw_sql("BEGIN").execute(&mut server).await.unwrap();
    let lock = "UPDATE grants SET generation = generation WHERE id = $1";
    sqlx::query(lock).bind(granted.as_str()).execute(&mut server).await.unwrap();
    abandon(world.store.rotate(rotate(&granted, 1, NOW))).await;
    let (store, id) = (world.store.clone(), granted.clone());
    let retry = tokio::spawn(async move { generation(&store, &id).await });
    sqlx::raw_sql("ROLLBACK").execute(&mut server).await.unwrap();
    assert_eq!(retry.await.unwrap(), (1, OF_A_ROTATION));
    server.close().await.unwrap();
    world.over().await;
}
