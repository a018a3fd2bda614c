use countersign_core::ClientId;
use countersign_core::session::EndReason;
use countersign_store::{IssueCodeOutcome, RedeemCodeOutcome, StoreError};

use crate::on_both_engines;
use crate::world::{LIMIT, MINUTE, NOW, SECOND, World, code, grant, rotate};

async fn a_code_is_remembered_whole(world: &World) {
    let jane = world.jane("c").await;
    let issued = code(&jane, "app");
    assert_eq!(
        world.store.issue_code(issued.clone(), NOW).await.unwrap(),
        IssueCodeOutcome::Issued
    );
    let before = world.store.statement_counts();
    let stored = world.store.code(&issued.hash).await.unwrap().unwrap();
    let after = world.store.statement_counts();
    assert_eq!((after.reads - before.reads, after.messages - before.messages), (1, 1));
    assert_eq!(format!("{:?}", stored.code), format!("{issued:?}"));
    let session = world.store.session(&jane).await.unwrap();
    assert_eq!(format!("{:?}", stored.session), format!("{session:?}"));
    assert_eq!(stored.used_at, None);
    assert!(world.store.code("unknown").await.unwrap().is_none());

    let mut plain = code(&jane, "app");
    (plain.challenge, plain.nonce) = (None, None);
    world.store.issue_code(plain.clone(), NOW).await.unwrap();
    let stored = world.store.code(&plain.hash).await.unwrap().unwrap();
    assert_eq!((stored.code.challenge, stored.code.nonce), (None, None));
}

async fn a_code_is_used_once(world: &World) {
    let jane = world.jane("c").await;
    let issued = code(&jane, "app");
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    let first = grant(&issued, true);
    let redeem = |grant| world.store.redeem_code(&issued.hash, &issued.client, grant, NOW, LIMIT);
    assert_eq!(
        redeem(first.clone()).await.unwrap(),
        RedeemCodeOutcome::Granted { dropped: vec![] }
    );

    let (stored, session) = world.store.grant(&first.id).await.unwrap().unwrap();
    assert_eq!(format!("{stored:?}"), format!("{first:?}"));
    assert_eq!(session.id, jane);
    let used = world.store.code(&issued.hash).await.unwrap().unwrap();
    assert_eq!((used.used_at, used.code.grant), (Some(NOW), Some(first.id.clone())));

    let second = redeem(grant(&issued, true)).await.unwrap();
    assert_eq!(second, RedeemCodeOutcome::AlreadyUsed { grant: Some(first.id.clone()) });
    let late = world
        .store
        .redeem_code(&issued.hash, &issued.client, grant(&issued, true), NOW + 5 * MINUTE, LIMIT)
        .await
        .unwrap();
    assert_eq!(
        late,
        RedeemCodeOutcome::AlreadyUsed { grant: Some(first.id) },
        "also when it has expired"
    );
}

async fn another_clients_attempt_changes_nothing(world: &World) {
    let jane = world.jane("c").await;
    let issued = code(&jane, "app");
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    let thief = ClientId::new("thief");
    let mut stolen = grant(&issued, true);
    stolen.client = thief.clone();
    let attempt = world.store.redeem_code(&issued.hash, &thief, stolen.clone(), NOW, LIMIT);
    assert_eq!(attempt.await.unwrap(), RedeemCodeOutcome::NotRedeemable);
    assert!(world.store.code(&issued.hash).await.unwrap().unwrap().used_at.is_none());

    let owner =
        world.store.redeem_code(&issued.hash, &issued.client, grant(&issued, true), NOW, LIMIT);
    assert!(matches!(owner.await.unwrap(), RedeemCodeOutcome::Granted { .. }));
    let again = world.store.redeem_code(&issued.hash, &thief, stolen, NOW, LIMIT).await.unwrap();
    assert_eq!(again, RedeemCodeOutcome::NotRedeemable, "nor learns that it was used");
}

async fn an_expired_or_unknown_code_is_not_found(world: &World) {
    let jane = world.jane("c").await;
    let issued = code(&jane, "app");
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    let redeem =
        |at| world.store.redeem_code(&issued.hash, &issued.client, grant(&issued, true), at, LIMIT);
    assert_eq!(redeem(NOW + MINUTE).await.unwrap(), RedeemCodeOutcome::NotRedeemable);
    assert!(matches!(redeem(NOW + 59 * SECOND).await.unwrap(), RedeemCodeOutcome::Granted { .. }));
    let unknown = world.store.redeem_code("?", &issued.client, grant(&issued, true), NOW, LIMIT);
    assert_eq!(unknown.await.unwrap(), RedeemCodeOutcome::NotRedeemable);
}

async fn a_grant_of_another_session_is_a_fault(world: &World) {
    let (jane, other) = (world.jane("c").await, world.jane("d").await);
    let issued = code(&jane, "app");
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    let mut wrong = grant(&issued, true);
    wrong.session = other;
    let outcome = world.store.redeem_code(&issued.hash, &issued.client, wrong, NOW, LIMIT).await;
    assert!(matches!(outcome, Err(StoreError::Corrupt(_))));
    assert!(world.store.code(&issued.hash).await.unwrap().unwrap().used_at.is_none());
}

async fn the_longest_idle_of_too_many_grants_is_dropped(world: &World) {
    let jane = world.jane("c").await;
    let mut laptops = Vec::new();
    for _ in 0..3 {
        laptops.push(world.granted(&jane, "cli", true).await);
    }
    let other_client = world.granted(&jane, "other", true).await;
    // The first and third are used, so the second is the one that has been idle for the longest time.
    world.store.rotate(rotate(&laptops[0], 1, NOW + MINUTE)).await.unwrap();
    world.store.rotate(rotate(&laptops[2], 1, NOW + MINUTE)).await.unwrap();
    let issued = code(&jane, "cli");
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    let redeemed =
        world.store.redeem_code(&issued.hash, &issued.client, grant(&issued, true), NOW, 3).await;
    let dropped = vec![laptops[1].clone()];
    assert_eq!(redeemed.unwrap(), RedeemCodeOutcome::Granted { dropped });
    let (gone, _) = world.store.grant(&laptops[1]).await.unwrap().unwrap();
    assert_eq!(gone.ended.unwrap().reason, EndReason::TooManyGrants);
    for live in [&laptops[0], &laptops[2], &other_client] {
        assert!(world.is_live(live).await);
    }
    world.assert_events(&jane, &["signed_in", "grant_ended"]).await;
}

on_both_engines!(
    a_code_is_remembered_whole,
    a_code_is_used_once,
    another_clients_attempt_changes_nothing,
    an_expired_or_unknown_code_is_not_found,
    a_grant_of_another_session_is_a_fault,
    the_longest_idle_of_too_many_grants_is_dropped,
);
