//! A database of its own on a PostgreSQL server, created and dropped with the program `psql`.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::Error;

pub struct PostgresDatabase {
    server: Url,
    name: String,
}

impl PostgresDatabase {
    pub fn create(server: &Url) -> Result<Self, Error> {
        let created = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let name = format!("bench_{}_{created}", std::process::id());
        execute(server, &format!("CREATE DATABASE {name}"))?;
        Ok(Self { server: server.clone(), name })
    }

    /// The value of `storage` in the configuration.
    pub fn storage(&self) -> String {
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
