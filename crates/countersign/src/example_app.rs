//! The example application: `countersign example-app`, a separate program, or beside a server with `exampleApp` in its
//! configuration.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::network::is_loopback_url;
use countersign_core::{Clock, Limits, Secret, Timestamp};
use countersign_jose::{Expected, Typ, UpstreamKeys, hash};
use countersign_server::example_app::{ExampleApp, Settings, VerifyIdToken};
use countersign_server::listen::{Listener, ShutdownHandle};
use countersign_server::{ProcessState, example_app};
use tokio::task::JoinHandle;
use url::Url;

use crate::cli::ExampleAppArguments;
use crate::config::Config;
use crate::environment::SystemClock;
use crate::signals::Signals;

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

/// The application that runs beside the server (`exampleApp` in the configuration); `None` if it is not configured or
/// could not start.
pub struct RunningExampleApp(Option<(JoinHandle<io::Result<()>>, ShutdownHandle)>);

/// Starts it, if configured. If its address is in use, a warning is logged and the server continues without it.
pub fn start(config: &Config, process: ProcessState) -> RunningExampleApp {
    let Some(example) = &config.example_app else { return RunningExampleApp(None) };
    let client = ExampleClient {
        issuer: config.issuer.as_str(),
        client_id: example.client.id.as_str(),
        client_secret: example.client.secret.clone(),
        redirect_uri: example.redirect_uri.clone(),
        authorities: Vec::new(),
    };
    match prepare(client, None, Arc::new(SystemClock::default())) {
        Ok((listener, app)) => {
            let stop = ShutdownHandle::default();
            let serving =
                listener.serve(example_app::routes(app), Limits::default(), process, stop.clone());
            RunningExampleApp(Some((tokio::spawn(serving), stop)))
        }
        Err(reason) => {
            tracing::warn!("{reason}");
            RunningExampleApp(None)
        }
    }
}

impl RunningExampleApp {
    pub fn is_running(&self) -> bool {
        self.0.is_some()
    }

    pub async fn end(self) {
        if let Some((serving, stop)) = self.0 {
            stop.shut_down_within(Duration::ZERO);
            let _ended = serving.await;
        }
    }
}

/// The page shows tokens, so it is served only on this machine, or behind a proxy that terminates TLS.
fn checked(redirect_uri: &Url) -> Result<Url, String> {
    if redirect_uri.scheme() != "https" && !is_loopback_url(redirect_uri) {
        return Err(format!("--redirect-uri {redirect_uri} is neither on this machine nor https"));
    }
    if !example_app::is_callback_path(redirect_uri.path()) {
        let path = redirect_uri.path();
        return Err(format!("--redirect-uri: {path} is a path of the application's own pages"));
    }
    Ok(redirect_uri.clone())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Tolerated clock difference between this machine and the issuer.
const LEEWAY: Duration = Duration::from_mins(1);

/// Verifies ID tokens with the issuer's published keys, by the code that verifies upstream ID tokens.
struct PublishedKeys {
    issuer: String,
    client_id: String,
}

impl VerifyIdToken for PublishedKeys {
    fn verify(&self, token: &str, key_set: &[u8], now: Timestamp) -> Result<(), String> {
        let keys = UpstreamKeys::parse(key_set).ok_or("the issuer's keys cannot be read")?;
        let expected =
            Expected { issuer: &self.issuer, typ: Typ::IdToken, now: Some(now), leeway: LEEWAY };
        let (claims, _) = keys.verify(token, &expected).map_err(|error| error.to_string())?;
        match claims.is_for(&self.client_id) {
            true => Ok(()),
            false => Err(format!("aud does not contain {}", self.client_id)),
        }
    }

    fn challenge(&self, verifier: &str) -> String {
        hash::s256(verifier)
    }
}

/// The client that the example application acts as.
pub struct ExampleClient<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub client_secret: Option<Secret>,
    pub redirect_uri: Url,
    /// PEM, trusted in addition to the system's authorities.
    pub authorities: Vec<u8>,
}

/// Binds to the host and port of the redirect URI, unless `listen` specifies another address.
pub fn prepare(
    client: ExampleClient<'_>,
    listen: Option<&str>,
    clock: Arc<dyn Clock>,
) -> Result<(Listener, ExampleApp), String> {
    let url = &client.redirect_uri;
    let own = format!(
        "{}:{}",
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or_default()
    );
    let address = listen.unwrap_or(&own);
    let app = ExampleApp::new(Settings {
        issuer: client.issuer.to_owned(),
        client_id: client.client_id.to_owned(),
        client_secret: client.client_secret,
        authorities: client.authorities,
        verifier: Arc::new(PublishedKeys {
            issuer: client.issuer.to_owned(),
            client_id: client.client_id.to_owned(),
        }),
        redirect_uri: client.redirect_uri,
        clock,
    })?;
    let listener = Listener::bind(address, None)
        .map_err(|error| format!("the example application cannot listen on {address}: {error}"))?;
    Ok((listener, app))
}
