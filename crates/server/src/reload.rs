//! Reading the configuration again: the request of the API to the program, and its response. The program does it; here
//! are the words.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// Sent to the program by [`crate::ProcessState::request_reload`].
#[derive(Debug)]
pub struct ReloadRequest {
    pub action: ReloadAction,
    pub reply: oneshot::Sender<ReloadReport>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadAction {
    /// Only say what would change.
    Plan,
    Apply,
}

/// How the file differs from the configuration in use, or why it cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The file is in use now, except for what needs a restart.
    pub applied: bool,
    /// Why nothing was or would be applied. Empty: the file can be used.
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
    /// Keys whose values differ; of lists, the entries.
    pub changes: Vec<Change>,
    /// Those of `changes` that take effect after a restart only.
    pub needs_restart: Vec<String>,
    /// Live sessions that are over with this configuration: refused at their next use.
    pub ending: Vec<EndingSessions>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Such as `expiry.idTokens` or `staticClients[grafana]`.
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
    /// Such as `connector ldap`.
    pub what: String,
    pub reason: String,
    pub sessions: i64,
}
