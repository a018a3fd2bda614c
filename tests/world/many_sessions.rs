//! What a test cannot wait for: a hundred thousand sessions, or an upstream that refused everybody, written
//! into the database of an SQLite server by the `sqlite3` program.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Server;

const PROGRAM: &str = "/usr/bin/sqlite3";

/// Shared with the benchmark.
const SESSIONS: &str = include_str!("../data/many_sessions.sql");

/// Not closed by anybody yet; read at the next start.
const CIRCUIT_BREAKER: &str = "
INSERT INTO circuit_breakers (connector_id, opened_at, refused, total) VALUES ('CONNECTOR', NOW - 600000, 25, 25);
";

impl Server {
    /// From now on so many others are signed in too.
    pub fn inserts_sessions(&self, sessions: u32) {
        self.executes(&SESSIONS.replace("COUNT", &sessions.to_string()));
    }

    /// The circuit breaker of this connector opened ten minutes ago, as if its upstream had refused everybody.
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
        assert!(program.wait().unwrap().success(), "it is in the database");
    }
}
