//! Concurrent operations, through two replicas of the same database.

use countersign_core::session::EndReason;
use countersign_core::{GrantId, SessionId, Timestamp};
use countersign_store::{
    IssueCodeOutcome, RedeemCodeOutcome, Retention, Rotation, SignIn, SignInOutcome, Store,
    UsedAssertion,
};
use tokio::task::JoinHandle;

use crate::on_both_engines;
use crate::world::{
    HOUR, LIMIT, MINUTE, NOW, SECOND, SignedIn as _, World, code, ended, grant, rotate, sign_in,
};

async fn all<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

/// The world's own store for even numbers, the other replica for odd ones.
fn nth<'s>(world: &'s World, other: &'s Store, n: usize) -> Store {
    if n.is_multiple_of(2) { world.store.clone() } else { other.clone() }
}

async fn fifty_redeem_one_code_and_one_gets_it(world: &World) {
    let other = world.replica().await;
    let jane = world.jane("c").await;
    let issued = code(&jane, "app");
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    let tasks = (0..50).map(|n| {
        let (store, issued) = (nth(world, &other, n), issued.clone());
        let grant = grant(&issued, true);
        tokio::spawn(async move {
            let id = grant.id.clone();
            (id, store.redeem_code(&issued.hash, &issued.client, grant, NOW, LIMIT).await.unwrap())
        })
    });
    let outcomes = all(tasks.collect()).await;
    let winners: Vec<_> =
        outcomes.iter().filter(|(_, r)| matches!(r, RedeemCodeOutcome::Granted { .. })).collect();
    assert_eq!(winners.len(), 1);
    let winner = &winners[0].0;
    for (id, redeemed) in &outcomes {
        if id != winner {
            assert_eq!(*redeemed, RedeemCodeOutcome::AlreadyUsed { grant: Some(winner.clone()) });
            assert!(world.store.grant(id).await.unwrap().is_none());
        }
    }
    other.close().await;
}

/// Twenty submissions of the approval page and a client that redeems at once: of all the codes at most one is used.
async fn many_clicks_and_a_quick_application_end_in_one_grant(world: &World) {
    let other = world.replica().await;
    let jane = world.jane("c").await;
    let request = code(&jane, "app").request;
    let tasks = (0..20).map(|n| {
        let (store, mut issued) = (nth(world, &other, n), code(&jane, "app"));
        issued.request.clone_from(&request);
        tokio::spawn(async move {
            let outcome = store.issue_code(issued.clone(), NOW).await.unwrap();
            let wanted = grant(&issued, true);
            let redeemed =
                store.redeem_code(&issued.hash, &issued.client, wanted, NOW, LIMIT).await.unwrap();
            (outcome, redeemed)
        })
    });
    let outcomes = all(tasks.collect()).await;
    let granted = |r: &RedeemCodeOutcome| matches!(r, RedeemCodeOutcome::Granted { .. });
    assert_eq!(outcomes.iter().filter(|(_, r)| granted(r)).count(), 1, "{outcomes:?}");
    for (outcome, redeemed) in &outcomes {
        assert!(granted(redeemed) || *redeemed == RedeemCodeOutcome::NotRedeemable, "{redeemed:?}");
        assert!(!granted(redeemed) || *outcome == IssueCodeOutcome::Issued);
    }
    other.close().await;
}

async fn of_an_approval_and_a_denial_at_once_no_code_follows_the_denial(world: &World) {
    let other = world.replica().await;
    let jane = world.jane("c").await;
    for _ in 0..20 {
        let issued = code(&jane, "app");
        let (yes, no, code_to_issue) = (world.store.clone(), other.clone(), issued.clone());
        let yes = tokio::spawn(async move { yes.issue_code(code_to_issue, NOW).await.unwrap() });
        let (request, session, client) =
            (issued.request.clone(), issued.session.clone(), issued.client.clone());
        let no = tokio::spawn(async move {
            no.finish_refused(&request, &session, &client, NOW).await.unwrap();
        });
        let (_, ()) = (yes.await.unwrap(), no.await.unwrap());
        let redeemed =
            world.store.redeem_code(&issued.hash, &issued.client, grant(&issued, true), NOW, LIMIT);
        assert_eq!(redeemed.await.unwrap(), RedeemCodeOutcome::NotRedeemable);
        assert_eq!(
            world.store.issue_code(issued, NOW).await.unwrap(),
            IssueCodeOutcome::AlreadyFinished
        );
    }
    other.close().await;
}

