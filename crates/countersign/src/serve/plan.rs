//! How a configuration file differs from the one in use: changed keys, what requires a restart, and whose sessions
//! would end.

use countersign_core::{ConnectorId, SessionFilter};
use countersign_issuer::Issuer;
use countersign_server::process_state::{Change, ChangeKind, EndingSessions};

use crate::config::blocks::Difference;
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
    pub fn of(running: &Config, newer: &Config) -> Self {
        let mut plan =
            Self { changes: Vec::new(), needs_restart: Vec::new(), refusals: Vec::new() };
        for difference in running.blocks.differences(&newer.blocks) {
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
        let is_encrypted = |config: &Config| config.grpc.as_ref().map(|grpc| grpc.tls.is_some());
        if is_encrypted(running) != is_encrypted(newer) {
            plan.needs_restart.push("grpc".to_owned());
        }
        plan
    }
}

fn change(difference: Difference) -> Change {
    match difference {
        Difference::Added(key) => Change { key, kind: ChangeKind::Added },
        Difference::Removed(key) => Change { key, kind: ChangeKind::Removed },
        Difference::Changed(key) => Change { key, kind: ChangeKind::Changed },
    }
}

/// Live sessions that the new configuration would reject: of connectors that are removed or have another upstream, of
/// local users who are removed or have another password, and those with grants of removed clients.
pub async fn ending_sessions(
    issuer: &Issuer,
    running: &Config,
    newer: &Config,
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
        let is_kept_local = connector.id.as_str() == LOCAL && newer.password_db.is_some();
        let reason = match newer.connectors.iter().find(|newer| newer.id == connector.id) {
            _ if is_kept_local => continue,
            None => "it is removed",
            Some(newer) if newer.fingerprint != connector.fingerprint => "it uses another upstream",
            Some(_) => continue,
        };
        let filter =
            SessionFilter { connector: Some(connector.id.clone()), ..SessionFilter::default() };
        add(format!("connector {}", connector.id), reason, filter).await?;
    }
    let users = |config: &Config| config.password_db.clone().map(|db| db.users).unwrap_or_default();
    let newer_users = users(newer);
    for user in users(running).iter().filter(|_| newer.password_db.is_some()) {
        let reason = match newer_users.iter().find(|other| other.user_id == user.user_id) {
            None => "they are removed",
            Some(other) if other.hash.fingerprint() != user.hash.fingerprint() => {
                "their password is another"
            }
            Some(_) => continue,
        };
        let person = Some((ConnectorId::new(LOCAL), user.user_id.clone()));
        let filter = SessionFilter { person, ..SessionFilter::default() };
        add(format!("user {}", user.email), reason, filter).await?;
    }
    for client in &running.clients {
        if newer.clients.iter().all(|other| other.id != client.id) {
            let filter =
                SessionFilter { client: Some(client.id.clone()), ..SessionFilter::default() };
            let reason = "it is removed: what it holds is refused, the sessions stay";
            add(format!("client {}", client.id), reason, filter).await?;
        }
    }
    Ok(ending)
}
