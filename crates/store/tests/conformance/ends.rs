use countersign_core::GrantId;
use countersign_core::session::EndReason;
use countersign_store::{EventQuery, GrantEnd, IssueCodeOutcome, RedeemCodeOutcome, Rotation};

use crate::on_both_engines;
use crate::world::{HOUR, LIMIT, MINUTE, NOW, World, code, ended, grant, rotate};

async fn an_ended_session_is_over(world: &World) {
    let jane = world.jane("c").await;
    let short = world.granted(&jane, "app", false).await;
    let long = world.granted(&jane, "cli", true).await;
    let pending = code(&jane, "app");
    world.store.issue_code(pending.clone(), NOW).await.unwrap();
    world.store.rotate(rotate(&long, 1, NOW + HOUR)).await.unwrap();

    let reason = ended(EndReason::Administrator, NOW + HOUR);
    let end = world.store.end_session(&jane, reason.clone(), Some("192.0.2.9")).await.unwrap();
    let end = end.unwrap();
    assert_eq!(end.grants_ended, 2);
    assert_eq!(end.tokens_until, Some(NOW + HOUR + 10 * MINUTE));
    assert!(world.store.end_session(&jane, reason.clone(), None).await.unwrap().is_none());

    assert!(world.store.session_by_cookie("c").await.unwrap().is_none());
    let session = world.store.session(&jane).await.unwrap().unwrap();
    assert_eq!((session.ended, session.upstream), (Some(reason.clone()), None));
    assert!(!world.is_live(&short).await && !world.is_live(&long).await);
    let (ended_grant, its_session) = world.store.grant(&long).await.unwrap().unwrap();
    assert_eq!((ended_grant.ended, its_session.ended), (Some(reason.clone()), Some(reason)));

    let later = NOW + 2 * HOUR;
    assert_eq!(
        world.store.issue_code(code(&jane, "app"), later).await.unwrap(),
        IssueCodeOutcome::SessionEnded
    );
    assert_eq!(world.store.rotate(rotate(&long, 2, later)).await.unwrap(), Rotation::Ended);
    let redeemed = world
        .store
        .redeem_code(&pending.hash, &pending.client, grant(&pending, true), NOW, LIMIT)
        .await
        .unwrap();
    assert_eq!(redeemed, RedeemCodeOutcome::SessionEnded);
    assert!(world.store.code(&pending.hash).await.unwrap().unwrap().used_at.is_none());

    world.assert_events(&jane, &["signed_in", "session_ended"]).await;
    let query = EventQuery { session: Some(jane), limit: 1, ..EventQuery::default() };
    let event = world.store.events(query).await.unwrap().remove(0).event;
    assert_eq!(event.reason.as_deref(), Some("administrator"));
    assert_eq!((event.actor.as_str(), event.ip.as_deref()), ("user:admin", Some("192.0.2.9")));
    assert_eq!(event.details["grants_ended"], 2);
}

