//! Builds a running issuer from a configuration.

mod keys;

use std::sync::Arc;

use countersign_connectors::local;
use countersign_connectors::password::{Hashing, HashingLimits};
use countersign_core::{Clock, Connector, Limits, LocalUsers};
use countersign_issuer::settings::{ApprovalPolicy, DevicePolicy, IssuerUrl, Settings};
use countersign_issuer::{
    CircuitBreakers, Clients, ConnectorHealth, Connectors, Issuer, Keyring, LoginAttempts,
    StoredObjects,
};
use countersign_server::pages::Layout;
use countersign_server::{App, ClientAddressRule, Metrics, ProcessState, ServerSettings};
use countersign_store::Store;

use crate::config::{self, Config, StoredConnectors};
use keys::SignerVersions;

/// What all configurations that a process serves one after another share.
#[derive(Clone)]
pub struct Shared {
    pub clock: Arc<dyn Clock>,
    pub process: ProcessState,
    /// Its number of threads is that of the first configuration.
    pub hashing: Hashing,
    signer_versions: Arc<SignerVersions>,
}

impl Shared {
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Self {
        let process = ProcessState::new(&config.limits);
        let signer_versions = Arc::default();
        Self { clock, process, hashing: hashing(&config.limits), signer_versions }
    }
}

/// Opens the database and the keys. The error text is for the operator.
pub async fn open(config: &Config, shared: &Shared) -> Result<App, String> {
    let store = Store::open(&config.storage).await.map_err(|e| e.to_string())?;
    open_with(config, store, shared).await
}

/// As [`open`], but also opens a database that has only Dex's tables.
pub async fn open_beside_dex(config: &Config, shared: &Shared) -> Result<App, String> {
    let store = Store::open_beside_dex(&config.storage).await;
    open_with(config, store.map_err(|e| e.to_string())?, shared).await
}

async fn open_with(config: &Config, store: Store, shared: &Shared) -> Result<App, String> {
    let circuit_breakers = CircuitBreakers::open(&store).await.map_err(|e| e.to_string())?;
    let kept = Kept {
        store,
        attempts: Arc::default(),
        circuit_breakers: Arc::new(circuit_breakers),
        upstream_health: Arc::default(),
        is_signer_unchanged: false,
    };
    let issuer = Arc::new(issuer(config, kept, shared).await?);
    let (version, hashes) = (env!("CARGO_PKG_VERSION"), shared.hashing.counter());
    let metrics = Metrics::new(version, hashes, shared.process.clone(), Arc::clone(&issuer));
    let app = app(config, issuer, metrics, shared);
    put_into_use(&app, None).await;
    Ok(app)
}

/// Opens another configuration on the database of a running application, which is not changed until [`put_into_use`]. If
/// `signer` is that of the running one, the service that keeps the signing key need not answer.
pub async fn reopen(
    config: &Config,
    running: &App,
    shared: &Shared,
    is_signer_unchanged: bool,
) -> Result<App, String> {
    let kept = Kept {
        store: running.issuer.store.clone(),
        attempts: Arc::clone(&running.issuer.attempts),
        circuit_breakers: Arc::clone(&running.issuer.circuit_breakers),
        upstream_health: Arc::clone(&running.issuer.upstream_health),
        is_signer_unchanged,
    };
    let issuer = Arc::new(issuer(config, kept, shared).await?);
    issuer.connectors.share_used_refresh_tokens(&running.issuer.connectors);
    Ok(app(config, issuer, running.metrics.clone(), shared))
}

/// Sets in the store, which configurations share, what follows from that of `app`; `before` is the one that it replaces.
pub async fn put_into_use(app: &App, before: Option<&App>) {
    app.issuer.store.limit_unanswered_commits(app.settings.limits.unanswered_commits);
    app.issuer.take_over_logout_rules(before.map(|before| &*before.issuer)).await;
}

/// `Err` if no token could be signed: the service that keeps the signing key does not answer, or refuses.
pub fn check_signer(app: &App) -> Result<(), String> {
    let signs = app.issuer.keyring.keys().check_signer(app.issuer.now());
    signs.map_err(|error| format!("signer: {error}"))
}

