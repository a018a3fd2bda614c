use countersign_core::session::EndReason;
use countersign_core::{ConnectorId, SessionFilter, SessionId, Timestamp};
use countersign_store::{Membership, MembershipQuery, Retention, Snapshot, StoreError};

use crate::on_both_engines;
use crate::world::{HOUR, MINUTE, NOW, SignedIn as _, World, ended, identity, sign_in};

fn query_for(group: &str, since: Timestamp, until: Timestamp) -> MembershipQuery {
    let group = group.to_owned();
    MembershipQuery { group, connector: None, since, until, after: None, limit: 100 }
}

async fn memberships(
    world: &World,
    group: &str,
    since: Timestamp,
    until: Timestamp,
) -> Vec<Membership> {
    world.store.memberships(query_for(group, since, until)).await.unwrap().memberships
}

async fn groups_become(world: &World, session: &SessionId, groups: &[&str], now: Timestamp) {
    let snapshot = Snapshot {
        session: session.clone(),
        identity: identity("jane", groups),
        fingerprint: "fingerprint".into(),
        upstream: None,
        used_upstream: None,
        auth_time: now,
        lease: None,
        now,
    };
    assert!(world.store.update_snapshot(snapshot).await.unwrap());
}

async fn who_had_a_group_when_and_through_which_upstream(world: &World) {
    let jane = world.jane("c").await;
    world.granted(&jane, "cli", true).await;
    groups_become(world, &jane, &["ops", "admins"], NOW + 5 * MINUTE).await;

    let dev = memberships(world, "dev", NOW, NOW + HOUR).await;
    let [dev] = dev.as_slice() else { panic!("one: {dev:?}") };
    assert_eq!((dev.since, dev.until), (NOW, Some(NOW + 5 * MINUTE)));
    assert_eq!(
        dev.tokens_until,
        Some(NOW + 10 * MINUTE),
        "a token with the group was valid until then"
    );
    assert_eq!((dev.connector.as_str(), dev.user_id.as_str()), ("ldap", "jane"));
    assert!(dev.person.contains("<jane@example.com>"));
    let ops = memberships(world, "ops", NOW, NOW + HOUR).await;
    assert_eq!((ops[0].since, ops[0].until, ops[0].tokens_until), (NOW, None, None));
    let admins = memberships(world, "admins", NOW, NOW + HOUR).await;
    assert_eq!(admins[0].since, NOW + 5 * MINUTE);

    assert!(memberships(world, "admins", NOW, NOW + 5 * MINUTE).await.is_empty(), "not yet");
    assert_eq!(memberships(world, "dev", NOW + 9 * MINUTE, NOW + HOUR).await.len(), 1);
    assert!(memberships(world, "dev", NOW + 10 * MINUTE, NOW + HOUR).await.is_empty(), "no more");
    assert!(memberships(world, "de", NOW, NOW + HOUR).await.is_empty());

    let other_connector = Some(ConnectorId::new("github"));
    let query = MembershipQuery { connector: other_connector, ..query_for("ops", NOW, NOW + HOUR) };
    assert!(world.store.memberships(query).await.unwrap().memberships.is_empty());
}

async fn ending_a_session_ends_its_memberships(world: &World) {
    let jane = world.jane("c").await;
    world.granted(&jane, "cli", true).await;
    let reason = ended(EndReason::Administrator, NOW + MINUTE);
    world.store.end_session(&jane, reason, None).await.unwrap();
    let dev = memberships(world, "dev", NOW, NOW + HOUR).await;
    assert_eq!((dev[0].until, dev[0].tokens_until), (Some(NOW + MINUTE), Some(NOW + 10 * MINUTE)));

    world.jane("d").await;
    world.store.sign_out("d", "user:jane", EndReason::SignedOut, NOW + HOUR).await.unwrap();
    let dev = memberships(world, "dev", NOW + 30 * MINUTE, NOW + HOUR).await;
    assert_eq!((dev[0].until, dev[0].tokens_until), (Some(NOW + HOUR), Some(NOW + HOUR)));
}

async fn a_group_that_is_regained_has_two_memberships(world: &World) {
    let jane = world.jane("c").await;
    groups_become(world, &jane, &["ops"], NOW + MINUTE).await;
    groups_become(world, &jane, &["ops", "dev"], NOW + 2 * MINUTE).await;
    groups_become(world, &jane, &["ops"], NOW + 2 * MINUTE).await;
    groups_become(world, &jane, &["dev", "ops"], NOW + 2 * MINUTE).await;
    let dev = memberships(world, "dev", NOW, NOW + HOUR).await;
    let times: Vec<_> = dev.iter().map(|held| (held.since, held.until)).collect();
    assert_eq!(times, [(NOW + 2 * MINUTE, None), (NOW, Some(NOW + MINUTE))], "the latest first");
    let in_dev = SessionFilter { group: Some("dev".into()), ..SessionFilter::default() };
    assert_eq!(world.store.count_sessions(&in_dev).await.unwrap().sessions, 1);
}

