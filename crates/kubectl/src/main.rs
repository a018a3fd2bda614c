//! `kubectl-countersign`: the engineer's helper on the command line.
//!
//! It signs in at an OpenID Connect issuer, keeps the tokens, and answers `kubectl` as an exec credential
//! plugin (`client.authentication.k8s.io/v1` and `v1beta1`). It knows the protocol, not the server, so it
//! also works with Dex and other issuers, and it accepts the flags of kubelogin's `get-token`.
//!
//! Start reading at [`get_token`]; [`cli`] has the flags, [`sign_in`] the ways to log in, [`cache`] what is
//! kept on disk.

mod browser;
mod cache;
mod cli;
mod clusters;
mod error;
mod exec_credential;
mod get_token;
mod id_token;
mod issuer;
mod kubeconfig;
mod login;
mod logout;
mod pkce;
mod sign_in;

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use countersign_core::Timestamp;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A second provider in the process would make rustls refuse to choose one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            eprintln!("error: cannot start the runtime: {cause}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match &cli.command {
            Command::Login(arguments) => login::run(arguments, now).await,
            Command::GetToken(arguments) => get_token::run(arguments, now).await,
            Command::Token(arguments) => get_token::print_claims(arguments, now).await,
            Command::Logout(arguments) => logout::run(arguments).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The one place that reads the system's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the program's only clock; everything else is given the time"
)]
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
