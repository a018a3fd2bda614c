//! Tests that no list and no administration page reads a whole table: the query plans of the statements that the
//! operations send, with their values, on tables with many rows. PostgreSQL also reports the rows read, and has more
//! rows, since it prefers to read small tables completely.

use countersign_core::event::EventKind;
use countersign_core::ids::random_id;
use countersign_core::{ClientId, ConnectorId, SessionFilter, SessionId, SessionState, Timestamp};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::engine::sql::Sql;
use crate::{EventQuery, Location, MembershipQuery, PostgresOptions, Store, StoreError};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
/// Maximum number of rows read for one page with its counts; far fewer than in any table. PostgreSQL's parallel workers
/// read some more than needed.
const MOST_ROWS: f64 = 8_000.0;
/// A count of one client or connector stops at this number.
const MOST_COUNTED: f64 = 10_100.0;

/// One user per four sessions, three connectors, one client used by everyone, and 97 rarely used ones.
const ROWS: [&str; 6] = [
    "INSERT INTO sessions (id, connector_id, user_id, identity, identity_at, fingerprint, login_scopes, \
     auth_time, created_at, last_seen, browser_seen, cookie_until, ip, user_agent, ended_at, \
     ended_by, ended_reason, user_key, login, email, search) \
     WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < COUNT) \
     SELECT 's' || i, 'c' || (i % 3), 'u' || (i / 4), '{\"user_id\":\"u' || (i / 4) || '\",\
     \"username\":\"Name\",\"preferred_username\":\"l\",\"email\":\"\",\"email_verified\":true,\
     \"groups\":[\"all\",\"g' || (i % 97) || '\"]}', 1, 'f', '{\"offline\":true,\"groups\":true}', \
     1, 1790000000000 - i, 1790000000000 - i, 1, 1, '10.0.0.' || (i % 250), 'ua', \
     CASE WHEN i % 9 = 5 THEN 1 END, 'user:x', CASE WHEN i % 9 = 5 THEN 'signed_out' END, \
     'u' || (i / 4), 'l' || (i / 4), 'u' || (i / 4) || '@example.com', 'name u' || (i / 4) FROM n",
    "INSERT INTO grants (id, session_id, client_id, scopes, auth_time, refreshable, generation, mac_key, \
     created_at, rotated_at, tokens_until) \
     SELECT 'g' || id, id, 'everybody', '[]', 1, 1, 1, 1, 1, 1, 1 FROM sessions",
    "INSERT INTO grants (id, session_id, client_id, scopes, auth_time, refreshable, generation, mac_key, \
     created_at, rotated_at, tokens_until) \
     SELECT 'h' || id, id, 'few-' || (created_at % 97), '[]', 1, 1, 1, 1, 1, 1, 1 FROM sessions",
    "INSERT INTO memberships (id, connector_id, user_id, group_name, since, person) \
     SELECT 'm' || id, connector_id, user_id || id, 'group-' || (created_at % 20), created_at, 'p' \
     FROM sessions",
    "INSERT INTO events (id, at, kind, actor, session_id, client_id, connector_id, user_id, ip, details) \
     SELECT '00' || created_at || substr('000000000000000000000000' || id, length(id) + 1), created_at, \
     CASE created_at % 1000 WHEN 0 THEN 'key_rotated' ELSE 'signed_in' END, 'user:' || user_id, id, \
     'everybody', connector_id, user_id, ip, '{}' FROM sessions",
    "ANALYZE",
];

/// Inserts part of the rows; split because an operation is limited to 15 s.
struct Fill(&'static str, u32);

impl Operation for Fill {
    type Output = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        let mut sql = Sql::default();
        sql.push(&self.0.replace("COUNT", &self.1.to_string()));
        conn.execute_built(&sql).await?;
        Ok(())
    }
}

