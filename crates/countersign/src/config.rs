//! Reads one YAML file into a [`Config`], or into a list of all its problems.
//!
//! The text is parsed into a tree with positions, environment variables are expanded where Dex does (both by
//! `countersign-config`), and one file per subject reads the keys of its blocks and reports invalid values. No
//! port, database or connection is opened here, and messages contain no secrets.

mod admin;
pub mod blocks;
mod clients;
mod connectors;
mod issuer;
mod kubernetes;
mod lifetimes;
mod limits;
mod listen;
mod pages;
mod root_keys;
mod storage;
mod summary;
mod web;

use std::collections::HashMap;
use std::path::Path;

use countersign_config::{Environment, Item, Section, Severity};
use countersign_core::{Client, Connector, ConnectorId, GrantType, KubernetesCluster, Limits};
use countersign_import::Source;
use countersign_issuer::admin::AdminPolicy;
use countersign_issuer::settings::SignOnPolicy;
use countersign_store::Location;

pub use clients::ExampleApp;
pub use connectors::StoredConnectors;
pub use connectors::{LOCAL, PasswordDb};
pub use issuer::{Issuer, OAuth2};
pub use lifetimes::{Algorithm, Expiry, Signer};
pub use limits::RetentionPolicy;
pub use listen::{Grpc, GrpcTls, Listen, TlsVersion};
pub use pages::{Frontend, LogFormat, LogLevel, Logger};
pub use root_keys::RootKeys;
pub use web::{Headers, Https, Web};

/// The whole configuration, with defaults.
#[derive(Clone)]
pub struct Config {
    pub issuer: Issuer,
    pub storage: Location,
    pub root_keys: RootKeys,
    pub web: Web,
    /// Listener of health and metrics; `None`: not served.
    pub telemetry: Option<Listen>,
    /// Whether CPU profiles are served there.
    pub enable_profiling: bool,
    /// Dex's gRPC API; `None`: not served.
    pub grpc: Option<Grpc>,
    pub logger: Logger,
    pub frontend: Frontend,
    pub oauth2: OAuth2,
    pub expiry: Expiry,
    pub signer: Signer,
    pub sessions: SignOnPolicy,
    pub limits: Limits,
    pub retention: RetentionPolicy,
    pub clients: Vec<Client>,
    pub clusters: Vec<KubernetesCluster>,
    pub admin: AdminPolicy,
    /// The example application beside the server.
    pub example_app: Option<ExampleApp>,
    /// In the order of the file; without the password database.
    pub connectors: Vec<Connector>,
    /// The grant types that connectors with `grantTypes` are limited to.
    pub connector_grant_types: HashMap<ConnectorId, Vec<GrantType>>,
    /// The connector `local`, which comes after the others.
    pub password_db: Option<PasswordDb>,
    /// Hashes for comparing this version of the file with another.
    pub blocks: blocks::Blocks,
}

/// The outcome of reading a file. Displays as one line per problem.
pub type Loaded = countersign_config::Loaded<Config>;

/// Reads a configuration file. `lenient`: unknown keys are warnings.
pub fn load(file: &Path, env: Environment<'_>, lenient: bool) -> Loaded {
    load_with(file, env, lenient, &Addresses::default())
}

/// As [`load`], with addresses from the command line, which take precedence over those of the file, as in Dex: the file
/// is validated with them.
pub fn load_with(
    file: &Path,
    env: Environment<'_>,
    lenient: bool,
    addresses: &Addresses,
) -> Loaded {
    countersign_config::load(file, env, lenient, |root| read_blocks(root, env, addresses))
}

/// As a lenient [`load`], for a command that does not listen: the file need not configure a listener.
pub fn load_without_listener(file: &Path, env: Environment<'_>) -> Loaded {
    let anywhere = Addresses { web_http: Listen::parse("127.0.0.1:0"), ..Addresses::default() };
    load_with(file, env, true, &anywhere)
}

/// Reads `storage` of a configuration file of Dex, to import from it; the other blocks are not read. The error has a line
/// for each problem.
pub fn dex_source(file: &Path, env: Environment<'_>) -> Result<Source, String> {
    // Lenient, because the blocks that are not read are unknown keys.
    let loaded = countersign_config::load(file, env, true, storage::read_dex);
    let errors = loaded.problems.iter().filter(|problem| problem.severity == Severity::Error);
    let errors: Vec<String> = errors.map(|problem| loaded.line(problem)).collect();
    loaded.config.ok_or_else(|| errors.join("\n"))
}

/// Listen addresses from the command line.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub web_http: Option<Listen>,
    pub web_https: Option<Listen>,
    pub telemetry: Option<Listen>,
    pub grpc: Option<Listen>,
}

/// Every block is read even if others are invalid, so that all problems are reported at once.
fn read_blocks(root: &Section<'_>, env: Environment<'_>, addresses: &Addresses) -> Option<Config> {
    let issuer = issuer::read(root);
    let storage = storage::read(root);
    let root_keys = root_keys::read(root, storage.as_ref(), env);
    let web = web::read(root, addresses);
    let (telemetry, enable_profiling) = listen::read_telemetry(root);
    let telemetry = addresses.telemetry.clone().or(telemetry);
    let grpc = listen::read_grpc(root, addresses, env);
    let logger = pages::read_logger(root);
    let frontend = pages::read_frontend(root, env);
    let expiry = lifetimes::read_expiry(root);
    let signer = lifetimes::read_signer(root, env);
    let sessions = lifetimes::read_sessions(root);
    let limits = limits::read_limits(root);
    let retention = limits::read_retention(root);
    let upstreams = connectors::read(root);
    let oauth2 = issuer::read_oauth2(root, &upstreams.ids);
    let known = clients::Known {
        connectors: &upstreams.ids,
        sessions: &sessions,
        remote_logos: frontend.allow_remote_logos,
        env,
    };
    let clients = clients::read(root, &known);
    let clusters = kubernetes::read_clusters(root, &clients);
    let admin = admin::read(root, &clients, &upstreams.ids);
    let example_app = clients::read_example_app(root, &clients);
    root.not_supported("mfa", true);
    let mut blocks = blocks::read(root);
    blocks.add_files(&frontend.dir.files);
    Some(Config {
        issuer: issuer?,
        storage: storage?,
        root_keys: root_keys?,
        web: web?,
        telemetry,
        enable_profiling,
        grpc,
        logger,
        frontend,
        oauth2,
        expiry,
        signer: signer?,
        sessions,
        limits,
        retention,
        clients,
        clusters,
        admin,
        example_app,
        connectors: upstreams.connectors,
        connector_grant_types: upstreams.grant_types,
        password_db: upstreams.password_db,
        blocks,
    })
}

/// The text items of a list, each with its position.
fn text_items<'a>(section: &Section<'a>, key: &'static str) -> Vec<(Item<'a>, String)> {
    let items = section.items(key);
    items.into_iter().filter_map(|item| item.text().map(|text| (item, text))).collect()
}

/// The environment variable that a key of a client names. Unset and empty are errors: with an empty secret anyone could
/// authenticate as the client.
fn variable(section: &Section<'_>, key: &'static str, env: Environment<'_>) -> Option<String> {
    let name = section.required_text(key)?;
    let value = env(&name);
    if value.is_none() {
        section.error(key, format!("the environment variable {name} is not set"));
    }
    let value = value?;
    if value.is_empty() {
        section.error(key, format!("the environment variable {name} is empty"));
        return None;
    }
    Some(value)
}

#[cfg(test)]
mod tests;
