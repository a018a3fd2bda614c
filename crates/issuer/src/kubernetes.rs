//! The requests of a cluster: is this token valid now ([`review`]), and which groups has its user now
//! ([`groups`]). And which clusters there are for a person ([`clusters`]).
//!
//! Both look at the grant and its session in the database within the request, so both say no the
//! moment one of them has ended. Nothing here remembers an answer; the API server does, for as long
//! as configured.

mod clusters;
mod groups;
mod review;
mod user;

pub use clusters::ListedCluster;
pub use review::{Cluster, Review};
pub use user::User;
