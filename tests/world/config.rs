//! Builds the configuration file of a test's server: issuer, storage, clients and local accounts.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Url;
use tempfile::TempDir;

use super::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, address};

/// The configuration, database and clock of one test. Build it, then call `start()`.
#[derive(Clone)]
pub struct World {
    pub(super) ip: Ipv4Addr,
    pub(super) dir: Arc<TempDir>,
    pub(super) is_https: bool,
    pub(super) has_clock: bool,
    /// Whether that clock stands still until it is moved.
    pub(super) is_clock_stopped: bool,
    /// Whether Dex's gRPC API is served; over TLS with client certificates where the server uses https.
    pub(super) has_grpc: bool,
    /// Seconds since 1970 at which that clock starts; `None`: now.
    pub(super) starts_at: Option<u64>,
    pub(super) postgres: Option<Url>,
    pub(super) clients: Vec<Client>,
    pub(super) people: Vec<Person>,
    pub(super) env: Vec<(String, String)>,
    /// A shell command that runs before the program, in its process and a mount namespace of its own.
    pub(super) started_by: Option<String>,
    /// What runs instead of the program under test.
    pub(super) program: Option<PathBuf>,
    /// The issuer, where it is not the address the server listens at (replicas, proxies).
    pub(super) issuer: Option<String>,
    /// Top-level keys of the file that replace or extend the defaults.
    pub(super) sections: Vec<(String, String)>,
}

impl World {
    /// Alice (groups `admins`, `developers`) and Bob (no groups) with passwords, `example-app` with a
    /// secret, SQLite, plain http.
    pub fn new() -> Self {
        let people = vec![
            Person::new(ALICE, ALICE_PASSWORD).groups(&["admins", "developers"]),
            Person::new(BOB, BOB_PASSWORD),
        ];
        Self { people, clients: vec![Client::new("example-app")], ..Self::empty() }
    }

    /// Without people and clients.
    pub fn empty() -> Self {
        Self {
            ip: address::own(),
            dir: Arc::new(tempfile::Builder::new().prefix("countersign-").tempdir().unwrap()),
            issuer: None,
            is_https: false,
            has_clock: false,
            is_clock_stopped: false,
            has_grpc: false,
            starts_at: None,
            postgres: None,
            clients: Vec::new(),
            people: Vec::new(),
            env: Vec::new(),
            started_by: None,
            program: None,
            sections: Vec::new(),
        }
    }

    /// A server whose clock can be moved; see `Server::advance`.
    pub fn with_clock() -> Self {
        Self { has_clock: true, ..Self::new() }
    }

    /// The same, and its clock stands still until it is moved: for limits of so many attempts within seconds, which a
    /// slow machine must not let pass.
    pub fn with_stopped_clock() -> Self {
        Self { is_clock_stopped: true, ..Self::with_clock() }
    }

    /// The same with a clock that can be moved.
    pub fn with_own_clock(self) -> Self {
        Self { has_clock: true, ..self }
    }

    /// With a clock that starts at this instant, in seconds since 1970.
    pub fn starting_at(self, secs: u64) -> Self {
        Self { starts_at: Some(secs), ..self }
    }

    /// Serves https with a certificate of its own; `Server::ca_file` is its certificate authority.
    pub fn https() -> Self {
        Self { is_https: true, ..Self::new() }
    }

    /// Serves https, as `World::https()` does.
    pub fn over_https(self) -> Self {
        Self { is_https: true, ..self }
    }

    /// Serves Dex's gRPC API; see `DexClient`. With `World::https()` clients need a certificate of its authority.
    pub fn with_grpc(self) -> Self {
        Self { has_grpc: true, ..self }
    }

    /// The same configuration on another address, for a replica that starts at the same time.
    pub fn second_replica(&self) -> Self {
        assert!(self.postgres.is_some(), "replicas share a PostgreSQL");
        Self { ip: address::own(), issuer: Some(self.issuer()), ..self.clone() }
    }

    /// Uses this PostgreSQL database instead of SQLite.
    pub fn on_postgres(database: Url) -> Self {
        Self { postgres: Some(database), ..Self::new() }
    }

