//! The machine of an engineer: a home directory, `kubectl-countersign`, and a program in place of the browser that
//! records the URLs it is asked to open.

use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::clock::TestClock;
use super::keyring::bus_address;
use super::{ALICE, ALICE_PASSWORD, Browser, Page, Server};

/// How long a debug build may take on a busy machine. Not a sleep.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

pub struct Workstation {
    home: TempDir,
    clock: TestClock,
    secrets: super::log::Secrets,
    issuer: String,
    ca_file: Option<PathBuf>,
    env: Vec<(String, String)>,
}

/// A command that runs.
pub struct Running {
    child: Option<Child>,
}

/// What a command has printed.
pub struct Printed {
    pub is_success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Server {
    /// A machine on which no user is signed in. Its clock is that of the server.
    pub fn workstation(&self) -> Workstation {
        let home = tempfile::Builder::new().prefix("workstation-").tempdir().unwrap();
        let browser = home.path().join("browser");
        std::fs::write(&browser, "#!/bin/sh\necho \"$1\" >> \"$HOME/opened\"\n").unwrap();
        std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o755)).unwrap();
        Workstation {
            home,
            clock: self.clock.clone(),
            secrets: self.secrets.clone(),
            issuer: self.issuer(),
            ca_file: self.issuer().starts_with("https").then(|| self.ca_file()),
            env: Vec::new(),
        }
    }
}

impl Workstation {
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The command line of `get-token` for the public client `kubectl`, with a browser that opens nothing.
    pub fn get_token(&self) -> Vec<String> {
        let mut line = vec![
            "get-token".to_owned(),
            format!("--oidc-issuer-url={}", self.issuer),
            "--oidc-client-id=kubectl".to_owned(),
            "--oidc-extra-scope=email,profile,groups,offline_access".to_owned(),
            "--listen-address=127.0.0.1:0".to_owned(),
            "--oidc-redirect-url-hostname=127.0.0.1".to_owned(),
            format!("--browser-command={}", self.path("browser").display()),
        ];
        line.extend(
            self.ca_file.iter().map(|file| format!("--certificate-authority={}", file.display())),
        );
        line
    }

    /// The command line of `login`.
    pub fn login(&self) -> Vec<String> {
        let mut line = vec![
            "login".to_owned(),
            self.issuer.clone(),
            format!("--browser-command={}", self.path("browser").display()),
        ];
        line.extend(
            self.ca_file.iter().map(|file| format!("--certificate-authority={}", file.display())),
        );
        line
    }

    /// Starts the program with these arguments, without a terminal and with empty standard input.
    pub fn starts(&self, arguments: &[impl AsRef<str>]) -> Running {
        self.starts_program(&program(), arguments)
    }

    /// Another program, in the environment of this machine.
    pub fn starts_program(&self, program: &Path, arguments: &[impl AsRef<str>]) -> Running {
        let mut command = Command::new(program);
        command.args(arguments.iter().map(AsRef::as_ref));
        self.prepare(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: Some(command.spawn().expect("the program can be started")) }
    }

    /// Runs the program to its end.
    pub fn runs_command(&self, arguments: &[impl AsRef<str>]) -> Printed {
        self.starts(arguments).ends()
    }

    /// Runs it on a terminal with this number of columns, on which `input` is typed.
    pub fn runs_on_terminal(&self, columns: u16, arguments: &[String], input: &str) -> Printed {
        let words: Vec<_> = arguments.iter().map(|word| format!("'{word}'")).collect();
        let program = program();
        let line =
            format!("stty cols {columns} rows 40; {} {}", program.display(), words.join(" "));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        self.prepare(&mut command);
        command.env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Running { child: Some(child) }.ends()
    }

    fn prepare(&self, command: &mut Command) {
        let path = program().parent().unwrap().display().to_string();
        let path = format!("{path}:{}", std::env::var("PATH").unwrap());
        command.env_clear().env("HOME", self.home.path()).env("PATH", path);
        // Without it the keyring of whoever runs the tests could be found.
        command.env("DBUS_SESSION_BUS_ADDRESS", bus_address(self.home.path()));
        command.envs(self.env.iter().cloned()).current_dir(self.home.path());
        self.clock.apply_to(command);
    }

