//! The parsed authorization request.

use countersign_core::session::Challenge;
use countersign_core::{
    ClientId, ConnectorId, GrantType, LoginScopes, ResponseType, Scopes, Timestamp, UserCode,
    scopes,
};
use serde::{Deserialize, Serialize};

/// Longest path with query of an [`AccountPage`].
const MAX_ACCOUNT_PAGE_BYTES: usize = 1024;

/// Decoded parameters of a query or a form, each at most once (RFC 6749 section 3.1).
#[derive(Clone, Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self { pairs }
    }

    /// An empty value counts as absent (RFC 6749 section 3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The value even if empty: `state` is returned exactly as received.
    pub fn get_exact(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first of the `known` parameters that occurs more than once. Ignored parameters may be repeated, such as
    /// `resource` (RFC 8707).
    pub fn repeated(&self, known: &[&str]) -> Option<&str> {
        let names = self.pairs.iter().map(|(name, _)| name.as_str());
        let mut names: Vec<&str> = names.filter(|name| known.contains(name)).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair.first() == pair.last()).and_then(|p| p.first()).copied()
    }

    pub fn is_repeated(&self, name: &str) -> bool {
        self.pairs.iter().filter(|(key, _)| key == name).count() > 1
    }

    /// Bytes of all names and values except `id_token_hint`, of which only the subject is kept.
    pub fn size_bytes(&self) -> usize {
        let kept = self.pairs.iter().filter(|(name, _)| name != "id_token_hint");
        kept.map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Whether any name or value contains a NUL character, which the databases cannot store.
    pub fn has_nul(&self) -> bool {
        self.pairs.iter().any(|(name, value)| name.contains('\0') || value.contains('\0'))
    }
}

/// How the authorization response is returned (OAuth 2.0 Multiple Response Types 2.1, OAuth 2.0 Form Post).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseMode {
    #[default]
    Query,
    /// Required when the response contains tokens (OAuth 2.0 Multiple Response Types section 3).
    Fragment,
    FormPost,
}

/// The values of `prompt` (OpenID Connect Core 3.1.2.1). `none` is allowed only alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    pub none: bool,
    pub login: bool,
    pub consent: bool,
    pub select_account: bool,
}

/// An authorization request whose client and redirect URI are verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthRequest {
    /// Stored as `codes.request_id`, so that the request completes only once.
    pub id: String,
    pub client: ClientId,
    /// Empty for a login that ends at one of our own pages.
    pub redirect_uri: String,
    #[serde(default = "code_response")]
    pub response_type: ResponseType,
    pub response_mode: ResponseMode,
    pub state: Option<String>,
    pub scopes: Scopes,
    pub nonce: Option<String>,
    pub challenge: Option<Challenge>,
    pub prompt: Prompt,
    /// Seconds (OpenID Connect Core 3.1.2.1).
    pub max_age: Option<u64>,
    /// `sub` of the ID token hint; the token itself is not kept.
    pub hint: Option<String>,
    pub login_hint: Option<String>,
    pub connector: Option<ConnectorId>,
    /// Set for a login to one of our own pages, which ends there without client, consent or code.
    #[serde(default)]
    pub account_page: Option<AccountPage>,
    /// Set for the login of a user who approves a device (RFC 8628); it ends with their decision.
    #[serde(default)]
    pub device: Option<DeviceLogin>,
    pub expires_at: Timestamp,
}

/// The response type of pending logins sealed by a version that did not store one.
const fn code_response() -> ResponseType {
    ResponseType::CODE
}

impl AuthRequest {
    /// Whether the login ends at one of our own pages, so that there is no client to send an error to.
    pub fn ends_here(&self) -> bool {
        self.account_page.is_some() || self.device.is_some()
    }

    /// The grant type that a connector must serve for this request, derived as in Dex.
    pub fn grant_type(&self) -> GrantType {
        if self.device.is_some() {
            GrantType::DeviceCode
        } else if self.response_type.has_tokens() {
            GrantType::Implicit
        } else {
            GrantType::AuthorizationCode
        }
    }

    /// The scopes that a login for this request needs at its upstream.
    pub fn login_scopes(&self) -> LoginScopes {
        LoginScopes {
            offline: self.scopes.has(scopes::OFFLINE_ACCESS),
            groups: self.scopes.has(scopes::GROUPS),
        }
    }
}

/// The device request that a login is for. It is part of the pending login, and thus sealed to one browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceLogin {
    pub user_code: UserCode,
    pub address: String,
    pub user_agent: String,
    pub requested_at: Timestamp,
}

/// The path and query of one of our own pages, relative to the issuer's path: `/admin/sessions?user=jane`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountPage(String);

impl AccountPage {
    /// The user's account page.
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// Parses a path with query. `None` for anything a browser could resolve to another origin.
    ///
    /// Characters are checked against an allowlist: backslash, space, control characters, empty and dot segments, and
    /// percent-encoding in the path are refused.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let segments = path.strip_prefix('/')?;
        let plain = |segment: &str| {
            segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~@:".contains(&b))
                && !matches!(segment, "." | "..")
        };
        let (last, before) = match segments.rsplit_once('/') {
            Some((before, last)) => (last, before.split('/').all(|s| !s.is_empty() && plain(s))),
            None => (segments, true),
        };
        let query_fits =
            query.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~@:/?=&%+,;!*'()".contains(&b));
        let fits = text.len() <= MAX_ACCOUNT_PAGE_BYTES && before && plain(last) && query_fits;
        fits.then(|| Self(text.to_owned()))
    }

    /// Begins with exactly one slash; callers prepend the issuer's path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{AccountPage, Params};

    #[test]
    fn a_repeated_parameter_is_detected_at_any_position() {
        let pairs = [("state", "a"), ("scope", "x"), ("state", "b")];
        let params = Params::new(pairs.map(|(k, v)| (k.into(), v.into())).to_vec());
        assert_eq!(params.repeated(&["state"]), Some("state"));
        assert!(params.is_repeated("state") && !params.is_repeated("scope"));
    }

    #[test]
    fn pages_of_ours_are_known_by_their_path() {
        for page in [
            "/",
            "/sessions",
            "/admin/",
            "/admin/sessions?user=jane%40example.com&group=a+b",
            "/admin/sessions/AbC-_09?flash=x.y",
            "/?page=2",
        ] {
            assert_eq!(AccountPage::parse(page).as_ref().map(AccountPage::as_str), Some(page));
        }
    }

    /// Threat 66: texts that browsers, proxies and frameworks have resolved to another origin.
    #[test]
    fn redirects_to_other_sites_are_no_account_page() {
        for other_target in [
            "",
            "evil",
            "//evil.example.com",
            "///evil.example.com",
            "/\\evil.example.com",
            "\\\\evil.example.com",
            "/\t/evil.example.com",
            "/%09/evil.example.com",
            "/%2f/evil.example.com",
            "/%5cevil.example.com",
            "/a//evil.example.com",
            "/./evil",
            "/../evil",
            "/admin/..",
            "/ /evil",
            "https:evil.example.com",
            "https://evil.example.com/",
            "javascript:alert(1)",
            "/admin#//evil",
            "/admin?a=\\b",
            "/admin?a=b c",
            "/admin\r\nLocation: https://evil.example.com",
            "/é",
            "/\0",
        ] {
            assert_eq!(AccountPage::parse(other_target), None, "{other_target:?}");
        }
        assert_eq!(AccountPage::parse(&format!("/{}", "a".repeat(2000))), None);
    }
}
