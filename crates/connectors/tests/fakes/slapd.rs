//! A real OpenLDAP server for one test, with its own folder, loopback ports and certificates. Dropping it ends the
//! process.
//!
//! It depends on nothing of Countersign, so the system tests include this file with `#[path]`. It needs the crates
//! `rcgen` and `tempfile`. The directory server of the machine is not used.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[path = "slapd/certificate.rs"]
mod certificate;
#[path = "slapd/people.rs"]
mod people;

pub use certificate::Certificate;
pub use people::{PASSWORD, PEOPLE, many_groups};

pub const SUFFIX: &str = "dc=example,dc=org";
pub const ROOT_DN: &str = "cn=admin,dc=example,dc=org";
pub const ROOT_PASSWORD: &str = "root-password-of-the-test-directory";

/// Where distributions install the program; the folder is usually not in `PATH`.
const PROGRAMS: [&str; 4] = [
    "/usr/sbin/slapd",
    "/usr/libexec/slapd",
    "/usr/lib/openldap/slapd",
    "/usr/local/libexec/slapd",
];

/// A running directory server with the entries of [`PEOPLE`].
pub struct Slapd {
    process: Child,
    folder: TempDir,
    /// `ldap://` and StartTLS.
    pub port: u16,
    /// `ldaps://`.
    pub tls_port: u16,
}

impl Slapd {
    /// `None`, with a message, when there is no slapd; a panic if `COUNTERSIGN_REQUIRE_LDAP=1`.
    pub fn start() -> Option<Self> {
        Self::start_with(Certificate::FromCa, "")
    }

