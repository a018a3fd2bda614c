//! The transit secrets engine of HashiCorp Vault or OpenBao as the keeper of the signing key (`signer.type: vault`).
//!
//! [`read`] reads the keys of Dex's `signer.config`, and the token that requests are sent with. `transit` sends the
//! requests: the versions of the key, a signature, and those that renew the token. No request is sent while the
//! configuration is read.

mod transit;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_config::{Environment, Section, read_text};
use countersign_core::clock::show_duration;
use countersign_core::{ExternalSigner, Secret};
use reqwest::header::HeaderValue;
use serde::Deserialize;
use url::Url;

use crate::oauth::{ApiRequest, Http, Roots, base_url};
use transit::Transit;

/// A token request waits for two signatures.
const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(30);
const MAX_FILE_BYTES: usize = 64 * 1024;
/// A token that expires within this time and cannot be renewed is worth a warning.
const SOON: Duration = Duration::from_hours(72);
/// The same for a token of `tokenFile`: a Vault agent replaces it earlier than this.
const SOON_IN_FILE: Duration = Duration::from_mins(2);

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

/// The Vault token that requests are sent with: from the configuration, the environment, or a file that a Vault agent
/// rewrites.
struct Credential {
    file: Option<PathBuf>,
    token: RwLock<Secret>,
    namespace: Option<Secret>,
}

/// `data` of `auth/token/lookup-self`: seconds, and 0 for a token that does not expire.
#[derive(Deserialize)]
struct TokenLookup {
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    creation_ttl: u64,
    #[serde(default)]
    renewable: bool,
}

impl TokenLookup {
    /// Renewed in the second half of its life, as Vault's agents do.
    fn is_due(&self) -> bool {
        self.renewable && self.ttl > 0 && self.ttl < self.creation_ttl.div_ceil(2)
    }

    /// That the token expires soon, and no renewal has helped. `is_from_file`: something else replaces it, and has not.
    fn warning(&self, is_from_file: bool) -> Option<String> {
        let left = Duration::from_secs(self.ttl);
        let (soon, advice) = match is_from_file {
            true => (SOON_IN_FILE, "tokenFile has no newer one"),
            false => (SOON, "give a new one"),
        };
        let expires = self.ttl > 0 && left < soon && (!self.renewable || self.is_due());
        let text = || {
            let left = show_duration(left);
            format!("the Vault token expires in {left} and cannot be renewed: {advice}")
        };
        expires.then(text)
    }
}

impl Credential {
    /// `token` or `tokenFile`; otherwise the environment variable (its name and value). `None` with a problem recorded.
    fn read(section: &Section<'_>, variable: Option<(String, String)>) -> Option<Self> {
        let token = section.secret("token").filter(|token| !token.is_empty());
        let file = section.text("tokenFile").filter(|file| !file.is_empty()).map(PathBuf::from);
        let token = match (token, &file) {
            (Some(_), Some(_)) => {
                section
                    .error("tokenFile", "is given together with token, expected only one of them");
                return None;
            }
            (Some(token), None) => {
                header_value(token.expose()).map_err(|reason| ("token", reason.to_owned()))
            }
            (None, Some(file)) => token_of(section.files().read_text(file, MAX_FILE_BYTES))
                .map_err(|reason| ("tokenFile", format!("the file {} {reason}", file.display()))),
            (None, None) => match variable {
                Some((name, value)) => header_value(&value).map_err(|reason| {
                    ("token", format!("the environment variable {name} {reason}"))
                }),
                None => {
                    let reason =
                        "is missing: give token, tokenFile or the environment variable VAULT_TOKEN";
                    Err(("token", reason.to_owned()))
                }
            },
        };
        let token = token.map_err(|(key, reason)| section.error(key, reason)).ok()?;
        Some(Self { file, token: RwLock::new(token), namespace: None })
    }

    /// Whether something else replaces the token.
    fn is_from_file(&self) -> bool {
        self.file.is_some()
    }

    fn in_namespace(self, namespace: Option<Secret>) -> Self {
        Self { namespace, ..self }
    }