async fn twenty_refresh_with_one_token_and_stay_one_family(world: &World) {
    let other = world.replica().await;
    let jane = world.jane("c").await;
    let id = world.granted(&jane, "cli", true).await;
    let tasks = (0..20).map(|n| {
        let (store, rotation) = (nth(world, &other, n), rotate(&id, 1, NOW));
        tokio::spawn(async move { store.rotate(rotation).await.unwrap() })
    });
    let outcomes = all(tasks.collect()).await;
    let count = |wanted: Rotation| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!(count(Rotation::Rotated { generation: 2 }), 1, "{outcomes:?}");
    assert_eq!(count(Rotation::Repeated { generation: 2 }), 19, "{outcomes:?}");
    let (stored, _) = world.store.grant(&id).await.unwrap().unwrap();
    assert_eq!((stored.generation, stored.ended), (2, None));
    other.close().await;
}

/// Issues a code, redeems it and refreshes, again and again, until one of them is refused.
async fn issue_until_refused(store: Store, session: SessionId) -> Vec<GrantId> {
    let mut got = Vec::new();
    for n in 0.. {
        let Some(id) = issue_one(&store, &session, NOW + n * SECOND).await else { break };
        got.push(id.clone());
        let mut rotation = rotate(&id, 1, NOW);
        rotation.tokens_until = NOW + HOUR + n * SECOND;
        match store.rotate(rotation).await.unwrap() {
            Rotation::Rotated { generation: 2 } => (),
            Rotation::Ended => break,
            other => panic!("{other:?}"),
        }
    }
    got
}

/// Issues a code and redeems it, both at this instant; `None` when the session has ended.
async fn issue_one(store: &Store, session: &SessionId, now: Timestamp) -> Option<GrantId> {
    let mut issued = code(session, "app");
    (issued.created_at, issued.expires_at) = (now, now + MINUTE);
    if store.issue_code(issued.clone(), now).await.unwrap() == IssueCodeOutcome::SessionEnded {
        return None;
    }
    let mut wanted = grant(&issued, true);
    wanted.tokens_until = now + MINUTE;
    let id = wanted.id.clone();
    let redeemed = store.redeem_code(&issued.hash, &issued.client, wanted, now, 100_000).await;
    match redeemed.unwrap() {
        RedeemCodeOutcome::Granted { .. } => Some(id),
        RedeemCodeOutcome::SessionEnded => None,
        other => panic!("{other:?}"),
    }
}

async fn nothing_is_issued_after_the_end_nor_beyond_its_announced_time(world: &World) {
    let other = world.replica().await;
    for round in 0..5 {
        let jane = world.jane(&format!("c-{round}")).await;
        let takers =
            (0..6).map(|n| tokio::spawn(issue_until_refused(nth(world, &other, n), jane.clone())));
        let takers: Vec<_> = takers.collect();
        tokio::time::sleep(SECOND / 50).await;
        let reason = ended(EndReason::Administrator, NOW);
        let end = other.end_session(&jane, reason, None).await.unwrap().unwrap();
        let redeemed: Vec<GrantId> = all(takers).await.into_iter().flatten().collect();
        assert_eq!(u64::try_from(redeemed.len()).unwrap(), end.grants_ended);
        for id in redeemed {
            let (stored, _) = world.store.grant(&id).await.unwrap().unwrap();
            assert!(stored.ended.is_some(), "a live grant of an ended session");
            assert!(Some(stored.tokens_until) <= end.tokens_until, "outlives what was announced");
        }
    }
    other.close().await;
}

async fn a_grant_that_ended_issues_nothing_more(world: &World) {
    let jane = world.jane("c").await;
    for _ in 0..10 {
        let id = world.granted(&jane, "cli", true).await;
        let refreshing = (1..6).map(|n| {
            let (store, mut rotation) = (world.store.clone(), rotate(&id, n, NOW));
            rotation.tokens_until = NOW + HOUR;
            tokio::spawn(async move { store.rotate(rotation).await.unwrap() })
        });
        let refreshing: Vec<_> = refreshing.collect();
        let end = world.store.end_grant(&id, ended(EndReason::Revoked, NOW), None).await.unwrap();
        all(refreshing).await;
        let (stored, _) = world.store.grant(&id).await.unwrap().unwrap();
        assert!(stored.ended.is_some());
        if let Some(end) = end {
            assert_eq!(end.tokens_until, stored.tokens_until);
        }
    }
}