async fn tokens_of_grants_ended_before_are_announced_too(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    world.store.rotate(rotate(&grant, 1, NOW + HOUR)).await.unwrap();
    let end =
        world.store.end_grant(&grant, ended(EndReason::Revoked, NOW + HOUR), None).await.unwrap();
    assert_eq!(end, Some(GrantEnd { tokens_until: NOW + HOUR + 10 * MINUTE }));
    let end = world
        .store
        .end_session(&jane, ended(EndReason::Administrator, NOW + HOUR), None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((end.grants_ended, end.tokens_until), (0, Some(NOW + HOUR + 10 * MINUTE)));
}

async fn one_grant_ends_without_the_others(world: &World) {
    let jane = world.jane("c").await;
    let laptop = world.granted(&jane, "cli", true).await;
    let desktop = world.granted(&jane, "cli", true).await;
    let reason = ended(EndReason::CodeReused, NOW);
    assert!(world.store.end_grant(&laptop, reason.clone(), None).await.unwrap().is_some());
    assert!(world.store.end_grant(&laptop, reason.clone(), None).await.unwrap().is_none());
    assert!(world.store.end_grant(&GrantId::new("none"), reason, None).await.unwrap().is_none());
    assert!(world.is_live(&desktop).await);
    assert!(world.store.session_by_cookie("c").await.unwrap().is_some());
    let query = EventQuery { session: Some(jane), limit: 1, ..EventQuery::default() };
    let event = world.store.events(query).await.unwrap().remove(0).event;
    assert_eq!(event.kind.as_str(), "grant_ended");
    assert_eq!(event.reason.as_deref(), Some("code_reused"));
    assert_eq!(event.grant, Some(laptop));
    assert_eq!(event.user_id.as_deref(), Some("jane"));
}

async fn signing_out_leaves_offline_grants(world: &World) {
    let jane = world.jane("c").await;
    let short = world.granted(&jane, "app", false).await;
    let long = world.granted(&jane, "cli", true).await;
    let pending = code(&jane, "app");
    world.store.issue_code(pending.clone(), NOW).await.unwrap();

    let out = world.store.sign_out("c", "user:jane", EndReason::SignedOut, NOW).await.unwrap();
    let out = out.unwrap();
    assert_eq!((&out.session, out.grants_ended, out.session_ended), (&jane, 1, false));
    assert_eq!(out.tokens_until, Some(NOW + 10 * MINUTE));
    assert!(world.store.session_by_cookie("c").await.unwrap().is_none());
    assert!(!world.is_live(&short).await && world.is_live(&long).await);
    assert!(matches!(
        world.store.rotate(rotate(&long, 1, NOW)).await.unwrap(),
        Rotation::Rotated { generation: 2 }
    ));
    let redeemed = world
        .store
        .redeem_code(&pending.hash, &pending.client, grant(&pending, false), NOW, LIMIT)
        .await
        .unwrap();
    assert_eq!(
        redeemed,
        RedeemCodeOutcome::NotRedeemable,
        "a code in flight does not outlive the sign-out"
    );
    let outcome = world.store.issue_code(code(&jane, "app"), NOW).await.unwrap();
    assert_eq!(outcome, IssueCodeOutcome::SessionEnded, "nobody holds the cookie any more");
    let twice = world.store.sign_out("c", "user:jane", EndReason::SignedOut, NOW).await.unwrap();
    assert!(twice.is_none());
    world.assert_events(&jane, &["signed_in", "signed_out"]).await;
}

/// An exchanged grant has the scope `offline_access` and no refresh token. It stays as long as an offline grant of its
/// client does.
async fn signing_out_leaves_grants_exchanged_for_offline_ones(world: &World) {
    let jane = world.jane("c").await;
    let exchanged = world.granted(&jane, "cli", false).await;
    let offline = world.granted(&jane, "cli", true).await;
    let others = world.granted(&jane, "app", false).await;
    let out = world.store.sign_out("c", "user:jane", EndReason::SignedOut, NOW).await.unwrap();
    assert_eq!(out.unwrap().grants_ended, 1);
    assert!(world.is_live(&exchanged).await && world.is_live(&offline).await);
    assert!(!world.is_live(&others).await);

    let jane = world.jane("d").await;
    let exchanged = world.granted(&jane, "cli", false).await;
    let revoked = world.granted(&jane, "cli", true).await;
    world.store.end_grant(&revoked, ended(EndReason::Revoked, NOW), None).await.unwrap();
    world.store.sign_out("d", "user:jane", EndReason::SignedOut, NOW).await.unwrap();
    assert!(!world.is_live(&exchanged).await);
}

async fn signing_out_without_offline_grants_ends_the_session(world: &World) {
    let jane = world.jane("c").await;
    world.granted(&jane, "app", false).await;
    let out = world.store.sign_out("c", "user:jane", EndReason::SignedOut, NOW).await.unwrap();
    assert!(out.unwrap().session_ended);
    let over = world.store.session(&jane).await.unwrap().unwrap().ended.unwrap();
    assert_eq!((over.reason, over.at), (EndReason::SignedOut, NOW));
    world.assert_events(&jane, &["signed_in", "signed_out"]).await;
}

on_both_engines!(
    an_ended_session_is_over,
    tokens_of_grants_ended_before_are_announced_too,
    one_grant_ends_without_the_others,
    signing_out_leaves_offline_grants,
    signing_out_leaves_grants_exchanged_for_offline_ones,
    signing_out_without_offline_grants_ends_the_session,
);
