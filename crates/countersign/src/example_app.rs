//! `countersign example-app`: the example application as a separate program.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::network::is_loopback_url;
use countersign_core::{Limits, Secret};
use countersign_server::ProcessState;
use countersign_server::example_app;
use countersign_server::listen::ShutdownHandle;
use url::Url;

use crate::cli::ExampleAppArguments;
use crate::environment::SystemClock;
use crate::serve::Signals;
use crate::wiring::example_app::{ExampleClient, prepare};

/// Time limit for requests in progress when the program stops.
const GRACE: Duration = Duration::from_secs(2);

pub fn run(arguments: &ExampleAppArguments) -> ExitCode {
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(serve_alone(arguments)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("countersign: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_alone(arguments: &ExampleAppArguments) -> Result<(), String> {
    let mut signals = Signals::listen()?;
    let redirect_uri = checked(&arguments.redirect_uri)?;
    let secret = arguments.client_secret.as_ref().filter(|secret| !secret.is_empty());
    let client = ExampleClient {
        issuer: &arguments.issuer,
        client_id: &arguments.client_id,
        client_secret: secret.map(Secret::new),
        redirect_uri: redirect_uri.clone(),
        authorities: match &arguments.issuer_root_ca {
            Some(file) => read(file)?,
            None => Vec::new(),
        },
    };
    let clock = Arc::new(SystemClock::default());
    let (listener, app) = prepare(client, arguments.listen.as_deref(), clock)?;
    if io::stderr().is_terminal() {
        let page = redirect_uri.join("/").map_err(|error| error.to_string())?;
        eprintln!("The example application is at {page}");
    }
    let (router, stop) = (example_app::routes(app), ShutdownHandle::default());
    let process = ProcessState::default();
    tokio::select! {
        served = listener.serve(router, Limits::default(), process, stop.clone()) => served.map_err(|error| error.to_string()),
        _ = signals.stop() => {
            stop.shut_down_within(GRACE);
            Ok(())
        }
    }
}

/// The page shows tokens, so it is served only on this machine, or behind a proxy that terminates TLS.
fn checked(redirect_uri: &Url) -> Result<Url, String> {
    match redirect_uri.scheme() == "https" || is_loopback_url(redirect_uri) {
        true => Ok(redirect_uri.clone()),
        false => Err(format!("--redirect-uri {redirect_uri} is neither on this machine nor https")),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}
