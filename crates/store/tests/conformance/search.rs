use countersign_core::session::EndReason;
use countersign_core::{ClientId, ConnectorId, SessionFilter, SessionId, SessionState, Timestamp};
use countersign_store::{Location, MembershipQuery, SignIn, Snapshot, StoreError};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::on_both_engines;
use crate::world::{
    HOUR, MINUTE, NOW, SECOND, SignedIn as _, World, ended, identity, rotate, sign_in,
};

fn filter() -> SessionFilter {
    SessionFilter::default()
}

/// The user ids of one page of fifty.
async fn found(world: &World, filter: SessionFilter) -> Vec<String> {
    let page = world.store.find_sessions(&filter, None, 50).await.unwrap();
    assert_eq!(page.next, None);
    let count = world.store.count_sessions(&filter).await.unwrap();
    assert_eq!(count.sessions, i64::try_from(page.sessions.len()).unwrap(), "they agree");
    page.sessions.into_iter().map(|found| found.session.identity.user_id).collect()
}

async fn comes(
    world: &World,
    user: &str,
    seconds: u32,
    change: impl FnOnce(&mut SignIn),
) -> SessionId {
    let mut sign_in = sign_in(user, &format!("cookie-{user}-{seconds}"));
    sign_in.now = NOW + seconds * SECOND;
    change(&mut sign_in);
    world.store.sign_in(sign_in).await.unwrap().session()
}

async fn sessions_are_found_by_each_attribute(world: &World) {
    let jane = comes(world, "jane", 0, |s| s.identity.groups = vec!["admins".into()]).await;
    let joe = comes(world, "joe", 1, |s| s.connector = ConnectorId::new("github")).await;
    comes(world, "mary", 2, |s| s.ip = "2001:db8::1".into()).await;
    world.granted(&joe, "cli", true).await;
    world.store.end_session(&jane, ended(EndReason::Administrator, NOW), None).await.unwrap();

    let nobody: [&str; 0] = [];
    assert_eq!(found(world, filter()).await, ["mary", "joe"], "live ones, newest first");
    let state = SessionState::All;
    assert_eq!(found(world, SessionFilter { state, ..filter() }).await, ["mary", "joe", "jane"]);
    let ended = || SessionFilter { state: SessionState::Ended, ..filter() };
    assert_eq!(found(world, ended()).await, ["jane"]);
    let group = Some("admins".to_owned());
    assert_eq!(found(world, SessionFilter { group: group.clone(), ..ended() }).await, ["jane"]);
    assert_eq!(found(world, SessionFilter { group, ..filter() }).await, nobody);
    let group = Some("dev".to_owned());
    assert_eq!(found(world, SessionFilter { group, ..filter() }).await, ["mary", "joe"]);
    let group = Some("Dev".to_owned());
    assert_eq!(found(world, SessionFilter { group, ..filter() }).await, nobody, "exactly");
    let github = Some(ConnectorId::new("github"));
    let from = SessionFilter { connector: github, ..filter() };
    assert_eq!(found(world, from.clone()).await, ["joe"]);
    assert_eq!(found(world, SessionFilter { state, ..from }).await, ["joe"]);
    let client = Some(ClientId::new("cli"));
    assert_eq!(found(world, SessionFilter { client, ..filter() }).await, ["joe"]);
    let from = SessionFilter { ip: Some("2001:db8::1".into()), ..filter() };
    assert_eq!(found(world, from.clone()).await, ["mary"]);
    assert_eq!(found(world, SessionFilter { state, ..from }).await, ["mary"]);
    let person = |at: &str| Some((ConnectorId::new(at), "joe".to_owned()));
    let of = |at| SessionFilter { person: person(at), ..filter() };
    assert_eq!(found(world, of("github")).await, ["joe"]);
    assert_eq!(found(world, of("ldap")).await, nobody, "another joe");
    let except = Some(joe.clone());
    assert_eq!(found(world, SessionFilter { except, ..filter() }).await, ["mary"]);
    let other_connector = Some(ConnectorId::new("ldap"));
    assert_eq!(
        found(world, SessionFilter { connector: other_connector, ..of("github") }).await,
        nobody
    );
}

async fn times_bound_a_search(world: &World) {
    for (user, seconds) in [("jane", 0), ("joe", 10), ("mary", 20)] {
        comes(world, user, seconds, |_| ()).await;
    }
    let at = |seconds: u32| Some(NOW + seconds * SECOND);
    let since = SessionFilter { created_since: at(10), ..filter() };
    assert_eq!(found(world, since).await, ["mary", "joe"]);
    let before = SessionFilter { created_before: at(10), ..filter() };
    assert_eq!(found(world, before).await, ["jane"]);
    let between = SessionFilter { seen_since: at(5), seen_before: at(20), ..filter() };
    assert_eq!(found(world, between).await, ["joe"]);
}

