//! The upstreams: one file or folder for each, all seen from outside only through the ports in
//! `countersign_core::connector`.
//!
//! The only room that sees ldap3, octocrab, argon2, bcrypt and upstream OAuth. It reads configuration and certificate files
//! when it is built and opens nothing on the network before somebody logs in. It never stores
//! anything, never talks to a browser, and never decides what a refusal means for a session.

use countersign_config::{Section, nearest};
use countersign_core::{Connector, ConnectorId};

mod authproxy;
mod ber;
mod certificates;
mod github;
mod gitlab;
mod google;
pub mod ldap;
mod linkedin;
pub mod local;
mod microsoft;
mod mock;
mod oauth;
mod oidc;
pub mod password;
mod saml;

/// The values of `type` that [`read`] understands. `local` is not among them: it is switched on by
/// `enablePasswordDB`.
const KINDS: &[&str] = &[
    "authproxy",
    "github",
    "gitlab",
    "google",
    "ldap",
    "linkedin",
    "microsoft",
    "mockCallback",
    "mockPassword",
    "oidc",
    "saml",
    "samlExperimental",
];

/// Dex has these, and a configuration that names one must not start as if it had not.
const NOT_YET: &[&str] = &[
    "atlassian-crowd",
    "bitbucket-cloud",
    "gitea",
    "keystone",
    "oauth",
    "openshift",
];

pub fn kinds() -> &'static [&'static str] {
    KINDS
}

/// Why an entry of `connectors:` cannot be read at all: its `type` is unknown or not built yet, or
/// it lacks the `config` it needs. To be noted by the caller at the key `type`, where the mistake is.
pub fn check_kind(kind: &str, has_config: bool) -> Result<(), String> {
    if KINDS.contains(&kind) {
        // The only one that has nothing to be told.
        return match has_config || kind == "mockCallback" {
            true => Ok(()),
            false => Err(format!("{kind} needs a config")),
        };
    }
    if NOT_YET.contains(&kind) {
        return Err(format!("{kind} is a connector of Dex that is not supported yet"));
    }
    let hint = nearest(kind, KINDS.iter().chain(NOT_YET).copied())
        .map_or_else(String::new, |near| format!(", did you mean {near}?"));
    Err(format!("{kind:?} is not a known connector, expected one of {}{hint}", KINDS.join(", ")))
}

/// One entry of `connectors:`. `config` is already env-expanded. Notes every problem in the section;
/// `None` if it cannot be used. Without a section a problem cannot be noted: ask [`check_kind`] first.
///
/// A new upstream is one new file and one line in this match.
pub fn read(
    kind: &str,
    id: ConnectorId,
    name: String,
    config: Option<Section<'_>>,
) -> Option<Connector> {
    if let Err(why) = check_kind(kind, config.is_some()) {
        if let Some(section) = config {
            section.error("type", why);
        }
        return None;
    }
    match kind {
        "authproxy" => authproxy::read(id, name, config?),
        "github" => github::read(id, name, config?),
        "gitlab" => gitlab::read(id, name, config?),
        "google" => google::read(id, name, config?),
        "ldap" => ldap::read(id, name, config?),
        "linkedin" => linkedin::read(id, name, config?),
        "microsoft" => microsoft::read(id, name, config?),
        "mockCallback" => Some(mock::callback(id, name, config)),
        "mockPassword" => mock::password(id, name, config?),
        "oidc" => oidc::read(id, name, config?),
        "saml" | "samlExperimental" => saml::read(id, name, config?),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tree;
