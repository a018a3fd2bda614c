use std::time::Duration;

use countersign_core::session::EndReason;
use countersign_core::{ClientId, Event, SessionId, Timestamp, event::EventKind};
use countersign_store::{EventQuery, LogoutNotification, LogoutRules, Retention, Store};

use crate::on_both_engines;
use crate::world::{HOUR, MINUTE, NOW, SECOND, SignedIn as _, World, ended, rotate, sign_in};

fn rules(notified: &[&str], end_with_browser: &[&str]) -> LogoutRules {
    let ids = |ids: &[&str]| ids.iter().map(|id| ClientId::new(*id)).collect();
    LogoutRules { notified: ids(notified), end_with_browser: ids(end_with_browser) }
}

fn listen(world: &World, notified: &[&str]) {
    let _same = world.store.clone().with_logout_rules(rules(notified, &[]));
}

/// The notifications that are due now, in the order of the clients.
async fn due(store: &Store, now: Timestamp) -> Vec<String> {
    let mut due: Vec<_> = store.clients_with_logout_notifications(now).await.unwrap();
    due.sort();
    due.iter().map(ToString::to_string).collect()
}

async fn claimed(store: &Store, client: &str, now: Timestamp) -> Vec<LogoutNotification> {
    let client = ClientId::new(client);
    store.claim_logout_notifications(&client, now, now + 30 * SECOND, 10).await.unwrap()
}

async fn everybody_who_listens_hears_of_an_end(world: &World) {
    listen(world, &["app", "web", "never-used"]);
    let jane = world.jane("c").await;
    world.granted(&jane, "app", false).await;
    world.granted(&jane, "app", true).await;
    world.granted(&jane, "web", false).await;
    world.granted(&jane, "deaf", true).await;
    let reason = ended(EndReason::Administrator, NOW + MINUTE);
    let end = world.store.end_session(&jane, reason.clone(), None).await.unwrap().unwrap();
    assert_eq!(end.notified, [ClientId::new("app"), ClientId::new("web")]);
    assert!(due(&world.store, NOW).await.is_empty(), "not before it happened");
    assert_eq!(due(&world.store, NOW + MINUTE).await, ["app", "web"]);

    let notifications = claimed(&world.store, "app", NOW + MINUTE).await;
    let [notifications] = notifications.as_slice() else {
        panic!("once, however many grants: {notifications:?}")
    };
    assert_eq!((notifications.client.as_str(), &notifications.session), ("app", &jane));
    assert_eq!(
        (notifications.user_id.as_str(), notifications.connector.as_str()),
        ("jane", "ldap")
    );
    assert_eq!((notifications.created_at, notifications.attempts), (NOW + MINUTE, 1));
    // The session has already ended, so nothing is written.
    assert!(world.store.end_session(&jane, reason, None).await.unwrap().is_none());
    assert_eq!(claimed(&world.store, "web", NOW + HOUR).await.len(), 1);
}

async fn a_grant_deleted_long_ago_is_still_notified(world: &World) {
    listen(world, &["app"]);
    let jane = world.jane("c").await;
    world.granted(&jane, "app", false).await;
    world.granted(&jane, "cli", true).await;
    let later = NOW + 2 * HOUR;
    let retention = Retention {
        now: later,
        events_before: NOW,
        memberships_before: NOW,
        requests_before: later,
        max_idle: None,
        max_age: None,
    };
    assert_eq!(world.store.collect(retention).await.unwrap().grants, 1);
    let end = world.store.end_session(&jane, ended(EndReason::UpstreamDisabled, later), None).await;
    assert_eq!(end.unwrap().unwrap().notified, [ClientId::new("app")]);
}

