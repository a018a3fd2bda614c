//! A hundred thousand sessions: what the database reads for a page is asked of the database itself, never
//! of a clock.

use countersign_core::{ClientId, SessionFilter};

use super::{
    ALL, LIVE_OF_CONNECTOR, LIVE_OF_IP, Matching, OF_CLIENT, OF_GROUP, OF_PERSON, OF_USER, Texts,
};
use crate::engine::Operation;
use crate::engine::conn::{Conn, Value};
use crate::{Location, Store, StoreError};

/// Four sessions each of 25 000 people at two connectors, one in five ended; all in the group `staff`, one
/// in nine in `dev`, ten in `root`; all with `kubernetes`, twenty with `wiki`.
const POPULATION: &[&str] = &[
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
     INSERT INTO sessions (id, connector_id, user_id, identity, identity_at, basis, wants, \
     auth_time, created_at, last_seen, browser_seen, cookie_until, ip, user_agent, ended_at, \
     ended_by, ended_why, user_key, login, email, search) \
     SELECT 'session-' || CAST(i AS TEXT), CASE WHEN i % 4000 = 1 THEN 'github' ELSE 'ldap' END, \
     'user-' || CAST(i / 4 AS TEXT), \
     '{\"user_id\":\"u\",\"username\":\"U\",\"preferred_username\":\"u\",\"email\":\"\",\
     \"email_verified\":true,\"groups\":[]}', i, '', '{\"offline\":true,\"groups\":true}', i, i, \
     i, i, i, '192.0.2.' || CAST(i % 250 AS TEXT), 'Firefox', \
     CASE WHEN i % 5 = 0 THEN i END, CASE WHEN i % 5 = 0 THEN 'system' END, \
     CASE WHEN i % 5 = 0 THEN 'revoked' END, \
     'user-' || CAST(i / 4 AS TEXT), 'login-' || CAST(i / 4 AS TEXT), \
     'mail-' || CAST(i / 4 AS TEXT), 'person number ' || CAST(i / 4 AS TEXT) FROM n",
    "INSERT INTO grants (id, session_id, client_id, scopes, auth_time, refreshable, generation, \
     mac_key, created_at, rotated_at, tokens_until, ended_at) \
     SELECT 'grant-' || id, id, 'kubernetes', '[]', created_at, 1, 1, 1, created_at, created_at, \
     created_at, ended_at FROM sessions",
    "INSERT INTO grants (id, session_id, client_id, scopes, auth_time, refreshable, generation, \
     mac_key, created_at, rotated_at, tokens_until, ended_at) \
     SELECT 'wiki-' || id, id, 'wiki', '[]', created_at, 1, 1, 1, created_at, created_at, \
     created_at, ended_at FROM sessions WHERE created_at % 5000 = 1",
    "INSERT INTO memberships (session_id, group_name, since, until, tokens_until, connector_id, \
     user_id, person) SELECT id, name, created_at, ended_at, ended_at, connector_id, user_id, '' \
     FROM sessions, (SELECT 'staff' AS name, 1 AS one_in UNION ALL SELECT 'dev', 9 \
     UNION ALL SELECT 'root', 9999) AS groups WHERE created_at % one_in = 0",
];

struct Populate;

impl Operation for Populate {
    type Answer = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        for sql in POPULATION {
            conn.execute(sql, &[]).await?;
        }
        Ok(())
    }
}

/// How SQLite would go about it, a line each.
struct Plan {
    sql: &'static str,
    values: [Value; 17],
}

impl Operation for Plan {
    type Answer = Vec<String>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<String>, StoreError> {
        let sql = format!("EXPLAIN QUERY PLAN {}", self.sql);
        let rows = conn.select(Box::leak(sql.into_boxed_str()), &self.values).await?;
        rows.iter().map(|row| row.text("detail")).collect()
    }
}

struct Chosen(Matching);

impl Operation for Chosen {
    type Answer = &'static Texts;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<&'static Texts, StoreError> {
        self.0.texts(conn).await
    }
}

fn filter() -> SessionFilter {
    SessionFilter::default()
}

async fn plan(store: &Store, sql: &'static str) -> Vec<String> {
    let values = Matching::of(&filter()).unwrap().values(None, 50);
    store.read(Plan { sql, values }).await.unwrap()
}

/// The index that the outer table is read by.
fn read_by(plan: &[String]) -> &str {
    let line = plan.iter().find(|line| line.contains(" s ") || line.ends_with(" s")).unwrap();
    line.split(" INDEX ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or(line)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_of_a_hundred_thousand_is_sorted_or_searched_in_vain() {
    let store = Store::open(&Location::Memory).await.unwrap();
    store.write(Populate).await.unwrap();

    for (texts, index) in [
        (&ALL, "sessions_newest"),
        (&LIVE_OF_CONNECTOR, "sessions_connector"),
        (&LIVE_OF_IP, "sessions_ip"),
    ] {
        let plan = plan(&store, texts.page).await;
        assert_eq!(read_by(&plan), index, "{plan:#?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{plan:#?}");
    }
    for (texts, index) in [
        (&OF_PERSON, "sessions_person"),
        (&OF_USER, "sqlite_autoindex_sessions_1"),
        (&OF_CLIENT, "sqlite_autoindex_sessions_1"),
        (&OF_GROUP, "sqlite_autoindex_sessions_1"),
    ] {
        for sql in [texts.page, texts.live, texts.count] {
            let plan = plan(&store, sql).await;
            assert_eq!(read_by(&plan), index, "few are looked up: {plan:#?}");
            let walked = ["SCAN s", "SCAN g", "SCAN m"];
            let walks = |line: &String| walked.iter().any(|table| line.starts_with(table));
            assert!(!plan.iter().any(walks), "{plan:#?}");
        }
    }
    // What has ended is not walked over again by the next bite of a bulk end.
    for (texts, index) in [
        (&ALL, "sessions_cookie_until"),
        (&LIVE_OF_CONNECTOR, "sessions_connector"),
        (&LIVE_OF_IP, "sessions_ip"),
    ] {
        let plan = plan(&store, texts.live).await;
        assert_eq!(read_by(&plan), index, "{plan:#?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{plan:#?}");
    }

    let chosen = async |filter: SessionFilter| {
        store.read(Chosen(Matching::of(&filter).unwrap())).await.unwrap()
    };
    let client = |id: &str| Some(ClientId::new(id));
    assert_eq!(chosen(SessionFilter { client: client("wiki"), ..filter() }).await, &OF_CLIENT);
    assert_eq!(chosen(SessionFilter { client: client("kubernetes"), ..filter() }).await, &ALL);
    let group = |name: &str| Some(name.to_owned());
    assert_eq!(chosen(SessionFilter { group: group("root"), ..filter() }).await, &OF_GROUP);
    assert_eq!(chosen(SessionFilter { group: group("staff"), ..filter() }).await, &ALL);
    store.close().await;
}
