//! Statements per login and refresh, heap-only updates, blocked users, dropped keys, and a database of the
//! five old migrations.

use countersign_core::session::EndReason;
use countersign_core::{ConnectorId, Secret};
use countersign_store::{
    BlockUser, DropSigningKeyNow, Location, SignInOutcome, SigningKeyRow, Store, Successor,
};
use sqlx::Connection;

use crate::on_both_engines;
use crate::world::{HOUR, LIMIT, MINUTE, NOW, SECOND, World, code, grant, rotate, sign_in};

async fn a_login_is_three_commits_and_a_refresh_one(world: &World) {
    let store = &world.store;
    let before = store.statement_counts();
    let jane = world.jane("c").await;
    let code = code(&jane, "cli");
    store.issue_code(code.clone(), NOW).await.unwrap();
    let grant = grant(&code, true);
    store.redeem_code(&code.hash, &code.client, grant.clone(), NOW, LIMIT).await.unwrap();
    let login = store.statement_counts();
    let is_postgres = matches!(world.location, Location::Postgres(_));
    // PostgreSQL locks the session and inserts the code in one statement; SQLite is sent several in one message.
    let (writes, messages) = if is_postgres { (7, 9) } else { (8, 5) };
    assert_eq!((login.commits - before.commits, login.writes - before.writes), (3, writes));
    assert_eq!(login.messages - before.messages, messages);
    // BEGIN and COMMIT of each, because no other operation waited; PostgreSQL's are not counted.
    let alone = if is_postgres { 0 } else { 2 };
    assert_eq!(login.transaction_messages - before.transaction_messages, 3 * alone);

    store.grant(&grant.id).await.unwrap();
    store.rotate(rotate(&grant.id, 1, NOW)).await.unwrap();
    let refresh = store.statement_counts();
    assert_eq!(refresh.commits - login.commits, 1);
    let writes = if is_postgres { 1 } else { 2 };
    assert_eq!((refresh.reads - login.reads, refresh.writes - login.writes), (1, writes));
    assert_eq!(refresh.messages - login.messages, 2);
    assert_eq!(refresh.transaction_messages - login.transaction_messages, alone);
}

async fn a_blocked_person_signs_in_nowhere_until_it_is_lifted(world: &World) {
    let store = &world.store;
    let ldap = ConnectorId::new("ldap");
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    let block = BlockUser {
        connector: ldap.clone(),
        user_id: "jane".into(),
        reason: "stolen laptop".into(),
        by: "user:admin".into(),
        now: NOW,
        expires_at: Some(NOW + HOUR),
    };
    store.block_user(block).await.unwrap();
    let outcome = store.sign_in(sign_in("jane", "d")).await.unwrap();
    assert!(matches!(outcome, SignInOutcome::Blocked(block) if block.reason == "stolen laptop"));
    let (_, session) = store.grant(&grant).await.unwrap().unwrap();
    assert!(session.is_blocked(NOW) && !session.is_blocked(NOW + HOUR));
    assert!(world.store.session_by_cookie("c").await.unwrap().unwrap().ended.is_none());
    assert_eq!(store.blocked_users(None, 10, NOW).await.unwrap().users.len(), 1);
    assert!(store.blocked_users(None, 10, NOW + HOUR).await.unwrap().users.is_empty());
    assert!(store.unblock_user(&ldap, "jane", "user:admin", NOW).await.unwrap());
    assert!(!store.unblock_user(&ldap, "jane", "user:admin", NOW).await.unwrap());
    let outcome = store.sign_in(sign_in("jane", "d")).await.unwrap();
    assert!(matches!(outcome, SignInOutcome::SignedIn { .. }));
}

fn key(number: i64, signs_from: countersign_core::Timestamp) -> SigningKeyRow {
    SigningKeyRow {
        number,
        kid: format!("kid-{number}"),
        algorithm: "RS256".into(),
        public_jwk: "{}".into(),
        private_key: Secret::new("sealed"),
        created_at: NOW,
        signs_from,
        longest_lifetime: 10 * MINUTE,
        access_tokens_only: false,
        superseded_at: None,
    }
}

async fn a_dropped_key_always_leaves_one_that_signs(world: &World) {
    let drop = |kid: &str, spare: i64| DropSigningKeyNow {
        kid: kid.into(),
        successor: Successor::New(key(spare, NOW + HOUR)),
        by: "user:admin".into(),
        now: NOW + SECOND,
    };
    let store = &world.store;
    assert_eq!(store.drop_signing_key_now(drop("kid-1", 9)).await.unwrap(), None);
    store.add_signing_key(key(1, NOW)).await.unwrap();
    store.add_signing_key(key(2, NOW + HOUR)).await.unwrap();
    let first = store.drop_signing_key_now(drop("kid-1", 9)).await.unwrap().unwrap();
    assert_eq!((first.signing_kid.as_str(), first.successor_added), ("kid-2", false));
    let second = store.drop_signing_key_now(drop("kid-2", 9)).await.unwrap().unwrap();
    assert_eq!((second.signing_kid.as_str(), second.successor_added), ("kid-9", true));
    let keys = store.signing_keys().await.unwrap();
    assert_eq!((keys.len(), keys[0].number, keys[0].signs_from), (1, 3, NOW + SECOND));
    let of_signer = DropSigningKeyNow {
        successor: Successor::OfSigner("kid-of-vault".into()),
        ..drop("kid-9", 10)
    };
    let last = store.drop_signing_key_now(of_signer).await.unwrap().unwrap();
    assert_eq!((last.signing_kid.as_str(), last.successor_added), ("kid-of-vault", false));
    assert!(store.signing_keys().await.unwrap().is_empty());
}