/// What a reload keeps of an issuer.
struct Kept {
    store: Store,
    attempts: Arc<LoginAttempts>,
    circuit_breakers: Arc<CircuitBreakers>,
    upstream_health: Arc<ConnectorHealth>,
    is_signer_unchanged: bool,
}

async fn issuer(config: &Config, kept: Kept, shared: &Shared) -> Result<Issuer, String> {
    let Kept { store, attempts, circuit_breakers, upstream_health, is_signer_unchanged } = kept;
    let root = keys::load_root_key(&config.root_keys, &store).await?;
    let (mut settings, now) = (settings(config)?, shared.clock.now());
    let versions = &shared.signer_versions;
    settings.external_signer = settings
        .external_signer
        .map(|signer| versions.keeping_versions_of(signer, is_signer_unchanged));
    let keyring = Keyring::open(&store, &root, &settings, now).await.map_err(|e| e.to_string())?;
    let configured = connectors(config, shared.hashing.clone());
    let connectors = Connectors::new(configured.list);
    let issuer = Issuer {
        clients: Clients::new(config.clients.clone()),
        connectors: connectors.limited_to(config.connector_grant_types.clone()),
        stored: StoredObjects::new(configured.local_users, Arc::new(StoredConnectors)),
        keyring,
        attempts,
        circuit_breakers,
        upstream_health,
        settings,
        store,
        root,
        clock: Arc::clone(&shared.clock),
    };
    issuer.reseal_stored_objects().await.map_err(|e| e.to_string())?;
    issuer.reload_stored_objects().await.map_err(|e| e.to_string())?;
    Ok(issuer)
}

/// The configured connectors, and the password database if enabled.
pub struct ConfiguredConnectors {
    pub list: Vec<Connector>,
    /// The handle for the users of the password database.
    pub local_users: Option<Arc<dyn LocalUsers>>,
}

pub fn connectors(config: &Config, hashing: Hashing) -> ConfiguredConnectors {
    let local = config.password_db.as_ref();
    let local = local.map(|db| local::connector(db.users.clone(), hashing));
    let (local, local_users) = local.unzip();
    let list = config.connectors.iter().cloned().chain(local).collect();
    ConfiguredConnectors { list, local_users }
}

pub fn hashing(limits: &Limits) -> Hashing {
    let default = HashingLimits::default();
    Hashing::new(HashingLimits {
        threads: limits.hashing_threads.unwrap_or(default.threads),
        queue: limits.hashing_queue,
        ..default
    })
}

fn app(config: &Config, issuer: Arc<Issuer>, metrics: Metrics, shared: &Shared) -> App {
    let frontend = &config.frontend;
    let mut layout = Layout::new(issuer.settings.issuer.base_path(), frontend.issuer.as_str());
    layout.theme = frontend.theme;
    let remote = frontend.allow_remote_logos;
    layout.logo = frontend.logo_url.as_deref().and_then(|logo| shown_logo(&issuer, logo, remote));
    layout.use_theme(&frontend.dir.theme);
    layout.texts = frontend.dir.texts.clone();
    let proxies = config.web.client_address.as_ref();
    let server = ServerSettings {
        allowed_origins: config.web.allowed_origins.clone(),
        allowed_headers: config.web.allowed_headers.clone(),
        headers: headers(&config.web.headers),
        client_address: ClientAddressRule {
            header: proxies.and_then(|rule| rule.header.parse().ok()),
            trusted_proxies: proxies.map(|rule| rule.trusted_proxies.clone()).unwrap_or_default(),
        },
        allow_remote_logos: remote,
        limits: config.limits,
        enable_profiling: config.enable_profiling,
        theme: frontend.dir.theme.clone(),
    };
    App::new(issuer, server, layout, metrics, shared.process.clone())
}

/// A relative logo path is relative to the issuer, as in Dex (`theme/logo.png`).
fn shown_logo(issuer: &Issuer, logo: &str, remote: bool) -> Option<String> {
    let lower = logo.to_ascii_lowercase();
    let is_remote = ["http:", "https:", "//"].iter().any(|start| lower.starts_with(start));
    match is_remote {
        true => remote.then(|| logo.to_owned()),
        false if logo.starts_with('/') => Some(logo.to_owned()),
        false => Some(format!("{}/{logo}", issuer.settings.issuer.base_path())),
    }
}

