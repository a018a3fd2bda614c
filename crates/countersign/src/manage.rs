//! The administrator's commands: `countersign sessions|users|keys|events|explain|reload`.
//!
//! One module per resource contains its arguments, its calls and its rendering. A [`backend::Backend`] is the database
//! of a configuration file, which needs no running server, or the API of a server; both return the views of
//! `countersign_issuer::admin`, so both print the same. The issuer records changes with the actor `machine:<account>`
//! or the API's client.

mod api_client;
mod arguments;
mod backend;
mod error;
mod events;
mod explain;
mod keys;
mod memberships;
mod output;
mod reload;
mod sessions;
mod table;
mod terminal;
mod users;

use std::process::ExitCode;

use clap::Args;

pub use arguments::is_hyphenated_id;
use backend::{Backend, BackendArguments};
use error::CommandError;
pub use events::EventArguments;
pub use explain::ExplainArguments;
pub use keys::KeyCommand;
use output::OutputArguments;
pub use output::OutputFormat;
pub use reload::ReloadArguments;
pub use sessions::SessionCommand;
pub use users::UserCommand;

/// Options of every administrator's command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common options")]
pub struct CommonArguments {
    #[command(flatten)]
    backend: BackendArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub fn sessions(common: &CommonArguments, command: &SessionCommand) -> ExitCode {
    run(common, async |backend, output| sessions::run(backend, output, command).await)
}

pub fn users(common: &CommonArguments, command: &UserCommand) -> ExitCode {
    run(common, async |backend, output| users::run(backend, output, command).await)
}

pub fn keys(common: &CommonArguments, command: &KeyCommand) -> ExitCode {
    run(common, async |backend, output| keys::run(backend, output, command).await)
}

pub fn events(common: &CommonArguments, arguments: &EventArguments) -> ExitCode {
    run(common, async |backend, output| events::run(backend, output, arguments).await)
}

pub fn explain(common: &CommonArguments, arguments: &ExplainArguments) -> ExitCode {
    run(common, async |backend, output| explain::run(backend, output, arguments).await)
}

pub fn reload(common: &CommonArguments, arguments: &ReloadArguments) -> ExitCode {
    run(common, async |backend, output| reload::run(backend, output, arguments).await)
}

/// Opens the backend and runs the command. An error is one line on standard error.
fn run(
    common: &CommonArguments,
    command: impl AsyncFnOnce(&Backend, &OutputArguments) -> Result<(), CommandError>,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(CommandError::other).and_then(|runtime| {
        runtime.block_on(async {
            let backend = Box::pin(Backend::open(&common.backend)).await?;
            let outcome = command(&backend, &common.output).await;
            backend.close().await;
            outcome
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("countersign: {error}");
            ExitCode::FAILURE
        }
    }
}
