//! An authorization request is completed once: by one code that is redeemed, or by a refusal.

use countersign_core::session::EndReason;
use countersign_core::{ClientId, Code, SessionId};
use countersign_store::{IssueCodeOutcome, RedeemCodeOutcome};

use crate::on_both_engines;
use crate::world::{LIMIT, NOW, SECOND, World, code, ended, grant};

/// Another code for the same authorization request.
fn again(first: &Code) -> Code {
    Code { request: first.request.clone(), ..code(&first.session, first.client.as_str()) }
}

async fn redeem(world: &World, issued: &Code) -> RedeemCodeOutcome {
    let at = issued.created_at;
    let wanted = grant(issued, true);
    world.store.redeem_code(&issued.hash, &issued.client, wanted, at, LIMIT).await.unwrap()
}

async fn refuse(world: &World, new_code: &Code, session: &SessionId) {
    world.store.finish_refused(&new_code.request, session, &new_code.client, NOW).await.unwrap();
}

async fn a_double_click_gets_no_second_code_and_the_first_stays_good(world: &World) {
    let jane = world.jane("c").await;
    let first = code(&jane, "app");
    let second = again(&first);
    assert_eq!(world.store.issue_code(first.clone(), NOW).await.unwrap(), IssueCodeOutcome::Issued);
    let outcome = world.store.issue_code(second.clone(), NOW + SECOND).await.unwrap();
    assert_eq!(outcome, IssueCodeOutcome::AlreadyFinished);
    assert!(world.store.code(&second.hash).await.unwrap().is_none());
    assert!(matches!(redeem(world, &first).await, RedeemCodeOutcome::Granted { .. }));
}

async fn a_request_finishes_once(world: &World) {
    let jane = world.jane("c").await;
    let first = code(&jane, "app");
    world.store.issue_code(first.clone(), NOW).await.unwrap();
    assert!(matches!(redeem(world, &first).await, RedeemCodeOutcome::Granted { .. }));
    let second = again(&first);
    let outcome = world.store.issue_code(second.clone(), NOW).await.unwrap();
    assert_eq!(outcome, IssueCodeOutcome::AlreadyFinished);
    assert!(world.store.code(&second.hash).await.unwrap().is_none());
    assert!(matches!(
        redeem(world, &first).await,
        RedeemCodeOutcome::AlreadyUsed { grant: Some(_) }
    ));
}

async fn nobody_else_replaces_a_code(world: &World) {
    let (jane, joe) = (world.jane("c").await, world.jane("d").await);
    let first = code(&jane, "app");
    world.store.issue_code(first.clone(), NOW).await.unwrap();
    let other_session = Code { session: joe, ..again(&first) };
    let other_client = Code { client: ClientId::new("other"), ..again(&first) };
    for other in [other_session, other_client] {
        let outcome = world.store.issue_code(other.clone(), NOW).await.unwrap();
        assert_eq!(outcome, IssueCodeOutcome::AlreadyFinished);
        assert!(world.store.code(&other.hash).await.unwrap().is_none());
    }
    assert!(matches!(redeem(world, &first).await, RedeemCodeOutcome::Granted { .. }));
}

async fn a_signed_out_session_replaces_nothing(world: &World) {
    let jane = world.jane("c").await;
    world.granted(&jane, "cli", true).await;
    let first = code(&jane, "app");
    world.store.issue_code(first.clone(), NOW).await.unwrap();
    world.store.sign_out("c", "user:jane", EndReason::SignedOut, NOW).await.unwrap().unwrap();
    let outcome = world.store.issue_code(again(&first), NOW).await.unwrap();
    assert_eq!(outcome, IssueCodeOutcome::SessionEnded);
    assert_eq!(redeem(world, &first).await, RedeemCodeOutcome::NotRedeemable);
}

async fn after_a_no_there_is_no_code(world: &World) {
    let jane = world.jane("c").await;
    let new_code = code(&jane, "app");
    refuse(world, &new_code, &jane).await;
    refuse(world, &new_code, &jane).await;
    let outcome = world.store.issue_code(new_code.clone(), NOW).await.unwrap();
    assert_eq!(outcome, IssueCodeOutcome::AlreadyFinished);
    assert!(world.store.code(&new_code.hash).await.unwrap().is_none());
    let another = world.store.issue_code(code(&jane, "app"), NOW).await.unwrap();
    assert_eq!(another, IssueCodeOutcome::Issued, "another request is another question");
}

async fn a_denial_replaces_an_unused_approval(world: &World) {
    let jane = world.jane("c").await;
    let issued = code(&jane, "app");
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    refuse(world, &issued, &jane).await;
    assert_eq!(redeem(world, &issued).await, RedeemCodeOutcome::NotRedeemable);
    let outcome = world.store.issue_code(again(&issued), NOW).await.unwrap();
    assert_eq!(outcome, IssueCodeOutcome::AlreadyFinished);
}

async fn a_no_after_the_code_was_used_changes_nothing(world: &World) {
    let jane = world.jane("c").await;
    let issued = code(&jane, "app");
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    redeem(world, &issued).await;
    refuse(world, &issued, &jane).await;
    let RedeemCodeOutcome::AlreadyUsed { grant: Some(grant) } = redeem(world, &issued).await else {
        panic!("the code is remembered")
    };
    assert!(world.is_live(&grant).await);
}

async fn only_who_is_signed_in_may_say_no(world: &World) {
    let (jane, joe) = (world.jane("c").await, world.jane("d").await);
    let issued = code(&jane, "app");
    refuse(world, &issued, &SessionId::new("nobody")).await;
    world.store.issue_code(issued.clone(), NOW).await.unwrap();
    refuse(world, &issued, &joe).await;
    let other_client = Code { client: ClientId::new("other"), ..issued.clone() };
    refuse(world, &other_client, &jane).await;
    assert!(matches!(redeem(world, &issued).await, RedeemCodeOutcome::Granted { .. }));

    let over = code(&joe, "app");
    world.store.end_session(&joe, ended(EndReason::Administrator, NOW), None).await.unwrap();
    refuse(world, &over, &joe).await;
    let jane_instead = Code { session: jane, ..over };
    let outcome = world.store.issue_code(jane_instead, NOW).await.unwrap();
    assert_eq!(outcome, IssueCodeOutcome::Issued, "an ended session wrote nothing");
}

on_both_engines!(
    a_double_click_gets_no_second_code_and_the_first_stays_good,
    a_request_finishes_once,
    nobody_else_replaces_a_code,
    a_signed_out_session_replaces_nothing,
    after_a_no_there_is_no_code,
    a_denial_replaces_an_unused_approval,
    a_no_after_the_code_was_used_changes_nothing,
    only_who_is_signed_in_may_say_no,
);
