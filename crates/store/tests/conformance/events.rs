use countersign_core::event::EventKind;
use countersign_core::{ClientId, ConnectorId, Event, GrantId, SessionId, Timestamp};
use countersign_store::{EventQuery, StoreError};
use serde_json::json;

use crate::on_both_engines;
use crate::world::{NOW, SECOND, World};

fn event(seconds: u32, kind: EventKind, user: &str) -> Event {
    let mut event = Event::new(NOW + seconds * SECOND, kind, "system");
    event.user_id = Some(user.into());
    event.session = Some(SessionId::new(format!("s-{user}")));
    event
}

async fn an_event_is_remembered_whole(world: &World) {
    let mut event = event(0, EventKind::KeyRotated, "jane");
    event.grant = Some(GrantId::new("g"));
    event.client = Some(ClientId::new("app"));
    event.connector = Some(ConnectorId::new("ldap"));
    event.ip = Some("2001:db8::1".into());
    event.reason = Some("because".into());
    event.details = json!({ "text": "it's \"quoted\"; \u{0} DROP TABLE events", "n": [1, null] });
    world.store.add_event(event.clone()).await.unwrap();
    let query = EventQuery { limit: 10, ..EventQuery::default() };
    let events = world.store.events(query).await.unwrap();
    assert_eq!(format!("{:?}", events[0].event), format!("{event:?}"));
}

async fn events_are_found_by_what_they_are_about(world: &World) {
    for seconds in 0..6 {
        let user = if seconds % 2 == 0 { "jane" } else { "joe" };
        let kind = if seconds < 4 { EventKind::SignedIn } else { EventKind::SignedOut };
        world.store.add_event(event(seconds, kind, user)).await.unwrap();
    }
    let seconds = |query: EventQuery| async move {
        let events = world.store.events(EventQuery { limit: 100, ..query }).await.unwrap();
        events.iter().map(|e| e.event.at.since(NOW).as_secs()).collect::<Vec<_>>()
    };
    let all = EventQuery::default;
    let jane = || Some("jane".to_owned());
    assert_eq!(seconds(all()).await, [5, 4, 3, 2, 1, 0], "newest first");
    assert_eq!(seconds(EventQuery { user_id: jane(), ..all() }).await, [4, 2, 0]);
    let session = Some(SessionId::new("s-joe"));
    assert_eq!(seconds(EventQuery { session: session.clone(), ..all() }).await, [5, 3, 1]);
    assert_eq!(seconds(EventQuery { session, user_id: jane(), ..all() }).await, [] as [u64; 0]);
    let kind = Some(EventKind::SignedOut);
    assert_eq!(seconds(EventQuery { kind, ..all() }).await, [5, 4]);
    assert_eq!(seconds(EventQuery { kind, user_id: jane(), ..all() }).await, [4]);
    let (since, until) = (Some(NOW + SECOND), Some(NOW + 3 * SECOND));
    assert_eq!(seconds(EventQuery { since, until, ..all() }).await, [2, 1]);
}

async fn events_are_read_page_by_page(world: &World) {
    for seconds in 0..25 {
        world.store.add_event(event(seconds / 5, EventKind::SignedIn, "jane")).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut before_id = None;
    loop {
        let query = EventQuery { limit: 10, before_id: before_id.take(), ..EventQuery::default() };
        let page = world.store.events(query).await.unwrap();
        let Some(last) = page.last() else { break };
        before_id = Some(last.id.clone());
        seen.extend(page.into_iter().map(|stored| stored.id));
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.is_sorted_by(|a, b| a > b), "each once, newest first");
    let none = EventQuery { limit: 0, ..EventQuery::default() };
    assert_eq!(world.store.events(none).await.unwrap().len(), 1, "a page has at least one row");
}

async fn events_older_than_time_are_kept_too(world: &World) {
    let old = Event::new(Timestamp::from_secs(-5), EventKind::SignedIn, "system");
    world.store.add_event(old).await.unwrap();
    let query = EventQuery { limit: 5, ..EventQuery::default() };
    assert_eq!(world.store.events(query).await.unwrap()[0].event.at, Timestamp::from_secs(-5));
}

async fn events_are_found_by_each_attribute(world: &World) {
    let mut one = event(0, EventKind::GrantEnded, "CORP\\Jane");
    one.actor = "user:Admin".into();
    one.grant = Some(GrantId::new("g"));
    one.client = Some(ClientId::new("cli"));
    one.connector = Some(ConnectorId::new("ldap"));
    one.ip = Some("192.0.2.1".into());
    one.details = json!({ "groups": ["cn=Ops,o=\"50%\"", "B\u{dc}RO"] });
    world.store.add_event(one).await.unwrap();
    world.store.add_event(event(1, EventKind::KeyRotated, "joe")).await.unwrap();
    let count = |query: EventQuery| async move {
        let events = world.store.events(EventQuery { limit: 100, ..query }).await.unwrap();
        assert!(events.iter().all(|e| e.event.kind == EventKind::GrantEnded));
        events.len()
    };
    let all = EventQuery::default;
    assert_eq!(count(EventQuery { grant: Some(GrantId::new("g")), ..all() }).await, 1);
    assert_eq!(count(EventQuery { client: Some(ClientId::new("cli")), ..all() }).await, 1);
    assert_eq!(count(EventQuery { connector: Some(ConnectorId::new("ldap")), ..all() }).await, 1);
    assert_eq!(count(EventQuery { ip: Some("192.0.2.1".into()), ..all() }).await, 1);
    assert_eq!(count(EventQuery { actor: Some("user:Admin".into()), ..all() }).await, 1);
    assert_eq!(count(EventQuery { actor: Some("user:admin".into()), ..all() }).await, 0);
    let text = |text: &str| EventQuery { text: Some(text.into()), ..EventQuery::default() };
    for part in ["OPS", "o=\"50%\"", "corp\\jane", "B\u{dc}RO", "user:admin"] {
        assert_eq!(count(text(part)).await, 1, "{part}");
    }
    for part in ["o_s", "0%%", "x\u{0}y"] {
        assert_eq!(count(text(part)).await, 0, "{part}");
    }
    assert_eq!(count(text(&"o".repeat(100_000))).await, 0);
    let both = EventQuery { client: Some(ClientId::new("web")), ..text("ops") };
    assert_eq!(count(both).await, 0, "all must hold");
}

async fn an_event_that_never_was_begins_no_page(world: &World) {
    world.store.add_event(event(0, EventKind::SignedIn, "jane")).await.unwrap();
    let all = EventQuery { limit: 1, ..EventQuery::default() };
    let id = world.store.events(all.clone()).await.unwrap().remove(0).id;
    let (short, long, upper) = (id[1..].to_owned(), format!("{id}0"), format!("{}A", &id[1..]));
    for made_up in ["", "x", &short, &long, &upper, "\u{e9}"] {
        let before_id = Some(made_up.to_owned());
        let outcome = world.store.events(EventQuery { before_id, ..all.clone() }).await;
        assert!(matches!(outcome, Err(StoreError::InvalidCursor)), "{made_up:?}");
    }
}

on_both_engines!(
    events_are_found_by_each_attribute,
    an_event_that_never_was_begins_no_page,
    an_event_is_remembered_whole,
    events_are_found_by_what_they_are_about,
    events_are_read_page_by_page,
    events_older_than_time_are_kept_too,
);
