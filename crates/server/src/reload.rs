//! Reloading the configuration: the types of the API's request to the program, which performs the reload, and of its
//! report.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// A request to the program, sent by [`crate::ProcessState::request_reload`].
#[derive(Debug)]
pub struct ReloadRequest {
    pub action: ReloadAction,
    pub reply: oneshot::Sender<ReloadReport>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadAction {
    /// Only report what would change.
    Plan,
    /// Reload. `actor` is the administrator, for the audit log.
    Apply { actor: String },
}

/// How the file differs from the configuration in use, or why the file cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The file is now in use, except for what requires a restart.
    pub applied: bool,
    /// Why the file cannot be used; empty if it can.
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
    /// Keys whose values differ; for lists, the entries that differ.
    pub changes: Vec<Change>,
    /// Those of `changes` that take effect only after a restart.
    pub needs_restart: Vec<String>,
    /// Live sessions that this configuration invalidates: they are refused at their next use.
    pub ending: Vec<EndingSessions>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// A key, such as `expiry.idTokens` or `staticClients[grafana]`, or a file, such as `frontend.dir/texts.yaml`.
    pub key: String,
    pub kind: ChangeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Added,
    Removed,
    Changed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndingSessions {
    /// The reason's subject, such as `connector ldap`.
    pub what: String,
    pub reason: String,
    pub sessions: i64,
}