on_both_engines!(
    a_login_is_three_commits_and_a_refresh_one,
    a_blocked_person_signs_in_nowhere_until_it_is_lifted,
    a_dropped_key_always_leaves_one_that_signs,
    a_database_of_the_old_migrations_opens,
);

const OLD: [&str; 5] = [
    include_str!("../../../../migrations/0001_sessions.sql"),
    include_str!("../../../../migrations/0002_search.sql"),
    include_str!("../../../../migrations/0003_brakes.sql"),
    include_str!("../../../../migrations/0004_notices.sql"),
    include_str!("../../../../migrations/0005_traces.sql"),
];

/// The statements of migration 0006 run on rows as the old version wrote them.
async fn a_database_of_the_old_migrations_opens(world: &World) {
    let rows = "INSERT INTO sessions (id, connector_id, user_id, identity, identity_at, basis, wants, \
        auth_time, created_at, last_seen, browser_seen, cookie_until, ip, user_agent, ended_at, \
        ended_by, ended_why, search) VALUES ('s', 'ldap', 'jane', '{\"user_id\":\"jane\",\
        \"username\":\"J\",\"preferred_username\":\"jane\",\"email\":\"\",\"email_verified\":true,\
        \"groups\":[\"dev\"]}', 1, 'f', '{\"offline\":true,\"groups\":true}', 1, 1, 1, 1, 1, 'ip', \
        'ua', 5, 'x', 'ended_by_person', 'jane'); \
        INSERT INTO memberships VALUES ('s', 'dev', 1, 5, 9, 'ldap', 'jane', 'J'); \
        INSERT INTO memberships VALUES ('t', 'dev', 3, NULL, NULL, 'ldap', 'jane', 'J'); \
        INSERT INTO events VALUES ('000000000000001', 1, 'brake_set', 'system', NULL, NULL, NULL, \
        'ldap', NULL, NULL, NULL, '{}'); \
        INSERT INTO traces VALUES ('s', 1, '{\"steps\":[{\"kind\":\"kept\",\"text\":\"a\"}],\
        \"left_out\":0}')";
    let migrations = [&OLD[..], &[rows]].concat().join(";\n");
    let new = include_str!("../../../../migrations/0006_standard_names.sql");
    match &world.location {
        Location::Sqlite { .. } => {
            let mut db = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(migrations)).execute(&mut db).await.unwrap();
            sqlx::raw_sql(new).execute(&mut db).await.unwrap();
            let read: (String, i64, String, String) =
                sqlx::query_as(READ).fetch_one(&mut db).await.unwrap();
            assert_eq!(read, expected());
        }
        _ => {
            let mut db = world.server().await;
            sqlx::raw_sql("CREATE SCHEMA old; SET search_path = old")
                .execute(&mut db)
                .await
                .unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(migrations)).execute(&mut db).await.unwrap();
            sqlx::raw_sql(new).execute(&mut db).await.unwrap();
            let read: (String, i64, String, String) =
                sqlx::query_as(READ).fetch_one(&mut db).await.unwrap();
            assert_eq!(read, expected());
        }
    }
}

const READ: &str = "SELECT s.ended_reason, m.since, e.kind, t.trace FROM sessions s, memberships m, \
    events e, traces t WHERE m.until IS NULL";

fn expected() -> (String, i64, String, String) {
    let trace = "{\"steps\":[{\"kind\":\"included\",\"text\":\"a\"}],\"left_out\":0}";
    ("ended_by_user".into(), 1, "circuit_breaker_opened".into(), trace.into())
}

/// Refreshing tokens changes no index on PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_is_a_heap_only_update() {
    let Some(world) = World::postgres().await else { return };
    let jane = world.jane("c").await;
    let grant = world.granted(&jane, "cli", true).await;
    world.store.rotate(rotate(&grant, 1, NOW)).await.unwrap();
    let mut server = world.server().await;
    let counts = "SELECT n_tup_upd - n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = $1";
    let flush: &Store = &world.store;
    for generation in 2..10 {
        flush.rotate(rotate(&grant, generation, NOW)).await.unwrap();
    }
    world
        .store
        .end_session(&jane, crate::world::ended(EndReason::Revoked, NOW), None)
        .await
        .unwrap();
    flush.close().await;
    let mut updated = 0_i64;
    for _ in 0..100 {
        updated = sqlx::query_scalar(counts).bind("grants").fetch_one(&mut server).await.unwrap();
        let all = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'grants'";
        let all: i64 = sqlx::query_scalar(all).fetch_one(&mut server).await.unwrap();
        if all >= 10 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // The first rotation changes the MAC key, and the end changes `ended_at`: both are indexed.
    assert!(updated <= 2, "{updated} updates changed an index");
    server.close().await.unwrap();
    world.over().await;
}
