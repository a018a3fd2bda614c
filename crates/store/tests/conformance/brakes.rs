use std::time::Duration;

use countersign_core::ConnectorId;
use countersign_core::event::EventKind;
use countersign_core::session::EndReason;
use countersign_store::{Brake, BrakeSet, EventQuery, Missing, SetBrake};

use crate::on_both_engines;
use crate::world::{HOUR, MINUTE, NOW, SECOND, World};

fn brake(seconds: u32) -> SetBrake {
    let now = NOW + seconds * SECOND;
    SetBrake {
        connector: ConnectorId::new("ldap"),
        refused: 21,
        asked: 30,
        marks_since: now - MINUTE,
        confirmation_counts: HOUR,
        now,
    }
}

async fn is_set(world: &World, brake: SetBrake) -> Brake {
    match world.store.set_brake(brake).await.unwrap() {
        BrakeSet::Set(brake) => brake,
        BrakeSet::Already(brake) => panic!("already: {brake:?}"),
    }
}

async fn a_brake_holds_until_a_person_confirms(world: &World) {
    let ldap = ConnectorId::new("ldap");
    assert_eq!(world.store.brakes().await.unwrap(), []);
    assert_eq!(world.store.release_brake(&ldap, "user:joe", NOW).await.unwrap(), None);

    let set = is_set(world, brake(0)).await;
    assert_eq!((set.refused, set.asked, set.set_at, set.holds()), (21, 30, NOW, true));
    let second = world.store.set_brake(brake(5)).await.unwrap();
    assert_eq!(second, BrakeSet::Already(set.clone()), "the first replica's stands");
    assert_eq!(world.replica().await.brakes().await.unwrap(), [set]);

    let later = NOW + 10 * MINUTE;
    let released = world.store.release_brake(&ldap, "user:joe", later).await.unwrap().unwrap();
    assert!(!released.holds());
    let confirmed = released.confirmed.clone().unwrap();
    assert_eq!((confirmed.at, confirmed.by.as_str()), (later, "user:joe"));
    assert_eq!(world.store.release_brake(&ldap, "user:eve", later).await.unwrap(), None);
    assert_eq!(world.store.brakes().await.unwrap(), [released]);
}

async fn what_was_confirmed_is_not_braked_again_at_once(world: &World) {
    let ldap = ConnectorId::new("ldap");
    is_set(world, brake(0)).await;
    world.store.release_brake(&ldap, "user:joe", NOW + MINUTE).await.unwrap();
    let soon = world.store.set_brake(brake(60 + 3600)).await.unwrap();
    assert!(matches!(soon, BrakeSet::Already(brake) if !brake.holds()));
    assert!(is_set(world, brake(60 + 3601)).await.holds());
}

async fn a_braked_connector_marks_and_ends_nobody(world: &World) {
    let (jane, joe) = (world.jane("c").await, world.jane("d").await);
    let refused =
        |id, patience, at| world.store.mark_missing(id, EndReason::UpstreamMissing, patience, at);
    assert_eq!(refused(&joe, 5 * MINUTE, NOW - HOUR).await.unwrap(), Missing::First);
    assert_eq!(refused(&jane, 5 * MINUTE, NOW).await.unwrap(), Missing::First);
    is_set(world, brake(30)).await;
    let since = |id| async move { world.store.session(id).await.unwrap().unwrap().missing_since };
    assert_eq!(since(&jane).await, None, "a mark of that minute is taken back");
    assert_eq!(since(&joe).await, Some(NOW - HOUR), "an older one is another matter");
    for patience in [5 * MINUTE, Duration::ZERO] {
        assert_eq!(refused(&jane, patience, NOW + HOUR).await.unwrap(), Missing::Braked);
        assert_eq!(refused(&joe, patience, NOW + HOUR).await.unwrap(), Missing::Braked);
    }
    assert_eq!(since(&jane).await, None);
    assert!(world.store.session(&joe).await.unwrap().unwrap().ended.is_none());

    world.store.release_brake(&ConnectorId::new("ldap"), "user:joe", NOW + HOUR).await.unwrap();
    assert_eq!(refused(&jane, 5 * MINUTE, NOW + HOUR).await.unwrap(), Missing::First);
    assert!(matches!(refused(&joe, 5 * MINUTE, NOW + HOUR).await.unwrap(), Missing::Ended(_)));
}

async fn whoever_is_disabled_is_ended_at_the_first_refusal(world: &World) {
    let jane = world.jane("c").await;
    let none = Duration::ZERO;
    let ended = world.store.mark_missing(&jane, EndReason::UpstreamDisabled, none, NOW).await;
    assert!(matches!(ended.unwrap(), Missing::Ended(_)));
    let over = world.store.session(&jane).await.unwrap().unwrap().ended.unwrap();
    assert_eq!((over.why, over.at), (EndReason::UpstreamDisabled, NOW));
}

async fn a_brake_is_in_the_audit_log(world: &World) {
    is_set(world, brake(0)).await;
    world.store.set_brake(brake(1)).await.unwrap();
    let ldap = ConnectorId::new("ldap");
    world.store.release_brake(&ldap, "user:joe", NOW + MINUTE).await.unwrap();
    world.store.release_brake(&ldap, "user:eve", NOW + MINUTE).await.unwrap();
    let query = EventQuery { limit: 10, ..EventQuery::default() };
    let events = world.store.events(query).await.unwrap();
    let told: Vec<_> =
        events.iter().map(|e| (e.event.kind, e.event.actor.as_str(), &e.event.connector)).collect();
    assert_eq!(
        told,
        [
            (EventKind::BrakeReleased, "user:joe", &Some(ldap.clone())),
            (EventKind::BrakeSet, "system", &Some(ldap.clone())),
        ]
    );
    assert_eq!(events[1].event.details["refused"], 21);
}

on_both_engines!(
    a_brake_holds_until_a_person_confirms,
    what_was_confirmed_is_not_braked_again_at_once,
    a_braked_connector_marks_and_ends_nobody,
    whoever_is_disabled_is_ended_at_the_first_refusal,
    a_brake_is_in_the_audit_log,
);