    pub fn client(mut self, client: Client) -> Self {
        self.clients.retain(|known| known.id != client.id);
        self.clients.push(client);
        self
    }

    pub fn person(mut self, person: Person) -> Self {
        self.people.retain(|known| known.email != person.email);
        self.people.push(person);
        self
    }

    pub fn without_client(mut self, id: &str) -> Self {
        self.clients.retain(|client| client.id != id);
        self
    }

    pub fn without_person(mut self, email: &str) -> Self {
        self.people.retain(|person| person.email != email);
        self
    }

    /// Removes what `with` added for this top-level key.
    pub fn without(mut self, key: &str) -> Self {
        self.sections.retain(|(known, _)| known != key);
        self
    }

    /// Adds whole top-level keys as YAML (`"oauth2:\n  skipApprovalScreen: true"`). Each replaces the default
    /// of that key.
    pub fn with(mut self, yaml: &str) -> Self {
        for (key, text) in sections_of(yaml) {
            self.sections.retain(|(known, _)| *known != key);
            self.sections.push((key, text));
        }
        self
    }

    /// Sets an environment variable of the program; the environment is otherwise empty.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn issuer(&self) -> String {
        self.issuer.clone().unwrap_or_else(|| format!("{}/dex", self.origin()))
    }

    /// Scheme, host and port the server listens at.
    pub fn origin(&self) -> String {
        match self.is_https {
            true => format!("https://{}:5554", self.ip),
            false => format!("http://{}:5556", self.ip),
        }
    }

    pub fn telemetry(&self) -> String {
        format!("http://{}:5558", self.ip)
    }

    /// The test's own folder: configuration, database, certificates.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The text of the configuration file.
    pub fn yaml(&self) -> String {
        let mut sections = sections_of(&self.defaults());
        for (key, text) in &self.sections {
            sections.retain(|(known, _)| known != key);
            sections.push((key.clone(), text.clone()));
        }
        for (key, text) in &mut sections {
            if key == "web" && !text.contains("shutdownDelay") {
                text.push_str("  shutdownDelay: 0s\n");
            }
        }
        sections.into_iter().map(|(_, text)| text).collect()
    }

    fn defaults(&self) -> String {
        let (dir, ip) = (self.dir().display(), self.ip);
        let web = match self.is_https {
            true => format!(
                "  https: {ip}:5554\n  tlsCert: {dir}/server.crt\n  tlsKey: {dir}/server.key\n"
            ),
            false => format!("  http: {ip}:5556\n"),
        };
        let storage = match &self.postgres {
            Some(url) => format!(
                "  type: postgres\n  config:\n    host: {}\n    port: {}\n    database: {}\n    \
                 user: {}\n    ssl:\n      mode: disable\n",
                url.host_str().unwrap(),
                url.port().unwrap_or(5432),
                url.path().trim_start_matches('/'),
                url.username()
            ),
            None => format!("  type: sqlite3\n  config:\n    file: {dir}/countersign.db\n"),
        };
        let mut yaml = format!(
            "issuer: {}\nstorage:\n{storage}web:\n{web}telemetry:\n  http: {ip}:5558\nlogger:\n  \
             level: debug\n",
            self.issuer()
        );
        if self.has_grpc {
            yaml.push_str(&format!("grpc:\n  addr: {ip}:5557\n  reflection: true\n"));
            if self.is_https {
                let files = [
                    ("tlsCert", "server.crt"),
                    ("tlsKey", "server.key"),
                    ("tlsClientCA", "ca.crt"),
                ];
                for (key, file) in files {
                    yaml.push_str(&format!("  {key}: {dir}/{file}\n"));
                }
            }
        }
        if !self.people.is_empty() {
            yaml.push_str("enablePasswordDB: true\nstaticPasswords:\n");
            self.people.iter().for_each(|person| yaml.push_str(&person.yaml()));
        }
        if !self.clients.is_empty() {
            yaml.push_str("staticClients:\n");
            self.clients.iter().for_each(|client| yaml.push_str(&client.yaml()));
        }
        yaml
    }
}

