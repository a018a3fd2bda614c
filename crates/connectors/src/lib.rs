//! The connectors: one file or folder for each type of upstream, used from outside only through the traits in
//! `countersign_core::connector`. [`vault`] is none: it signs tokens, over the same HTTP machinery.
//!
//! Only this crate uses ldap3, octocrab, argon2, bcrypt, roxmltree and upstream OAuth. Configuration and certificate
//! files are read when a connector is built; no connection is opened before a user logs in. It stores nothing, sends
//! nothing to a browser, and does not decide what a refusal means for a session.
//!
//! Start with [`read`]. Connectors of the OAuth family share `oauth`: an OpenID provider implements `Upstream`, an
//! OAuth 2.0 provider with its own API `UserApi`, and one that verifies passwords over HTTP `PasswordApi`.

use countersign_config::{Section, nearest};
use countersign_core::{Connector, ConnectorId};

mod attempt_name;
mod authproxy;
mod ber;
mod bitbucket;
mod certificates;
mod crowd;
mod gitea;
mod github;
mod gitlab;
mod google;
mod keystone;
pub mod ldap;
mod linkedin;
pub mod local;
mod microsoft;
mod mock;
mod oauth;
mod oauth2;
mod oidc;
mod openshift;
pub mod password;
mod saml;
pub mod vault;

/// The values of `type` that [`read`] accepts. `local` is not among them: `enablePasswordDB` enables it.
const KINDS: &[&str] = &[
    "atlassian-crowd",
    "authproxy",
    "bitbucket-cloud",
    "gitea",
    "github",
    "gitlab",
    "google",
    "keystone",
    "ldap",
    "linkedin",
    "microsoft",
    "mockCallback",
    "mockPassword",
    "oauth",
    "oidc",
    "openshift",
    "saml",
    "samlExperimental",
];

pub fn kinds() -> &'static [&'static str] {
    KINDS
}

/// Why an entry of `connectors:` cannot be read at all: unknown `type`, or a missing `config`. The caller records it at
/// the key `type`.
pub fn check_kind(kind: &str, has_config: bool) -> Result<(), String> {
    if KINDS.contains(&kind) {
        // The only type without keys of its own.
        return match has_config || kind == "mockCallback" {
            true => Ok(()),
            false => Err(format!("{kind} needs a config")),
        };
    }
    let hint = nearest(kind, KINDS.iter().copied())
        .map_or_else(String::new, |near| format!(", did you mean {near}?"));
    Err(format!("{kind:?} is not a known connector, expected one of {}{hint}", KINDS.join(", ")))
}

/// Reads one entry of `connectors:`, after environment variables are expanded in `config`. Records every problem in the
/// section; `None` if it cannot be used. Without a section nothing can be recorded: call [`check_kind`] first.
///
/// A new connector is a new file, a line in this match, and its type in `KINDS`.
pub fn read(
    kind: &str,
    id: ConnectorId,
    name: String,
    config: Option<Section<'_>>,
) -> Option<Connector> {
    if let Err(reason) = check_kind(kind, config.is_some()) {
        if let Some(section) = config {
            section.error("type", reason);
        }
        return None;
    }
    match kind {
        "atlassian-crowd" => crowd::read(id, name, config?),
        "authproxy" => authproxy::read(id, name, config?),
        "bitbucket-cloud" => bitbucket::read(id, name, config?),
        "gitea" => gitea::read(id, name, config?),
        "github" => github::read(id, name, config?),
        "gitlab" => gitlab::read(id, name, config?),
        "google" => google::read(id, name, config?),
        "keystone" => keystone::read(id, name, config?),
        "ldap" => ldap::read(id, name, config?),
        "linkedin" => linkedin::read(id, name, config?),
        "microsoft" => microsoft::read(id, name, config?),
        "mockCallback" => Some(mock::callback(id, name, config)),
        "mockPassword" => mock::password(id, name, config?),
        "oauth" => oauth2::read(id, name, config?),
        "oidc" => oidc::read(id, name, config?),
        "openshift" => openshift::read(id, name, config?),
        "saml" | "samlExperimental" => saml::read(id, name, config?),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tree;
