//! Runs the example application beside the server (`exampleApp` in the configuration).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::Limits;
use countersign_server::ProcessState;
use countersign_server::example_app::routes;
use countersign_server::listen::ShutdownHandle;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::environment::SystemClock;
use crate::example_app::{ExampleClient, prepare};

/// The running application; `None` if it is not configured or could not start.
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
            let serving = listener.serve(routes(app), Limits::default(), process, stop.clone());
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
