//! Tokens and sessions as Kubernetes' own authenticators judge them.

pub mod authenticator;
pub mod clusters;
pub mod distributed_groups;
pub mod key_rotation;
pub mod webhook;
