//! The example application beside the server (`exampleApp` in the configuration).

use std::io;
use std::sync::Arc;

use countersign_core::Clock;
use countersign_server::example_app::routes;
use countersign_server::listen::ShutdownHandle;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::wiring::example_app::{ExampleClient, prepare};

/// Starts it, if it is configured. An address in use is a warning: the issuer serves without it.
pub fn start(
    config: &Config,
    clock: Arc<dyn Clock>,
) -> (Option<JoinHandle<io::Result<()>>>, ShutdownHandle) {
    let stop = ShutdownHandle::default();
    let Some(example) = &config.example_app else { return (None, stop) };
    let client = ExampleClient {
        issuer: config.issuer.as_str(),
        client_id: example.client.id.as_str(),
        client_secret: example.client.secret.clone(),
        redirect_uri: example.redirect_uri.clone(),
        authorities: Vec::new(),
    };
    match prepare(client, None, clock) {
        Ok((listener, app)) => {
            let serving = tokio::spawn(listener.serve(routes(app), stop.clone()));
            (Some(serving), stop)
        }
        Err(why) => {
            tracing::warn!("{why}");
            (None, stop)
        }
    }
}
