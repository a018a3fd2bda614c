//! The authorization response to the client's redirect URI: a code, tokens or an error, always with `iss` (RFC 9207).

use url::Url;

use super::{AuthRequest, ResponseMode};
use crate::settings::IssuerUrl;

/// Error codes of RFC 6749 section 4.1.2.1 and OpenID Connect Core 3.1.2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    InvalidRequest,
    UnauthorizedClient,
    AccessDenied,
    UnsupportedResponseType,
    InvalidScope,
    ServerError,
    TemporarilyUnavailable,
    LoginRequired,
    ConsentRequired,
    RequestNotSupported,
    RequestUriNotSupported,
}

impl ErrorCode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
        }
    }
}

/// The error of an authorization response (RFC 6749 section 4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationError {
    pub code: ErrorCode,
    /// ASCII without quotes and backslashes (RFC 6749 section 4.1.2.1).
    pub description: String,
}

impl AuthorizationError {
    pub fn new(code: ErrorCode, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }
}

/// The response of a completed authorization request.
#[derive(Clone, Debug)]
pub struct AuthorizationResponse {
    pub redirect_uri: String,
    pub mode: ResponseMode,
    pub fields: Vec<(&'static str, String)>,
}

/// Base for parsing a redirect URI that is only a path; never sent.
const ANY_ORIGIN: &str = "https://origin.invalid";

impl AuthorizationResponse {
    /// A successful response with a code, tokens or both.
    pub fn success(
        request: &AuthRequest,
        issuer: &IssuerUrl,
        fields: Vec<(&'static str, String)>,
    ) -> Self {
        Self::of(&request.redirect_uri, request.response_mode, fields)
            .with(request.state.as_deref(), issuer)
    }

    pub fn error(request: &AuthRequest, issuer: &IssuerUrl, error: AuthorizationError) -> Self {
        Self::refusal(
            &request.redirect_uri,
            request.response_mode,
            request.state.as_deref(),
            issuer,
            error,
        )
    }

    pub fn refusal(
        redirect_uri: &str,
        mode: ResponseMode,
        state: Option<&str>,
        issuer: &IssuerUrl,
        error: AuthorizationError,
    ) -> Self {
        let fields = vec![
            ("error", error.code.as_str().to_owned()),
            ("error_description", error.description),
        ];
        Self::of(redirect_uri, mode, fields).with(state, issuer)
    }

    fn of(redirect_uri: &str, mode: ResponseMode, fields: Vec<(&'static str, String)>) -> Self {
        Self { redirect_uri: redirect_uri.to_owned(), mode, fields }
    }

    /// Adds `state` exactly as received, even if empty (RFC 6749 section 4.1.2), and `iss`.
    fn with(mut self, state: Option<&str>, issuer: &IssuerUrl) -> Self {
        if let Some(state) = state {
            self.fields.push(("state", state.to_owned()));
        }
        self.fields.push(("iss", issuer.as_str().to_owned()));
        self
    }

    /// The redirect URI with the fields in its query or fragment; `None` if it is not a URL, which registration
    /// excludes.
    pub fn location(&self) -> Option<String> {
        // A registered redirect URI may be a path on this host, as in Dex; it is returned as a path.
        let is_path = self.redirect_uri.starts_with('/');
        let origin = if is_path { ANY_ORIGIN } else { "" };
        let mut url = Url::parse(&format!("{origin}{}", self.redirect_uri)).ok()?;
        if self.mode == ResponseMode::Fragment {
            let mut fragment = url::form_urlencoded::Serializer::new(String::new());
            let fragment = fragment.extend_pairs(&self.fields).finish();
            url.set_fragment(Some(&fragment));
        } else {
            for (name, value) in &self.fields {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        // `/.//host` is a path, but becomes `//host`, which browsers resolve to another host.
        let location = url.as_str().strip_prefix(origin)?;
        (!location.starts_with("//")).then(|| location.to_owned())
    }

    /// The value of a response parameter.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{AuthorizationResponse, ResponseMode};

    #[test]
    fn the_query_of_a_redirect_uri_is_kept_and_added_to() {
        let reply = AuthorizationResponse {
            redirect_uri: "https://app.example.com/cb?tenant=a%20b".into(),
            mode: ResponseMode::Query,
            fields: vec![("code", "c".into()), ("state", "\r\n&=é".into())],
        };
        assert_eq!(
            reply.location().unwrap(),
            "https://app.example.com/cb?tenant=a%20b&code=c&state=%0D%0A%26%3D%C3%A9"
        );
    }

    #[test]
    fn a_path_does_not_become_another_host() {
        let reply = AuthorizationResponse {
            redirect_uri: "/.//evil.example.com/cb".into(),
            mode: ResponseMode::Query,
            fields: vec![("code", "c".into())],
        };
        assert_eq!(reply.location(), None);
    }

    #[test]
    fn a_path_of_this_host_stays_one() {
        let reply = AuthorizationResponse {
            redirect_uri: "/oauth2/callback".into(),
            mode: ResponseMode::Query,
            fields: vec![("code", "c".into())],
        };
        assert_eq!(reply.location().unwrap(), "/oauth2/callback?code=c");
    }
}
