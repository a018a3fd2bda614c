//! A database for one test, and the users, sessions, codes and grants that the tests use.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use countersign_core::ids::random_id;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{
    ClientId, Code, ConnectorId, Grant, GrantId, Identity, LoginScopes, Scopes, SessionId,
    Timestamp,
};
use countersign_store::{
    EventQuery, Location, PostgresOptions, RedeemCodeOutcome, Retention, Rotate, SignIn,
    SignInOutcome, Store,
};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
pub const LIMIT: i64 = 100;
pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_mins(1);
pub const HOUR: Duration = Duration::from_hours(1);

pub struct World {
    pub store: Store,
    pub location: Location,
    home: Home,
}

enum Home {
    Folder(#[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir),
    Server { url: String, database: String },
}

impl World {
    pub async fn sqlite() -> Self {
        let (location, home) = Self::empty_sqlite();
        Self { store: Store::open(&location).await.unwrap(), location, home }
    }

    pub async fn postgres() -> Option<Self> {
        let (location, home) = Self::empty_postgres().await?;
        Some(Self { store: Store::open(&location).await.unwrap(), location, home })
    }

    fn empty_sqlite() -> (Location, Home) {
        let folder = tempfile::tempdir().unwrap();
        (Location::Sqlite { file: folder.path().join("store.db") }, Home::Folder(folder))
    }

    async fn empty_postgres() -> Option<(Location, Home)> {
        let Ok(url) = std::env::var("COUNTERSIGN_TEST_POSTGRES") else {
            let required = std::env::var("COUNTERSIGN_REQUIRE_POSTGRES").is_ok_and(|v| v == "1");
            assert!(!required, "PostgreSQL is required, but COUNTERSIGN_TEST_POSTGRES is not set");
            println!("did not run: COUNTERSIGN_TEST_POSTGRES is not set");
            return None;
        };
        let database = format!("cs_{}", random_id().unwrap().to_lowercase().replace('-', "_"));
        let mut admin = PgConnection::connect(&url).await.unwrap();
        let sql = format!("CREATE DATABASE \"{database}\"");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        let mut options = PostgresOptions::from_url(&url).unwrap();
        options.database.clone_from(&database);
        Some((Location::Postgres(options), Home::Server { url, database }))
    }

    /// Another store on the same database, like that of another process.
    pub async fn replica(&self) -> Store {
        Store::open(&self.location).await.unwrap()
    }

    /// A connection to the database that does not use the store.
    pub async fn server(&self) -> PgConnection {
        let Home::Server { url, database } = &self.home else { panic!("this is a file") };
        let options: PgConnectOptions = url.parse().unwrap();
        PgConnection::connect_with(&options.database(database)).await.unwrap()
    }

    pub async fn over(self) {
        self.store.close().await;
        if let Home::Server { url, database } = self.home {
            let mut admin = PgConnection::connect(&url).await.unwrap();
            let sql = format!("DROP DATABASE \"{database}\" WITH (FORCE)");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        }
    }

    /// Two processes that open an empty database at the same time.
    pub async fn two_on_an_empty_one(sqlite: bool) -> Option<(Store, Self)> {
        let (location, home) = match sqlite {
            true => Self::empty_sqlite(),
            false => Self::empty_postgres().await?,
        };
        let (there, here) = (location.clone(), location.clone());
        let first = tokio::spawn(async move { Store::open(&there).await });
        let second = tokio::spawn(async move { Store::open(&here).await });
        let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
        Some((first, Self { store: second, location, home }))
    }

    /// Signs jane in with a new browser; `cookie` is the hash of its cookie.
    pub async fn jane(&self, cookie: &str) -> SessionId {
        self.store.sign_in(sign_in("jane", cookie)).await.unwrap().session()
    }

    /// Issues a code and redeems it; returns the grant.
    pub async fn granted(&self, session: &SessionId, client: &str, offline: bool) -> GrantId {
        let code = code(session, client);
        let grant = grant(&code, offline);
        self.store.issue_code(code.clone(), NOW).await.unwrap();
        let redeemed = self
            .store
            .redeem_code(&code.hash, &code.client, grant.clone(), NOW, LIMIT)
            .await
            .unwrap();
        assert!(matches!(redeemed, RedeemCodeOutcome::Granted { .. }), "{redeemed:?}");
        grant.id
    }

    pub async fn is_live(&self, grant: &GrantId) -> bool {
        self.store.grant(grant).await.unwrap().is_some_and(|(g, _)| g.ended.is_none())
    }

