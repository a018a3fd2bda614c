//! The Vault token that requests are sent with: from the configuration, the environment, or a file that a Vault agent
//! rewrites.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use countersign_config::{Section, read_text};
use countersign_core::Secret;
use countersign_core::clock::show_duration;
use serde::Deserialize;

use crate::oauth::ApiRequest;

const MAX_FILE_BYTES: usize = 64 * 1024;
/// A token that expires within this time and cannot be renewed is worth a warning.
const SOON: Duration = Duration::from_hours(72);

pub(super) struct Credential {
    file: Option<PathBuf>,
    token: RwLock<Secret>,
    namespace: Option<String>,
}

/// `data` of `auth/token/lookup-self`: seconds, and 0 for a token that does not expire.
#[derive(Deserialize)]
pub(super) struct TokenLookup {
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    creation_ttl: u64,
    #[serde(default)]
    renewable: bool,
}

impl TokenLookup {
    /// Renewed in the second half of its life, as Vault's agents do.
    pub(super) fn is_due(&self) -> bool {
        self.renewable && self.ttl > 0 && self.ttl < self.creation_ttl.div_ceil(2)
    }

    /// That the token expires soon, and no renewal has helped.
    pub(super) fn warning(&self) -> Option<String> {
        let left = Duration::from_secs(self.ttl);
        let expires = self.ttl > 0 && left < SOON && (!self.renewable || self.is_due());
        let text = || {
            let left = show_duration(left);
            format!("the Vault token expires in {left} and cannot be renewed: give a new one")
        };
        expires.then(text)
    }
}

impl Credential {
    /// `token` or `tokenFile`; otherwise the environment variable (its name and value). `None` with a problem recorded.
    pub(super) fn read(section: &Section<'_>, variable: Option<(String, String)>) -> Option<Self> {
        let token = section.secret("token").filter(|token| !token.is_empty());
        let file = section.text("tokenFile").filter(|file| !file.is_empty()).map(PathBuf::from);
        let token = match (token, &file) {
            (Some(_), Some(_)) => {
                section
                    .error("tokenFile", "is given together with token, expected only one of them");
                return None;
            }
            (Some(token), None) => token,
            (None, Some(file)) => match token_of(section.files().read_text(file, MAX_FILE_BYTES)) {
                Ok(token) => token,
                Err(reason) => {
                    section.error("tokenFile", format!("the file {} {reason}", file.display()));
                    return None;
                }
            },
            (None, None) => match variable {
                Some((_, value)) => Secret::new(value),
                None => {
                    let reason =
                        "is missing: give token, tokenFile or the environment variable VAULT_TOKEN";
                    section.error("token", reason);
                    return None;
                }
            },
        };
        Some(Self { file, token: RwLock::new(token), namespace: None })
    }

    pub(super) fn in_namespace(self, namespace: Option<String>) -> Self {
        Self { namespace, ..self }
    }

    /// Adds the headers of Vault's API. `X-Vault-Request` is what a Vault agent may demand against forged requests.
    pub(super) fn sign_in<'a>(&self, request: ApiRequest<'a>) -> ApiRequest<'a> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner).clone();
        let request = request.header("x-vault-token", token);
        let request = request.header("x-vault-request", Secret::new("true"));
        match &self.namespace {
            Some(namespace) => request.header("x-vault-namespace", Secret::new(namespace.clone())),
            None => request,
        }
    }

    /// Reads the file again. Returns whether its token is another one; an unreadable file changes nothing.
    pub(super) async fn reload(&self) -> bool {
        let Some(file) = self.file.clone() else { return false };
        let read =
            tokio::task::spawn_blocking(move || token_of(read_text(&file, MAX_FILE_BYTES))).await;
        let Ok(Ok(found)) = read else { return false };
        let mut token = self.token.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = !token.matches(found.expose());
        *token = found;
        is_new
    }
}

/// The token of a file that was read. The error does not contain the name of the file.
fn token_of(text: Result<String, String>) -> Result<Secret, String> {
    match text?.trim() {
        "" => Err("is empty".to_owned()),
        token => Ok(Secret::new(token)),
    }
}

#[cfg(test)]
mod tests {
    use super::TokenLookup;

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
        assert!(token(3600, 7200, false).warning().unwrap().contains("expires in 1h"));
        assert!(token(60, 3600, true).warning().is_some(), "it reached its maximum");
        assert!(token(3600, 3600, true).warning().is_none());
        assert!(token(3_000_000, 3_000_000, false).warning().is_none());
        assert!(token(0, 0, false).warning().is_none());
    }
}
