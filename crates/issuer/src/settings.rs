//! The policy of one issuer: lifetimes, enabled features, requirements for users.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::session::ChallengeMethod;
use countersign_core::{
    ConnectorId, DeviceRequestLimits, ExternalSigner, GrantType, KubernetesCluster, Lifetimes,
    ResponseType,
};
use countersign_jose::Algorithm;
use url::Url;

use crate::admin::AdminPolicy;

/// The policy of the issuer, read from the configuration file.
#[derive(Clone, Debug)]
pub struct Settings {
    pub issuer: IssuerUrl,
    pub algorithm: Algorithm,
    /// `signer.accessTokenAlgorithm`; see [`Settings::access_token_algorithm`].
    pub access_token_algorithm: Option<Algorithm>,
    /// The service that keeps the signing key, if it is not one of our own. Then no keys are generated, and `algorithm`,
    /// `access_token_algorithm` and `key_period` have no effect.
    pub external_signer: Option<Arc<dyn ExternalSigner>>,
    /// How long a key signs before its successor does.
    pub key_period: Duration,
    /// Lifetime of ID and access tokens.
    pub token_lifetime: Duration,
    pub code_lifetime: Duration,
    /// Time from the request at `/auth` to the code.
    pub request_lifetime: Duration,
    pub refresh: RefreshPolicy,
    pub sign_on: SignOnPolicy,
    pub approval: ApprovalPolicy,
    pub pkce: PkcePolicy,
    /// Unknown scopes are refused instead of being ignored.
    pub strict_scopes: bool,
    /// `oauth2.grantTypes`; see [`Settings::allows`].
    pub grant_types: Vec<GrantType>,
    /// `oauth2.responseTypes`: the values that a response type may be composed of.
    pub response_types: ResponseType,
    /// `oauth2.passwordConnector`.
    pub password_connector: Option<ConnectorId>,
    pub device: DevicePolicy,
    /// The clusters listed at `/clusters`, in the order of the configuration.
    pub clusters: Vec<KubernetesCluster>,
    /// `oauth2.alwaysShowLoginScreen`: show the selection page even if there is only one connector.
    pub always_show_choice: bool,
    /// How long events of the audit log are kept.
    pub event_retention: Duration,
    /// How long group memberships of the past are kept.
    pub membership_retention: Duration,
    pub admin: AdminPolicy,
    /// The lifetimes of clients that have their own; stored data is kept for the longest of all.
    pub client_lifetimes: Vec<Lifetimes>,
}

/// `expiry.refreshTokens`.
#[derive(Clone, Copy, Debug)]
pub struct RefreshPolicy {
    /// Each refresh issues a new refresh token.
    pub rotate: bool,
    /// For how long the previous refresh token is answered with the same successor.
    pub reuse_interval: Duration,
    /// After this time since the grant was issued a refresh is refused; `None`: never.
    pub absolute_lifetime: Option<Duration>,
    /// After this time since the last refresh a refresh is refused; `None`: never.
    pub valid_if_not_used_for: Option<Duration>,
}

/// `sessions`: single sign-on, and when the upstream is queried again.
#[derive(Clone, Copy, Debug)]
pub struct SignOnPolicy {
    /// A signed-in browser need not sign in again for another client.
    pub sso: bool,
    /// After this time since the login a new login is required.
    pub absolute_lifetime: Duration,
    /// After this time without use in the browser a new login is required.
    pub idle_lifetime: Duration,
    /// A snapshot older than this is refreshed before tokens are issued.
    pub upstream_refresh_interval: Duration,
    /// For connectors that cannot revalidate: a snapshot older than this requires a new login.
    pub max_snapshot_age: Duration,
}

/// The device authorization grant (RFC 8628).
#[derive(Clone, Copy, Debug)]
pub struct DevicePolicy {
    /// Lifetime of a device code and its user code.
    pub lifetime: Duration,
    pub limits: DeviceRequestLimits,
}

impl Settings {
    /// The algorithm of access tokens, if it differs from that of ID tokens.
    pub fn access_token_algorithm(&self) -> Option<Algorithm> {
        self.access_token_algorithm.filter(|algorithm| *algorithm != self.algorithm)
    }

    /// The response types that `oauth2.responseTypes` allows, in the order of OpenID Connect Core 3.
    pub fn response_types_supported(&self) -> Vec<String> {
        const ALL: [&str; 6] = [
            "code",
            "id_token",
            "id_token token",
            "code id_token",
            "code token",
            "code id_token token",
        ];
        let allowed = |text: &&str| {
            ResponseType::parse(text).is_some_and(|found| found.within(self.response_types))
        };
        ALL.into_iter().filter(allowed).map(str::to_owned).collect()
    }

