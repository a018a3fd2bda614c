//! `kubectl-countersign`, the program for engineers, against the real server.

pub mod cache;
pub mod cluster;
pub mod ends;
pub mod get_token;
pub mod keyring;
pub mod kubelogin;
pub mod login;
pub mod loopback;
pub mod untrusted_issuers;
