//! The trace of the last login of a session.

use countersign_core::Trace;
use countersign_core::session::EndReason;
use countersign_store::SignIn;

use crate::on_both_engines;
use crate::world::{HOUR, NOW, SignedIn as _, World, ended, retention, sign_in};

fn trace(text: &str) -> Trace {
    let mut trace = Trace::default();
    trace.request(text);
    trace
}

async fn the_last_trace_is_kept_and_deleted_with_its_session(world: &World) {
    let first = SignIn { trace: Some(trace("first")), ..sign_in("jane", "c") };
    let jane = world.store.sign_in(first).await.unwrap().session();
    assert_eq!(world.store.trace(&jane).await.unwrap(), Some(trace("first")));
    let second = SignIn { trace: Some(trace("second")), ..sign_in("jane", "d") };
    let second = SignIn { previous_cookie: Some("c".into()), ..second };
    assert_eq!(world.store.sign_in(second).await.unwrap().session(), jane);
    assert_eq!(world.store.trace(&jane).await.unwrap(), Some(trace("second")));

    let joe = world.jane("e").await;
    assert_eq!(world.store.trace(&joe).await.unwrap(), None);

    world.store.end_session(&jane, ended(EndReason::Administrator, NOW), None).await.unwrap();
    world.store.collect(retention(NOW + HOUR)).await.unwrap();
    assert_eq!(world.store.session(&jane).await.unwrap().map(|s| s.id), None);
    assert_eq!(world.store.trace(&jane).await.unwrap(), None);
}

on_both_engines!(the_last_trace_is_kept_and_deleted_with_its_session);
