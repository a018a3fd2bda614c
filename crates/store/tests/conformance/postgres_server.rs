//! A PostgreSQL server for one test, which can be stopped, promoted and given a standby. Shared with the system tests.
//!
//! PostgreSQL's programs are taken from the folder named by `COUNTERSIGN_TEST_POSTGRES_BIN`, or from where Debian
//! installs them. As root they are run as the user `postgres`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct PostgresServer {
    bin: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    as_postgres: bool,
    settings: Vec<String>,
}

impl PostgresServer {
    /// An empty server with these settings, each `name=value`; `None` where PostgreSQL is not installed.
    pub fn start_new(settings: &[&str]) -> Option<Self> {
        let server = Self::new(settings)?;
        let data = server.data();
        let made =
            server.run("initdb", &["-D", &data, "-U", "postgres", "-A", "trust", "--no-sync"]);
        assert!(made, "initdb failed");
        server.start();
        Some(server)
    }

    /// A running standby, which follows this primary.
    pub fn standby(&self) -> Self {
        let standby = Self::new(&[]).unwrap();
        standby.follows(self);
        standby
    }

    /// Starts as a standby of this primary, with a new copy of its data. It must not run.
    pub fn follows(&self, primary: &Self) {
        let (data, port) = (self.data(), primary.port.to_string());
        if Path::new(&data).exists() {
            std::fs::remove_dir_all(&data).unwrap();
        }
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
        let copy = ["-D", &data, "-R", "-X", "stream", "-c", "fast"];
        let copied = self.run("pg_basebackup", &[&from[..], &copy].concat());
        assert!(copied, "the primary was not copied");
        self.start();
    }

    fn new(settings: &[&str]) -> Option<Self> {
        let Some(bin) = programs() else {
            let required = std::env::var("COUNTERSIGN_REQUIRE_POSTGRES").is_ok_and(|v| v == "1");
            assert!(!required, "PostgreSQL is required, but its programs are not found");
            println!("did not run: PostgreSQL's programs are not found");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let as_postgres = is_root(folder.path());
        if as_postgres {
            let owned = Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap();
            assert!(owned.success());
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        Some(Self { bin, folder, port, as_postgres, settings })
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    pub fn start(&self) {
        let mut options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={} -c fsync=off",
            self.port,
            self.folder.path().display()
        );
        for setting in &self.settings {
            options.push_str(&format!(" -c {setting}"));
        }
        let begin = ["-D", &self.data(), "-w", "-o", &options, "start"];
        assert!(self.run("pg_ctl", &begin), "it does not start");
    }

    pub fn stop(&self) {
        assert!(
            self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]),
            "it does not stop"
        );
    }

    /// Promotes this standby to primary.
    pub fn promote(&self) {
        assert!(self.run("pg_ctl", &["-D", &self.data(), "-w", "promote"]), "it is not promoted");
    }

    /// The port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let path = self.bin.join(program);
        let mut command = match self.as_postgres {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        command.args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
}

fn programs() -> Option<PathBuf> {
    if let Ok(bin) = std::env::var("COUNTERSIGN_TEST_POSTGRES_BIN") {
        return Some(bin.into());
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions.flatten().map(|version| version.path().join("bin")).collect();
    found.retain(|bin| bin.join("initdb").exists());
    found.sort();
    found.pop()
}

/// Whether the tests run as root, by the owner of a folder they created; the server refuses to run as root.
fn is_root(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder).unwrap().uid() == 0
}
