//! The test harness: servers, browsers, relying parties, upstreams and clusters.
//!
//! Every test has its own folder, database and loopback address, and its own clock if it asks for one. Only the
//! PostgreSQL cluster and the MySQL server are shared, in which each test has its own database. Nothing here calls the
//! program's own functions.

mod address;
mod browser;
pub mod certificates;
mod chromium;
mod clock;
mod cluster;
mod collector;
mod config;
mod cookies;
mod database;
mod dex_client;
mod failover;
/// The fakes of vendors, shared with the tests of the connectors.
#[expect(dead_code, reason = "these tests use less of them than the connectors' own tests do")]
pub mod fakes;
pub mod http;
mod keyring;
mod kubernetes;
mod launch;
mod log;
mod needs;
mod openapi;
mod other_origin;
mod page;
mod postgres_proxy;
/// PostgreSQL servers of one test, shared with the tests of the store.
#[path = "../crates/store/tests/conformance/postgres_server.rs"]
pub mod postgres_server;
mod proxy;
mod receiver;
mod relying_party;
mod server;
mod shell;
/// A real OpenLDAP, shared with the tests of the connectors.
#[expect(
    dead_code,
    unused_imports,
    reason = "these tests use less of it than the connectors' own tests do"
)]
#[path = "../crates/connectors/tests/fakes/slapd.rs"]
pub mod slapd;
mod third_party;
mod tokens;
mod transit;
mod workstation;

pub use browser::{AuthResponse, Browser};
pub use chromium::{Chromium, Display};
pub use cluster::{Cluster, kubectl};
pub use collector::{Collector, ExportedSpan};
pub use config::{Client, Person, World};
pub use database::{MYSQL_PASSWORD, new_database, new_mysql_database};
pub use dex_client::DexClient;
pub use failover::PrimaryAndStandby;
pub use keyring::{Keyring, SessionBus};
pub use kubernetes::{ApiServer, refusal};
pub use launch::previous_program;
pub use needs::Need;
pub use other_origin::OtherOrigin;
pub use page::Page;
pub use postgres_proxy::{Cut, Link, PostgresProxy};
pub use proxy::{Nginx, Proxy};
pub use receiver::LogoutReceiver;
pub use relying_party::{AuthRequest, JsonResponse, RelyingParty, SignedInClient};
pub use server::Server;
pub use third_party::{
    OidcProvider, OpenIdClient, SamlLibrary, SamlProvider, ThirdPartyClient,
    VerifyingLogoutReceiver,
};
pub use tokens::{claims, dex_sub, verified};
pub use transit::{Transit, VAULT_TOKEN, sealed};
pub use workstation::{Printed, Workstation};

/// The person in most tests; see [`World::new`].
pub const ALICE: &str = "alice@example.com";
pub const ALICE_PASSWORD: &str = "alice-rides-9-bicycles";
pub const BOB: &str = "bob@example.com";
pub const BOB_PASSWORD: &str = "bob-paints-7-fences";
