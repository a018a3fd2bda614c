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
/// Keys that are read only at start-up.
const AT_START: [&str; 11] = [
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
            if AT_START.contains(&key.as_str()) {
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