    /// Adds the headers of Vault's API. `X-Vault-Request` is what a Vault agent may demand against forged requests.
    fn sign_in<'a>(&self, request: ApiRequest<'a>) -> ApiRequest<'a> {
        let request = request.header("x-vault-token", self.token());
        let request = request.header("x-vault-request", Secret::new("true"));
        match &self.namespace {
            Some(namespace) => request.header("x-vault-namespace", namespace.clone()),
            None => request,
        }
    }

    fn token(&self) -> Secret {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again; an unreadable file changes nothing.
    async fn reload(&self) {
        let Some(file) = self.file.clone() else { return };
        let read =
            tokio::task::spawn_blocking(move || token_of(read_text(&file, MAX_FILE_BYTES))).await;
        if let Ok(Ok(found)) = read {
            *self.token.write().unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    /// Reads the file again because `refused` was refused. Returns whether there is another token now, which a concurrent
    /// request may have read before.
    async fn reload_after(&self, refused: &Secret) -> bool {
        self.reload().await;
        !self.token().matches(refused.expose())
    }
}

/// The token of a file that was read. The error does not contain the name of the file.
fn token_of(text: Result<String, String>) -> Result<Secret, String> {
    header_value(&text?).map_err(str::to_owned)
}

/// The text without white space around it, such as the line end of a file or of a command's output. The error does not
/// contain it.
fn header_value(text: &str) -> Result<Secret, &'static str> {
    match text.trim() {
        "" => Err("is empty"),
        text if HeaderValue::from_str(text).is_ok() => Ok(Secret::new(text)),
        _ => Err("has a character that no header can have"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;

    use countersign_core::Secret;

    use super::{Credential, TokenLookup, header_value};

    fn token(ttl: u64, creation_ttl: u64, renewable: bool) -> TokenLookup {
        TokenLookup { ttl, creation_ttl, renewable }
    }

    #[test]
    fn a_renewable_token_is_renewed_in_the_second_half_of_its_life() {
        assert!(!token(3600, 3600, true).is_due());
        assert!(!token(1800, 3600, true).is_due());
        assert!(token(1799, 3600, true).is_due());
        assert!(!token(1, 3600, false).is_due());
        assert!(!token(0, 0, true).is_due(), "a root token does not expire");
    }

    #[test]
    fn a_token_that_expires_soon_for_good_is_a_warning() {
        let warning = |token: TokenLookup| token.warning(false);
        let text = warning(token(3600, 7200, false)).unwrap();
        assert!(text.contains("expires in 1h") && text.ends_with("give a new one"), "{text}");
        assert!(warning(token(60, 3600, true)).is_some(), "it reached its maximum");
        assert!(warning(token(3600, 3600, true)).is_none());
        assert!(warning(token(3_000_000, 3_000_000, false)).is_none());
        assert!(warning(token(0, 0, false)).is_none());
    }

    #[test]
    fn a_token_that_an_agent_replaces_is_a_warning_only_when_it_has_not() {
        assert!(token(1000, 3600, false).warning(true).is_none());
        assert!(token(120, 3600, false).warning(true).is_none());
        let text = token(119, 3600, false).warning(true).unwrap();
        assert!(text.ends_with("tokenFile has no newer one"), "{text}");
    }

    #[tokio::test]
    async fn each_request_whose_token_was_refused_is_repeated_with_the_newer_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "hvs.newer\n").unwrap();
        let old = Secret::new("hvs.old");
        let token = RwLock::new(old.clone());
        let credential = Credential { file: Some(file), token, namespace: None };
        for request in ["the first", "a concurrent one"] {
            assert!(credential.reload_after(&old).await, "{request}");
        }
        assert!(!credential.reload_after(&Secret::new("hvs.newer")).await, "there is no other");
    }

    #[test]
    fn white_space_around_a_token_is_removed_and_a_character_of_no_header_refused() {
        assert_eq!(header_value(" hvs.a-token\r\n").unwrap().expose(), "hvs.a-token");
        assert!(header_value(" \n").is_err());
        for text in ["hvs.a\nb", "hvs.a\0"] {
            assert!(header_value(text).is_err(), "{text:?}");
        }
    }
}
