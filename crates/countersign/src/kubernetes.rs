//! `countersign kubernetes`: configuration for an API server, from the configuration file alone.

mod cluster_config;
mod expected;
mod lint;
mod webhook_config;

use std::path::Path;
use std::process::ExitCode;

use crate::cli::KubernetesCommand;
use crate::config::{self, Config};
use crate::serve::BAD_CONFIGURATION;

pub fn run(command: &KubernetesCommand) -> ExitCode {
    let (file, lenient) = match command {
        KubernetesCommand::WebhookConfig(arguments) => (&arguments.file, arguments.lenient),
        KubernetesCommand::Config(arguments) => (&arguments.file, arguments.lenient),
    };
    let Some(config) = load(file, lenient) else { return ExitCode::from(BAD_CONFIGURATION) };
    let result = match command {
        // It contains the credential, so it goes to standard output and nowhere else.
        KubernetesCommand::WebhookConfig(arguments) => webhook_config::print(&config, arguments),
        KubernetesCommand::Config(arguments) => cluster_config::run(&config, arguments),
    };
    match result {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("countersign: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn load(file: &Path, lenient: bool) -> Option<Config> {
    let env = crate::environment::variable;
    let loaded = config::load(file, &env, lenient);
    eprint!("{loaded}");
    loaded.config
}

/// A JSON string is a double-quoted YAML scalar.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
