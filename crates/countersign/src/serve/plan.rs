//! How a configuration file differs from the one in use: changed keys, what requires a restart, and whose sessions
//! would end.

use countersign_core::connector::Fingerprint;
use countersign_core::{ConnectorId, Secret, SessionFilter};
use countersign_issuer::Issuer;
use countersign_server::process_state::{Change, ChangeKind, ConfigurationDigest, EndingSessions};

use crate::config::blocks::{Difference, FORMAT, differences};
use crate::config::{Config, LOCAL};

/// Keys that identify the server and its data. A file with other values belongs to another server.
const REFUSED: [&str; 2] = ["issuer", "storage"];
/// Keys, and whole blocks, that are read only at start-up, in lower case.
const AT_START: [&str; 12] = [
    "exampleapp",
    "web.http",
    "web.https",
    "web.shutdowndelay",
    "telemetry.http",
    "grpc.addr",
    "grpc.reflection",
    "limits.connections",
    "limits.streamsperconnection",
    "limits.requestbodies",
    "limits.headerbytes",
    "limits.passwordhashing",
];

pub struct Plan {
    pub changes: Vec<Change>,
    pub needs_restart: Vec<String>,
    /// Why the file cannot be loaded without a restart.
    pub refusals: Vec<String>,
}

impl Plan {
    pub fn of(running: &ConfigurationDigest, newer: &ConfigurationDigest) -> Self {
        let mut plan =
            Self { changes: Vec::new(), needs_restart: Vec::new(), refusals: Vec::new() };
        for difference in differences(&running.hmacs, &newer.hmacs) {
            let key = difference.key().to_lowercase();
            let block = key.split(['.', '[']).next().unwrap_or_default();
            if REFUSED.contains(&block) {
                let reason = "differs from the running configuration: a restart is needed";
                plan.refusals.push(format!("{}: {reason}", difference.key()));
            }
            if AT_START.contains(&key.as_str()) || AT_START.contains(&block) {
                plan.needs_restart.push(difference.key().to_owned());
            }
            plan.changes.push(change(difference));
        }
        if running.is_grpc_encrypted != newer.is_grpc_encrypted {
            plan.needs_restart.push("grpc".to_owned());
        }
        plan
    }
}

/// That the example application goes on with the client of its start; `None` if that client is unchanged or there is no
/// such application.
pub fn example_app_warning(running: &Config, changes: &[Change]) -> Option<String> {
    let id = &running.example_app.as_ref()?.client.id;
    let key = format!("staticClients[{id}]");
    let is_changed = changes.iter().any(|change| change.key.eq_ignore_ascii_case(&key));
    let warning = || format!("the example application uses {key} as it was until a restart");
    is_changed.then(warning)
}

/// Whether the signing key, or the service that keeps it, is another one.
pub fn changes_signer(changes: &[Change]) -> bool {
    changes.iter().any(|change| {
        let key = change.key.to_lowercase();
        key.split('.').next() == Some("signer")
    })
}

fn change(difference: Difference) -> Change {
    match difference {
        Difference::Added(key) => Change { key, kind: ChangeKind::Added },
        Difference::Removed(key) => Change { key, kind: ChangeKind::Removed },
        Difference::Changed(key) => Change { key, kind: ChangeKind::Changed },
    }
}

/// What is compared of a configuration, with HMACs that `key` makes.
pub fn digest(config: &Config, key: &Secret) -> ConfigurationDigest {
    let users = config.password_db.as_ref().map(|db| {
        let users = db.users.iter();
        users.map(|user| (user.user_id.clone(), user.hash.fingerprint())).collect()
    });
    let connectors = config.connectors.iter();
    ConfigurationDigest {
        format: FORMAT,
        hmacs: config.blocks.hmacs(key),
        connectors: connectors.map(|c| (c.id.to_string(), fingerprint(&c.fingerprint))).collect(),
        users,
        clients: config.clients.iter().map(|client| client.id.to_string()).collect(),
        is_grpc_encrypted: config.grpc.as_ref().map(|grpc| grpc.tls.is_some()),
    }
}

fn fingerprint(fingerprint: &Fingerprint) -> String {
    match fingerprint {
        Fingerprint::Upstream(upstream) => upstream.clone(),
        Fingerprint::PerUser => "that of each user".to_owned(),
    }
}

