//! The requests of a cluster: token review, whether a token is valid now ([`review`]), and the current groups of its
//! user ([`groups`]); also the list of clusters for a user ([`clusters`]).
//!
//! Both read the grant and its session from the database within the request, so both refuse a token as soon as one of
//! them has ended. No response is cached here; the API server caches it for as long as it is configured to.

mod clusters;
mod groups;
mod review;
mod user;

pub use clusters::ListedCluster;
pub use review::{Cluster, Review};
pub use user::User;
