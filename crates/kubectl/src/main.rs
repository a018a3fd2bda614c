//! `kubectl-countersign`: signs a user in to Kubernetes clusters with OpenID Connect.
//!
//! It signs in at an issuer, caches the tokens, and serves `kubectl` as an exec credential plugin
//! (`client.authentication.k8s.io/v1` and `v1beta1`). It uses only the protocol, so it also works with Dex and other
//! issuers. Installed as `kubectl-oidc_login` it replaces kubelogin: `get-token` accepts kubelogin's flags.
//!
//! Start reading at [`token_source`]; [`cli`] defines the flags, [`sign_in`] the login methods, [`cache`] the files.

mod cache;
mod cli;
mod clusters;
mod error;
mod get_token;
mod id_token;
mod issuer;
mod kubeconfig;
mod login;
mod logout;
mod profile;
mod selection;
mod sign_in;
mod status;
mod terminal;
mod token;
mod token_source;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use countersign_core::Timestamp;

use crate::cli::{Cli, Command, completion};
use crate::error::Error;
use crate::terminal::Style;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    if Path::new(&name).file_name().is_some_and(|name| name == completion::FOR_KUBECTL) {
        let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        completion::print_candidates(&words);
        return ExitCode::SUCCESS;
    }
    let command = Cli::parse().command;
    // If a second provider were linked, rustls could not choose a default.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            eprintln!("error: cannot start the runtime: {cause}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(&command));
    // A prompt on standard input blocks a thread of the runtime, which must not delay the exit.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let style = Style::for_stderr();
            let text = terminal::printable(&error.to_string());
            eprintln!("{} {}", style.red("error:"), terminal::wrapped("error: ", &text));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: &Command) -> Result<(), Error> {
    match command {
        Command::Login(arguments) => login::run(arguments, now).await,
        Command::Status(arguments) => status::run(arguments, now).await,
        Command::Clusters(arguments) => clusters::run(arguments, now).await,
        Command::Token(arguments) => token::run(arguments, now).await,
        Command::Logout(arguments) => logout::run(arguments).await,
        Command::GetToken(arguments) => get_token::run(arguments, now).await,
        Command::Clean(arguments) => logout::clean(arguments).await,
        Command::Completion { shell } => {
            completion::print_script(*shell);
            Ok(())
        }
    }
}

/// The value of an environment variable, if it is set.
#[expect(clippy::disallowed_methods, reason = "this function owns the program's environment")]
fn environment_variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The only function that reads the system's clock.
#[expect(clippy::disallowed_methods, reason = "this function owns the system's clock")]
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
