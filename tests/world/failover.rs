//! A PostgreSQL primary with a synchronous standby, for one test.

use std::process::Command;

use reqwest::Url;

use super::World;
use super::postgres_server::PostgresServer;

/// What the primary has acknowledged is on the standby too, so that a failover loses none of it.
pub struct PrimaryAndStandby {
    primary: PostgresServer,
    standby: PostgresServer,
}

impl World {
    /// A world whose `storage.config.hosts` are a primary and its standby. `Need::Postgres` must have been checked.
    pub fn on_primary_and_standby() -> (Self, PrimaryAndStandby) {
        let primary = PostgresServer::start_new(&[]).expect("Need::Postgres was checked");
        let standby = primary.standby();
        let storage = format!(
            "storage:\n  type: postgres\n  config:\n    hosts: ['127.0.0.1:{}', '127.0.0.1:{}']\n    \
             database: postgres\n    user: postgres\n    ssl:\n      mode: disable\n",
            primary.port(),
            standby.port()
        );
        let url = Url::parse(&url(&primary)).unwrap();
        let servers = PrimaryAndStandby { primary, standby };
        servers.waits_for_standby_at_each_commit();
        (Self::on_postgres(url).with(&storage), servers)
    }
}

impl PrimaryAndStandby {
    /// The primary stops at once, and the standby is promoted. It has no standby then.
    pub fn fails_over(&mut self) {
        self.primary.stop();
        self.standby.promote();
        std::mem::swap(&mut self.primary, &mut self.standby);
        self.executes("ALTER SYSTEM RESET synchronous_standby_names");
        self.executes("SELECT pg_reload_conf()");
    }

    /// The server that was the primary before the failover becomes the standby.
    pub fn repairs_standby(&self) {
        self.standby.follows(&self.primary);
        self.waits_for_standby_at_each_commit();
    }

    fn waits_for_standby_at_each_commit(&self) {
        self.executes("ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.executes("SELECT pg_reload_conf()");
    }

    fn executes(&self, sql: &str) {
        let arguments = [&url(&self.primary), "--quiet", "--no-psqlrc", "--command", sql];
        let output = Command::new("psql").args(arguments).output();
        let output = output.expect("psql is installed with PostgreSQL");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn url(server: &PostgresServer) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", server.port())
}