/// Checks the plans of all statements that an operation sent: none may read a whole table.
fn plans(store: &Store, name: &str, most: f64) {
    for plan in store.shared.take_plans() {
        let scans = ["s", "sessions", "g", "grants", "m", "memberships", "events", "consents"];
        for line in &plan.lines {
            let by_index = line.contains("INDEX");
            let whole = scans.iter().any(|scan| line.trim() == format!("SCAN {scan}")) && !by_index;
            let whole = whole
                || line.contains("Seq Scan on")
                    && !line.contains("blocked_users")
                    && !line.contains("consents");
            assert!(!whole, "{name}: {}\n{}", plan.sql, plan.lines.join("\n"));
        }
        let read: f64 = plan.lines.iter().map(|line| rows_read(line)).sum();
        assert!(read <= most, "{name}: {read} rows\n{}\n{}", plan.sql, plan.lines.join("\n"));
    }
}

/// Rows that a scan returned or discarded, from a line of PostgreSQL's EXPLAIN ANALYZE. Zero on SQLite.
fn rows_read(line: &str) -> f64 {
    let number = |after: &str| -> Option<f64> {
        let rest = line.split(after).nth(1)?;
        rest.chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect::<String>()
            .parse()
            .ok()
    };
    if let Some(removed) = number("Rows Removed by Filter: ") {
        return removed;
    }
    match line.contains("Scan") && !line.contains("Subquery Scan") {
        true => number("rows=").unwrap_or(0.0) * number("loops=").unwrap_or(1.0),
        false => 0.0,
    }
}

/// Keeps PostgreSQL from vacuuming between the statements: it prefers to read an index completely, without the table,
/// to looking up rows once it knows that all rows are visible, so that the plans would depend on the moment.
const NO_AUTOVACUUM: [&str; 4] = [
    "ALTER TABLE sessions SET (autovacuum_enabled = false)",
    "ALTER TABLE grants SET (autovacuum_enabled = false)",
    "ALTER TABLE memberships SET (autovacuum_enabled = false)",
    "ALTER TABLE events SET (autovacuum_enabled = false)",
];

async fn every_list_uses_an_index(store: &Store, rows: u32) {
    for sql in ROWS {
        store.write(Fill(sql, rows)).await.unwrap();
    }
    store.shared.record_plans();
    for (name, filter) in session_filters() {
        // A ninth of the sessions have ended; they have no index of their own.
        let most = if filter.state == SessionState::Ended { 12_000.0 } else { MOST_ROWS };
        let first = store.find_sessions(&filter, None, 25).await.unwrap();
        plans(store, name, most);
        if let Some(next) = &first.next {
            store.find_sessions(&filter, Some(next), 25).await.unwrap();
            plans(store, &format!("second page of {name}"), most);
        }
    }
    for (name, query) in event_queries() {
        let limit = 25;
        assert!(!store.events(EventQuery { limit, ..query }).await.unwrap().is_empty(), "{name}");
        plans(store, name, MOST_ROWS);
    }
    let group = "group-7".to_owned();
    let (since, until) = (NOW, NOW);
    let query = MembershipQuery { group, connector: None, since, until, after: None, limit: 25 };
    let page = store.memberships(query.clone()).await.unwrap();
    plans(store, "memberships", MOST_ROWS);
    let query = MembershipQuery { after: page.next, ..query };
    store.memberships(query).await.unwrap();
    plans(store, "memberships, second page", MOST_ROWS);

    let few = (0..24).map(|n| ClientId::new(format!("few-{n}")));
    let clients: Vec<ClientId> = few.chain([ClientId::new("everybody")]).collect();
    let counts = store.count_clients(&clients).await.unwrap();
    assert!(counts.last().is_some_and(|count| count.is_capped && count.grants == 10_000));
    // Only the counted rows, and one more per client, which shows that a count is capped.
    let counted: u32 = counts.iter().map(|count| u32::try_from(count.grants).unwrap() + 1).sum();
    plans(store, "clients", f64::from(counted));
    let connectors = ["c0", "c1", "c2"].map(ConnectorId::new);
    assert!(store.count_connectors(&connectors).await.unwrap()[0].sessions > 5_000);
    plans(store, "connectors", 3.0 * MOST_COUNTED);
    let persons: Vec<_> = (0..25).map(|n| (ConnectorId::new("c0"), format!("u{n}"))).collect();
    store.person_names(&persons).await.unwrap();
    plans(store, "names of persons", MOST_ROWS);
    store.consents_of("u7", &ConnectorId::new("c1")).await.unwrap();
    plans(store, "consents of a person", MOST_ROWS);
    store.find_people("l77", 25).await.unwrap();
    plans(store, "people of a name", MOST_ROWS);
}

