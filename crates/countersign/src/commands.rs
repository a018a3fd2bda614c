//! The short commands, each one function: `backup`, `generate`, `hash-password` and `healthcheck`.

use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory;
use countersign_connectors::password::hash_password;
use countersign_core::Secret;
use countersign_store::Location;

use crate::cli::{BackupArguments, Cli, GenerateCommand, HealthcheckArguments, OutputFormat};
use crate::config::{self, RootKeys};

/// Of the request of [`healthcheck`].
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// `countersign backup`: copies the SQLite database while servers use it.
pub fn backup(arguments: &BackupArguments) -> ExitCode {
    match back_up(arguments) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("countersign: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn back_up(arguments: &BackupArguments) -> Result<String, String> {
    let env = crate::environment::variable;
    let loaded = config::load_without_listener(&arguments.config, &env);
    let report = loaded.to_string();
    let config = loaded.config.ok_or_else(|| report.trim_end().to_owned())?;
    let database = match &config.storage {
        Location::Sqlite { file } => file,
        Location::Postgres(_) => {
            return Err(
                "storage.type is postgres: use pg_dump, or what your other databases have".into()
            );
        }
        Location::Memory => {
            return Err("storage.type is memory: there is nothing to back up".into());
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let copied = runtime
        .map_err(|e| e.to_string())?
        .block_on(countersign_store::backup_sqlite(database, &arguments.file));
    let bytes = copied.map_err(|e| e.to_string())?;
    Ok(backup_summary(&arguments.file, bytes, &config.root_keys))
}

fn backup_summary(file: &Path, bytes: u64, root_keys: &RootKeys) -> String {
    let keys = match root_keys {
        RootKeys::Beside(key) => format!(
            "Keep a copy of the root key {} somewhere else: without it the backup is of no use, and who has both has every \
             signing key.",
            key.display()
        ),
        RootKeys::Keys(_) => "The root key is not in it: keep it somewhere else.".to_owned(),
        RootKeys::None => {
            "There is no root key: the signing keys are in it, readable by anybody who has the file."
                .to_owned()
        }
    };
    format!("{} has {bytes} bytes.\n{keys}", file.display())
}

/// `countersign generate`: shell completions and man pages, generated from the command line definition, for packages.
pub fn generate(command: &GenerateCommand) -> ExitCode {
    let outcome = match command {
        GenerateCommand::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "countersign", &mut io::stdout());
            Ok(())
        }
        GenerateCommand::Man { folder } => clap_mangen::generate_to(Cli::command(), folder),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("countersign: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `countersign hash-password`: reads the password from the terminal without echo, or from standard input.
pub fn hash(output: OutputFormat) -> ExitCode {
    let hashed =
        read_password().and_then(|password| hash_password(&password).map_err(|e| e.to_string()));
    match hashed {
        Ok(hash) => {
            match output {
                OutputFormat::Table => println!("{hash}"),
                OutputFormat::Json => println!("{:#}", serde_json::json!({ "hash": hash })),
            }
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("countersign: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn read_password() -> Result<Secret, String> {
    if io::stdin().is_terminal() {
        return read_password_twice();
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|e| format!("standard input: {e}"))?;
    // `echo` adds one line break, which is not part of the password.
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

/// Reads the password twice from the terminal without echo.
fn read_password_twice() -> Result<Secret, String> {
    let prompt = |text: &str| {
        let typed = rpassword::prompt_password(text);
        typed.map(Secret::new).map_err(|e| format!("the terminal cannot be read: {e}"))
    };
    let first = prompt("Password: ")?;
    let second = prompt("Repeat password: ")?;
    match first.matches(second.expose()) {
        true => Ok(first),
        false => Err("the two passwords differ".to_owned()),
    }
}

/// `countersign healthcheck`: whether a server on this machine is ready, for container engines; the image contains no
/// other HTTP client.
pub fn healthcheck(arguments: &HealthcheckArguments) -> ExitCode {
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
        let client = reqwest::Client::builder().timeout(HEALTHCHECK_TIMEOUT).no_proxy().build();
        let response = client.map_err(|e| e.to_string())?.get(url).send().await;
        let response = response.map_err(|e| countersign_core::text::error_chain(&e))?;
        let (status, body) = (response.status(), response.text().await.unwrap_or_default());
        if status.is_success() { Ok(()) } else { Err(format!("{status}: {body}")) }
    })
}
