use countersign_core::ids::random_id;
use countersign_core::session::EndReason;
use countersign_core::{
    ClientId, ConnectorId, DeviceRequest, DeviceRequestLimits, DeviceRequestStatus, Grant, GrantId,
    Scopes, SessionId, Timestamp,
};
use countersign_store::{
    AddDeviceRequestOutcome, DecideDeviceRequest, DecideDeviceRequestOutcome,
    RedeemDeviceCodeOutcome,
};

use crate::on_both_engines;
use crate::world::{LIMIT, MINUTE, NOW, SECOND, World, code, ended, grant};

const LIMITS: DeviceRequestLimits = DeviceRequestLimits { total: 5, per_address: 3 };

fn request(address: &str) -> DeviceRequest {
    DeviceRequest {
        device_code_hash: random_id().unwrap(),
        user_code_hash: random_id().unwrap(),
        client: ClientId::new("cli"),
        scopes: Scopes::parse("openid offline_access"),
        challenge: None,
        address: address.to_owned(),
        counted_address: address.to_owned(),
        user_agent: "kubelogin".to_owned(),
        created_at: NOW,
        expires_at: NOW + 5 * MINUTE,
        status: DeviceRequestStatus::Pending,
    }
}

async fn added(world: &World) -> DeviceRequest {
    let request = request("192.0.2.1");
    let outcome = world.store.add_device_request(request.clone(), LIMITS).await.unwrap();
    assert_eq!(outcome, AddDeviceRequestOutcome::Added);
    request
}

async fn decide(
    world: &World,
    request: &DeviceRequest,
    session: &SessionId,
    approve: bool,
    now: Timestamp,
) -> DecideDeviceRequestOutcome {
    let decision = DecideDeviceRequest {
        user_code_hash: request.user_code_hash.clone(),
        session: session.clone(),
        user_id: "jane".to_owned(),
        connector: ConnectorId::new("ldap"),
        ip: "192.0.2.9".to_owned(),
        auth_time: NOW,
        approve,
        now,
    };
    world.store.decide_device_request(decision).await.unwrap()
}

fn grant_of(session: &SessionId) -> Grant {
    Grant { id: GrantId::random().unwrap(), ..grant(&code(session, "cli"), true) }
}

async fn a_device_request_is_kept_whole(world: &World) {
    let request = added(world).await;
    let found = world.store.device_request_by_user_code(&request.user_code_hash).await.unwrap();
    assert_eq!(format!("{:?}", found.unwrap()), format!("{request:?}"));
    let found = world.store.device_request_by_device_code(&request.device_code_hash).await.unwrap();
    assert_eq!(format!("{:?}", found.unwrap()), format!("{request:?}"));
    assert!(world.store.device_request_by_user_code("unknown").await.unwrap().is_none());
}

async fn a_user_code_is_unique(world: &World) {
    let first = added(world).await;
    let second = DeviceRequest { user_code_hash: first.user_code_hash, ..request("192.0.2.2") };
    let outcome = world.store.add_device_request(second, LIMITS).await.unwrap();
    assert_eq!(outcome, AddDeviceRequestOutcome::UserCodeInUse);
}

async fn requests_are_few_in_all_and_per_address(world: &World) {
    let add = |request| world.store.add_device_request(request, LIMITS);
    for expected in [AddDeviceRequestOutcome::Added; 3]
        .into_iter()
        .chain([AddDeviceRequestOutcome::TooManyFromAddress])
    {
        assert_eq!(add(request("192.0.2.1")).await.unwrap(), expected);
    }
    assert_eq!(add(request("192.0.2.2")).await.unwrap(), AddDeviceRequestOutcome::Added);
    assert_eq!(add(request("192.0.2.3")).await.unwrap(), AddDeviceRequestOutcome::Added);
    assert_eq!(add(request("192.0.2.4")).await.unwrap(), AddDeviceRequestOutcome::TooMany);
    // Expired requests do not count, although they are not deleted yet.
    let later = NOW + 5 * MINUTE;
    let next =
        DeviceRequest { created_at: later, expires_at: later + 5 * MINUTE, ..request("192.0.2.1") };
    assert_eq!(add(next).await.unwrap(), AddDeviceRequestOutcome::Added);
}