/// Live sessions that the new configuration would reject: of connectors that are removed or have another upstream, of
/// local users who are removed or have another password, and those with grants of removed clients.
pub async fn ending_sessions(
    issuer: &Issuer,
    running: &Config,
    newer: &ConfigurationDigest,
) -> Result<Vec<EndingSessions>, String> {
    let mut ending = Vec::new();
    let mut add = async |what: String, reason: &str, filter: SessionFilter| {
        let count = issuer.store.count_sessions(&filter).await.map_err(|e| e.to_string())?;
        if count.sessions > 0 {
            ending.push(EndingSessions {
                what,
                reason: reason.to_owned(),
                sessions: count.sessions,
            });
        }
        Ok::<(), String>(())
    };
    // Connectors of the database remain, whatever the file contains.
    let configured = issuer.connectors.iter().filter(|c| issuer.connectors.is_configured(&c.id));
    for connector in configured {
        let is_kept_local = connector.id.as_str() == LOCAL && newer.users.is_some();
        let reason = match newer.connectors.get(connector.id.as_str()) {
            _ if is_kept_local => continue,
            None => "it is removed",
            Some(newer) if *newer != fingerprint(&connector.fingerprint) => {
                "it uses another upstream"
            }
            Some(_) => continue,
        };
        let filter =
            SessionFilter { connector: Some(connector.id.clone()), ..SessionFilter::default() };
        add(format!("connector {}", connector.id), reason, filter).await?;
    }
    let newer_users = newer.users.as_ref();
    let users = running.password_db.iter().filter(|_| newer_users.is_some());
    for user in users.flat_map(|db| &db.users) {
        let reason = match newer_users.and_then(|users| users.get(&user.user_id)) {
            None => "they are removed",
            Some(other) if *other != user.hash.fingerprint() => "their password is another",
            Some(_) => continue,
        };
        let person = Some((ConnectorId::new(LOCAL), user.user_id.clone()));
        let filter = SessionFilter { person, ..SessionFilter::default() };
        add(format!("user {}", user.email), reason, filter).await?;
    }
    for client in &running.clients {
        if !newer.clients.contains(client.id.as_str()) {
            let filter =
                SessionFilter { client: Some(client.id.clone()), ..SessionFilter::default() };
            let reason = "it is removed: what it holds is refused, the sessions stay";
            add(format!("client {}", client.id), reason, filter).await?;
        }
    }
    Ok(ending)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use countersign_server::process_state::{Change, ChangeKind, ConfigurationDigest};

    use super::{AT_START, Plan, REFUSED, example_app_warning};
    use crate::config;

    /// What a reload applies: blocks, and the keys of blocks of which some are read only at start-up.
    const APPLIED: [&str; 33] = [
        "rootkey",
        "rootkeyenv",
        "rootkeyfile",
        "logger",
        "frontend",
        "oauth2",
        "expiry",
        "signer",
        "sessions",
        "retention",
        "staticclients",
        "clusters",
        "admin",
        "connectors",
        "enablepassworddb",
        "staticpasswords",
        "telemetry.enableprofiling",
        "web.tlscert",
        "web.tlskey",
        "web.tlsminversion",
        "web.tlsmaxversion",
        "web.allowedorigins",
        "web.allowedheaders",
        "web.headers",
        "web.clientremoteip",
        "grpc.tlscert",
        "grpc.tlskey",
        "grpc.tlsclientca",
        "grpc.tlsminversion",
        "grpc.tlsmaxversion",
        "limits.devicerequests",
        "limits.devicerequestsperaddress",
        "limits.unansweredcommits",
    ];
    const FILE: &str = "issuer: https://login.example.com/dex
storage: {type: memory}
web: {http: '127.0.0.1:5556'}
telemetry: {http: '127.0.0.1:5558'}
grpc: {addr: '127.0.0.1:5557'}
limits: {connections: 99}
exampleApp: {clientID: app}
";

    #[test]
    fn another_example_application_needs_a_restart() {
        let digest = |hmac: &str| ConfigurationDigest {
            hmacs: BTreeMap::from([("exampleApp.clientID".to_owned(), hmac.to_owned())]),
            ..ConfigurationDigest::default()
        };
        let plan = Plan::of(&digest("one"), &digest("other"));
        assert_eq!(plan.needs_restart, ["exampleApp.clientID"]);
        assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    }

    #[test]
    fn a_changed_client_of_the_example_application_is_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        let client = "staticClients: [{id: app, name: App, secret: the-secret-of-the-application, redirectURIs: \
                      ['http://127.0.0.1:5555/callback']}]";
        let local = "enablePasswordDB: true\nstaticPasswords: []";
        std::fs::write(&file, format!("{FILE}{client}\n{local}\n")).unwrap();
        let loaded = config::load(&file, &|_| None, false);
        let problems = loaded.to_string();
        let running = loaded.config.unwrap_or_else(|| panic!("{problems}"));
        let change = |key: &str| [Change { key: key.to_owned(), kind: ChangeKind::Changed }];
        let warning = example_app_warning(&running, &change("staticClients[app]")).unwrap();
        assert!(warning.contains("staticClients[app]"), "{warning}");
        assert_eq!(example_app_warning(&running, &change("staticClients[other]")), None);
    }

    /// A new key belongs into one of the lists.
    #[test]
    fn every_key_is_applied_by_a_reload_or_named_as_one_that_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, FILE).unwrap();
        let loaded = config::load(&file, &|_| None, false);
        let divided: BTreeSet<&str> =
            AT_START.iter().filter_map(|key| Some(key.split_once('.')?.0)).collect();
        let mut known = BTreeSet::new();
        for path in loaded.known_keys() {
            let path = path.to_lowercase();
            let mut parts = path.split(['.', '[']);
            let block = parts.next().unwrap();
            match parts.next() {
                Some(key) if divided.contains(block) => known.insert(format!("{block}.{key}")),
                None if divided.contains(block) => false,
                _ => known.insert(block.to_owned()),
            };
        }
        let lists = [&REFUSED[..], &AT_START, &APPLIED].concat();
        let listed: BTreeSet<String> = lists.iter().map(|key| (*key).to_owned()).collect();
        let unlisted: Vec<_> = known.difference(&listed).collect();
        assert!(unlisted.is_empty(), "what does a reload do with {unlisted:?}?\n{loaded}");
        let unknown: Vec<_> = listed.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?} are no keys\n{loaded}");
    }
}
