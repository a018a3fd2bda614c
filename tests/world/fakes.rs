//! The fakes of the connectors' tests: GitHub, Google, GitLab, Microsoft Graph, an OpenID Connect and a SAML provider,
//! and others. They listen on 127.0.0.1, where a `Browser` stops; `continues_to_fake_upstream` follows the redirect to
//! them.

#[path = "../../crates/connectors/tests/fakes/github.rs"]
pub mod github;
#[path = "../../crates/connectors/tests/fakes/gitlab.rs"]
pub mod gitlab;
#[path = "../../crates/connectors/tests/fakes/google.rs"]
pub mod google;
#[path = "../../crates/connectors/tests/fakes/graph.rs"]
pub mod graph;
#[path = "../../crates/connectors/tests/fakes/provider.rs"]
pub mod provider;
#[path = "../../crates/connectors/tests/fakes/saml.rs"]
pub mod saml;
#[path = "../../crates/connectors/tests/fakes/saml_site.rs"]
pub mod saml_site;
#[path = "../../crates/connectors/tests/fakes/user_apis.rs"]
pub mod user_apis;
#[path = "../../crates/connectors/tests/fakes/web.rs"]
pub mod web;
