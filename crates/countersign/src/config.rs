//! One YAML file to one [`Config`], or a list of everything wrong with it.
//!
//! Text becomes a tree with places (`yaml`), the environment is put in where Dex puts it
//! (`expand`), and one file per block of the configuration reads its keys and says what it finds
//! wrong. Nothing here opens a port, a database or a connection, and no message repeats a secret.

mod admin;
mod clients;
mod connectors;
mod expand;
mod files;
mod issuer;
mod lifetimes;
mod listen;
mod oauth2;
mod pages;
mod root_keys;
mod storage;
mod summary;
mod web;
mod yaml;

use std::fmt;
use std::path::{Path, PathBuf};

use countersign_core::settings::{Item, Mark, Node, Problem, Problems, Section, Severity};
use countersign_core::{Client, Connector};
use countersign_issuer::admin::AdminPolicy;

pub use connectors::PasswordDb;
pub use issuer::Issuer;
pub use lifetimes::{Algorithm, Expiry, RefreshTokens, Sessions, Signer};
pub use listen::Listen;
pub use oauth2::{GrantType, OAuth2, Pkce};
pub use pages::{Frontend, LogFormat, LogLevel, Logger, Theme};
pub use root_keys::RootKeys;
pub use storage::{Postgres, SslMode, Storage};
pub use web::{ClientAddress, Headers, Https, TlsVersion, Web};

/// Looks a variable up. A parameter, so that no test touches the process's own environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Everything the file says, defaults filled in.
#[derive(Clone)]
pub struct Config {
    pub issuer: Issuer,
    pub storage: Storage,
    pub root_keys: RootKeys,
    pub web: Web,
    /// Where health and metrics are told; `None`: nowhere.
    pub telemetry: Option<Listen>,
    pub logger: Logger,
    pub frontend: Frontend,
    pub oauth2: OAuth2,
    pub expiry: Expiry,
    pub signer: Signer,
    pub sessions: Sessions,
    pub clients: Vec<Client>,
    pub admin: AdminPolicy,
    /// In the order of the file; the password database is not among them.
    pub connectors: Vec<Connector>,
    /// The connector `local`, which comes after the others.
    pub password_db: Option<PasswordDb>,
}

/// What came of reading a file. Displays as one line per problem.
pub struct Loaded {
    /// `None` when any problem is an error.
    pub config: Option<Config>,
    /// In the order of the file.
    pub problems: Vec<Problem>,
    file: PathBuf,
    known_keys: Vec<String>,
}

impl Loaded {
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Every key the readers asked for, such as `staticClients[].name`; only those of blocks the
    /// file has.
    pub fn known_keys(&self) -> &[String] {
        &self.known_keys
    }

    fn new(file: &Path, config: Option<Config>, problems: Problems) -> Self {
        let known_keys = problems.known_keys();
        let config = config.filter(|_| !problems.has_errors());
        Self { config, problems: problems.into_sorted(), file: file.to_owned(), known_keys }
    }
}

/// `config.yaml:14:5: staticClients[0].redirectURIs: is empty`, one line each.
impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            let file = self.file.display();
            let kind = if problem.severity == Severity::Warning { "warning: " } else { "" };
            if problem.mark == NOWHERE {
                writeln!(f, "{file}: {kind}{}", problem.message)?;
                continue;
            }
            let Mark { line, column } = problem.mark;
            let path = &problem.path;
            let colon = if path.is_empty() { "" } else { ": " };
            writeln!(f, "{file}:{line}:{column}: {kind}{path}{colon}{}", problem.message)?;
        }
        Ok(())
    }
}

/// Of problems with the file as a whole.
const NOWHERE: Mark = Mark { line: 0, column: 0 };

/// Reads a configuration file. `lenient`: unknown keys are warnings.
pub fn load(file: &Path, env: Environment<'_>, lenient: bool) -> Loaded {
    match files::text(file, yaml::MAX_BYTES) {
        Ok(text) => read(&text, file, env, lenient),
        Err(message) => {
            let problems = Problems::new(lenient);
            problems.error(NOWHERE, "", message);
            Loaded::new(file, None, problems)
        }
    }
}

/// Reads the text of a configuration; `file` is named in the report, and its mode looked at.
pub fn read(text: &str, file: &Path, env: Environment<'_>, lenient: bool) -> Loaded {
    match yaml::parse(text) {
        Ok(root) => read_tree(root, file, env, lenient),
        Err(broken) => {
            let problems = Problems::new(lenient);
            problems.error(broken.mark, "", broken.message);
            Loaded::new(file, None, problems)
        }
    }
}

fn read_tree(mut root: Node, file: &Path, env: Environment<'_>, lenient: bool) -> Loaded {
    let problems = Problems::new(lenient);
    files::warn_if_seen_by_others(file, &root, &problems);
    expand::expand(&mut root, env, &problems);
    let config = Section::root(&root, &problems).and_then(|root| read_blocks(root, env));
    Loaded::new(file, config, problems)
}

/// Every block is read, whatever the others say, so that all problems are told at once.
fn read_blocks(root: Section<'_>, env: Environment<'_>) -> Option<Config> {
    let issuer = issuer::read(&root);
    let storage = storage::read(&root);
    let root_keys = root_keys::read(&root, storage.as_ref(), env);
    let web = web::read(&root);
    let telemetry = web::read_telemetry(&root);
    let logger = pages::read_logger(&root);
    let frontend = pages::read_frontend(&root);
    let oauth2 = oauth2::read(&root);
    let expiry = lifetimes::read_expiry(&root);
    let signer = lifetimes::read_signer(&root);
    let sessions = lifetimes::read_sessions(&root);
    let upstreams = connectors::read(&root);
    let known = clients::Known {
        connectors: &upstreams.ids,
        sessions: &sessions,
        remote_logos: frontend.allow_remote_logos,
        env,
    };
    let clients = clients::read(&root, &known);
    let admin = admin::read(&root, &clients, &upstreams.ids);
    root.not_supported("grpc", false);
    root.not_supported("mfa", true);
    root.finish();
    Some(Config {
        issuer: issuer?,
        storage: storage?,
        root_keys: root_keys?,
        web: web?,
        telemetry,
        logger,
        frontend,
        oauth2,
        expiry,
        signer,
        sessions,
        clients,
        admin,
        connectors: upstreams.connectors,
        password_db: upstreams.password_db,
    })
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!(", did you mean {near}?"))
}

/// Only texts, each with its place.
fn text_items<'a>(section: &Section<'a>, key: &'static str) -> Vec<(Item<'a>, String)> {
    let items = section.items(key);
    items.into_iter().filter_map(|item| item.text().map(|text| (item, text))).collect()
}

#[cfg(test)]
mod tests;
