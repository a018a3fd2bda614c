//! Databases of servers under test: one PostgreSQL database for each test that wants one, databases of a Dex on MySQL,
//! and state written directly into SQLite.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Url;

use super::{Server, World};

static NEXT: AtomicU32 = AtomicU32::new(0);

impl World {
    /// A world on an empty PostgreSQL database. `Need::Postgres` must have been checked.
    pub fn with_postgres() -> Self {
        Self::on_postgres(new_database())
    }

    /// Connects to PostgreSQL as this role.
    pub fn with_database_user(mut self, role: &str) -> Self {
        self.postgres.as_mut().expect("a world on PostgreSQL").set_username(role).unwrap();
        self
    }
}

/// Created with psql, so that the tests depend on no database library.
pub fn new_database() -> Url {
    let cluster = std::env::var("COUNTERSIGN_TEST_POSTGRES").expect("checked by Need::Postgres");
    let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let output = Command::new("psql")
        .args([&cluster, "--quiet", "--no-psqlrc", "--command"])
        .arg(format!("CREATE DATABASE {name}"))
        .output()
        .expect("psql is installed with PostgreSQL");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut database = Url::parse(&cluster).expect("COUNTERSIGN_TEST_POSTGRES is a URL");
    database.set_path(&name);
    database
}

#[test]
fn every_test_has_a_database_of_its_own() {
    if super::Need::Postgres.is_missing() {
        return;
    }
    let (one, other) = (new_database(), new_database());
    assert_ne!(one, other);
    let yaml = World::on_postgres(one).yaml();
    assert!(yaml.contains("type: postgres") && yaml.contains("database: test_"), "{yaml}");
}

/// Of the accounts of [`new_mysql_database`].
pub const MYSQL_PASSWORD: &str = "read-0nly/MySQL";

/// A database of its own on the MySQL server with the content of this dump: the URL with an account that may only read it.
/// `Need::MySql` must have been checked.
pub fn new_mysql_database(dump: &Path) -> Url {
    let server = std::env::var("COUNTERSIGN_TEST_MYSQL").expect("checked by Need::MySql");
    let mut url = Url::parse(&server).expect("COUNTERSIGN_TEST_MYSQL is a URL");
    let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let sql = format!(
        "CREATE DATABASE {name}; CREATE USER {name}@'%' IDENTIFIED BY '{MYSQL_PASSWORD}'; \
         GRANT SELECT ON {name}.* TO {name}@'%'"
    );
    runs_mariadb(&url, &["--execute", &sql], Stdio::null());
    runs_mariadb(&url, &["--database", &name], Stdio::from(File::open(dump).unwrap()));
    url.set_username(&name).unwrap();
    url.set_password(Some(MYSQL_PASSWORD)).unwrap();
    url.set_path(&format!("/{name}"));
    url.set_query(Some("ssl-mode=DISABLED"));
    url
}

/// MariaDB's client, as the administrator of the server.
fn runs_mariadb(server: &Url, arguments: &[&str], input: Stdio) {
    let output = Command::new("mariadb")
        .args(["--no-defaults", "--skip-ssl", "--protocol=tcp", "--user", server.username()])
        .args(["--host", server.host_str().unwrap()])
        .args(["--port", &server.port().unwrap_or(3306).to_string()])
        .args(arguments)
        .stdin(input)
        .output()
        .expect("mariadb is installed with MariaDB");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const PROGRAM: &str = "/usr/bin/sqlite3";

/// Shared with the benchmark.
const SESSIONS: &str = include_str!("../data/many_sessions.sql");

/// Not closed by an administrator; read at the next start.
const CIRCUIT_BREAKER: &str = "
INSERT INTO circuit_breakers (connector_id, opened_at, refused, total) VALUES ('CONNECTOR', NOW - 600000, 25, 25);
";

impl Server {
    /// Adds this many sessions of other people.
    pub fn inserts_sessions(&self, sessions: u32) {
        self.executes(&SESSIONS.replace("COUNT", &sessions.to_string()));
    }

    /// Opens the circuit breaker of this connector ten minutes ago. Takes effect at the next start.
    pub fn opens_circuit_breaker(&self, connector: &str) {
        self.executes(&CIRCUIT_BREAKER.replace("CONNECTOR", connector));
    }

    fn executes(&self, sql: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let sql = sql.replace("NOW", &now.to_string());
        let mut program = Command::new(PROGRAM)
            .arg("-bail")
            .arg(self.file("countersign.db"))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{PROGRAM}: {e}; ./test installs it"));
        program.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        assert!(program.wait().unwrap().success(), "the SQL failed");
    }
}