/// Splits a file into its top-level keys, each with the lines below it.
fn sections_of(yaml: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in yaml.lines() {
        let begins = line.starts_with(|c: char| c.is_alphanumeric());
        match (begins, sections.last_mut()) {
            (false, Some((_, text))) => text.push_str(&format!("{line}\n")),
            (false, None) => {}
            (true, _) => {
                let key = line.split(':').next().unwrap_or_default();
                sections.push((key.to_owned(), format!("{line}\n")));
            }
        }
    }
    sections
}

/// A client, as an entry of `staticClients`.
#[derive(Clone)]
pub struct Client {
    pub id: String,
    /// `None` for a public client.
    pub secret: Option<String>,
    pub redirect_uris: Vec<String>,
    more: String,
}

impl Client {
    /// A confidential client. Nothing listens at its redirect URI: tests read the redirect and do not follow
    /// it.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: Some(format!("the-secret-of-{id}-61616161")),
            redirect_uris: vec![format!("https://{id}.example.com/callback")],
            more: String::new(),
        }
    }

    /// A public client without redirect URIs: any loopback redirect URI is accepted (RFC 8252 section 7.3).
    pub fn public(id: &str) -> Self {
        Self { secret: None, redirect_uris: Vec::new(), ..Self::new(id) }
    }

    pub fn redirects_to(mut self, uris: &[&str]) -> Self {
        self.redirect_uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
        self
    }

    /// Adds keys, in one line of YAML: `trustedPeers: [cli]`.
    pub fn with(mut self, yaml: &str) -> Self {
        self.more.push_str(&format!("  {yaml}\n"));
        self
    }

    fn yaml(&self) -> String {
        let Self { id, more, .. } = self;
        let secret = match &self.secret {
            Some(secret) => format!("  secret: {}\n", quoted(secret)),
            None => "  public: true\n".into(),
        };
        let uris: Vec<_> = self.redirect_uris.iter().map(|uri| quoted(uri)).collect();
        let uris = match uris.is_empty() {
            true => String::new(),
            false => format!("  redirectURIs: [{}]\n", uris.join(", ")),
        };
        format!("- id: {id}\n  name: {}\n{secret}{uris}{more}", quoted(&format!("The {id}")))
    }
}

/// A person with a local account, as an entry of `staticPasswords`.
#[derive(Clone)]
pub struct Person {
    pub email: String,
    pub password: String,
    hash: String,
    groups: Vec<String>,
}

impl Person {
    pub fn new(email: &str, password: &str) -> Self {
        // The cheapest bcrypt the configuration accepts. Computed once: a different hash after a restart
        // would be a different account (fingerprint of the session).
        let hash = bcrypt::hash(password, 10).unwrap();
        let (email, password) = (email.to_owned(), password.to_owned());
        Self { email, password, hash, groups: Vec::new() }
    }

    pub fn groups(mut self, groups: &[&str]) -> Self {
        self.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        self
    }

    fn yaml(&self) -> String {
        let name = self.email.split('@').next().unwrap_or_default();
        let groups: Vec<_> = self.groups.iter().map(|group| quoted(group)).collect();
        format!(
            "- email: {}\n  hash: {}\n  username: {name}\n  userID: {}\n  groups: [{}]\n",
            quoted(&self.email),
            quoted(&self.hash),
            quoted(&format!("id-of-{name}")),
            groups.join(", ")
        )
    }
}

/// Quotes a text for YAML; JSON strings are valid double-quoted YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[test]
fn with_replaces_top_level_keys() {
    let world = World::empty()
        .client(Client::public("cli").with("trustedPeers: [web]"))
        .with("# gone\nlogger:\n  level: warn\noauth2:\n  skipApprovalScreen: true\n");
    let yaml = world.yaml();
    assert_eq!(yaml.matches("logger:").count(), 1, "{yaml}");
    assert!(yaml.contains("level: warn") && !yaml.contains("debug"), "{yaml}");
    assert!(yaml.ends_with("oauth2:\n  skipApprovalScreen: true\n"), "{yaml}");
    assert!(
        yaml.contains("- id: cli\n  name: \"The cli\"\n  public: true\n  trustedPeers: [web]\n")
    );
}