fn session_filters() -> Vec<(&'static str, SessionFilter)> {
    let of = SessionFilter::default;
    let c1 = || Some(ConnectorId::new("c1"));
    vec![
        ("all sessions", of()),
        ("ended sessions", SessionFilter { state: SessionState::Ended, ..of() }),
        ("sessions of a user", SessionFilter { user: Some("L77".into()), ..of() }),
        ("a connector's", SessionFilter { connector: c1(), ..of() }),
        ("an address's", SessionFilter { ip: Some("10.0.0.7".into()), ..of() }),
        (
            "of a client of everybody",
            SessionFilter { client: Some(ClientId::new("everybody")), ..of() },
        ),
        ("of a rare client", SessionFilter { client: Some(ClientId::new("few-7")), ..of() }),
        ("a person's", SessionFilter { person: c1().map(|id| (id, "u77".into())), ..of() }),
        (
            "selected ones",
            SessionFilter { sessions: vec![SessionId::new("s7"), SessionId::new("s8")], ..of() },
        ),
        (
            "since",
            SessionFilter {
                created_since: Some(Timestamp::from_millis(NOW.millis() - 50)),
                ..of()
            },
        ),
    ]
}

fn event_queries() -> Vec<(&'static str, EventQuery)> {
    let of = EventQuery::default;
    vec![
        ("all events", of()),
        ("events of a session", EventQuery { session: Some(SessionId::new("s7")), ..of() }),
        ("of a user", EventQuery { user_id: Some("u77".into()), ..of() }),
        ("by an actor", EventQuery { actor: Some("user:u77".into()), ..of() }),
        ("of a client", EventQuery { client: Some(ClientId::new("everybody")), ..of() }),
        ("of a connector", EventQuery { connector: Some(ConnectorId::new("c1")), ..of() }),
        ("from an address", EventQuery { ip: Some("10.0.0.7".into()), ..of() }),
        ("of a common kind", EventQuery { kind: Some(EventKind::SignedIn), ..of() }),
        ("of a rare kind", EventQuery { kind: Some(EventKind::KeyRotated), ..of() }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_list_reads_a_whole_table_on_sqlite() {
    let store = Store::open(&Location::Memory).await.unwrap();
    every_list_uses_an_index(&store, 20_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the test database")]
async fn no_list_reads_a_whole_table_on_postgresql() {
    let Ok(url) = std::env::var("COUNTERSIGN_TEST_POSTGRES") else {
        assert!(!std::env::var("COUNTERSIGN_REQUIRE_POSTGRES").is_ok_and(|v| v == "1"));
        println!("did not run: COUNTERSIGN_TEST_POSTGRES is not set");
        return;
    };
    let database = format!("cs_{}", random_id().unwrap().to_lowercase().replace('-', "_"));
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let sql = format!("CREATE DATABASE \"{database}\"");
    sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    let mut options = PostgresOptions::from_url(&url).unwrap();
    options.database.clone_from(&database);
    let store = Store::open(&Location::Postgres(options)).await.unwrap();
    for sql in NO_AUTOVACUUM {
        store.write(Fill(sql, 0)).await.unwrap();
    }
    every_list_uses_an_index(&store, 100_000).await;
    store.close().await;
    let sql = format!("DROP DATABASE \"{database}\" WITH (FORCE)");
    sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
}
