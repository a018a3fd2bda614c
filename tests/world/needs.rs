//! External programs and services that a test requires. A test that lacks one is reported as NOT RUN, or
//! fails where `./test --require` names it.

use std::io::Write;
use std::path::Path;

use super::clock::TestClock;

pub(super) const PREVIOUS_PROGRAM: &str = "COUNTERSIGN_PREVIOUS_PROGRAM";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `COUNTERSIGN_TEST_POSTGRES`: the URL of a cluster in which databases may be created.
    Postgres,
    /// `COUNTERSIGN_TEST_MYSQL`: the URL of a MariaDB server in which databases may be created.
    MySql,
    /// Chromium and its driver.
    Browser,
    /// libfaketime.
    Clock,
    /// Mounting a file system, in a namespace of its own: root outside most containers.
    Mounts,
    /// nginx.
    Nginx,
    /// curl and jq, which the examples in the documents call.
    Documents,
    /// dbus-daemon, dbus-send, GNOME's keyring and secret-tool.
    Keyring,
    /// `COUNTERSIGN_KUBERNETES_ORACLE`: the program built from tests/kubernetes.
    Kubernetes,
    /// `COUNTERSIGN_KUBECTL`: the program kubectl.
    Kubectl,
    /// `COUNTERSIGN_RELYING_PARTY`: the program built from tests/relying-party.
    RelyingParty,
    /// `COUNTERSIGN_UPSTREAMS`: the provider of tests/upstreams, installed.
    Upstreams,
    /// `COUNTERSIGN_DEX_CLIENT`: the program built from tests/dex-client.
    Grpc,
    /// The program of the version before this one.
    PreviousVersion,
}

impl Need {
    /// Returns true if the test must return without running, and records that in the file of
    /// `COUNTERSIGN_NOT_RUN`, which `./test` reads. Fails instead if `COUNTERSIGN_REQUIRE_<NEED>=1`.
    pub fn is_missing(self) -> bool {
        let Some(reason) = self.absence() else { return false };
        let (name, test) = (self.name(), test_name());
        let is_required =
            std::env::var(format!("COUNTERSIGN_REQUIRE_{name}")).is_ok_and(|v| v == "1");
        assert!(!is_required, "{test} requires something that is missing: {reason}");
        let line = format!("{test}: {reason}\n");
        eprint!("NOT RUN: {line}");
        if let Some(path) = std::env::var_os("COUNTERSIGN_NOT_RUN") {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.unwrap().write_all(line.as_bytes()).unwrap();
        }
        true
    }

    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "POSTGRES",
            Self::MySql => "MYSQL",
            Self::Browser => "BROWSER",
            Self::Clock => "CLOCK",
            Self::Mounts => "MOUNTS",
            Self::Nginx => "NGINX",
            Self::Documents => "DOCUMENTS",
            Self::Keyring => "KEYRING",
            Self::Kubernetes => "KUBERNETES",
            Self::Kubectl => "KUBECTL",
            Self::RelyingParty => "RELYING_PARTY",
            Self::Upstreams => "UPSTREAMS",
            Self::Grpc => "GRPC",
            Self::PreviousVersion => "PREVIOUS_VERSION",
        }
    }

    fn absence(self) -> Option<&'static str> {
        let unset = |variable: &str| std::env::var_os(variable).is_none();
        match self {
            Self::Postgres => unset("COUNTERSIGN_TEST_POSTGRES")
                .then_some("COUNTERSIGN_TEST_POSTGRES names no PostgreSQL (./test starts one)"),
            Self::MySql => unset("COUNTERSIGN_TEST_MYSQL")
                .then_some("COUNTERSIGN_TEST_MYSQL names no MySQL (./test starts one)"),
            Self::Browser => (!Path::new("/usr/bin/chromedriver").exists()
                || !Path::new("/usr/bin/chromium").exists())
            .then_some("chromium and chromium-driver are not installed"),
            Self::Clock => TestClock::library().is_none().then_some("libfaketime is not installed"),
            Self::Mounts => {
                mount_namespace().is_none().then_some("no file system may be mounted here")
            }
            Self::Nginx => {
                (!Path::new(super::Nginx::PROGRAM).exists()).then_some("nginx is not installed")
            }
            Self::Documents => (!is_installed("curl") || !is_installed("jq"))
                .then_some("curl and jq are not installed"),
            Self::Keyring => (!["dbus-daemon", "dbus-send", "gnome-keyring-daemon", "secret-tool"]
                .iter()
                .all(|program| is_installed(program)))
            .then_some("dbus, gnome-keyring and libsecret-tools are not installed"),
            Self::Kubernetes => unset("COUNTERSIGN_KUBERNETES_ORACLE")
                .then_some("COUNTERSIGN_KUBERNETES_ORACLE is not set (./test builds it)"),
            Self::Kubectl => unset("COUNTERSIGN_KUBECTL")
                .then_some("COUNTERSIGN_KUBECTL is not set (./test installs it)"),
            Self::RelyingParty => unset("COUNTERSIGN_RELYING_PARTY")
                .then_some("COUNTERSIGN_RELYING_PARTY is not set (./test builds it)"),
            Self::Upstreams => unset("COUNTERSIGN_UPSTREAMS")
                .then_some("COUNTERSIGN_UPSTREAMS is not set (./test installs it)"),
            Self::Grpc => unset("COUNTERSIGN_DEX_CLIENT")
                .then_some("COUNTERSIGN_DEX_CLIENT is not set (./test builds it)"),
            Self::PreviousVersion => unset(PREVIOUS_PROGRAM).then_some(
                "COUNTERSIGN_PREVIOUS_PROGRAM is not set (./test previous-version builds it)",
            ),
        }
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

/// The options of unshare(1) with which the program under test gets a file system that only it sees. `None`: none may
/// be mounted. In a chroot, whose root is no mount point, unshare cannot make the mounts private first.
pub(super) fn mount_namespace() -> Option<[&'static str; 2]> {
    [["--mount", "--propagation=private"], ["--mount", "--propagation=unchanged"]]
        .into_iter()
        .find(can_mount)
}

fn can_mount(namespace: &[&str; 2]) -> bool {
    let mount = "mount -t tmpfs -o size=1m tmpfs /mnt && umount /mnt";
    let tried = std::process::Command::new("/usr/bin/unshare")
        .args(namespace)
        .args(["/bin/sh", "-c", mount])
        .stderr(std::process::Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// libtest names the thread after the test.
fn test_name() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}
