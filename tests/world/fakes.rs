//! The fakes of the connectors' tests: a GitHub, a Google, a GitLab, a Graph and a provider of OpenID Connect that do
//! what a test wants. They stand on 127.0.0.1, so a `Browser` stops before them and is led through by hand.

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
#[path = "../../crates/connectors/tests/fakes/web.rs"]
pub mod web;