async fn a_request_is_decided_once(world: &World) {
    let (jane, other) = (world.jane("c").await, world.jane("d").await);
    let request = added(world).await;
    assert_eq!(
        decide(world, &request, &jane, true, NOW).await,
        DecideDeviceRequestOutcome::Decided
    );
    let stored = world.store.device_request_by_user_code(&request.user_code_hash).await.unwrap();
    let approved = DeviceRequestStatus::Approved { session: jane.clone(), auth_time: NOW };
    assert_eq!(stored.unwrap().status, approved);
    assert_eq!(
        decide(world, &request, &jane, true, NOW).await,
        DecideDeviceRequestOutcome::Decided
    );
    for (session, approve) in [(&jane, false), (&other, true), (&other, false)] {
        let outcome = decide(world, &request, session, approve, NOW).await;
        assert_eq!(outcome, DecideDeviceRequestOutcome::NotPending, "{approve}");
    }
    let late = added(world).await;
    let outcome = decide(world, &late, &jane, true, NOW + 5 * MINUTE).await;
    assert_eq!(outcome, DecideDeviceRequestOutcome::NotPending, "it has expired");
    world.store.end_session(&jane, ended(EndReason::Administrator, NOW), None).await.unwrap();
    let outcome = decide(world, &late, &jane, true, NOW).await;
    assert_eq!(outcome, DecideDeviceRequestOutcome::SessionEnded);
}

async fn a_device_code_is_redeemed_once(world: &World) {
    let jane = world.jane("c").await;
    let request = added(world).await;
    let redeem =
        |grant, at| world.store.redeem_device_code(&request.device_code_hash, grant, at, LIMIT);
    let early = redeem(grant_of(&jane), NOW).await.unwrap();
    assert_eq!(early, RedeemDeviceCodeOutcome::NotRedeemable, "nobody has approved it");
    decide(world, &request, &jane, true, NOW).await;
    let thief = Grant { client: ClientId::new("thief"), ..grant_of(&jane) };
    assert_eq!(redeem(thief, NOW).await.unwrap(), RedeemDeviceCodeOutcome::NotRedeemable);
    let late = redeem(grant_of(&jane), NOW + 5 * MINUTE).await.unwrap();
    assert_eq!(late, RedeemDeviceCodeOutcome::NotRedeemable);

    let first = grant_of(&jane);
    let granted = redeem(first.clone(), NOW).await.unwrap();
    assert_eq!(granted, RedeemDeviceCodeOutcome::Granted { dropped: vec![] });
    assert!(world.is_live(&first.id).await);
    let again = redeem(grant_of(&jane), NOW).await.unwrap();
    assert_eq!(again, RedeemDeviceCodeOutcome::AlreadyUsed { grant: Some(first.id) });
    let repeated = decide(world, &request, &jane, true, NOW).await;
    assert_eq!(repeated, DecideDeviceRequestOutcome::Decided, "the same click once more");
    let stored = world.store.device_request_by_user_code(&request.user_code_hash).await.unwrap();
    assert!(matches!(stored.unwrap().status, DeviceRequestStatus::Used { .. }));
}

async fn a_request_of_an_ended_session_issues_nothing(world: &World) {
    let jane = world.jane("c").await;
    let request = added(world).await;
    decide(world, &request, &jane, true, NOW).await;
    world.store.end_session(&jane, ended(EndReason::Administrator, NOW), None).await.unwrap();
    let redeemed =
        world.store.redeem_device_code(&request.device_code_hash, grant_of(&jane), NOW, LIMIT);
    assert_eq!(redeemed.await.unwrap(), RedeemDeviceCodeOutcome::SessionEnded);
}

async fn a_grant_without_a_code_needs_a_live_session(world: &World) {
    let jane = world.jane("c").await;
    let first = grant_of(&jane);
    assert_eq!(world.store.issue_grant(first.clone(), NOW, 1).await.unwrap(), Some(vec![]));
    let second = grant_of(&jane);
    let dropped = world.store.issue_grant(second.clone(), NOW + SECOND, 1).await.unwrap();
    assert_eq!(dropped, Some(vec![first.id.clone()]), "the longest idle one ended");
    assert!(!world.is_live(&first.id).await && world.is_live(&second.id).await);
    world.store.end_session(&jane, ended(EndReason::Administrator, NOW), None).await.unwrap();
    assert_eq!(world.store.issue_grant(grant_of(&jane), NOW, LIMIT).await.unwrap(), None);
}

on_both_engines!(
    a_device_request_is_kept_whole,
    a_user_code_is_unique,
    requests_are_few_in_all_and_per_address,
    a_request_is_decided_once,
    a_device_code_is_redeemed_once,
    a_request_of_an_ended_session_issues_nothing,
    a_grant_without_a_code_needs_a_live_session,
);