    /// Whether the grant type is enabled for all clients. `client_credentials` is always enabled for the clients of
    /// `admin.clients`, with a scope of its own.
    pub fn allows(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }

    /// `grant_types_supported`, sorted as in Dex.
    pub fn grant_types_supported(&self) -> Vec<&'static str> {
        let admin = !self.admin.clients.is_empty();
        let mut names: Vec<&str> = GrantType::ALL
            .into_iter()
            .filter(|grant_type| {
                self.allows(*grant_type) || (admin && *grant_type == GrantType::ClientCredentials)
            })
            .map(GrantType::as_str)
            .collect();
        names.sort_unstable();
        names
    }
}

/// When the approval page is shown.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalPolicy {
    /// `oauth2.skipApprovalScreen`. The page is still shown for `prompt=consent`, devices, out-of-band codes and the
    /// admin scope.
    pub skip: bool,
}

/// PKCE (RFC 7636).
#[derive(Clone, Debug)]
pub struct PkcePolicy {
    /// Require PKCE of every client.
    pub enforce: bool,
    pub required_for_public_clients: bool,
    /// The accepted values of `code_challenge_method`.
    pub methods: Vec<ChallengeMethod>,
}

/// A user reported missing is refused for this long; a report after that ends the session.
pub const MISSING_GRACE: Duration = Duration::from_mins(5);

/// The issuer identifier, byte for byte as configured, and URLs derived from it.
#[derive(Clone, Debug)]
pub struct IssuerUrl {
    text: String,
    url: Url,
}

impl IssuerUrl {
    pub fn new(text: impl Into<String>) -> Result<Self, url::ParseError> {
        let text = text.into();
        Ok(Self { url: Url::parse(&text)?, text })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The absolute URL of a path below the issuer; `path` begins with a slash.
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.text.trim_end_matches('/'))
    }

    /// The path below which all routes are served, without a trailing slash: `/dex`, or empty.
    pub fn base_path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }

    /// Eight hexadecimal digits that distinguish this issuer's cookies from those of another on the same host.
    pub fn tag(&self) -> String {
        countersign_jose::hash::sha256_hex(self.text.as_bytes()).chars().take(8).collect()
    }

    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::{ApprovalPolicy, IssuerUrl, PkcePolicy, RefreshPolicy, Settings, SignOnPolicy};
    use countersign_core::session::ChallengeMethod;
    use countersign_core::{DeviceRequestLimits, GrantType, ResponseType};
    use countersign_jose::Algorithm;

    pub fn example() -> Settings {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Settings {
            issuer: IssuerUrl::new("https://id.example.com/dex").unwrap(),
            algorithm: Algorithm::RS256,
            access_token_algorithm: None,
            external_signer: None,
            key_period: minutes(360),
            token_lifetime: minutes(10),
            code_lifetime: minutes(1),
            request_lifetime: minutes(60),
            refresh: RefreshPolicy {
                rotate: true,
                reuse_interval: Duration::from_secs(30),
                absolute_lifetime: None,
                valid_if_not_used_for: None,
            },
            sign_on: SignOnPolicy {
                sso: true,
                absolute_lifetime: minutes(24 * 60),
                idle_lifetime: minutes(8 * 60),
                upstream_refresh_interval: minutes(5),
                max_snapshot_age: minutes(60),
            },
            approval: ApprovalPolicy { skip: false },
            pkce: PkcePolicy {
                enforce: false,
                required_for_public_clients: true,
                methods: vec![ChallengeMethod::S256],
            },
            strict_scopes: false,
            grant_types: vec![
                GrantType::AuthorizationCode,
                GrantType::RefreshToken,
                GrantType::DeviceCode,
            ],
            response_types: ResponseType::CODE,
            password_connector: None,
            device: super::DevicePolicy {
                lifetime: minutes(5),
                limits: DeviceRequestLimits { total: 100, per_address: 10 },
            },
            clusters: Vec::new(),
            always_show_choice: false,
            event_retention: minutes(400 * 24 * 60),
            membership_retention: minutes(400 * 24 * 60),
            admin: super::AdminPolicy::default(),
            client_lifetimes: Vec::new(),
        }
    }

    #[test]
    fn endpoints_stand_under_the_issuers_path() {
        let issuer = example().issuer;
        assert_eq!(issuer.endpoint("/token"), "https://id.example.com/dex/token");
        assert_eq!(issuer.base_path(), "/dex");
        assert_eq!(IssuerUrl::new("https://id.example.com").unwrap().base_path(), "");
    }
}
