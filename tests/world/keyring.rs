//! The desktop session of an engineer: a session bus (`dbus-daemon`) and on it GNOME's keyring, both in the home directory
//! of a workstation. The bus starts no service by itself, so a session without a keyring has none.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Workstation;

/// How long a service may take to start on a busy machine. Not a sleep.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);
const PASSWORD: &str = "alice's keyring";

/// The bus; `DBUS_SESSION_BUS_ADDRESS` of every workstation names its socket.
pub struct SessionBus {
    home: PathBuf,
    process: Child,
}

/// GNOME's keyring with its bus.
pub struct Keyring {
    bus: SessionBus,
    daemon: Child,
}

impl SessionBus {
    pub async fn start(workstation: &Workstation) -> Self {
        let (home, socket) = (workstation.path(""), workstation.path("bus"));
        let configuration = workstation.path("bus.conf");
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\
             <allow own=\"*\"/></policy></busconfig>",
            socket.display()
        );
        std::fs::write(&configuration, text).unwrap();
        let process = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--nosyslog"])
            .arg(format!("--config-file={}", configuration.display()))
            .env("HOME", &home)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon can be started");
        let bus = Self { home, process };
        until("the session bus is ready", || bus.has_service("org.freedesktop.DBus")).await;
        bus
    }

    fn has_service(&self, name: &str) -> bool {
        let line = ["--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner"];
        let name = format!("string:{name}");
        self.sends(&[line.as_slice(), &[name.as_str()]].concat()).contains("boolean true")
    }

    /// The reply to a message; an empty text instead of an error.
    fn sends(&self, arguments: &[&str]) -> String {
        let sent = self
            .runs("dbus-send")
            .args(["--session", "--print-reply"])
            .args(arguments)
            .output()
            .expect("dbus-send can be started");
        String::from_utf8(sent.stdout).unwrap()
    }

    /// A program of this session.
    fn runs(&self, program: &str) -> Command {
        let runtime = self.home.join("run");
        std::fs::create_dir_all(&runtime).unwrap();
        let mut command = Command::new(program);
        command
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env("HOME", &self.home)
            .env("XDG_RUNTIME_DIR", runtime)
            .env("DBUS_SESSION_BUS_ADDRESS", bus_address(&self.home))
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

impl Keyring {
    /// A session with a keyring that was unlocked when its user logged in.
    pub async fn unlocked(workstation: &Workstation) -> Self {
        let bus = SessionBus::start(workstation).await;
        let daemon = Self::start(&bus, true).await;
        Self { bus, daemon }
    }

    /// The session begins again, without the password: as after an automatic login, or over SSH.
    pub async fn restarts_locked(&mut self) {
        self.end();
        self.daemon = Self::start(&self.bus, false).await;
    }

    /// The session begins again, with the password.
    pub async fn restarts_unlocked(&mut self) {
        self.end();
        self.daemon = Self::start(&self.bus, true).await;
    }

    /// It accepts calls and answers none of them, until it [continues](Self::continues).
    pub fn hangs(&self) {
        signal("-STOP", &self.daemon);
    }

    pub fn continues(&self) {
        signal("-CONT", &self.daemon);
    }

    /// The secrets of this program in it, as secret-tool prints them.
    pub fn secrets(&self) -> String {
        let found = self
            .bus
            .runs("secret-tool")
            .args(["search", "--all", "service", "kubectl-countersign"])
            .output()
            .expect("secret-tool can be started");
        String::from_utf8(found.stdout).unwrap()
    }

    async fn start(bus: &SessionBus, is_unlocked: bool) -> Child {
        let mut command = bus.runs("gnome-keyring-daemon");
        command.args(["--foreground", "--components=secrets"]);
        if is_unlocked {
            command.arg("--unlock");
        }
        let mut daemon = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        daemon.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        let expected = format!("boolean {}", !is_unlocked);
        until("the keyring is ready", || {
            let reply = bus.sends(&[
                "--dest=org.freedesktop.secrets",
                "/org/freedesktop/secrets/aliases/default",
                "org.freedesktop.DBus.Properties.Get",
                "string:org.freedesktop.Secret.Collection",
                "string:Locked",
            ]);
            reply.contains(&expected)
        })
        .await;
        daemon
    }

    fn end(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().unwrap();
    }
}

impl Drop for SessionBus {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.end();
    }
}

/// `DBUS_SESSION_BUS_ADDRESS` of a workstation; nothing listens there before its bus is started.
pub fn bus_address(home: &Path) -> String {
    format!("unix:path={}", home.join("bus").display())
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < WAIT_TIMEOUT, "not after a minute: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn signal(name: &str, process: &Child) {
    let sent = Command::new("kill").args([name, &process.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