async fn signing_out_notifies_and_a_later_end_notifies_only_of_what_was_left(world: &World) {
    listen(world, &["app", "long"]);
    let jane = world.jane("c").await;
    world.granted(&jane, "app", false).await;
    let long = world.granted(&jane, "long", true).await;
    let out = world.store.sign_out("c", "user:jane", EndReason::SignedOut, NOW).await.unwrap();
    let out = out.unwrap();
    assert_eq!(out.notified, [ClientId::new("app"), ClientId::new("long")]);
    assert!(!out.session_ended && world.is_live(&long).await);
    let end = world.store.end_session(&jane, ended(EndReason::Administrator, NOW), None).await;
    assert_eq!(end.unwrap().unwrap().notified, [ClientId::new("long")]);
    assert_eq!(claimed(&world.store, "app", NOW).await.len(), 1);
    assert_eq!(claimed(&world.store, "long", NOW).await.len(), 2);
}

async fn another_user_at_the_same_browser_is_a_sign_out(world: &World) {
    listen(world, &["app"]);
    let jane = world.jane("c").await;
    world.granted(&jane, "app", false).await;
    let mut other = sign_in("joe", "d");
    other.previous_cookie = Some("c".into());
    world.store.sign_in(other).await.unwrap();
    let notifications = claimed(&world.store, "app", NOW).await;
    assert_eq!(notifications.len(), 1);
    assert_eq!(
        (notifications[0].session.clone(), notifications[0].user_id.as_str()),
        (jane, "jane")
    );
}

async fn the_last_grant_that_an_administrator_ends_is_notified(world: &World) {
    listen(world, &["app"]);
    let jane = world.jane("c").await;
    let first = world.granted(&jane, "app", true).await;
    let last = world.granted(&jane, "app", true).await;
    let stale = world.granted(&jane, "app", false).await;
    let at = NOW + HOUR;
    world.store.end_grant(&first, ended(EndReason::Administrator, at)).await.unwrap();
    assert!(due(&world.store, at).await.is_empty(), "another one goes on");
    world.store.end_grant(&last, ended(EndReason::Administrator, at)).await.unwrap();
    assert_eq!(
        due(&world.store, at).await,
        ["app"],
        "a token that died by itself holds up nothing"
    );
    assert!(world.is_live(&stale).await);

    let bob = world.store.sign_in(sign_in("bob", "b")).await.unwrap().session();
    let own = world.granted(&bob, "app", true).await;
    world.store.end_grant(&own, ended(EndReason::Revoked, at)).await.unwrap();
    assert_eq!(claimed(&world.store, "app", at).await.len(), 1, "jane's alone");
}

async fn grants_of_some_clients_end_with_the_browser(world: &World) {
    let _same = world.store.clone().with_logout_rules(rules(&[], &["web"]));
    let jane = world.jane("c").await;
    let web = world.granted(&jane, "web", true).await;
    assert!(!world.store.outlives_browser(&jane).await.unwrap());
    let cli = world.granted(&jane, "cli", true).await;
    assert!(world.store.outlives_browser(&jane).await.unwrap());
    let out = world.store.sign_out("c", "user:jane", EndReason::SignedOut, NOW).await.unwrap();
    assert_eq!(out.unwrap().grants_ended, 1);
    assert!(!world.is_live(&web).await && world.is_live(&cli).await);
    world.store.rotate(rotate(&cli, 1, NOW)).await.unwrap();
}

/// Ends a session of the client `app`, which queues one notification.
async fn one_message(world: &World) -> SessionId {
    listen(world, &["app"]);
    let jane = world.jane("c").await;
    world.granted(&jane, "app", false).await;
    world.store.end_session(&jane, ended(EndReason::Administrator, NOW), None).await.unwrap();
    jane
}

async fn a_claim_is_one_replicas_until_its_lease_is_over(world: &World) {
    one_message(world).await;
    let replica = world.replica().await;
    let (here, there) =
        tokio::join!(claimed(&world.store, "app", NOW), claimed(&replica, "app", NOW));
    assert_eq!(here.len() + there.len(), 1, "{here:?} {there:?}");
    assert!(claimed(&replica, "app", NOW + 29 * SECOND).await.is_empty());
    // The replica that held the lease stopped.
    let again = claimed(&replica, "app", NOW + 30 * SECOND).await;
    assert_eq!(again[0].attempts, 2);
    let late = here.first().or(there.first()).unwrap();
    assert!(
        !world.store.finish_logout_notification(late, None).await.unwrap(),
        "too slow: no longer theirs"
    );
    world.store.postpone_logout_notification(late, NOW + HOUR).await.unwrap();
    assert!(replica.finish_logout_notification(&again[0], None).await.unwrap());
    assert!(due(&world.store, NOW + 2 * HOUR).await.is_empty());
    replica.close().await;
}

