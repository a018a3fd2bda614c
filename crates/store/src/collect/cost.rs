//! Tests that deleting expired rows occupies SQLite's writer equally long however many rows have expired. Instead of
//! time, the instructions of SQLite's virtual machine are counted that each transaction of the collector executes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_core::Timestamp;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, raw_sql};

use super::{BATCH, CODES, CollectGrants, CollectSessions, Delete, EVENTS, MEMBERSHIPS, Retention};
use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::migrate;
use crate::shared::Shared;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
/// Instructions are counted in units of this many.
const UNIT: i32 = 10;

/// COUNT rows of each kind that expired long ago: sessions, each with a grant and a code, events and memberships.
const ROWS: &str = "
    CREATE TABLE numbers AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < COUNT)
        SELECT i FROM n;
    INSERT INTO sessions (id, connector_id, user_id, identity, identity_at, fingerprint, login_scopes, auth_time,
        created_at, last_seen, browser_seen, cookie_until, ip, user_agent, expires_at, search)
        SELECT 's' || i, 'ldap', 'u' || i, '{\"user_id\":\"u\",\"username\":\"\",\"preferred_username\":\"\",
        \"email\":\"\",\"email_verified\":true,\"groups\":[\"dev\"]}', 1, 'f', '{}', 1, 1, 1, 1, 1, '', '', 1, ''
        FROM numbers;
    INSERT INTO grants (id, session_id, client_id, scopes, auth_time, refreshable, generation, mac_key, created_at,
        rotated_at, tokens_until, expires_at)
        SELECT 'g' || i, 's' || i, 'app', '[]', 1, 0, 1, 1, 1, 1, 1, 1 FROM numbers;
    INSERT INTO codes (hash, request_id, session_id, client_id, redirect_uri, scopes, auth_time, created_at, expires_at)
        SELECT 'c' || i, 'r' || i, 's' || i, 'app', '', '[]', 1, 1, 1 FROM numbers;
    INSERT INTO events (id, at, kind, actor, details)
        SELECT printf('%015d', i), i, 'signed_in', 'system', '{}' FROM numbers;
    INSERT INTO memberships (id, connector_id, user_id, group_name, since, until, tokens_until, person)
        SELECT 'm' || i, 'ldap', 'u' || i, 'dev', 1, 1, 1, 'p' FROM numbers;
    DROP TABLE numbers;";

/// A database with expired rows, and what its statements cost.
struct Expired {
    connection: SqliteConnection,
    executed: Arc<AtomicU64>,
}

impl Expired {
    async fn rows(count: u32) -> Self {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrate::sqlite(&mut connection, "memory").await.unwrap();
        let rows = ROWS.replace("COUNT", &count.to_string());
        raw_sql(AssertSqlSafe(rows)).execute(&mut connection).await.unwrap();
        let executed = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&executed);
        connection.lock_handle().await.unwrap().set_progress_handler(UNIT, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            true
        });
        Self { connection, executed }
    }

    /// Runs the operation as transactions until it finds fewer rows than a batch. Returns how many transactions it took,
    /// and the units of the most expensive one.
    async fn deletes<O: Operation>(&mut self, operation: O, rows: fn(&O::Output) -> u64) -> Cost {
        let mut cost = Cost { transactions: 0, most: 0 };
        loop {
            raw_sql("BEGIN IMMEDIATE").execute(&mut self.connection).await.unwrap();
            let before = self.executed.load(Ordering::Relaxed);
            let shared = Shared::default();
            let mut conn = Conn::sqlite(&mut self.connection, &shared);
            let output = operation.run(&mut conn).await.unwrap();
            let units = self.executed.load(Ordering::Relaxed) - before;
            raw_sql("COMMIT").execute(&mut self.connection).await.unwrap();
            cost.transactions += 1;
            cost.most = cost.most.max(units);
            if rows(&output) < u64::try_from(BATCH).unwrap() {
                return cost;
            }
        }
    }

    async fn count(&mut self, table: &str) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        sqlx::query_scalar(sql).fetch_one(&mut self.connection).await.unwrap()
    }
}

#[derive(Debug)]
struct Cost {
    transactions: u64,
    most: u64,
}

/// The cost of deleting everything, by kind of row.
async fn costs(count: u32) -> Vec<(&'static str, Cost)> {
    let mut expired = Expired::rows(count).await;
    let retention = Retention {
        now: NOW,
        events_before: NOW,
        memberships_before: NOW,
        requests_before: NOW,
        max_idle: None,
        max_age: Some(Duration::from_hours(1)),
    };
    let delete = |sql, value| Delete { sql, values: [value, BATCH.into()] };
    let now = || NOW.into();
    let costs = vec![
        ("grants", expired.deletes(CollectGrants(retention), |found| found.examined).await),
        ("codes", expired.deletes(delete(CODES, now()), |deleted| *deleted).await),
        ("sessions", expired.deletes(CollectSessions { now: NOW }, |found| found.examined).await),
        ("events", expired.deletes(delete(EVENTS, "1".into()), |deleted| *deleted).await),
        ("memberships", expired.deletes(delete(MEMBERSHIPS, now()), |deleted| *deleted).await),
    ];
    for (table, _) in &costs {
        assert_eq!(expired.count(table).await, 0, "{table}");
    }
    costs
}

#[tokio::test]
async fn a_transaction_of_the_collector_costs_the_same_however_many_rows_have_expired() {
    let (few, many) = (costs(300).await, costs(15_000).await);
    for ((table, few), (_, many)) in few.iter().zip(&many) {
        assert_eq!((few.transactions, many.transactions), (4, 151), "{table}: a hundred rows each");
        assert!(many.most <= few.most + few.most / 10, "{table}: {few:?}, {many:?}");
    }
}
