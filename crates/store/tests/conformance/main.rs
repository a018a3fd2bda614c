//! Every operation of the store, on both engines: each test is written once and run twice.
//!
//! SQLite always runs. PostgreSQL runs when `COUNTERSIGN_TEST_POSTGRES` is the URL of a server where databases may be
//! created; without it each test prints that it did not run, and fails when `COUNTERSIGN_REQUIRE_POSTGRES` is 1.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "these are tests; clippy.toml reaches only functions marked as such"
)]

mod blocked_users;
mod bulk;
mod circuit_breakers;
mod cluster;
mod codes;
mod collect;
mod consents;
mod device_requests;
mod ends;
mod engines;
mod events;
mod failover;
mod faults;
mod keys;
mod logout_notifications;
mod memberships;
mod outage;
mod postgres_server;
mod races;
mod requests;
mod rotation;
mod scale;
mod search;
mod sign_in;
mod snapshots;
mod stored_objects;
mod traces;
mod unconfirmed;
mod world;

/// Makes two tests of each function, one for each engine.
macro_rules! on_both_engines {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let world = crate::world::World::sqlite().await;
                super::$test(&world).await;
                world.over().await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let Some(world) = crate::world::World::postgres().await else { return };
                super::$test(&world).await;
                world.over().await;
            })*
        }
    };
}
pub(crate) use on_both_engines;
