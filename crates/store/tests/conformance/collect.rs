use countersign_core::session::EndReason;
use countersign_core::{Code, Timestamp};
use countersign_store::{Collected, EventQuery, IssueCodeOutcome, RedeemCodeOutcome, Retention};

use crate::on_both_engines;
use crate::world::{
    HOUR, LIMIT, MINUTE, NOW, SECOND, World, code, ended, grant, retention, rotate,
};

fn at(now: Timestamp) -> Retention {
    retention(now)
}

async fn nothing_that_is_needed_is_deleted(world: &World) {
    let jane = world.jane("c").await;
    world.granted(&jane, "app", false).await;
    world.granted(&jane, "cli", true).await;
    world.store.issue_code(code(&jane, "app"), NOW).await.unwrap();
    let soon = world.store.collect(at(NOW + 30 * SECOND)).await.unwrap();
    assert_eq!(soon, Collected::default());
    let later = world.store.collect(at(NOW + 5 * MINUTE)).await.unwrap();
    assert_eq!(later, Collected { codes: 1, ..Collected::default() }, "used codes stay on guard");
}

async fn a_very_late_second_use_still_finds_the_grant(world: &World) {
    let jane = world.jane("c").await;
    let issued = code(&jane, "cli");
    let (first, second) = (grant(&issued, true), grant(&issued, true));
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    let redeem =
        |grant, at| world.store.redeem_code(&issued.hash, &issued.client, grant, at, LIMIT);
    let redeemed = redeem(first.clone(), NOW).await.unwrap();
    assert!(matches!(redeemed, RedeemCodeOutcome::Granted { .. }));
    let month = NOW + 30 * 24 * HOUR;
    assert_eq!(world.store.collect(at(month)).await.unwrap().codes, 0);
    let late = redeem(second.clone(), month).await.unwrap();
    assert_eq!(late, RedeemCodeOutcome::AlreadyUsed { grant: Some(first.id.clone()) });

    world.store.end_grant(&first.id, ended(EndReason::CodeReused, month)).await.unwrap().unwrap();
    let collected = world.store.collect(at(month)).await.unwrap();
    assert_eq!((collected.grants, collected.codes), (1, 1), "they go together");
    assert_eq!(redeem(second, month).await.unwrap(), RedeemCodeOutcome::NotRedeemable);
}

async fn a_request_stays_finished_when_its_grant_is_deleted(world: &World) {
    let jane = world.jane("c").await;
    let issued = code(&jane, "app");
    let short = grant(&issued, false);
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    world.store.redeem_code(&issued.hash, &issued.client, short, NOW, LIMIT).await.unwrap();
    let later = Retention { requests_before: NOW, ..at(NOW + HOUR) };
    let collected = world.store.collect(later).await.unwrap();
    assert_eq!((collected.grants, collected.codes), (1, 0));
    let stored = world.store.code(&issued.hash).await.unwrap().unwrap();
    assert_eq!((stored.used_at, stored.code.grant), (Some(NOW), None));
    let again = world.store.issue_code(Code { hash: "other".into(), ..issued }, NOW + HOUR).await;
    assert_eq!(again.unwrap(), IssueCodeOutcome::AlreadyFinished);
}

async fn expired_rows_are_deleted_in_order(world: &World) {
    let jane = world.jane("c").await;
    let short = world.granted(&jane, "app", false).await;
    let long = world.granted(&jane, "cli", true).await;
    let dead_tokens = NOW + 11 * MINUTE;
    let collected = world.store.collect(at(dead_tokens)).await.unwrap();
    assert_eq!(collected, Collected { codes: 1, grants: 1, ..Collected::default() });
    assert!(world.store.grant(&short).await.unwrap().is_none());
    assert!(world.is_live(&long).await);

    let cookie_dead = NOW + 9 * HOUR;
    let collected = world.store.collect(at(cookie_dead)).await.unwrap();
    assert_eq!(collected, Collected::default(), "a grant keeps its session");
    world.store.end_session(&jane, ended(EndReason::Administrator, NOW), None).await.unwrap();
    let collected = world.store.collect(at(cookie_dead)).await.unwrap();
    let all = Collected { codes: 1, grants: 1, sessions: 1, ..Collected::default() };
    assert_eq!(collected, all);
    assert!(world.store.session(&jane).await.unwrap().is_none());
}

