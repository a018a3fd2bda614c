//! `countersign healthcheck`: whether a server on this machine is ready, for container engines; the image contains no
//! other HTTP client.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::HealthcheckArguments;
use crate::config;

const TIMEOUT: Duration = Duration::from_secs(2);

pub fn run(arguments: &HealthcheckArguments) -> ExitCode {
    let url = match (&arguments.url, &arguments.file) {
        (Some(url), _) => url.clone(),
        (None, Some(file)) => {
            let env = crate::environment::variable;
            let loaded = config::load(file, &env, true);
            let Some(listen) = loaded.config.and_then(|config| config.telemetry) else {
                eprintln!("countersign: {}: there is no telemetry.http in it", file.display());
                return ExitCode::FAILURE;
            };
            let host = match listen.host.as_str() {
                "0.0.0.0" => "127.0.0.1".to_owned(),
                "::" => "[::1]".to_owned(),
                host if host.contains(':') => format!("[{host}]"),
                host => host.to_owned(),
            };
            format!("http://{host}:{}/healthz/ready", listen.port)
        }
        (None, None) => "http://127.0.0.1:5558/healthz/ready".to_owned(),
    };
    match ready(&url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("countersign: {url}: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn ready(url: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(async {
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
        let response = client.map_err(|e| e.to_string())?.get(url).send().await;
        let response = response.map_err(|e| countersign_core::text::error_chain(&e))?;
        let (status, body) = (response.status(), response.text().await.unwrap_or_default());
        if status.is_success() { Ok(()) } else { Err(format!("{status}: {body}")) }
    })
}