    /// The URLs that the browser was asked to open so far.
    pub fn opened(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("opened")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until the browser was asked to open `count` URLs, and returns the last.
    pub async fn opens(&self, count: usize) -> String {
        let started = Instant::now();
        loop {
            let opened = self.opened();
            if opened.len() >= count {
                return opened[count - 1].clone();
            }
            assert!(started.elapsed() < WAIT_TIMEOUT, "only {opened:?} of {count} were opened");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The whole login in the browser that the program opened as its `count`th; returns the page at its end.
    pub async fn signs_in(&self, count: usize, browser: &mut Browser) -> Page {
        let url = self.opens(count).await;
        browser.opens(&url).await;
        if browser.page().form_with("password").is_some() {
            browser.signs_in(ALICE, ALICE_PASSWORD).await;
        }
        if browser.page().form_with("approval").is_some() {
            browser.approves().await;
        }
        let auth_response = browser.auth_response().url;
        browser.get(&auth_response).await
    }

    /// A login of alice by `get-token`, and its credential.
    pub async fn first_token(&self, server: &Server) -> String {
        let running = self.starts(&self.get_token());
        self.signs_in(self.opened().len() + 1, &mut server.browser()).await;
        running.ends().token()
    }

    /// The program under another name, as a symbolic link.
    pub fn linked_as(&self, name: &str) -> PathBuf {
        let link = self.path(name);
        symlink(program(), &link).unwrap();
        link
    }

    /// The records of the cache: what is in its files besides locks.
    pub fn cached_text(&self) -> String {
        let files = files(&self.path(".kube/cache/countersign")).into_iter();
        files.map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }

    /// Records every token in the cache as a secret of this test.
    pub fn keeps_cached_tokens_secret(&self) {
        for file in files(&self.path(".kube/cache/countersign")) {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let record: Value = serde_json::from_str(&text).unwrap_or_default();
            for name in ["id_token", "access_token", "refresh_token"] {
                let token = record["tokens"][name].as_str().unwrap_or_default();
                self.secrets.remember(&format!("the {name} in the cache"), token);
            }
        }
    }
}

impl Running {
    pub fn ends(mut self) -> Printed {
        Printed::of(self.child.take().unwrap().wait_with_output().unwrap())
    }

    /// Kills the program with SIGKILL and returns what it had printed.
    pub fn killed(mut self) -> Printed {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        Printed::of(child.wait_with_output().unwrap())
    }

    /// What it had printed when it was ended by SIGINT, as by Ctrl-C.
    pub fn interrupted(mut self) -> Printed {
        let child = self.child.take().unwrap();
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        Printed::of(child.wait_with_output().unwrap())
    }

    /// The user code that it prints for the device authorization grant; waits for it.
    pub fn user_code(&mut self) -> String {
        let output = self.child.as_mut().unwrap().stderr.as_mut().unwrap();
        let mut printed = String::new();
        // Byte by byte, so that `ends` still finds the rest.
        for byte in output.bytes() {
            printed.push(char::from(byte.unwrap()));
            let last = printed.get(printed.len().saturating_sub(10)..).unwrap_or_default();
            let letters = last.trim().split('-').map(|half| {
                half.len() == 4 && half.bytes().all(|letter| letter.is_ascii_uppercase())
            });
            if last.ends_with('\n')
                && letters.clone().count() == 2
                && letters.clone().all(|half| half)
            {
                return last.trim().to_owned();
            }
        }
        let ended = self.child.take().unwrap().wait_with_output().unwrap();
        let stdout = String::from_utf8_lossy(&ended.stdout);
        panic!("it printed no user code: {printed}\n{}: {stdout}", ended.status);
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Printed {
    fn of(output: Output) -> Self {
        Self {
            is_success: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The `ExecCredential` on standard output, where nothing else is.
    pub fn credential(&self) -> Value {
        assert!(self.is_success, "it failed: {}", self.stderr);
        let credential: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{:?} is no credential: {e}", self.stdout));
        assert_eq!(credential["kind"], "ExecCredential");
        credential
    }

    pub fn token(&self) -> String {
        self.credential()["status"]["token"].as_str().unwrap().to_owned()
    }

    /// The error message of a failed command.
    pub fn failure(&self) -> &str {
        assert!(!self.is_success, "it succeeded: {}", self.stderr);
        assert_eq!(self.stdout, "", "a failure prints no credential");
        &self.stderr
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// `kubectl-countersign`, built once for each run of the tests, beside `countersign`.
pub fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--package=countersign-kubectl"]);
        cargo.env("CARGO_TARGET_DIR", folder.parent().unwrap());
        cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let output = cargo.stdin(Stdio::null()).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kubectl-countersign does not build: {printed}");
        folder.join("kubectl-countersign")
    });
    built.clone()
}
