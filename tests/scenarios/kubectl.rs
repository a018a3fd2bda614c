//! `kubectl-countersign`, the program for engineers, against the real server.

pub mod cache;
pub mod cluster;
pub mod ends;
pub mod get_token;
pub mod keyring;
pub mod kubelogin;
pub mod login;
pub mod loopback;
pub mod proxies;
pub mod untrusted_issuers;

use crate::world::{Client, Server, World};

/// A server whose clock the test sets, with the client of `kubectl-countersign` and ID tokens of ten minutes.
pub async fn ten_minute_tokens() -> Server {
    World::with_clock()
        .client(Client::public("kubectl"))
        .with("expiry:\n  idTokens: 10m")
        .start()
        .await
}
