//! Runs the program under test as a child process and collects its log.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::Url;

use super::certificates;
use super::clock::TestClock;
use super::http;
use super::log::Log;
use super::log::Secrets;
use super::{Browser, Client, RelyingParty, World, address};

/// How long a debug build may take to respond or to exit on a busy machine. Tests poll; they never sleep this
/// long.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

pub struct Server {
    pub(super) world: World,
    process: Option<Child>,
    log: Log,
    pub(super) secrets: Secrets,
    pub(super) clock: TestClock,
}

impl World {
    /// Starts the program and waits until `/healthz/ready` returns 200.
    pub async fn start(self) -> Server {
        let mut server = self.prepare();
        server.spawn();
        server.ready().await;
        server
    }

    /// Starts the program and waits until `/healthz/ready` returns 503.
    pub async fn starts_unready(self) -> Server {
        let mut server = self.prepare();
        server.spawn();
        server.waits_for_readiness(503).await;
        server
    }

    /// Starts the program, expects it to exit with a failure, and returns its output.
    pub async fn refuses_to_start(self) -> String {
        let mut server = self.prepare();
        server.spawn();
        let status = server.wait().await;
        assert!(!status.success(), "it should have refused to start:\n{}", server.log());
        server.log()
    }

    /// The output of the program when it is run with these arguments before any server was started; `CONFIG` is
    /// replaced by the path of the configuration file. Waits until the program exits.
    pub fn runs_before_start(&self, arguments: &[&str]) -> Output {
        let server = self.clone().prepare();
        server.write_config();
        server.runs_command(arguments, &[])
    }

    fn prepare(self) -> Server {
        let secrets = Secrets::default();
        for person in &self.people {
            secrets.remember(&format!("the password of {}", person.email), &person.password);
        }
        for client in &self.clients {
            let secret = client.secret.as_deref().unwrap_or_default();
            secrets.remember(&format!("the secret of {}", client.id), secret);
        }
        secrets.remember_those_in_config(&self.yaml());
        if self.is_https {
            certificates::write(self.dir(), self.ip);
        }
        let clock = match self.has_clock {
            true if self.is_clock_stopped => TestClock::stopped(self.dir()),
            true => TestClock::movable(self.dir(), self.starts_at),
            false => TestClock::default(),
        };
        Server { world: self, process: None, log: Log::default(), secrets, clock }
    }
}

impl Server {
    pub fn issuer(&self) -> String {
        self.world.issuer()
    }

    pub fn origin(&self) -> String {
        self.world.origin()
    }

    pub fn telemetry(&self) -> String {
        self.world.telemetry()
    }

    pub fn is_https(&self) -> bool {
        self.world.is_https
    }

