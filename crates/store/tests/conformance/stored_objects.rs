use countersign_core::Event;
use countersign_core::event::EventKind;
use countersign_store::{EventQuery, ObjectChange, ObjectKind, StoredObject};
use serde_json::json;

use crate::on_both_engines;
use crate::world::{NOW, World};

fn object(id: &str, document: &str) -> StoredObject {
    StoredObject { kind: ObjectKind::Client, id: id.into(), document: document.to_owned().into() }
}

fn change(kind: EventKind, id: &str, document: &str) -> ObjectChange {
    let mut event = Event::new(NOW, kind, "grpc");
    event.details = json!({ "kind": "client", "id": id });
    ObjectChange { object: object(id, document), event }
}

async fn document(world: &World, id: &str) -> Option<String> {
    let stored = world.store.stored_object(ObjectKind::Client, id).await.unwrap();
    stored.map(|object| object.document.expose().to_owned())
}

async fn an_object_is_created_changed_and_deleted_each_with_its_event(world: &World) {
    let store = &world.store;
    let (created, changed) = (EventKind::StoredObjectCreated, EventKind::StoredObjectChanged);
    let versions = async || store.stored_objects_version().await.unwrap();
    let first = versions().await;
    assert!(store.create_object(change(created, "app", "one")).await.unwrap());
    assert!(!store.create_object(change(created, "app", "two")).await.unwrap());
    assert_eq!(document(world, "app").await.as_deref(), Some("one"));
    let replace = |previous: &str, document: &str| {
        store.replace_object(change(changed, "app", document), previous.to_owned().into())
    };
    assert!(replace("one", "three").await.unwrap());
    assert!(!replace("one", "four").await.unwrap(), "somebody else was faster");
    assert_eq!(document(world, "app").await.as_deref(), Some("three"));
    assert_eq!(versions().await, first + 2, "what changed nothing is no version");
    // Sealing the same object again is neither a change nor an event.
    let reseal = |previous: &str| {
        store.reseal_object(object("app", "three, sealed anew"), previous.to_owned().into())
    };
    assert!(!reseal("two").await.unwrap());
    assert!(reseal("three").await.unwrap());
    assert_eq!(versions().await, first + 2);

    let deleted = EventKind::StoredObjectDeleted;
    assert!(store.delete_object(change(deleted, "app", "")).await.unwrap());
    assert!(!store.delete_object(change(deleted, "app", "")).await.unwrap());
    assert!(!replace("three, sealed anew", "five").await.unwrap());
    assert_eq!(document(world, "app").await, None);
    assert_eq!(versions().await, first + 3);
    let events = store.events(EventQuery { limit: 10, ..EventQuery::default() }).await.unwrap();
    let kinds: Vec<_> = events.iter().rev().map(|stored| stored.event.kind).collect();
    assert_eq!(kinds, [created, changed, deleted]);
}

async fn of_twenty_changes_of_one_document_one_is_made(world: &World) {
    let other = world.replica().await;
    let created = change(EventKind::StoredObjectCreated, "app", "old");
    assert!(world.store.create_object(created).await.unwrap());
    let changes = (0..20).map(|n| {
        let store = if n % 2 == 0 { world.store.clone() } else { other.clone() };
        let change = change(EventKind::StoredObjectChanged, "app", &format!("new {n}"));
        tokio::spawn(async move { store.replace_object(change, "old".to_owned().into()).await })
    });
    let changes: Vec<_> = changes.collect();
    let mut made = 0;
    for change in changes {
        made += usize::from(change.await.unwrap().unwrap());
    }
    assert_eq!(made, 1);
    other.close().await;
}

on_both_engines!(
    an_object_is_created_changed_and_deleted_each_with_its_event,
    of_twenty_changes_of_one_document_one_is_made,
);