async fn a_session_without_browser_and_grants_goes(world: &World) {
    let jane = world.jane("c").await;
    let joe = world.jane("d").await;
    world.store.sign_out("d", "user:jane", EndReason::SignedOut, NOW).await.unwrap();
    let collected = world.store.collect(at(NOW + SECOND)).await.unwrap();
    assert_eq!(collected.sessions, 1);
    assert!(world.store.session(&joe).await.unwrap().is_none());
    let before = world.store.collect(at(NOW + 8 * HOUR)).await.unwrap();
    assert_eq!(before.sessions, 0);
    let after = world.store.collect(at(NOW + 8 * HOUR + SECOND)).await.unwrap();
    assert_eq!(after.sessions, 1);
    assert!(world.store.session(&jane).await.unwrap().is_none());
}

async fn offline_grants_have_limits_of_their_own(world: &World) {
    let jane = world.jane("c").await;
    let used = world.granted(&jane, "cli", true).await;
    let idle = world.granted(&jane, "cli", true).await;
    world.store.rotate(rotate(&used, 1, NOW + 20 * HOUR)).await.unwrap();
    let now = NOW + 30 * HOUR;
    let unused = Retention { max_idle: Some(20 * HOUR), ..at(now) };
    assert_eq!(world.store.collect(unused).await.unwrap().grants, 1);
    assert!(world.store.grant(&idle).await.unwrap().is_none());
    assert!(world.is_live(&used).await);
    // The remaining grant is examined again once it may have been unused for long enough.
    let old = Retention { max_age: Some(29 * HOUR), ..at(NOW + 41 * HOUR) };
    let collected = world.store.collect(old).await.unwrap();
    assert_eq!((collected.grants, collected.sessions), (1, 1));
}

async fn a_request_is_remembered_longer_than_its_code(world: &World) {
    let jane = world.jane("c").await;
    world.store.issue_code(code(&jane, "app"), NOW).await.unwrap();
    let kept = Retention { requests_before: NOW, ..at(NOW + HOUR) };
    assert_eq!(world.store.collect(kept).await.unwrap().codes, 0);
    assert_eq!(world.store.collect(at(NOW + HOUR)).await.unwrap().codes, 1);

    let refused = code(&jane, "app");
    let at_noon = NOW + HOUR;
    world.store.finish_refused(&refused.request, &jane, &refused.client, at_noon).await.unwrap();
    let kept = Retention { requests_before: at_noon, ..at(NOW + 2 * HOUR) };
    assert_eq!(world.store.collect(kept).await.unwrap().codes, 0);
    assert_eq!(
        world.store.issue_code(refused, at_noon).await.unwrap(),
        IssueCodeOutcome::AlreadyFinished
    );
    assert_eq!(world.store.collect(at(NOW + 2 * HOUR)).await.unwrap().codes, 1);
}

async fn a_batch_is_bounded(world: &World) {
    for n in 0..120 {
        let session = world.jane(&format!("c-{n}")).await;
        world.store.end_session(&session, ended(EndReason::Revoked, NOW), None).await.unwrap();
    }
    let batch = || Retention { events_before: NOW + HOUR, ..at(NOW + 10 * HOUR) };
    let first = world.store.collect(batch()).await.unwrap();
    assert_eq!((first.sessions, first.events, first.has_more), (100, 100, true));
    let second = world.store.collect(batch()).await.unwrap();
    assert_eq!((second.sessions, second.events, second.has_more), (20, 100, true));
    let third = world.store.collect(batch()).await.unwrap();
    assert_eq!((third.sessions, third.events, third.has_more), (0, 40, false));
}

async fn events_go_by_age_alone(world: &World) {
    world.jane("c").await;
    world.store.collect(Retention { events_before: NOW, ..at(NOW) }).await.unwrap();
    let query = || EventQuery { limit: 5, ..EventQuery::default() };
    assert_eq!(world.store.events(query()).await.unwrap().len(), 1);
    let later = NOW + std::time::Duration::from_millis(1);
    world.store.collect(Retention { events_before: later, ..at(NOW) }).await.unwrap();
    assert!(world.store.events(query()).await.unwrap().is_empty());
}

on_both_engines!(
    nothing_that_is_needed_is_deleted,
    a_very_late_second_use_still_finds_the_grant,
    a_request_stays_finished_when_its_grant_is_deleted,
    expired_rows_are_deleted_in_order,
    a_session_without_browser_and_grants_goes,
    offline_grants_have_limits_of_their_own,
    a_request_is_remembered_longer_than_its_code,
    a_batch_is_bounded,
    events_go_by_age_alone,
);
