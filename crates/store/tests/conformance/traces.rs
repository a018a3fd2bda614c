//! The trace of the last sign-in.

use countersign_core::session::EndReason;
use countersign_core::{SessionId, Trace};
use countersign_store::Retention;

use crate::on_both_engines;
use crate::world::{HOUR, NOW, World, ended};

fn told(text: &str) -> Trace {
    let mut trace = Trace::default();
    trace.request(text);
    trace
}

async fn the_last_trace_is_kept_and_goes_with_its_session(world: &World) {
    let jane = world.jane("c").await;
    assert_eq!(world.store.trace_of(&jane).await.unwrap(), None);
    world.store.keep_trace(&jane, &told("first"), NOW).await.unwrap();
    world.store.keep_trace(&jane, &told("second"), NOW).await.unwrap();
    assert_eq!(world.store.trace_of(&jane).await.unwrap(), Some(told("second")));

    let nobody = SessionId::new("nobody");
    world.store.keep_trace(&nobody, &told("lost"), NOW).await.unwrap();
    assert_eq!(world.store.trace_of(&nobody).await.unwrap(), None);

    world.store.end_session(&jane, ended(EndReason::Administrator, NOW), None).await.unwrap();
    let retention = Retention {
        now: NOW + HOUR,
        events_before: NOW,
        memberships_before: NOW,
        requests_before: NOW,
        offline_unused_since: None,
        offline_created_before: None,
        limit: 500,
    };
    world.store.collect(retention).await.unwrap();
    assert_eq!(world.store.session(&jane).await.unwrap().map(|s| s.id), None);
    assert_eq!(world.store.trace_of(&jane).await.unwrap(), None);
}

on_both_engines!(the_last_trace_is_kept_and_goes_with_its_session);