const fn algorithm(algorithm: config::Algorithm) -> countersign_jose::Algorithm {
    match algorithm {
        config::Algorithm::Rs256 => countersign_jose::Algorithm::RS256,
        config::Algorithm::Es256 => countersign_jose::Algorithm::ES256,
    }
}

fn settings(config: &Config) -> Result<Settings, String> {
    let (expiry, oauth2) = (&config.expiry, &config.oauth2);
    Ok(Settings {
        issuer: IssuerUrl::new(config.issuer.as_str()).map_err(|e| format!("issuer: {e}"))?,
        algorithm: algorithm(config.signer.algorithm),
        access_token_algorithm: config.signer.access_token_algorithm.map(algorithm),
        external_signer: config.signer.external.clone(),
        key_period: config.signer.rotation_period,
        token_lifetime: expiry.id_tokens,
        code_lifetime: expiry.codes,
        request_lifetime: expiry.auth_requests,
        refresh: expiry.refresh_tokens,
        sign_on: config.sessions,
        approval: ApprovalPolicy { skip: oauth2.skip_approval_screen },
        pkce: oauth2.pkce.clone(),
        strict_scopes: oauth2.strict_scopes,
        grant_types: oauth2.grant_types.clone(),
        response_types: oauth2.response_types,
        password_connector: oauth2.password_connector.clone(),
        device: DevicePolicy {
            lifetime: expiry.device_requests,
            limits: config.limits.device_requests,
        },
        clusters: config.clusters.clone(),
        always_show_choice: oauth2.always_show_login_screen,
        event_retention: config.retention.events,
        membership_retention: config.retention.memberships,
        admin: config.admin.clone(),
        client_lifetimes: config.clients.iter().map(|client| client.lifetimes).collect(),
    })
}

