//! A hundred thousand sessions: what the database reads for a page is asked of the database itself, never
//! of a clock.

use std::time::Instant;

use countersign_core::ids::random_token;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{
    ClientId, ConnectorId, Identity, SessionFilter, SessionId, SessionState, Timestamp, Wants,
};

use super::{
    ALL, LIVE_OF_CONNECTOR, LIVE_OF_IP, Matching, OF_CLIENT, OF_GROUP, OF_PERSON, OF_USER, Texts,
};
use crate::engine::Verb;
use crate::engine::conn::{Conn, Value};
use crate::{HolderQuery, Location, PostgresOptions, SignIn, Store, StoreError};

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

impl Verb for Populate {
    type Answer = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        for sql in POPULATION {
            conn.execute(sql, &[]).await?;
        }
        Ok(())
    }
}

/// What PostgreSQL does by itself after a while.
struct Analyze;

impl Verb for Analyze {
    type Answer = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        conn.execute("ANALYZE", &[]).await.map(|_| ())
    }
}

/// How SQLite would go about it, a line each.
struct Plan {
    sql: &'static str,
    values: [Value; 17],
}

impl Verb for Plan {
    type Answer = Vec<String>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<String>, StoreError> {
        let sql = format!("EXPLAIN QUERY PLAN {}", self.sql);
        let rows = conn.select(Box::leak(sql.into_boxed_str()), &self.values).await?;
        rows.iter().map(|row| row.text("detail")).collect()
    }
}

struct Chosen(Matching);

impl Verb for Chosen {
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

/// `cargo test -p countersign-store --lib timings -- --ignored --nocapture`; on PostgreSQL too when
/// `COUNTERSIGN_TEST_POSTGRES` names an empty database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints timings for a person to read"]
async fn timings_of_a_hundred_thousand() {
    let mut locations = vec![Location::Memory];
    if let Ok(url) = std::env::var("COUNTERSIGN_TEST_POSTGRES") {
        locations.push(Location::Postgres(PostgresOptions::from_url(&url).unwrap()));
    }
    for location in locations {
        println!("{location}");
        let store = Store::open(&location).await.unwrap();
        let begun = Instant::now();
        store.write(Populate).await.unwrap();
        store.write(Analyze).await.unwrap();
        println!("{:>9.1?} filled", begun.elapsed());
        for (name, filter) in questions() {
            let begun = Instant::now();
            let page = store.find_sessions(&filter, None, 50).await.unwrap();
            let paged = begun.elapsed();
            let begun = Instant::now();
            let count = store.count_sessions(&filter).await.unwrap();
            let counted = begun.elapsed();
            println!(
                "{paged:>9.1?} {:>3} shown {counted:>9.1?} {:>6} counted {name}",
                page.sessions.len(),
                count.sessions
            );
        }
        time_the_rest(&store).await;
        store.close().await;
    }
}

fn questions() -> Vec<(&'static str, SessionFilter)> {
    let text = |text: &str| SessionFilter { text: Some(text.into()), ..filter() };
    let user = |user: &str| SessionFilter { user: Some(user.into()), ..filter() };
    let group = |name: &str| SessionFilter { group: Some(name.into()), ..filter() };
    let connector = |id| SessionFilter { connector: Some(ConnectorId::new(id)), ..filter() };
    let client = |id| SessionFilter { client: Some(ClientId::new(id)), ..filter() };
    let state = SessionState::All;
    vec![
        ("everybody", filter()),
        ("everybody, ended too", SessionFilter { state, ..filter() }),
        ("part of many names", text("number 1")),
        ("part of one name", text("NUMBER 23456")),
        ("part of no name", text("nobody")),
        ("a user", user("LOGIN-777")),
        ("no user", user("nobody")),
        ("a common group", group("staff")),
        ("a group of one in nine", group("dev")),
        ("a rare group", group("root")),
        ("a group of nobody", group("nobody")),
        ("a common connector", connector("ldap")),
        ("a rare connector", connector("github")),
        ("a common client", client("kubernetes")),
        ("a rare client", client("wiki")),
        ("an address", SessionFilter { ip: Some("192.0.2.7".into()), ..filter() }),
        (
            "an address, ended too",
            SessionFilter { state, ip: Some("192.0.2.7".into()), ..filter() },
        ),
        ("no address", SessionFilter { ip: Some("192.0.2.255".into()), ..filter() }),
        ("idle", SessionFilter { seen_before: Some(Timestamp::from_millis(2)), ..filter() }),
    ]
}

fn sign_in(groups: usize, n: i64) -> SignIn {
    let groups = (0..groups).map(|group| format!("cn=group-{group},ou=groups,o=example")).collect();
    let user_id = format!("user-{n}");
    SignIn {
        previous_cookie: None,
        cookie: random_token().unwrap(),
        cookie_until: Timestamp::from_millis(300_000),
        id: SessionId::random().unwrap(),
        connector: ConnectorId::new("ldap"),
        identity: Identity { user_id, groups, ..Identity::default() },
        basis: String::new(),
        wants: Wants::default(),
        upstream: None,
        ip: "192.0.2.1".into(),
        user_agent: "Firefox".into(),
        now: Timestamp::from_millis(200_000),
    }
}

async fn time_the_rest(store: &Store) {
    let begun = Instant::now();
    let people = store.find_people("number 1", 20).await.unwrap();
    println!("{:>9.1?} {} people found", begun.elapsed(), people.len());
    let instant = Timestamp::from_millis;
    let query = HolderQuery {
        group: "staff".into(),
        connector: None,
        since: instant(50_000),
        until: instant(60_000),
        after: None,
        limit: 50,
    };
    let begun = Instant::now();
    let holders = store.holders(query).await.unwrap();
    println!("{:>9.1?} {} holders", begun.elapsed(), holders.holdings.len());
    for groups in [0, 2, 50, 500] {
        let begun = Instant::now();
        for n in 0..50 {
            store.sign_in(sign_in(groups, n)).await.unwrap();
        }
        println!("{:>9.1?} a sign-in with {groups} groups", begun.elapsed() / 50);
    }
    let why = Ended { at: instant(200_000), by: "system".into(), why: EndReason::Administrator };
    let of_client = SessionFilter { client: Some(ClientId::new("kubernetes")), ..filter() };
    let except = Some(SessionId::new("session-1"));
    let connector = Some(ConnectorId::new("ldap"));
    for filter in [of_client, SessionFilter { connector, except, ..filter() }] {
        for _ in 0..3 {
            let begun = Instant::now();
            let batch = store.end_sessions(&filter, &why, None, 200).await.unwrap();
            println!("{:>9.1?} {} ended", begun.elapsed(), batch.sessions);
        }
    }
}
