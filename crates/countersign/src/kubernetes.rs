//! `countersign kubernetes`: prints or checks the configuration of an API server, using only the configuration file.

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
        // The output contains the credential, so it is written only to standard output.
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

/// Quotes a text for YAML: a JSON string is a valid double-quoted YAML scalar.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
