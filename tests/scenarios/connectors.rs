//! Upstreams: LDAP, OpenID Connect, SAML, GitHub, Google, an authenticating proxy.

pub mod auth_proxy;
pub mod circuit_breaker;
pub mod github;
pub mod google;
pub mod groups_and_sub;
pub mod ldap;
pub mod ldap_changes;
pub mod ldap_incomplete;
pub mod oidc;
pub mod oidc_provider;
pub mod oidc_provider_logout;
pub mod saml;
pub mod upstream_attacks;
pub mod upstream_login_tabs;
pub mod upstream_logins;
pub mod upstream_refresh_tokens;
pub mod user_apis;
