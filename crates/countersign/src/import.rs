//! `countersign import`: imports the data of a Dex installation.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use countersign_import::plan::{describe, summary_lines};
use countersign_import::{DexData, Source};
use countersign_issuer::admin::Administrator;
use countersign_server::App;
use countersign_store::Location;
use countersign_store::dex::{self, DatabaseState};

use crate::config::{self, Config};
use crate::environment::SystemClock;
use crate::manage::OutputFormat;
use crate::serve::BAD_CONFIGURATION;
use crate::wiring;

#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Take over keys, refresh tokens, clients, passwords and connectors; prints first what it would do
    ///
    /// Dex's data is only read. Stop Dex first: what it issues afterwards is not taken over. It can be repeated:
    /// what is there already stays as it is.
    Dex(ImportArguments),
    /// List the clients whose refresh tokens were rotated or ended since: after a return to Dex they sign in again
    Rotated(RotatedArguments),
}

#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Dex's storage: an SQLite file, postgres://…, mysql://…, a configuration file of Dex (*.yaml) whose storage is
    /// one of these, a dump of MySQL or PostgreSQL, or what `kubectl get -o json` or `etcdctl get -w json` printed
    #[arg(long, value_name = "FILE|URL")]
    pub from: String,
    /// Configuration file: Dex's own, with the storage of this program
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    pub config: PathBuf,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
    /// Report unknown keys as warnings and not as errors (Dex ignores them)
    #[arg(long)]
    pub lenient: bool,
}

#[derive(Debug, Args)]
pub struct RotatedArguments {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    pub config: PathBuf,
    /// Print a table or JSON
    #[arg(long, value_enum, default_value = "table")]
    pub output: OutputFormat,
}

pub fn run(command: &ImportCommand) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let done = match command {
        ImportCommand::Dex(arguments) => {
            let Some(config) = read_config(&arguments.config, arguments.lenient) else {
                return ExitCode::from(BAD_CONFIGURATION);
            };
            runtime.block_on(import(&config, arguments))
        }
        ImportCommand::Rotated(arguments) => {
            let Some(config) = read_config(&arguments.config, true) else {
                return ExitCode::from(BAD_CONFIGURATION);
            };
            runtime.block_on(rotated(&config, arguments))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => failed(&reason),
    }
}

fn failed(reason: &str) -> ExitCode {
    eprintln!("countersign: {reason}");
    ExitCode::FAILURE
}

fn read_config(file: &Path, lenient: bool) -> Option<Config> {
    let env = crate::environment::variable;
    let loaded = config::load(file, &env, lenient);
    eprint!("{loaded}");
    loaded.config
}

async fn import(config: &Config, arguments: &ImportArguments) -> Result<(), String> {
    let source = source_of(&arguments.from)?;
    let preview = preview(config, read(&source).await?).await?;
    print!("{preview}");
    let in_memory = matches!(config.storage, Location::Memory);
    if arguments.dry_run {
        println!("\nNothing was written (--dry-run).");
        return Ok(());
    }
    if in_memory {
        return Err("storage is memory, which keeps nothing: give sqlite3 or postgres".to_owned());
    }
    if !arguments.yes && !confirmed()? {
        return Err("nothing was written".to_owned());
    }
    // Read again, because the confirmation may have taken a long time.
    let data = read(&source).await?;
    let clock = Arc::new(SystemClock::default());
    let shared = wiring::Shared::new(config, clock.clone());
    let app = wiring::open_beside_dex(config, &shared).await?;
    if let Ok(Some(database)) = app.issuer.store.database_time().await {
        clock.follow(database);
    }
    let written = write(&app, data).await;
    app.issuer.store.close().await;
    println!("\nTaken over:\n{}", summary_lines(&written?).trim_end());
    println!(
        "Dex's own data is as it was. Start countersign with the same configuration file now."
    );
    Ok(())
}

/// A YAML file is Dex's configuration, which names the storage: so a password need not be in the command line.
fn source_of(from: &str) -> Result<Source, String> {
    let file = Path::new(from);
    let is_yaml = file.extension().is_some_and(|end| end == "yaml" || end == "yml");
    if !is_yaml || from.contains("://") {
        return Source::open(from).map_err(|e| e.to_string());
    }
    config::dex_source(file, &crate::environment::variable)
}

async fn read(source: &Source) -> Result<DexData, String> {
    let data = countersign_import::read(source).await.map_err(|e| e.to_string())?;
    match data.is_empty() {
        true => Err(format!("{} has nothing of Dex's in it", data.source)),
        false => Ok(data),
    }
}

/// Plans against our database if it exists, otherwise against an empty one in memory, so that a preview creates no file
/// and no table.
async fn preview(config: &Config, data: DexData) -> Result<String, String> {
    let state = dex::state(&config.storage).await.map_err(|e| e.to_string())?;
    let mut target = config.clone();
    if state != DatabaseState::Ours {
        target.storage = Location::Memory;
        target.root_keys = config::RootKeys::None;
    }
    let shared = wiring::Shared::new(&target, Arc::new(SystemClock::default()));
    let app = wiring::open(&target, &shared).await?;
    let plan = countersign_import::plan(&app.issuer, data).await.map_err(|e| e.to_string());
    app.issuer.store.close().await;
    Ok(describe(&plan?))
}

async fn write(app: &App, data: DexData) -> Result<countersign_store::ImportSummary, String> {
    let account = crate::environment::variable("USER").unwrap_or_else(|| "unknown".to_owned());
    let account: String = account.chars().filter(|c| !c.is_control()).take(64).collect();
    let who = Administrator::local_operator(&account);
    let plan = countersign_import::plan(&app.issuer, data).await.map_err(|e| e.to_string())?;
    countersign_import::apply(&app.issuer, &who, plan).await.map_err(|e| e.to_string())
}

/// Asks for confirmation; without a terminal `--yes` is required.
fn confirmed() -> Result<bool, String> {
    if !io::stdin().is_terminal() {
        return Err("nothing was written: standard input is no terminal to confirm on; add --yes"
            .to_owned());
    }
    eprint!("\nWrite this? Type yes: ");
    let _flushed = io::stderr().flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|e| e.to_string())?;
    Ok(line.trim() == "yes")
}

async fn rotated(config: &Config, arguments: &RotatedArguments) -> Result<(), String> {
    let shared = wiring::Shared::new(config, Arc::new(SystemClock::default()));
    let app = wiring::open(config, &shared).await?;
    let rotated = app.issuer.store.rotated_imports().await.map_err(|e| e.to_string());
    app.issuer.store.close().await;
    let rotated = rotated?;
    if arguments.output == OutputFormat::Json {
        let list: Vec<_> = rotated
            .iter()
            .map(|(client, tokens)| serde_json::json!({"client": client, "refresh_tokens": tokens}))
            .collect();
        println!("{:#}", serde_json::Value::from(list));
        return Ok(());
    }
    if rotated.is_empty() {
        println!("No refresh token that came from Dex was rotated or ended since.");
    }
    for (client, tokens) in rotated {
        println!("{client}: {tokens}");
    }
    Ok(())
}