    /// Asserts the events of a session, oldest first.
    pub async fn assert_events(&self, session: &SessionId, kinds: &[&str]) {
        let session = Some(session.clone());
        let query = EventQuery { session, limit: 1000, ..EventQuery::default() };
        let events = self.store.events(query).await.unwrap();
        let found_kinds: Vec<_> =
            events.iter().rev().map(|stored| stored.event.kind.as_str()).collect();
        assert_eq!(found_kinds, kinds);
    }
}

pub fn sign_in(user: &str, cookie: &str) -> SignIn {
    SignIn {
        previous_cookie: None,
        cookie: cookie.to_owned(),
        cookie_until: NOW + 8 * HOUR,
        id: SessionId::random().unwrap(),
        connector: ConnectorId::new("ldap"),
        identity: identity(user, &["dev", "ops"]),
        fingerprint: "ldap:ldap.example.com".into(),
        login_scopes: LoginScopes { offline: true, groups: true },
        upstream: Some("sealed".into()),
        ip: "192.0.2.1".into(),
        user_agent: "Firefox".into(),
        trace: None,
        assertion: None,
        now: NOW,
    }
}

pub fn identity(user: &str, groups: &[&str]) -> Identity {
    Identity {
        user_id: user.to_owned(),
        username: format!("{user} \u{1f600} O'Hara; --"),
        preferred_username: user.to_owned(),
        email: format!("{user}@example.com"),
        email_verified: true,
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
    }
}

pub fn code(session: &SessionId, client: &str) -> Code {
    Code {
        hash: random_id().unwrap(),
        request: random_id().unwrap(),
        session: session.clone(),
        client: ClientId::new(client),
        redirect_uri: "https://app.example.com/cb?x='1'".into(),
        scopes: Scopes::parse("openid groups offline_access"),
        nonce: Some("n-1".into()),
        challenge: Some(countersign_core::session::Challenge {
            method: countersign_core::session::ChallengeMethod::S256,
            value: "challenge".into(),
        }),
        auth_time: NOW,
        created_at: NOW,
        expires_at: NOW + MINUTE,
        grant: None,
    }
}

/// The grant for this code: tokens for ten minutes, generation 1 under MAC key 7.
pub fn grant(code: &Code, offline: bool) -> Grant {
    let id = GrantId::random().unwrap();
    SESSIONS.lock().unwrap().insert(id.clone(), code.session.clone());
    Grant {
        id,
        session: code.session.clone(),
        client: code.client.clone(),
        scopes: code.scopes.clone(),
        nonce: code.nonce.clone(),
        auth_time: code.auth_time,
        refreshable: offline,
        generation: 1,
        mac_key: 7,
        created_at: NOW,
        rotated_at: NOW,
        tokens_until: NOW + 10 * MINUTE,
        ended: None,
    }
}

/// The session of each grant that was made by [`grant`].
static SESSIONS: Mutex<BTreeMap<GrantId, SessionId>> = Mutex::new(BTreeMap::new());

/// A grant that [`grant`] did not make gets an unknown session.
pub fn rotate(grant: &GrantId, generation: i64, now: Timestamp) -> Rotate {
    let session = SESSIONS.lock().unwrap().get(grant).cloned();
    Rotate {
        grant: grant.clone(),
        session: session.unwrap_or_else(|| SessionId::new("unknown")),
        generation,
        rotate: true,
        mac_key: 8,
        now,
        tokens_until: now + 10 * MINUTE,
        reuse_interval: 30 * SECOND,
        snapshot: None,
    }
}

pub fn ended(reason: EndReason, at: Timestamp) -> Ended {
    Ended { at, by: "user:admin".into(), reason }
}

/// The session, and whether it existed before; panics if the user is blocked.
pub trait SignedIn {
    fn session(&self) -> SessionId;
    fn reauthenticated(&self) -> bool;
}

impl SignedIn for SignInOutcome {
    fn session(&self) -> SessionId {
        match self {
            Self::SignedIn { session, .. } => session.clone(),
            refused => panic!("{refused:?}"),
        }
    }

    fn reauthenticated(&self) -> bool {
        matches!(self, Self::SignedIn { reauthenticated: true, .. })
    }
}

/// Deletes what has expired at `now`. Grants with offline access have no limits.
pub fn retention(now: Timestamp) -> Retention {
    Retention {
        now,
        events_before: NOW,
        memberships_before: NOW,
        requests_before: now,
        max_idle: None,
        max_age: None,
    }
}
