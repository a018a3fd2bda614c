//! The database is unavailable for a while (threat M 140): no response is given from memory about what may have ended,
//! requests that need no database succeed, and the server recovers by itself.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::http::{bare_client, send};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Need, Page, Server, World, claims, verified,
};

const SKIP: &str = "oauth2:\n  skipApprovalScreen: true";

/// The database of one test, which can be made unavailable.
pub struct Database(String);

impl Database {
    pub fn new(world: &World) -> Self {
        let yaml = world.yaml();
        let name = yaml.lines().find_map(|line| line.trim().strip_prefix("database: "));
        Self(name.expect("a world on PostgreSQL").to_owned())
    }

    /// Ends all connections and refuses new ones, as during a failover.
    pub fn closes(&self) {
        self.executes(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.0));
        self.ends_connections();
    }

    /// Connections may be made again at once.
    pub fn ends_connections(&self) {
        self.executes(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            self.0
        ));
    }

    /// Sets a parameter of the database, such as `name = value`. New connections have it; the others end.
    pub fn sets(&self, parameter: &str) {
        self.executes(&format!("ALTER DATABASE {} SET {parameter}", self.0));
        self.ends_connections();
    }

    /// A role that is no superuser and owns the database.
    pub fn new_owner(&self) -> String {
        let role = format!("owner_of_{}", self.0);
        self.executes(&format!("CREATE ROLE {role} LOGIN"));
        self.executes(&format!("ALTER DATABASE {} OWNER TO {role}", self.0));
        role
    }

    /// How many connections a role may have from now on; -1 for no limit. The others end.
    pub fn limits_connections(&self, role: &str, limit: i32) {
        self.executes(&format!("ALTER ROLE {role} CONNECTION LIMIT {limit}"));
        self.ends_connections();
    }

    pub fn opens(&self) {
        self.executes(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.0));
    }

    #[expect(clippy::unused_self, reason = "the cluster does it")]
    fn executes(&self, sql: &str) {
        let cluster =
            std::env::var("COUNTERSIGN_TEST_POSTGRES").expect("checked by Need::Postgres");
        let arguments = [&cluster, "--quiet", "--no-psqlrc", "--command", sql];
        let output = Command::new("psql").args(arguments).output();
        let output = output.expect("psql is installed with PostgreSQL");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

async fn health(server: &Server, path: &str) -> u16 {
    send(bare_client().get(format!("{}{path}", server.telemetry()))).await.status
}

/// Waits until the server is ready again.
pub async fn wait_until_ready(server: &Server) {
    let started = Instant::now();
    while health(server, "/healthz/ready").await != 200 {
        assert!(started.elapsed() < Duration::from_mins(1), "not ready:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn assert_service_unavailable(page: &Page, what: &str) {
    assert_eq!(page.status, 503, "{what}: {}", page.body);
    let seconds = page.header("retry-after").unwrap_or_else(|| panic!("{what} has no Retry-After"));
    assert!((1..=60).contains(&seconds.parse::<u32>().unwrap()), "{what}: {seconds}");
    assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
    let body = page.body.to_lowercase();
    assert!(!body.contains("postgres") && !body.contains("test_"), "{what}: {}", page.body);
}

#[tokio::test]
async fn without_the_database_requests_get_503_and_the_server_recovers() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = World::with_postgres().with(SKIP);
    let database = Database::new(&world);
    let server = world.start().await;
    let (mut alice, mut bob) = (server.browser(), server.browser());
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid email offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    let unused = app.auth_request("openid");
    let code = alice.logs_in(&unused, ALICE, ALICE_PASSWORD).await;
    bob.opens(app.auth_request("openid").url).await;
    let bobs_form = bob.page().form_with("password").unwrap();
    let keys = app.gets("/keys").await;

    database.closes();
    for (what, response) in [
        ("refresh", app.refreshes(tokens.refresh_token()).await),
        ("code", app.redeems(&unused, &code).await),
        ("userinfo", app.userinfo(tokens.access_token()).await),
    ] {
        assert_service_unavailable(&response.page, what);
        if what != "userinfo" {
            assert_eq!(response.error(), "temporarily_unavailable", "{what}");
        }
    }
    let sso = alice.get(app.auth_request("openid").url).await;
    assert_service_unavailable(&sso, "single sign-on");
    assert!(sso.all("#reference").len() == 1, "an error page with a reference: {}", sso.text());
    assert_service_unavailable(&alice.get(server.url("/")).await, "her own page");
    assert_service_unavailable(&alice.get(server.url("/logout")).await, "signing out");
    let form = bobs_form.clone().fill("login", BOB).fill("password", BOB_PASSWORD);
    assert_service_unavailable(bob.submits(form).await, "signing in");

    assert_eq!(health(&server, "/healthz/ready").await, 503);
    assert_eq!(health(&server, "/healthz/live").await, 200, "a restart would not help");
    let published = app.gets("/keys").await;
    assert_eq!((published.status, &published.page.body), (200, &keys.page.body));
    assert_eq!(app.gets("/.well-known/openid-configuration").await.status, 200);
    // The first steps of a login need no database.
    let mut other = server.browser();
    other.opens(app.auth_request("openid").url).await;
    assert!(other.page().form_with("password").is_some(), "{}", other.page().text());

    database.opens();
    wait_until_ready(&server).await;
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
    let refreshed = app.refreshes(tokens.refresh_token()).await;
    assert_eq!(refreshed.status, 200, "the token was not used: {}", refreshed.page.body);
    assert_eq!(verified(refreshed.id_token(), &keys.json)["email"], ALICE);
    assert_eq!(app.redeems(&unused, &code).await.status, 200, "the code was not used");
    let form = bobs_form.fill("login", BOB).fill("password", BOB_PASSWORD);
    bob.submits(form).await;
    bob.auth_response();
    alice.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    alice.auth_response();
}

/// With `prompt=none` the error is sent to the client.
#[tokio::test]
async fn prompt_none_returns_temporarily_unavailable_while_the_database_is_down() {
    if Need::Postgres.is_missing() {
        return;
    }
    let world = World::with_postgres().with(SKIP);
    let database = Database::new(&world);
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(claims(tokens.id_token())["aud"], "example-app");
    database.closes();
    let silent = alice.get(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    match silent.location() {
        // RFC 6749 section 4.1.2.1.
        Some(to) => {
            let is_it = |pair: &(_, _)| *pair == ("error".into(), "temporarily_unavailable".into());
            assert!(to.query_pairs().any(|pair| is_it(&pair)), "{to}");
        }
        None => assert_service_unavailable(&silent, "a silent request"),
    }
    database.opens();
    wait_until_ready(&server).await;
    alice.opens(app.auth_request_with("openid", &[("prompt", "none")]).url).await;
    alice.auth_response();
}