    /// A URL under the issuer: `server.url("/keys")`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer())
    }

    /// The path of a file in the test's own folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.world.dir().join(name)
    }

    /// The process id of the running program, for tests about memory and signals.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it is running").id()
    }

    /// Everything the program has written so far to standard output and standard error.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Number of log lines that contain `text`.
    pub fn count_in_log(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until at least `lines` log lines contain `text`.
    pub async fn waits_for_log(&self, lines: usize, text: &str) {
        let started = Instant::now();
        while self.count_in_log(text) < lines {
            assert!(
                started.elapsed() < WAIT_TIMEOUT,
                "not {lines} lines of {text}:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The certificate authority of a `World::https()`, as a PEM file.
    pub fn ca_file(&self) -> PathBuf {
        certificates::authority_file(self.world.dir())
    }

    /// A new browser with no cookies.
    pub fn browser(&self) -> Browser {
        Browser::new(self.http_client(), self.secrets.clone(), self.clock.clone())
    }

    /// The back end of the client with this id.
    pub fn relying_party(&self, id: &str) -> RelyingParty {
        let known = self.world.clients.iter().find(|client| client.id == id);
        let client = known.unwrap_or_else(|| panic!("this world has no client {id}"));
        RelyingParty::new(client, &self.issuer(), self.http_client(), self.secrets.clone())
    }

    pub(super) fn http_client(&self) -> reqwest::Client {
        let ca = self.world.is_https.then(|| self.ca_file());
        http::client(ca.as_deref())
    }

    /// The back end of a client that is not in the configuration file.
    pub fn relying_party_with(&self, id: &str, secret: &str, redirect_uri: &str) -> RelyingParty {
        self.secrets.remember(&format!("the secret of {id}"), secret);
        let mut client = Client::new(id).redirects_to(&[redirect_uri]);
        client.secret = Some(secret.to_owned());
        RelyingParty::new(&client, &self.issuer(), self.http_client(), self.secrets.clone())
    }

    /// Another process with the same issuer, database and keys, on an address of its own. Use
    /// `.via_replica(&replica)` to send a browser or a relying party there.
    pub async fn replica(&self) -> Server {
        self.replica_on(self.world.postgres.clone()).await
    }

    /// The same, which finds the database at this URL.
    pub(super) async fn replica_on(&self, postgres: Option<Url>) -> Server {
        assert!(postgres.is_some(), "replicas share a PostgreSQL");
        let (ip, issuer) = (address::own(), Some(self.issuer()));
        let world = World { ip, postgres, issuer, ..self.world.clone() };
        let mut replica = world.prepare();
        replica.secrets = self.secrets.clone();
        replica.clock = self.clock.clone();
        replica.spawn();
        replica.ready().await;
        replica
    }

    /// Runs `countersign` with these arguments in the server's environment and waits until it exits. The
    /// argument `CONFIG` is replaced by the path of the server's configuration file. Fails if standard error
    /// contains a secret of this test.
    pub fn runs_command(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        let config = self.world.dir().join(format!("{}.yaml", self.world.ip));
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        let file = config.to_str().unwrap();
        command.args(arguments.iter().map(|word| if *word == "CONFIG" { file } else { word }));
        command.env_clear().envs(self.world.env.iter().cloned()).envs(env.iter().copied());
        self.clock.apply_to(&mut command);
        for (name, value) in
            env.iter().filter(|(n, _)| n.ends_with("SECRET") || n.ends_with("TOKEN"))
        {
            self.secrets.remember(name, value);
        }
        let output = command.stdin(Stdio::null()).current_dir(self.world.dir()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(self.secrets.found_in(&stderr), [""; 0], "{arguments:?}: {stderr}");
        output
    }

    /// Fails if `text` contains a secret used in this test so far.
    pub fn assert_no_secret_in(&self, what: &str, text: &str) {
        let found = self.secrets.found_in(text);
        assert!(found.is_empty(), "{what} contains {}:\n{text}", found.join(", "));
    }

    /// Moves the clock of the server and of its browsers forward.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Moves the clock of the server and of its browsers back.
    pub fn turns_back(&self, by: Duration) {
        self.clock.turn_back(by);
    }

    /// Sends SIGTERM and returns the exit status.
    pub async fn stop(&mut self) -> ExitStatus {
        let pid = self.process.as_ref().expect("it is running").id();
        let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
        assert!(sent.success());
        self.wait().await
    }

    /// Changes the configuration file. The server is sent no signal.
    pub fn rewrites_config(&mut self, change: impl FnOnce(World) -> World) {
        self.world = change(self.world.clone());
        for person in &self.world.people {
            self.secrets.remember(&format!("the password of {}", person.email), &person.password);
        }
        for client in &self.world.clients {
            let secret = client.secret.as_deref().unwrap_or_default();
            self.secrets.remember(&format!("the secret of {}", client.id), secret);
        }
        self.write_config();
    }

    /// The same so that the server does not notice it by itself: the file keeps its inode, size and time. The
    /// configuration must become shorter; it is filled up with empty lines.
    pub fn rewrites_config_unnoticed(&mut self, change: impl FnOnce(World) -> World) {
        self.world = change(self.world.clone());
        let config = self.world.dir().join(format!("{}.yaml", self.world.ip));
        let before = std::fs::metadata(&config).unwrap();
        let mut text = self.world.yaml();
        let room = usize::try_from(before.len()).unwrap().checked_sub(text.len());
        text.push_str(&"\n".repeat(room.expect("it became longer")));
        let file = std::fs::OpenOptions::new().write(true).open(&config).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, text.as_bytes(), 0).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
    }

    /// Sends a signal, such as `HUP`.
    pub fn sends_signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Stops it and returns its configuration, to be started by other means.
    pub async fn into_world(mut self) -> World {
        assert!(self.stop().await.success());
        self.world.clone()
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Stops the program if it runs and starts it with the same configuration, database, address and time.
    /// Its log is appended.
    pub async fn restart(&mut self) {
        if self.process.is_some() {
            self.stop().await;
        }
        self.spawn();
        self.ready().await;
    }

    /// Stops the older program that runs, and starts the program under test in its place with a changed configuration.
    pub async fn upgrades(&mut self, change: impl FnOnce(World) -> World) {
        self.stop().await;
        self.world = change(World { program: None, ..self.world.clone() });
        self.spawn();
        self.ready().await;
    }

    /// Fails if the log contains a secret used in this test so far, one of `more`, or a panic. Called for
    /// every server at the end of its test.
    pub fn assert_no_secret_in_log(&self, more: &[&str]) {
        let log = self.log();
        let mut found = self.secrets.found_in(&log);
        found.extend(more.iter().filter(|s| log.contains(**s)).map(|s| format!("{s:?}")));
        assert!(found.is_empty(), "the log contains {}:\n{log}", found.join(", "));
        assert!(!log.contains("panicked at"), "the server panicked:\n{log}");
    }

    /// In one step, as an editor or a configuration management does it.
    fn write_config(&self) -> PathBuf {
        let config = self.world.dir().join(format!("{}.yaml", self.world.ip));
        let next = config.with_extension("next");
        std::fs::write(&next, self.world.yaml()).unwrap();
        std::fs::set_permissions(&next, Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(next, &config).unwrap();
        config
    }

    fn spawn(&mut self) {
        let config = self.write_config();
        let mut command = self.world.program();
        command.arg("serve").arg(config).current_dir(self.world.dir());
        command.env_clear().env("RUST_BACKTRACE", "1").envs(self.world.env.iter().cloned());
        self.clock.apply_to(&mut command);
        command.stdin(Stdio::null()).stdout(self.log.output()).stderr(self.log.output());
        self.process = Some(command.spawn().expect("the program can be started"));
    }

    async fn ready(&mut self) {
        self.waits_for_readiness(200).await;
    }

    async fn waits_for_readiness(&mut self, status: u16) {
        let (client, started) = (http::client(None), Instant::now());
        let ready = format!("{}/healthz/ready", self.telemetry());
        while started.elapsed() < WAIT_TIMEOUT {
            if client.get(&ready).send().await.is_ok_and(|response| response.status() == status) {
                return;
            }
            let process = self.process.as_mut().unwrap();
            if let Some(status) = process.try_wait().unwrap() {
                self.process = None;
                panic!(
                    "the server did not start ({status}):\n{}\n{}",
                    self.log(),
                    self.world.yaml()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server does not answer {status} after {WAIT_TIMEOUT:?}:\n{}", self.log());
    }

    async fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        while started.elapsed() < WAIT_TIMEOUT {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                self.process = None;
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server has not ended after {WAIT_TIMEOUT:?}:\n{}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        match std::thread::panicking() {
            true => eprintln!("--- the server at {} wrote:\n{}", self.world.ip, self.log()),
            false => self.assert_no_secret_in_log(&[]),
        }
    }
}
