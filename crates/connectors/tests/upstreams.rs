//! The connectors of OAuth 2.0, OpenID Connect and SAML against upstreams that work, fail or attack. Every test starts
//! its own; numbers such as "threat 93" are those of the threat catalogue.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this is test code; a broken set-up fails its test"
)]

#[path = "fakes/github.rs"]
mod fake_github;
#[path = "fakes/gitlab.rs"]
mod fake_gitlab;
#[path = "fakes/google.rs"]
mod fake_google;
#[path = "fakes/saml.rs"]
mod fake_saml;
#[path = "fakes/user_apis.rs"]
mod fake_user_apis;
#[path = "fakes/graph.rs"]
mod graph;
#[path = "fakes/provider.rs"]
mod provider;
#[path = "../src/tree.rs"]
mod tree;
#[path = "fakes/web.rs"]
mod web;

#[path = "upstreams/steps.rs"]
mod steps;

#[path = "upstreams/diagnose.rs"]
mod diagnose;
#[path = "upstreams/github.rs"]
mod github;
#[path = "upstreams/github_config.rs"]
mod github_config;
#[path = "upstreams/github_groups.rs"]
mod github_groups;
#[path = "upstreams/github_hostile.rs"]
mod github_hostile;
#[path = "upstreams/gitlab.rs"]
mod gitlab;
#[path = "upstreams/google.rs"]
mod google;
#[path = "upstreams/google_credentials.rs"]
mod google_credentials;
#[path = "upstreams/google_groups.rs"]
mod google_groups;
#[path = "upstreams/linkedin.rs"]
mod linkedin;
#[path = "upstreams/microsoft.rs"]
mod microsoft;
#[path = "upstreams/oidc.rs"]
mod oidc;
#[path = "upstreams/oidc_callback.rs"]
mod oidc_callback;
#[path = "upstreams/oidc_groups.rs"]
mod oidc_groups;
#[path = "upstreams/oidc_hostile.rs"]
mod oidc_hostile;
#[path = "upstreams/oidc_refresh.rs"]
mod oidc_refresh;
#[path = "upstreams/oidc_tls.rs"]
mod oidc_tls;
#[path = "upstreams/oidc_token.rs"]
mod oidc_token;
#[path = "upstreams/password_apis.rs"]
mod password_apis;
#[path = "upstreams/saml.rs"]
mod saml;
#[path = "upstreams/saml_costs.rs"]
mod saml_costs;
#[path = "upstreams/saml_forgeries.rs"]
mod saml_forgeries;
#[path = "upstreams/saml_mutations.rs"]
mod saml_mutations;
#[path = "upstreams/saml_signed_parts.rs"]
mod saml_signed_parts;
#[path = "upstreams/user_apis.rs"]
mod user_apis;
