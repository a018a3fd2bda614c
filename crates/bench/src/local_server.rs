//! A server for one run: the given binary, pinned to a core, with its own database.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use percent_encoding::percent_decode_str;
use tempfile::TempDir;
use url::Url;

use crate::Error;
use crate::issuer::{Client, IssuerOptions};
use crate::process::Process;
use crate::setup::{Setup, Storage};

pub const CORE: usize = 0;
/// Time between readiness and the first measurement of memory.
pub const SETTLE_TIME: Duration = Duration::from_secs(2);
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// The resolution of tokio's timer, and so of the time from start to ready.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
const WEB_ADDRESS: &str = "127.0.8.1:5556";
const TELEMETRY_ADDRESS: &str = "127.0.8.1:5558";
const ISSUER: &str = "http://127.0.8.1:5556/dex";
const REDIRECT_URI: &str = "http://127.0.8.1:5555/callback";
const CLIENT_ID: &str = "bench";
const CLIENT_SECRET: &str = "bench-secret-bench-secret";

/// Configuration and database of one server.
pub struct ServerDirectory {
    directory: TempDir,
    /// Dropped with the directory.
    postgres: Option<PostgresDatabase>,
}

pub struct LocalServer {
    child: Child,
    pub start_to_ready: Duration,
}

pub fn issuer_options() -> IssuerOptions {
    IssuerOptions {
        url: ISSUER.to_owned(),
        clients: vec![Client { id: CLIENT_ID.to_owned(), secret: CLIENT_SECRET.to_owned() }],
        redirect_uri: REDIRECT_URI.to_owned(),
        user: None,
        password: None,
        connector: None,
    }
}

impl ServerDirectory {
    /// Created in `target` below the working directory, which is on a disk: on an in-memory file system commits would
    /// cost nothing.
    pub fn new(setup: Setup, dsn: Option<&Url>) -> Result<Self, Error> {
        let postgres = match (setup.storage, dsn) {
            (Storage::Sqlite3, _) => None,
            (Storage::Postgres, Some(dsn)) => Some(PostgresDatabase::create(dsn)?),
            (Storage::Postgres, None) => return Err("PostgreSQL needs --dsn".into()),
        };
        std::fs::create_dir_all("target")?;
        let directory = Self { directory: TempDir::new_in("target")?, postgres };
        let mut signer = format!("config: {{algorithm: {}}}", setup.algorithm.as_str());
        if let Some(algorithm) = setup.access_tokens {
            signer += &format!(", accessTokenAlgorithm: {}", algorithm.as_str());
        }
        let storage = match &directory.postgres {
            Some(database) => database.storage(),
            None => {
                let file = directory.sqlite_file();
                format!("{{type: sqlite3, config: {{file: {}}}}}", file.display())
            }
        };
        let config = format!(
            "issuer: {ISSUER}\n\
             storage: {storage}\n\
             web: {{http: {WEB_ADDRESS}}}\n\
             telemetry: {{http: {TELEMETRY_ADDRESS}}}\n\
             logger: {{level: warn}}\n\
             oauth2: {{skipApprovalScreen: true}}\n\
             expiry: {{idTokens: 10m}}\n\
             signer: {{type: local, {signer}}}\n\
             connectors: [{{type: mockCallback, id: mock, name: Mock}}]\n\
             staticClients: [{{id: {CLIENT_ID}, secret: {CLIENT_SECRET}, name: Bench, \
             redirectURIs: [{REDIRECT_URI}]}}]\n"
        );
        std::fs::write(directory.config_file(), config)?;
        Ok(directory)
    }

    /// Inserts this many sessions of other users. The server must have created its tables and must not be running.
    pub fn insert_sessions(&self, sessions: u32) -> Result<(), Error> {
        if self.postgres.is_some() {
            return Err("sessions can only be inserted into SQLite".into());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let sql = include_str!("../../../tests/data/many_sessions.sql")
            .replace("COUNT", &sessions.to_string())
            .replace("NOW", &now.to_string());
        let mut program = Command::new("sqlite3")
            .arg("-bail")
            .arg(self.sqlite_file())
            .stdin(Stdio::piped())
            .spawn()?;
        program.stdin.take().ok_or("sqlite3 has no input")?.write_all(sql.as_bytes())?;
        match program.wait()?.success() {
            true => Ok(()),
            false => Err("sqlite3 could not insert the sessions".into()),
        }
    }

    fn sqlite_file(&self) -> PathBuf {
        self.directory.path().join("bench.db")
    }

    fn config_file(&self) -> PathBuf {
        self.directory.path().join("config.yaml")
    }
}

impl LocalServer {
    /// Starts the binary and waits until it is ready.
    pub async fn start(binary: &Path, directory: &ServerDirectory) -> Result<Self, Error> {
        // Built before the time begins: reading the system's certificate authorities would take longer than the start.
        let http = reqwest::Client::builder().tls_certs_only([]).build()?;
        let url = format!("http://{TELEMETRY_ADDRESS}/healthz/ready");
        let begin = Instant::now();
        let child = Command::new("taskset")
            .args(["-c", &CORE.to_string()])
            .arg(binary)
            .arg("serve")
            .arg(directory.config_file())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Self { child, start_to_ready: Duration::ZERO };
        loop {
            if http.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
                server.start_to_ready = begin.elapsed();
                return Ok(server);
            }
            if begin.elapsed() > START_TIMEOUT {
                return Err("the server did not become ready".into());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// `taskset` replaces itself by the binary, so the child process is the server.
    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A database of its own on a PostgreSQL server, created and dropped with the program `psql`.
struct PostgresDatabase {
    server: Url,
    name: String,
}

impl PostgresDatabase {
    fn create(server: &Url) -> Result<Self, Error> {
        let created = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let name = format!("bench_{}_{created}", std::process::id());
        execute(server, &format!("CREATE DATABASE {name}"))?;
        Ok(Self { server: server.clone(), name })
    }

    /// The value of `storage` in the configuration.
    fn storage(&self) -> String {
        let host = self.server.host_str().unwrap_or("localhost");
        let port = self.server.port().unwrap_or(5432);
        let (name, user) = (&self.name, self.server.username());
        let password = match self.server.password() {
            Some(password) => format!(", password: '{}'", quoted(password)),
            None => String::new(),
        };
        format!(
            "{{type: postgres, config: {{host: '{host}', port: {port}, database: {name}, \
             user: '{user}'{password}, ssl: {{mode: disable}}}}}}"
        )
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        if let Err(error) = execute(&self.server, &drop) {
            eprintln!("countersign-bench: {error}");
        }
    }
}

/// A part of a URL within single quotes of YAML, where the configuration replaces names after a dollar sign.
fn quoted(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().replace('\'', "''").replace('$', "$$")
}

fn execute(server: &Url, sql: &str) -> Result<(), Error> {
    let output = Command::new("psql")
        .args([server.as_str(), "--quiet", "--no-psqlrc", "--command", sql])
        .output()
        .map_err(|error| format!("psql: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::PostgresDatabase;

    #[test]
    fn the_storage_names_server_database_and_credentials() {
        let server = Url::parse("postgres://jane:it%27s%24@127.0.0.1:5499/postgres").unwrap();
        // Not created, so it must not be dropped.
        let database = std::mem::ManuallyDrop::new(PostgresDatabase { server, name: "b".into() });
        assert_eq!(
            database.storage(),
            "{type: postgres, config: {host: '127.0.0.1', port: 5499, database: b, user: 'jane', \
             password: 'it''s$$', ssl: {mode: disable}}}"
        );
    }
}
