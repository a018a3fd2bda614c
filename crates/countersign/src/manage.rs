//! `countersign sessions|keys|events|explain`: an administrator at a terminal.
//!
//! Each command asks a [`Source`]: the database itself, found by a configuration file (also when no server
//! runs), or a server's API. Both answer in the same views, so both print the same. Nothing is decided
//! here; what is changed is recorded by whoever does it, `machine:<account>` or the client of the API.

mod events;
mod explain;
mod keys;
mod output;
mod remote;
mod sessions;
mod source;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

pub use events::EventArguments;
pub use explain::ExplainArguments;
pub use sessions::SessionCommand;
use source::Source;

/// Name and text, as a query has them.
type Pairs = Vec<(String, String)>;

#[derive(Clone, Debug, Args)]
pub struct Where {
    /// Work on the database of this configuration file, also when no server runs
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "url")]
    pub config: Option<std::path::PathBuf>,
    /// Ask the API of the server with this issuer URL. Needs COUNTERSIGN_CLIENT_ID and
    /// COUNTERSIGN_CLIENT_SECRET of a client in admin.clients, or COUNTERSIGN_TOKEN
    #[arg(long, value_name = "ISSUER", global = true)]
    pub url: Option<String>,
    /// PEM file with the certificate authority of the server
    #[arg(long, value_name = "FILE", global = true, requires = "url")]
    pub certificate_authority: Option<std::path::PathBuf>,
    /// table or json; the default is table on a terminal and json otherwise
    #[arg(long, value_enum, global = true)]
    pub output: Option<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// The signing keys and what each does
    List,
    /// Publish the next key now; it signs an hour later
    Rotate,
}

pub fn sessions(at: &Where, command: &SessionCommand) -> ExitCode {
    ran(at, async |source| sessions::run(source, at, command).await)
}

pub fn keys(at: &Where, command: &KeyCommand) -> ExitCode {
    ran(at, async |source| keys::run(source, at, command).await)
}

pub fn events(at: &Where, arguments: &EventArguments) -> ExitCode {
    ran(at, async |source| events::run(source, at, arguments).await)
}

pub fn explain(at: &Where, arguments: &ExplainArguments) -> ExitCode {
    ran(at, async |source| explain::run(source, at, arguments).await)
}

/// Opens the source, lets the command work, and tells what went wrong in one line.
fn ran(at: &Where, work: impl AsyncFnOnce(&Source) -> Result<(), String>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(|e| e.to_string()).and_then(|runtime| {
        runtime.block_on(async {
            let source = Source::open(at).await?;
            let worked = work(&source).await;
            source.close().await;
            worked
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("countersign: {why}");
            ExitCode::FAILURE
        }
    }
}