async fn a_reauthentication_changes_the_memberships(world: &World) {
    let jane = world.jane("c").await;
    let mut again = sign_in("jane", "d");
    again.previous_cookie = Some("c".into());
    again.identity.groups = vec!["dev".into(), "dev".into(), "night".into()];
    again.now = NOW + HOUR;
    assert_eq!(world.store.sign_in(again).await.unwrap().session(), jane);
    assert_eq!(memberships(world, "ops", NOW, NOW + HOUR).await[0].until, Some(NOW + HOUR));
    assert_eq!(memberships(world, "dev", NOW, NOW + HOUR).await[0].until, None);
    assert_eq!(memberships(world, "night", NOW, NOW + 2 * HOUR).await[0].since, NOW + HOUR);
}

async fn five_hundred_groups_are_remembered_and_odd_ones_too(world: &World) {
    let mut groups: Vec<_> = (0..500).map(|n| format!("group-{n}")).collect();
    groups.extend([String::new(), "o'hara; --".into(), "nul\u{0}".into(), "x".repeat(100_000)]);
    let mut jane = sign_in("jane", "c");
    jane.identity.groups = groups.clone();
    let session = world.store.sign_in(jane).await.unwrap().session();
    for group in [&groups[0], &groups[499], &groups[500], &groups[501], &groups[503]] {
        assert_eq!(memberships(world, group, NOW, NOW + HOUR).await.len(), 1, "{group:.20}");
    }
    groups_become(world, &session, &["group-7"], NOW + MINUTE).await;
    let later = |group| memberships(world, group, NOW + MINUTE, NOW + HOUR);
    assert!(later("group-499").await.is_empty());
    assert_eq!(later("group-7").await.len(), 1);
    let closed = memberships(world, "group-499", NOW, NOW + HOUR).await;
    assert_eq!(closed[0].until, Some(NOW + MINUTE));
}

async fn holders_are_read_page_by_page(world: &World) {
    for n in 0..5_u32 {
        let mut jane = sign_in(&format!("jane-{n}"), &format!("c-{n}"));
        jane.now = NOW + n / 2 * MINUTE;
        world.store.sign_in(jane).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let query = MembershipQuery { after, limit: 2, ..query_for("dev", NOW, NOW + HOUR) };
        let page = world.store.memberships(query).await.unwrap();
        seen.extend(page.memberships.into_iter().map(|held| (held.since, held.user_id)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by_key(|(since, _)| std::cmp::Reverse(*since)), "the latest first");
    let users: std::collections::BTreeSet<_> = seen.iter().map(|(_, user)| user).collect();
    assert_eq!(users.len(), 5, "each once");
    let made_up = MembershipQuery { after: Some("x".into()), ..query_for("dev", NOW, NOW + HOUR) };
    assert!(matches!(world.store.memberships(made_up).await, Err(StoreError::InvalidCursor)));
}

async fn times_in_a_group_outlive_the_session_and_go_by_age(world: &World) {
    world.store.sign_in(sign_in("joe", "left")).await.unwrap();
    let over = world.jane("ended").await;
    let reason = ended(EndReason::Administrator, NOW + MINUTE);
    world.store.end_session(&over, reason, None).await.unwrap();
    let now = NOW + 9 * HOUR;
    let retention = |events_before, now| Retention {
        now,
        events_before,
        memberships_before: events_before,
        requests_before: now,
        max_idle: None,
        max_age: None,
    };
    let collected = world.store.collect(retention(NOW + MINUTE, now)).await.unwrap();
    assert_eq!((collected.sessions, collected.memberships), (2, 0));
    let dev = memberships(world, "dev", NOW, now).await;
    let mut times: Vec<_> = dev.iter().map(|held| held.until).collect();
    times.sort_unstable();
    assert_eq!(times, [Some(NOW + MINUTE), Some(now)], "forgotten is over");
    let collected = world.store.collect(retention(NOW + HOUR, now)).await.unwrap();
    assert_eq!(collected.memberships, 2, "dev and ops of the one that ended");
    assert_eq!(memberships(world, "dev", NOW, now).await.len(), 1);
}

on_both_engines!(
    who_had_a_group_when_and_through_which_upstream,
    ending_a_session_ends_its_memberships,
    a_group_that_is_regained_has_two_memberships,
    a_reauthentication_changes_the_memberships,
    five_hundred_groups_are_remembered_and_odd_ones_too,
    holders_are_read_page_by_page,
    times_in_a_group_outlive_the_session_and_go_by_age,
);