async fn a_failed_notification_is_due_again_at_its_retry_time(world: &World) {
    let jane = one_message(world).await;
    let first = claimed(&world.store, "app", NOW).await.remove(0);
    world.store.postpone_logout_notification(&first, NOW + MINUTE).await.unwrap();
    assert!(due(&world.store, NOW + 59 * SECOND).await.is_empty());
    let second = claimed(&world.store, "app", NOW + MINUTE).await.remove(0);
    assert_eq!(second.attempts, 2);
    let mut event = Event::new(NOW + MINUTE, EventKind::LogoutNotificationFailed, "system");
    event.session = Some(jane.clone());
    assert!(world.store.finish_logout_notification(&second, Some(event.clone())).await.unwrap());
    assert!(!world.store.finish_logout_notification(&second, Some(event)).await.unwrap());
    let query = EventQuery { session: Some(jane), limit: 10, ..EventQuery::default() };
    let notifications = world.store.events(query).await.unwrap();
    let abandoned = notifications
        .iter()
        .filter(|stored| stored.event.kind == EventKind::LogoutNotificationFailed);
    assert_eq!(abandoned.count(), 1, "recorded with the operation, once");
}

async fn one_client_gets_no_more_than_it_has_room_for(world: &World) {
    listen(world, &["app"]);
    for n in 0..5_u32 {
        let session =
            world.store.sign_in(sign_in("jane", &format!("c{n}"))).await.unwrap().session();
        world.granted(&session, "app", false).await;
        let at = NOW + n * SECOND;
        world.store.end_session(&session, ended(EndReason::Administrator, at), None).await.unwrap();
    }
    let (app, later) = (ClientId::new("app"), NOW + MINUTE);
    let some =
        world.store.claim_logout_notifications(&app, later, later + MINUTE, 2).await.unwrap();
    let mut at: Vec<_> = some.iter().map(|notification| notification.created_at).collect();
    at.sort();
    assert_eq!(at, [NOW, NOW + SECOND], "those due longest");
}

/// Ending a session wakes the dispatcher once the transaction is committed.
async fn an_end_wakes_the_dispatcher(world: &World) {
    one_message(world).await;
    world.store.logout_notification_queued().await;
    assert_eq!(due(&world.store, NOW).await, ["app"]);
    let session = world.jane("other").await;
    let woken =
        tokio::time::timeout(Duration::ZERO, world.store.logout_notification_queued()).await;
    assert!(woken.is_err(), "a sign-in is no notification: {session}");
}

async fn undelivered_notifications_expire(world: &World) {
    one_message(world).await;
    let retention = |now| Retention {
        now,
        events_before: NOW,
        memberships_before: NOW,
        requests_before: NOW,
        max_idle: None,
        max_age: None,
    };
    let day = 24 * HOUR;
    assert_eq!(
        world.store.collect(retention(NOW + 6 * day)).await.unwrap().logout_notifications,
        0
    );
    assert_eq!(
        world.store.collect(retention(NOW + 8 * day)).await.unwrap().logout_notifications,
        1
    );
}

on_both_engines!(
    everybody_who_listens_hears_of_an_end,
    a_grant_deleted_long_ago_is_still_notified,
    signing_out_notifies_and_a_later_end_notifies_only_of_what_was_left,
    another_user_at_the_same_browser_is_a_sign_out,
    the_last_grant_that_an_administrator_ends_is_notified,
    grants_of_some_clients_end_with_the_browser,
    a_claim_is_one_replicas_until_its_lease_is_over,
    a_failed_notification_is_due_again_at_its_retry_time,
    one_client_gets_no_more_than_it_has_room_for,
    an_end_wakes_the_dispatcher,
    undelivered_notifications_expire,
);
