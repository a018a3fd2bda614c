//! The server under load: the real binary, pinned to a core, on a database of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Error;

pub const CORE: usize = 0;
const ADDRESS: &str = "127.0.8.1:5556";
const TELEMETRY: &str = "127.0.8.1:5558";
pub const ISSUER: &str = "http://127.0.8.1:5556/dex";
pub const REDIRECT: &str = "http://127.0.8.1:5555/callback";
pub const CLIENT: (&str, &str) = ("bench", "bench-secret-bench-secret");

/// Where one run keeps its files.
pub struct Place(TempDir);

pub struct Server {
    child: Child,
    pub start_to_ready: Duration,
}

impl Place {
    /// On the disk of the working directory: a temporary file system in memory would make every commit free.
    pub fn new() -> Result<Self, Error> {
        let place = Self(TempDir::new_in("target")?);
        let folder = place.0.path().display();
        let (id, secret) = CLIENT;
        let config = format!(
            "issuer: {ISSUER}\n\
             storage: {{type: sqlite3, config: {{file: {folder}/bench.db}}}}\n\
             web: {{http: {ADDRESS}}}\n\
             telemetry: {{http: {TELEMETRY}}}\n\
             logger: {{level: warn}}\n\
             oauth2: {{skipApprovalScreen: true}}\n\
             expiry: {{idTokens: 10m}}\n\
             connectors: [{{type: mockCallback, id: mock, name: Mock}}]\n\
             staticClients: [{{id: {id}, secret: {secret}, name: Bench, redirectURIs: [{REDIRECT}]}}]\n"
        );
        std::fs::write(place.0.path().join("config.yaml"), config)?;
        Ok(place)
    }

    pub async fn start(&self, binary: &Path) -> Result<Server, Error> {
        let begun = Instant::now();
        let child = Command::new("taskset")
            .args(["-c", &CORE.to_string()])
            .arg(binary)
            .arg("serve")
            .arg(self.0.path().join("config.yaml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Server { child, start_to_ready: Duration::ZERO };
        let deadline = begun + Duration::from_secs(10);
        let asking = reqwest::Client::new();
        loop {
            let url = format!("http://{TELEMETRY}/healthz/ready");
            if asking.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                server.start_to_ready = begun.elapsed();
                return Ok(server);
            }
            if Instant::now() > deadline {
                return Err("the server did not become ready".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Server {
    /// Memory in use that is not shared out again, from the kernel's account of the process.
    pub fn resident_mib(&self) -> Result<f64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.and_then(|kib| kib.parse().ok()).ok_or("no VmRSS")?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