/// Each configured header replaces the default header of the same name.
fn headers(headers: &config::Headers) -> Vec<(String, String)> {
    let named = [
        ("content-security-policy", &headers.content_security_policy),
        ("x-frame-options", &headers.x_frame_options),
        ("x-content-type-options", &headers.x_content_type_options),
        ("x-xss-protection", &headers.x_xss_protection),
        ("strict-transport-security", &headers.strict_transport_security),
    ];
    let set_pairs = named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    set_pairs.map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use countersign_core::connector::LoginMethod;
    use countersign_core::{Client, ClientId, ConnectorId, Secret, StoredConnector};
    use countersign_issuer::admin::Administrator;
    use countersign_server::App;

    use super::{Shared, open, put_into_use, reopen};
    use crate::config::{self, Config};
    use crate::environment::SystemClock;

    /// A configuration with one client, which has a back-channel logout URI.
    fn config(dir: &Path, client: &str) -> Config {
        let file = dir.join(client);
        let text = format!(
            "issuer: http://127.0.0.1:5556/dex\nstorage:\n  type: sqlite3\n  config:\n    file: {}\nweb:\n  \
             http: 127.0.0.1:5556\nconnectors:\n- type: mockCallback\n  id: mock\n  name: Example\nstaticClients:\n\
             - id: {client}\n  secret: secret\n  name: App\n  redirectURIs: [http://127.0.0.1:5555/callback]\n  \
             backchannelLogoutURI: https://app.example.com/logout\n",
            dir.join("countersign.db").display()
        );
        fs::write(&file, text).unwrap();
        let loaded = config::load(&file, &|_| None, false);
        let problems: Vec<String> = loaded.problems.iter().map(|one| loaded.line(one)).collect();
        loaded.config.unwrap_or_else(|| panic!("{problems:#?}"))
    }

    /// The clients that are notified when a session ends.
    fn notified(app: &App) -> Vec<String> {
        app.issuer.store.logout_rules().notified.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn only_the_configuration_in_use_determines_which_clients_are_notified() {
        let dir = tempfile::tempdir().unwrap();
        let (config, other) = (config(dir.path(), "first"), config(dir.path(), "second"));
        let shared = Shared::new(&config, Arc::new(SystemClock::default()));
        let running = open(&config, &shared).await.unwrap();
        let newer = reopen(&other, &running, &shared, true).await.unwrap();
        assert_eq!(notified(&running), ["first"], "the other configuration may still be refused");

        put_into_use(&newer, Some(&running)).await;
        assert_eq!(notified(&newer), ["second"]);

        // A call that began with the replaced configuration ends after the replacement.
        let client = Client {
            id: ClientId::new("third"),
            public: true,
            backchannel_logout_uri: "https://third.example.com/logout".parse().ok(),
            ..Client::default()
        };
        let grpc = Administrator::grpc_client(None);
        running.issuer.create_client(&grpc, &client).await.unwrap();
        assert_eq!(notified(&newer), ["second"]);
        newer.issuer.reload_stored_objects().await.unwrap();
        assert_eq!(notified(&newer), ["second", "third"]);
    }

    /// The upstream refresh tokens that were used a moment ago, with their successors.
    #[tokio::test]
    async fn a_connector_keeps_the_used_refresh_tokens_when_it_is_built_anew() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), "first");
        let shared = Shared::new(&config, Arc::new(SystemClock::default()));
        let running = open(&config, &shared).await.unwrap();
        let stored = |issuer: &str| StoredConnector {
            id: ConnectorId::new("stored"),
            kind: "oidc".to_owned(),
            name: "Stored".to_owned(),
            config: Secret::new(format!(
                "{{\"issuer\": \"{issuer}\", \"clientID\": \"a\", \"clientSecret\": \"b\", \
                 \"redirectURI\": \"http://127.0.0.1:5556/dex/callback\"}}"
            )),
            grant_types: Vec::new(),
        };
        let home = stored("https://home.example.com");
        let grpc = Administrator::grpc_client(None);
        running.issuer.create_connector(&grpc, &home).await.unwrap();
        let used = |app: &App| {
            let refresh = app.issuer.connectors.get(&home.id).unwrap().refresh.clone();
            refresh.unwrap().used_refresh_tokens().unwrap()
        };
        let before = used(&running);
        let rename = |stored: &mut StoredConnector| "Renamed".clone_into(&mut stored.name);
        running.issuer.change_connector(&grpc, &home.id, rename).await.unwrap();
        assert!(Arc::ptr_eq(&before, &used(&running)), "it was renamed");

        let newer = reopen(&config, &running, &shared, true).await.unwrap();
        assert!(Arc::ptr_eq(&before, &used(&newer)), "the configuration was reloaded");
        let other = stored("https://other.example.com").config;
        let replace = |stored: &mut StoredConnector| stored.config = other.clone();
        newer.issuer.change_connector(&grpc, &home.id, replace).await.unwrap();
        assert!(!Arc::ptr_eq(&before, &used(&newer)), "another upstream has tokens of its own");
    }

    #[tokio::test]
    async fn a_stored_connector_stays_in_use_when_another_object_changes() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), "first");
        let shared = Shared::new(&config, Arc::new(SystemClock::default()));
        let issuer = Arc::clone(&open(&config, &shared).await.unwrap().issuer);
        let stored = StoredConnector {
            id: ConnectorId::new("stored"),
            kind: "mockCallback".to_owned(),
            name: "Stored".to_owned(),
            config: Secret::new("{}"),
            grant_types: Vec::new(),
        };
        let method = || match &issuer.connectors.get(&stored.id).unwrap().login_method {
            LoginMethod::Redirect(method) => Arc::clone(method),
            _ => panic!("a connector of another type"),
        };
        let grpc = Administrator::grpc_client(None);
        issuer.create_connector(&grpc, &stored).await.unwrap();
        let before = method();
        let client = Client { id: ClientId::new("third"), public: true, ..Client::default() };
        issuer.create_client(&grpc, &client).await.unwrap();
        assert!(Arc::ptr_eq(&before, &method()), "it is not built anew");
        let rename = |stored: &mut StoredConnector| "Renamed".clone_into(&mut stored.name);
        issuer.change_connector(&grpc, &stored.id, rename).await.unwrap();
        assert!(!Arc::ptr_eq(&before, &method()));
    }
}
