//! The test harness: servers, browsers, relying parties, upstreams and clusters.
//!
//! Every test has its own folder, database and loopback address, and its own clock if it asks for one.
//! Only the PostgreSQL cluster is shared, in which each test has its own database. Nothing here calls the
//! program's own functions.

mod address;
mod browser;
mod certificates;
mod chromium;
mod clock;
mod config;
mod cookies;
/// The fakes of vendors, shared with the tests of the connectors.
#[expect(dead_code, reason = "the stories use less of them than the connectors' own tests do")]
pub mod fakes;
mod http;
mod kubernetes;
mod laptop;
mod log;
mod many_sessions;
mod needs;
mod node;
mod openid_client;
mod other_origin;
mod page;
mod postgres;
mod proxy;
pub mod raw_http;
mod receiver;
mod relying_party;
mod secrets;
mod server;
mod shell;
/// A real OpenLDAP, shared with the tests of the connectors.
#[expect(
    dead_code,
    unused_imports,
    reason = "the stories use less of it than the connectors' own tests do"
)]
#[path = "../crates/connectors/tests/slapd/mod.rs"]
pub mod slapd;
mod third_party;
mod tokens;
mod upstreams;

pub use browser::{Arrival, Browser};
pub use chromium::{Chromium, Look};
pub use config::{Client, Person, World};
pub use kubernetes::{ApiServer, refusal};
pub use laptop::Laptop;
pub use needs::Need;
pub use openid_client::{OpenIdClient, VerifyingReceiver};
pub use other_origin::OtherOrigin;
pub use page::Page;
pub use postgres::new_database;
pub use proxy::{Nginx, Proxy};
pub use receiver::Receiver;
pub use relying_party::{RelyingParty, Request};
pub use server::Server;
pub use third_party::ThirdParty;
pub use tokens::{claims, dex_sub, verified};
pub use upstreams::RealProvider;

/// The person in most tests; see [`World::new`].
pub const ALICE: &str = "alice@example.com";
pub const ALICE_PASSWORD: &str = "alice-rides-9-bicycles";
pub const BOB: &str = "bob@example.com";
pub const BOB_PASSWORD: &str = "bob-paints-7-fences";
