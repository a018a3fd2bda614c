//! The Vault token that requests are sent with: from the configuration, the environment, or a file that a Vault agent
//! rewrites.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use countersign_config::{Section, read_text};
use countersign_core::Secret;
use countersign_core::clock::show_duration;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use crate::oauth::ApiRequest;

const MAX_FILE_BYTES: usize = 64 * 1024;
/// A token that expires within this time and cannot be renewed is worth a warning.
const SOON: Duration = Duration::from_hours(72);
/// The same for a token of `tokenFile`: a Vault agent replaces it earlier than this.
const SOON_IN_FILE: Duration = Duration::from_mins(2);

pub(super) struct Credential {
    file: Option<PathBuf>,
    token: RwLock<Secret>,
    namespace: Option<Secret>,
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

    /// That the token expires soon, and no renewal has helped. `is_from_file`: something else replaces it, and has not.
    pub(super) fn warning(&self, is_from_file: bool) -> Option<String> {
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
    pub(super) fn read(section: &Section<'_>, variable: Option<(String, String)>) -> Option<Self> {
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
    pub(super) fn is_from_file(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn in_namespace(self, namespace: Option<Secret>) -> Self {
        Self { namespace, ..self }
    }

    /// Adds the headers of Vault's API. `X-Vault-Request` is what a Vault agent may demand against forged requests.
    pub(super) fn sign_in<'a>(&self, request: ApiRequest<'a>) -> ApiRequest<'a> {
        let request = request.header("x-vault-token", self.token());
        let request = request.header("x-vault-request", Secret::new("true"));
        match &self.namespace {
            Some(namespace) => request.header("x-vault-namespace", namespace.clone()),
            None => request,
        }
    }

    pub(super) fn token(&self) -> Secret {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again; an unreadable file changes nothing.
    pub(super) async fn reload(&self) {
        let Some(file) = self.file.clone() else { return };
        let read =
            tokio::task::spawn_blocking(move || token_of(read_text(&file, MAX_FILE_BYTES))).await;
        if let Ok(Ok(found)) = read {
            *self.token.write().unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    /// Reads the file again because `refused` was refused. Returns whether there is another token now, which a concurrent
    /// request may have read before.
    pub(super) async fn reload_after(&self, refused: &Secret) -> bool {
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
pub(super) fn header_value(text: &str) -> Result<Secret, &'static str> {
    match text.trim() {
        "" => Err("is empty"),
        text if HeaderValue::from_str(text).is_ok() => Ok(Secret::new(text)),
        _ => Err("has a character that no header can have"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
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
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"hvs.newer\n").unwrap();
        let old = Secret::new("hvs.old");
        let token = RwLock::new(old.clone());
        let path = Some(file.path().to_owned());
        let credential = Credential { file: path, token, namespace: None };
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
