use countersign_core::event::EventKind;
use countersign_core::session::EndReason;
use countersign_core::{ClientId, SessionFilter, SessionId, SessionState};
use countersign_store::{EndedBatch, EventQuery};

use crate::on_both_engines;
use crate::world::{HOUR, MINUTE, NOW, SignedIn as _, World, ended, rotate, sign_in};

async fn come(world: &World, people: u32) -> Vec<SessionId> {
    let mut sessions = Vec::new();
    for n in 0..people {
        sessions.push(world.jane(&format!("cookie-{n}")).await);
    }
    sessions
}

async fn all_that_match_end_batch_by_batch(world: &World) {
    let sessions = come(world, 7).await;
    for session in &sessions {
        world.granted(session, "cli", true).await;
    }
    let other = world.store.sign_in(sign_in("joe", "joe")).await.unwrap().session();
    // Joe's sessions do not match the filter. Ending ignores the filter's state.
    let user = Some("JANE@example.com".to_owned());
    let filter = SessionFilter { user, state: SessionState::Ended, ..SessionFilter::default() };
    let reason = ended(EndReason::Administrator, NOW + MINUTE);
    let end_batch = || world.store.end_sessions(&filter, &reason, Some("192.0.2.9"), 3);
    let until = Some(NOW + 10 * MINUTE);
    let batch =
        |sessions, more| EndedBatch { sessions, grants: sessions, tokens_until: until, more };
    assert_eq!(end_batch().await.unwrap(), batch(3, true));
    assert_eq!(end_batch().await.unwrap(), batch(3, true));
    assert_eq!(end_batch().await.unwrap(), batch(1, false));
    assert_eq!(end_batch().await.unwrap(), EndedBatch::default());

    for session in &sessions {
        let over = world.store.session(session).await.unwrap().unwrap();
        assert_eq!(over.ended, Some(reason.clone()));
    }
    assert!(world.store.session(&other).await.unwrap().unwrap().ended.is_none());
    let kind = Some(EventKind::SessionEnded);
    let query = EventQuery { kind, limit: 100, ..EventQuery::default() };
    let events = world.store.events(query).await.unwrap();
    assert_eq!(events.len(), 7, "each has its event");
    assert!(events.iter().all(|e| e.event.ip.as_deref() == Some("192.0.2.9")));
}

async fn what_was_previewed_is_what_ends(world: &World) {
    for session in &come(world, 4).await {
        world.granted(session, "cli", true).await;
        world.granted(session, "web", false).await;
    }
    let dev = || Some("dev".to_owned());
    let filters = [
        SessionFilter { client: Some(ClientId::new("nobody")), ..SessionFilter::default() },
        SessionFilter { client: Some(ClientId::new("web")), group: dev(), ..Default::default() },
    ];
    for filter in filters {
        let count = world.store.count_sessions(&filter).await.unwrap();
        let reason = ended(EndReason::Administrator, NOW);
        let ends = world.store.end_sessions(&filter, &reason, None, 200).await.unwrap();
        assert_eq!((count.sessions, count.grants), (ends.sessions, ends.grants));
        assert_eq!(count.tokens_until, ends.tokens_until);
    }
    let left = world.store.count_sessions(&SessionFilter::default()).await.unwrap();
    assert_eq!(left.sessions, 0);
}

async fn one_is_excepted_and_late_comers_are_safe(world: &World) {
    let sessions = come(world, 3).await;
    let mut late = sign_in("jane", "late");
    late.now = NOW + HOUR;
    let late = world.store.sign_in(late).await.unwrap().session();
    let filter = SessionFilter {
        except: Some(sessions[0].clone()),
        created_before: Some(NOW + HOUR),
        ..SessionFilter::default()
    };
    assert!(!filter.is_everything());
    let reason = ended(EndReason::Administrator, NOW + HOUR);
    let batch = world.store.end_sessions(&filter, &reason, None, 200).await.unwrap();
    assert_eq!((batch.sessions, batch.more), (2, false));
    for kept in [&sessions[0], &late] {
        assert!(world.store.session(kept).await.unwrap().unwrap().ended.is_none());
    }
}

async fn the_instant_covers_what_ended_before(world: &World) {
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    world.store.rotate(rotate(&grant, 1, NOW + HOUR)).await.unwrap();
    world.store.end_grant(&grant, ended(EndReason::Revoked, NOW + HOUR)).await.unwrap();
    let reason = ended(EndReason::Administrator, NOW + HOUR);
    let batch =
        world.store.end_sessions(&SessionFilter::default(), &reason, None, 10).await.unwrap();
    assert_eq!((batch.sessions, batch.grants), (1, 0));
    assert_eq!(batch.tokens_until, Some(NOW + HOUR + 10 * MINUTE));
}

async fn two_who_end_the_same_end_each_once(world: &World) {
    come(world, 60).await;
    let replica = world.replica().await;
    let all = |store: countersign_store::Store| async move {
        let reason = ended(EndReason::Administrator, NOW);
        let mut sessions = 0;
        loop {
            let filter = SessionFilter::default();
            let batch = store.end_sessions(&filter, &reason, None, 7).await.unwrap();
            sessions += batch.sessions;
            if !batch.more {
                return sessions;
            }
        }
    };
    let (one, two) =
        tokio::join!(tokio::spawn(all(world.store.clone())), tokio::spawn(all(replica.clone())),);
    assert_eq!(one.unwrap() + two.unwrap(), 60);
    replica.close().await;
}

async fn the_grants_of_one_client_end_alone(world: &World) {
    let jane = world.jane("c").await;
    let (one, two) =
        (world.granted(&jane, "cli", true).await, world.granted(&jane, "cli", true).await);
    let other = world.granted(&jane, "web", true).await;
    let reason = ended(EndReason::EndedByUser, NOW);
    let cli = ClientId::new("cli");
    let end = world.store.end_grants(&jane, Some(&cli), &reason).await.unwrap().unwrap();
    assert_eq!((end.grants, end.tokens_until), (2, Some(NOW + 10 * MINUTE)));
    assert!(!world.is_live(&one).await && !world.is_live(&two).await);
    assert!(world.is_live(&other).await);
    assert_eq!(world.store.end_grants(&jane, None, &reason).await.unwrap().unwrap().grants, 1);
    world.store.end_session(&jane, reason.clone(), None).await.unwrap();
    assert_eq!(world.store.end_grants(&jane, None, &reason).await.unwrap(), None);
}

on_both_engines!(
    all_that_match_end_batch_by_batch,
    what_was_previewed_is_what_ends,
    one_is_excepted_and_late_comers_are_safe,
    the_instant_covers_what_ended_before,
    two_who_end_the_same_end_each_once,
    the_grants_of_one_client_end_alone,
);