async fn a_name_is_found_in_any_case_and_literally(world: &World) {
    let odd = comes(world, "odd", 0, |s| {
        s.identity.username = "JÜRGEN 100%_\\ O'Neill".into();
        s.identity.email = "Boss@Example.COM".into();
        s.identity.preferred_username = String::new();
    })
    .await;
    comes(world, "jane", 1, |_| ()).await;
    let text = |text: &str| SessionFilter { text: Some(text.into()), ..filter() };
    for part in ["jürgen", "JÜRGEN", "0%_\\", "o'neill", "boss@", "ODD", "\\", "_"] {
        assert_eq!(found(world, text(part)).await, ["odd"], "{part}");
    }
    let nobody: [&str; 0] = [];
    for part in ["%odd", "o_d", "' OR 1=1 --", "x\u{0}y", &"o".repeat(5000)] {
        assert_eq!(found(world, text(part)).await, nobody, "{part}");
    }
    let user = |user: &str| SessionFilter { user: Some(user.into()), ..filter() };
    assert_eq!(found(world, user("boss@example.com")).await, ["odd"]);
    assert_eq!(found(world, user("ODD")).await, ["odd"]);
    assert_eq!(found(world, user("boss")).await, nobody, "not a part of it");
    assert_eq!(found(world, user("Jane")).await, ["jane"]);

    let mut renamed = identity("odd", &["dev", "ops"]);
    renamed.preferred_username = "strange".into();
    let snapshot = Snapshot {
        session: odd,
        identity: renamed,
        fingerprint: String::new(),
        upstream: None,
        used_upstream: None,
        auth_time: NOW + MINUTE,
        lease: None,
        now: NOW + MINUTE,
    };
    assert!(world.store.update_snapshot(snapshot).await.unwrap());
    assert_eq!(found(world, user("STRANGE")).await, ["odd"], "an upstream renames people");
    assert_eq!(found(world, text("jürgen")).await, nobody);
}

async fn pages_stay_while_people_come_and_go(world: &World) {
    let mut all = Vec::new();
    for n in 0..7 {
        all.push(comes(world, &format!("user-{n}"), n / 3, |_| ()).await);
    }
    let page = |after: Option<String>| async move {
        world.store.find_sessions(&filter(), after.as_deref(), 3).await.unwrap()
    };
    let first = page(None).await;
    let newcomer = comes(world, "newcomer", 100, |_| ()).await;
    let seen_on_first = first.sessions.last().unwrap().session.id.clone();
    let gone = ended(EndReason::Administrator, NOW);
    world.store.end_session(&seen_on_first, gone, None).await.unwrap();
    let second = page(first.next.clone()).await;
    let third = page(second.next.clone()).await;
    assert_eq!(third.next, None);
    let seen: Vec<_> = [first, second, third].into_iter().flat_map(|page| page.sessions).collect();
    assert!(
        seen.is_sorted_by_key(|s| std::cmp::Reverse((s.session.created_at, s.session.id.clone())))
    );
    let mut seen: Vec<_> = seen.into_iter().map(|found| found.session.id).collect();
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all, "each once, and not {newcomer}");
    let one = world.store.find_sessions(&filter(), None, -5).await.unwrap();
    assert_eq!(one.sessions.len(), 1, "a page has at least one row");
}

async fn a_cursor_that_was_never_issued_is_refused(world: &World) {
    for made_up in ["", "1", "x.y", "1.'", "99999999999999999999.a", "1.a\u{0}"] {
        let outcome = world.store.find_sessions(&filter(), Some(made_up), 5).await;
        assert!(matches!(outcome, Err(StoreError::InvalidCursor)), "{made_up:?}: {outcome:?}");
    }
}

async fn the_grants_of_a_session_are_returned_with_it(world: &World) {
    let jane = comes(world, "jane", 0, |_| ()).await;
    comes(world, "joe", 1, |_| ()).await;
    let first = world.granted(&jane, "web", true).await;
    world.granted(&jane, "cli", true).await;
    let second = world.granted(&jane, "cli", true).await;
    world.store.rotate(rotate(&first, 1, NOW + HOUR)).await.unwrap();
    world.store.end_grant(&first, ended(EndReason::Revoked, NOW + HOUR), None).await.unwrap();

    let page = world.store.find_sessions(&filter(), None, 50).await.unwrap();
    let [joes, janes] = page.sessions.as_slice() else { panic!("two are in") };
    assert_eq!((joes.live_grants, joes.clients.len(), joes.tokens_until), (0, 0, None));
    assert_eq!((janes.live_grants, janes.clients.as_slice()), (2, &[ClientId::new("cli")][..]));
    let last = Some(NOW + HOUR + 10 * MINUTE);
    assert_eq!(janes.tokens_until, last, "tokens of an ended grant live on");

    let count = world.store.count_sessions(&filter()).await.unwrap();
    assert_eq!((count.sessions, count.people, count.grants), (2, 2, 2));
    assert_eq!((count.clients, count.tokens_until), (vec![(ClientId::new("cli"), 2)], last));
    let grants = world.store.grants_of(&jane).await.unwrap();
    assert_eq!(grants.len(), 3);
    assert_eq!(grants.iter().filter(|grant| grant.ended.is_some()).count(), 1);
    assert!(grants.iter().any(|grant| grant.id == second));
}