    /// With another certificate, and with entries in addition to [`PEOPLE`].
    pub fn start_with(certificate: Certificate, more: &str) -> Option<Self> {
        let program = program()?;
        let folder = TempDir::new().expect("a folder for slapd");
        write_files(program, &folder, certificate, more);
        // Another process may take a free port before slapd does: then other ports are tried.
        for _ in 0..5 {
            let (port, tls_port) = (free_port(), free_port());
            let mut process = spawn(program, &folder, port, tls_port);
            if accepts(&mut process, &folder, port) && accepts(&mut process, &folder, tls_port) {
                return Some(Self { process, folder, port, tls_port });
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("slapd does not start: {}", log_of(&folder));
    }

    /// `ca.pem` for `rootCA`; `client.pem` and `client.key` for `clientCert` and `clientKey`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Applies LDIF as the administrator.
    pub fn modify(&self, ldif: &str) {
        let url = format!("ldap://127.0.0.1:{}", self.port);
        let mut child = Command::new("ldapmodify")
            .args(["-x", "-H", &url, "-D", ROOT_DN, "-w", ROOT_PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("ldapmodify of the package ldap-utils");
        child.stdin.take().expect("a pipe").write_all(ldif.as_bytes()).expect("LDIF is taken");
        assert!(child.wait().expect("it ends").success(), "ldapmodify refused:\n{ldif}");
    }

    /// Whether a bind with this DN and password succeeds, by OpenLDAP's own `ldapwhoami`.
    pub fn accepts(&self, dn: &str, password: &str) -> bool {
        let url = format!("ldap://127.0.0.1:{}", self.port);
        let output = Command::new("ldapwhoami")
            .args(["-x", "-H", &url, "-D", dn, "-w", password])
            .output()
            .expect("ldapwhoami of the package ldap-utils");
        output.status.success()
    }

    /// The log so far: every operation, with filters and result codes.
    pub fn log(&self) -> String {
        log_of(&self.folder)
    }

    /// Kills the server and keeps its folder: connections break, and its ports refuse new ones.
    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts the server again after [`Slapd::stop`], with the same ports and data.
    pub fn start_again(&mut self) {
        let program = program().expect("it was there before");
        self.process = spawn(program, &self.folder, self.port, self.tls_port);
        for port in [self.port, self.tls_port] {
            assert!(accepts(&mut self.process, &self.folder, port), "{}", log_of(&self.folder));
        }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> Option<&'static str> {
    let found = PROGRAMS.into_iter().find(|path| fs::exists(path).unwrap_or(false));
    if found.is_none() {
        let required = std::env::var("COUNTERSIGN_REQUIRE_LDAP").is_ok_and(|value| value == "1");
        assert!(!required, "COUNTERSIGN_REQUIRE_LDAP=1, and there is no slapd on this machine");
        eprintln!("NOT RUN: there is no slapd on this machine (packages slapd and ldap-utils)");
    }
    found
}

fn write_files(program: &str, folder: &TempDir, certificate: Certificate, more: &str) {
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("data")).expect("a folder for the data");
    certificate.write(folder.path());
    fs::write(path("slapd.conf"), configuration(folder, certificate)).expect("the configuration");
    fs::write(path("people.ldif"), format!("{PEOPLE}\n{more}")).expect("the entries");
    let output = Command::new(program)
        .args(["-Tadd", "-q", "-f"])
        .arg(path("slapd.conf"))
        .arg("-l")
        .arg(path("people.ldif"))
        .output()
        .expect("slapadd can be started");
    assert!(output.status.success(), "slapadd: {}", String::from_utf8_lossy(&output.stderr));
}

/// The server allows anonymous binds: a bind with an empty password succeeds, so a connector that sends one is found
/// out.
fn configuration(folder: &TempDir, certificate: Certificate) -> String {
    let folder = folder.path().display();
    let clients = if certificate == Certificate::FromCaDemandingOne { "demand" } else { "never" };
    format!(
        "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.3.6.1.4.1.99999.1.1 NAME 'userAccountControl' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1.2 NAME 'nsAccountLock' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1.3 NAME 'objectGUID' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.99999.2.1 NAME 'foreignAccount' AUXILIARY MAY ( userAccountControl $ nsAccountLock $ objectGUID ) )
modulepath /usr/lib/ldap:/usr/lib/openldap:/usr/libexec/openldap
moduleload back_mdb
moduleload ppolicy
moduleload memberof
allow bind_anon_cred bind_anon_dn
pidfile {folder}/pid
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
TLSVerifyClient {clients}
loglevel stats
database mdb
suffix \"{SUFFIX}\"
rootdn \"{ROOT_DN}\"
rootpw {ROOT_PASSWORD}
directory {folder}/data
maxsize 67108864
dbnosync
index objectClass,uid,mail,cn,member eq
sizelimit size.soft=500 size.hard=500 size.prtotal=unlimited
access to attrs=userPassword by anonymous auth by * none
access to * by * read
overlay memberof
overlay ppolicy
ppolicy_default \"cn=default,ou=Policies,{SUFFIX}\"
ppolicy_use_lockout
"
    )
}

fn spawn(program: &str, folder: &TempDir, port: u16, tls_port: u16) -> Child {
    let log = File::create(folder.path().join("log")).expect("a log");
    let urls = format!(
        "ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls_port} ldap://[::1]:{port} ldaps://[::1]:{tls_port}"
    );
    Command::new(program)
        .args(["-d", "stats", "-h", &urls, "-f"])
        .arg(folder.path().join("slapd.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("slapd can be started")
}

/// A port below those that the system assigns to outgoing connections: one of those may be taken by another connection
/// before slapd listens, and a probe may even be connected to itself.
fn free_port() -> u16 {
    let random = || RandomState::new().build_hasher().finish();
    let candidate = |_| 12_000 + u16::try_from(random() % 18_000).expect("a small number");
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..100).map(candidate).find(free).expect("a free port")
}

/// Waits until this server accepts a connection. Its log says so: another server, which got the port a moment before,
/// would accept the connection too.
fn accepts(process: &mut Child, folder: &TempDir, port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut connection = None;
    while Instant::now() < deadline && process.try_wait().is_ok_and(|ended| ended.is_none()) {
        match &connection {
            None => connection = TcpStream::connect(("127.0.0.1", port)).ok(),
            Some(stream) => {
                let address = stream.local_addr().expect("it is connected");
                if log_of(folder).contains(&format!("ACCEPT from IP={address} ")) {
                    return true;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

fn log_of(folder: &TempDir) -> String {
    fs::read(folder.path().join("log"))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
