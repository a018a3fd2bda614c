//! The transit secrets engine of HashiCorp Vault or OpenBao as the keeper of the signing key (`signer.type: vault`).
//!
//! [`read`] reads the keys of Dex's `signer.config`. `transit` sends the requests: the versions of the key, a
//! signature. `credential` is the token they are sent with, and renews it. No request is sent while the configuration
//! is read.

mod credential;
mod transit;

use std::sync::Arc;
use std::time::Duration;

use countersign_config::{Environment, Section};
use countersign_core::{ExternalSigner, Secret};
use url::Url;

use crate::oauth::{Http, Roots, base_url};
use credential::{Credential, header_value};
use transit::Transit;

/// A token request waits for two signatures.
const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(30);

/// Reads `signer.config` of type `vault`. `None` with every problem recorded. As in Dex, `VAULT_ADDR` and `VAULT_TOKEN`
/// stand in for `addr` and `token`; as in the client library that Dex uses, so do `VAULT_CACERT` and `VAULT_NAMESPACE`,
/// and each is preferred under its OpenBao name.
pub fn read(section: &Section<'_>, env: Environment<'_>) -> Option<Arc<dyn ExternalSigner>> {
    let addr = read_addr(section, env);
    let credential = Credential::read(section, from_environment(env, "TOKEN"));
    let key = section.required_text("keyName").filter(|key| is_name(section, "keyName", key));
    let mount = section.text("mount").filter(|mount| !mount.is_empty());
    let mount = mount.unwrap_or_else(|| "transit".to_owned());
    let mount = Some(mount.trim_matches('/').to_owned())
        .filter(|mount| mount.split('/').all(|part| is_name(section, "mount", part)));
    let namespace = read_namespace(section, env);
    let timeout = section.duration("timeout").unwrap_or(TIMEOUT);
    if timeout.is_zero() || timeout > LONGEST {
        section.error("timeout", "must be longer than 0s and at most 30s");
    }
    let certificate = from_environment(env, "CACERT");
    let certificate = certificate.as_ref().map(|(name, value)| (name.as_str(), value.clone()));
    let roots = Roots::read_file_or(section, certificate);
    let http = match (roots, &addr) {
        (Some(roots), Some(addr)) => Http::read(section, roots, timeout.min(LONGEST), &[addr]),
        _ => None,
    };
    let (addr, key, mount) = (addr?, key?, mount?);
    // Without a user name and password that the URL may contain.
    let place = format!("{}{}", addr.origin().ascii_serialization(), addr.path());
    let name = format!("{mount}/keys/{key} at {}", place.trim_end_matches('/'));
    let rotation = format!("vault write -f {mount}/keys/{key}/rotate");
    let credential = credential?.in_namespace(namespace.ok()?);
    let http = http?;
    Some(Arc::new(Transit { http, addr, mount, key, name, rotation, timeout, credential }))
}

fn read_addr(section: &Section<'_>, env: Environment<'_>) -> Option<Url> {
    if section.text("addr").is_some_and(|addr| !addr.is_empty()) {
        return base_url(section, "addr", "");
    }
    let Some((name, value)) = from_environment(env, "ADDR") else {
        let reason = "is missing, and so is the environment variable VAULT_ADDR";
        section.error("addr", reason);
        return None;
    };
    match Url::parse(&value) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => Some(url),
        _ => {
            section.error("addr", format!("{name} is {value:?}, expected an https URL"));
            None
        }
    }
}

/// `Err` with a problem recorded.
fn read_namespace(section: &Section<'_>, env: Environment<'_>) -> Result<Option<Secret>, ()> {
    let configured = section.text("namespace").filter(|namespace| !namespace.is_empty());
    let (name, text) = match configured {
        Some(text) => (None, text),
        None => match from_environment(env, "NAMESPACE") {
            Some((name, value)) => (Some(name), value),
            None => return Ok(None),
        },
    };
    let refuse = |reason: &str| match &name {
        Some(name) => {
            section.error("namespace", format!("the environment variable {name} {reason}"));
        }
        None => section.error("namespace", reason),
    };
    header_value(&text).map(Some).map_err(refuse)
}

/// The variable of OpenBao if it is set, otherwise that of Vault; with its name.
fn from_environment(env: Environment<'_>, name: &str) -> Option<(String, String)> {
    ["BAO", "VAULT"].into_iter().find_map(|product| {
        let name = format!("{product}_{name}");
        let value = env(&name).filter(|value| !value.is_empty())?;
        Some((name, value))
    })
}

/// Whether the text can be a part of Vault's path; otherwise a problem is recorded.
fn is_name(section: &Section<'_>, key: &'static str, text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_name = text.chars().all(allowed) && text.contains(|c: char| c.is_ascii_alphanumeric());
    if !is_name {
        section.error(key, format!("found {text:?}, expected letters, digits, '_', '-' and '.'"));
    }
    is_name
}
