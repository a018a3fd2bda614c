use std::time::Duration;

use countersign_core::ConnectorId;
use countersign_core::event::EventKind;
use countersign_core::session::EndReason;
use countersign_store::{
    CircuitBreaker, CircuitBreakerState, EventQuery, Missing, OpenCircuitBreaker,
};

use crate::on_both_engines;
use crate::world::{HOUR, MINUTE, NOW, SECOND, World};

fn circuit_breaker(seconds: u32) -> OpenCircuitBreaker {
    let now = NOW + seconds * SECOND;
    OpenCircuitBreaker {
        connector: ConnectorId::new("ldap"),
        refused: 21,
        total: 30,
        missing_since: now - MINUTE,
        grace_period: HOUR,
        now,
    }
}

async fn is_set(world: &World, circuit_breaker: OpenCircuitBreaker) -> CircuitBreaker {
    match world.store.open_circuit_breaker(circuit_breaker).await.unwrap() {
        CircuitBreakerState::Opened(circuit_breaker) => circuit_breaker,
        CircuitBreakerState::Unchanged(circuit_breaker) => panic!("already: {circuit_breaker:?}"),
    }
}

async fn a_circuit_breaker_stays_open_until_confirmed(world: &World) {
    let ldap = ConnectorId::new("ldap");
    assert_eq!(world.store.circuit_breakers().await.unwrap(), []);
    assert_eq!(world.store.close_circuit_breaker(&ldap, "user:joe", NOW).await.unwrap(), None);

    let set = is_set(world, circuit_breaker(0)).await;
    assert_eq!((set.refused, set.total, set.opened_at, set.is_open()), (21, 30, NOW, true));
    let second = world.store.open_circuit_breaker(circuit_breaker(5)).await.unwrap();
    assert_eq!(second, CircuitBreakerState::Unchanged(set.clone()), "the first replica's is kept");
    assert_eq!(world.replica().await.circuit_breakers().await.unwrap(), [set]);

    let later = NOW + 10 * MINUTE;
    let released =
        world.store.close_circuit_breaker(&ldap, "user:joe", later).await.unwrap().unwrap();
    assert!(!released.is_open());
    let confirmed = released.closed.clone().unwrap();
    assert_eq!((confirmed.at, confirmed.by.as_str()), (later, "user:joe"));
    assert_eq!(world.store.close_circuit_breaker(&ldap, "user:eve", later).await.unwrap(), None);
    assert_eq!(world.store.circuit_breakers().await.unwrap(), [released]);
}

async fn a_confirmed_circuit_breaker_does_not_open_again_at_once(world: &World) {
    let ldap = ConnectorId::new("ldap");
    is_set(world, circuit_breaker(0)).await;
    world.store.close_circuit_breaker(&ldap, "user:joe", NOW + MINUTE).await.unwrap();
    let soon = world.store.open_circuit_breaker(circuit_breaker(60 + 3600)).await.unwrap();
    assert!(
        matches!(soon, CircuitBreakerState::Unchanged(circuit_breaker) if !circuit_breaker.is_open())
    );
    assert!(is_set(world, circuit_breaker(60 + 3601)).await.is_open());
}

async fn an_open_circuit_marks_and_ends_no_session(world: &World) {
    let (jane, joe) = (world.jane("c").await, world.jane("d").await);
    let refused =
        |id, grace, at| world.store.mark_missing(id, EndReason::UpstreamMissing, grace, at);
    assert_eq!(refused(&joe, 5 * MINUTE, NOW - HOUR).await.unwrap(), Missing::First);
    assert_eq!(refused(&jane, 5 * MINUTE, NOW).await.unwrap(), Missing::First);
    is_set(world, circuit_breaker(30)).await;
    let since = |id| async move { world.store.session(id).await.unwrap().unwrap().missing_since };
    assert_eq!(since(&jane).await, None, "a mark of that minute is taken back");
    assert_eq!(since(&joe).await, Some(NOW - HOUR), "an older one is another matter");
    for grace in [5 * MINUTE, Duration::ZERO] {
        assert_eq!(refused(&jane, grace, NOW + HOUR).await.unwrap(), Missing::CircuitOpen);
        assert_eq!(refused(&joe, grace, NOW + HOUR).await.unwrap(), Missing::CircuitOpen);
    }
    assert_eq!(since(&jane).await, None);
    assert!(world.store.session(&joe).await.unwrap().unwrap().ended.is_none());

    world
        .store
        .close_circuit_breaker(&ConnectorId::new("ldap"), "user:joe", NOW + HOUR)
        .await
        .unwrap();
    assert_eq!(refused(&jane, 5 * MINUTE, NOW + HOUR).await.unwrap(), Missing::First);
    assert!(matches!(refused(&joe, 5 * MINUTE, NOW + HOUR).await.unwrap(), Missing::Ended(_)));
}

async fn a_disabled_user_is_ended_at_the_first_refusal(world: &World) {
    let jane = world.jane("c").await;
    let none = Duration::ZERO;
    let ended = world.store.mark_missing(&jane, EndReason::UpstreamDisabled, none, NOW).await;
    assert!(matches!(ended.unwrap(), Missing::Ended(_)));
    let over = world.store.session(&jane).await.unwrap().unwrap().ended.unwrap();
    assert_eq!((over.reason, over.at), (EndReason::UpstreamDisabled, NOW));
}

async fn a_circuit_breaker_is_in_the_audit_log(world: &World) {
    is_set(world, circuit_breaker(0)).await;
    world.store.open_circuit_breaker(circuit_breaker(1)).await.unwrap();
    let ldap = ConnectorId::new("ldap");
    world.store.close_circuit_breaker(&ldap, "user:joe", NOW + MINUTE).await.unwrap();
    world.store.close_circuit_breaker(&ldap, "user:eve", NOW + MINUTE).await.unwrap();
    let query = EventQuery { limit: 10, ..EventQuery::default() };
    let events = world.store.events(query).await.unwrap();
    let summary: Vec<_> =
        events.iter().map(|e| (e.event.kind, e.event.actor.as_str(), &e.event.connector)).collect();
    assert_eq!(
        summary,
        [
            (EventKind::CircuitBreakerClosed, "user:joe", &Some(ldap.clone())),
            (EventKind::CircuitBreakerOpened, "system", &Some(ldap.clone())),
        ]
    );
    assert_eq!(events[1].event.details["refused"], 21);
}

on_both_engines!(
    a_circuit_breaker_stays_open_until_confirmed,
    a_confirmed_circuit_breaker_does_not_open_again_at_once,
    an_open_circuit_marks_and_ends_no_session,
    a_disabled_user_is_ended_at_the_first_refusal,
    a_circuit_breaker_is_in_the_audit_log,
);