/// Threat 143.
async fn a_hundred_sign_ins_of_one_person_all_succeed(world: &World) {
    let other = world.replica().await;
    world.jane("first").await;
    let tasks = (0..100).map(|n| {
        let store = nth(world, &other, n);
        let new_sign_in = SignIn {
            previous_cookie: Some("first".into()),
            ..sign_in("jane", &format!("cookie-{n}"))
        };
        tokio::spawn(async move { store.sign_in(new_sign_in).await.unwrap() })
    });
    let outcomes = all(tasks.collect()).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.reauthenticated()).count(), 1);
    for n in 0..100 {
        let cookie = format!("cookie-{n}");
        assert!(world.store.session_by_cookie(&cookie).await.unwrap().is_some());
    }
    other.close().await;
}

async fn twenty_present_one_assertion_and_one_signs_in(world: &World) {
    let other = world.replica().await;
    let presented = (0..20).map(|n| {
        let store = nth(world, &other, n);
        let presented = SignIn {
            assertion: Some(UsedAssertion { hash: "assertion".into(), expires_at: NOW + HOUR }),
            ..sign_in("jane", &format!("cookie-{n}"))
        };
        tokio::spawn(async move { store.sign_in(presented).await.unwrap() })
    });
    let outcomes = all(presented.collect()).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        let session = world.store.session_by_cookie(&format!("cookie-{n}")).await.unwrap();
        assert_eq!(session.is_none(), matches!(outcome, SignInOutcome::AssertionReused), "{n}");
    }
    let refused = outcomes.iter().filter(|o| matches!(o, SignInOutcome::AssertionReused)).count();
    assert_eq!(refused, 19);
    other.close().await;
}

async fn a_failing_operation_does_not_affect_the_others(world: &World) {
    let existing = sign_in("jane", "same-id");
    world.store.sign_in(existing.clone()).await.unwrap();
    let tasks = (0..60).map(|n| {
        let store = world.store.clone();
        let mut new_sign_in = sign_in("jane", &format!("cookie-{n}"));
        if n % 6 == 3 {
            new_sign_in.id = existing.id.clone();
        }
        tokio::spawn(async move { store.sign_in(new_sign_in).await })
    });
    let outcomes = all(tasks.collect()).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        let there = world.store.session_by_cookie(&format!("cookie-{n}")).await.unwrap();
        assert_eq!(outcome.is_err(), n % 6 == 3, "{n}: {outcome:?}");
        assert_eq!(there.is_none(), n % 6 == 3, "{n}");
    }
}

async fn deleting_expired_rows_while_a_grant_is_issued_loses_neither(world: &World) {
    let other = world.replica().await;
    // The cookie has just expired: a request that began earlier may still issue a code.
    let now = NOW + 9 * HOUR;
    for round in 0..30 {
        let jane = world.jane(&format!("c-{round}")).await;
        let (store, session) = (world.store.clone(), jane.clone());
        let issuing = tokio::spawn(async move { issue_one(&store, &session, now).await });
        let retention = Retention {
            now,
            events_before: NOW,
            memberships_before: NOW,
            requests_before: now,
            max_idle: None,
            max_age: None,
        };
        let collected = other.collect(retention).await.unwrap();
        let there = match issuing.await.unwrap() {
            Some(id) => world.store.grant(&id).await.unwrap().is_some(),
            None => false,
        };
        assert_eq!(there, collected.sessions == 0, "round {round}");
        let reason = ended(EndReason::Administrator, now);
        world.store.end_session(&jane, reason, None).await.unwrap();
    }
    other.close().await;
}

on_both_engines!(
    fifty_redeem_one_code_and_one_gets_it,
    many_clicks_and_a_quick_application_end_in_one_grant,
    of_an_approval_and_a_denial_at_once_no_code_follows_the_denial,
    twenty_refresh_with_one_token_and_stay_one_family,
    nothing_is_issued_after_the_end_nor_beyond_its_announced_time,
    a_grant_that_ended_issues_nothing_more,
    a_hundred_sign_ins_of_one_person_all_succeed,
    twenty_present_one_assertion_and_one_signs_in,
    a_failing_operation_does_not_affect_the_others,
    deleting_expired_rows_while_a_grant_is_issued_loses_neither,
);