async fn grants_of_more_sessions_than_one_statement_takes(world: &World) {
    for n in 0..45 {
        let session = comes(world, &format!("user-{}", n % 5), n, |_| ()).await;
        world.granted(&session, &format!("client-{}", n % 2), true).await;
    }
    let page = world.store.find_sessions(&filter(), None, 100_000).await.unwrap();
    assert!(page.sessions.iter().all(|found| found.live_grants == 1 && found.clients.len() == 1));
    let count = world.store.count_sessions(&filter()).await.unwrap();
    assert_eq!((count.sessions, count.people, count.grants), (45, 5, 45));
    let clients = vec![(ClientId::new("client-0"), 23), (ClientId::new("client-1"), 22)];
    assert_eq!(count.clients, clients);
}

/// Executes SQL without the store, to write rows as an earlier version would have left them.
async fn run(world: &World, sql: &'static str) {
    match &world.location {
        Location::Sqlite { file } => {
            let mut file = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
            sqlx::query(sql).execute(&mut file).await.unwrap();
        }
        _ => {
            sqlx::query(sql).execute(&mut world.server().await).await.unwrap();
        }
    }
}

async fn rows_of_an_earlier_version_are_found_too(world: &World) {
    comes(world, "jane", 0, |_| ()).await;
    let joe = comes(world, "joe", 10, |_| ()).await;
    world.store.end_session(&joe, ended(EndReason::Administrator, NOW + HOUR), None).await.unwrap();
    run(world, "DELETE FROM memberships").await;
    run(world, "UPDATE sessions SET search = NULL, user_key = NULL, login = NULL, email = NULL")
        .await;
    let user = || SessionFilter { user: Some("JANE".into()), ..filter() };
    assert!(found(world, user()).await.is_empty());

    let replica = world.replica().await;
    assert_eq!(found(world, user()).await, ["jane"]);
    let group = Some("dev".to_owned());
    assert_eq!(found(world, SessionFilter { group, ..filter() }).await, ["jane"]);
    let (group, after) = ("dev".to_owned(), None);
    let (since, until) = (NOW, NOW + HOUR);
    let query = MembershipQuery { group, connector: None, since, until, after, limit: 10 };
    let memberships = replica.memberships(query).await.unwrap().memberships;
    let held: Vec<_> = memberships.iter().map(|h| (h.user_id.as_str(), h.since, h.until)).collect();
    assert_eq!(held, [("joe", NOW + 10 * SECOND, Some(NOW + HOUR)), ("jane", NOW, None)]);
    replica.close().await;
}

async fn people_are_found_by_their_latest_name(world: &World) {
    comes(world, "jane", 0, |s| s.identity.email = "old@example.com".into()).await;
    let newer = comes(world, "jane", 10, |_| ()).await;
    comes(world, "janet", 5, |_| ()).await;
    comes(world, "jane", 20, |s| s.connector = ConnectorId::new("github")).await;
    world.store.end_session(&newer, ended(EndReason::Administrator, NOW), None).await.unwrap();

    let people = world.store.find_people("JANE", 10).await.unwrap();
    let summary: Vec<_> =
        people.iter().map(|p| (p.connector.as_str(), p.live_sessions, p.last_seen)).collect();
    let at = |seconds: u32| NOW + seconds * SECOND;
    assert_eq!(
        summary,
        [("github", 1, at(20)), ("ldap", 1, at(10))],
        "she herself, last seen first"
    );
    assert_eq!(people[1].identity.email, "jane@example.com");
    let part = world.store.find_people("anet@", 10).await.unwrap();
    assert_eq!(part.len(), 1);
    assert_eq!(world.store.find_people("e", 2).await.unwrap().len(), 2);
    assert!(world.store.find_people("%", 10).await.unwrap().is_empty());
    assert_ne!(part[0].identity_at, Timestamp::default());
}

on_both_engines!(
    sessions_are_found_by_each_attribute,
    times_bound_a_search,
    a_name_is_found_in_any_case_and_literally,
    pages_stay_while_people_come_and_go,
    a_cursor_that_was_never_issued_is_refused,
    the_grants_of_a_session_are_returned_with_it,
    grants_of_more_sessions_than_one_statement_takes,
    people_are_found_by_their_latest_name,
    rows_of_an_earlier_version_are_found_too,
);
