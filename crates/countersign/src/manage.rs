//! The administrator's commands: `countersign sessions|users|keys|events|explain|reload`.
//!
//! One module per resource contains its arguments, its calls and its rendering. A [`backend::Backend`] is the database
//! of a configuration file, which needs no running server, or the API of a server; both return the views of
//! `countersign_issuer::admin`, so both print the same. The issuer records changes with the actor `machine:<account>`
//! or the API's client.

mod api_client;
mod arguments;
mod backend;
mod events;
mod explain;
mod keys;
mod output;
mod reload;
mod sessions;
mod table;
mod users;

pub use arguments::is_hyphenated_id;
pub use events::EventArguments;
pub use explain::ExplainArguments;
pub use keys::KeyCommand;
pub use output::OutputFormat;
pub use reload::{AgainstArguments, ReloadArguments, compare, describe};
pub use sessions::SessionCommand;
pub use users::UserCommand;

use std::fmt;
use std::process::ExitCode;

use backend::{Backend, BackendArguments};
use clap::Args;
use countersign_issuer::IssuerError;
use countersign_issuer::admin::fields::{FieldError, RequestError};
use output::OutputArguments;

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

/// One line for standard error.
#[derive(Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The value of a request field is invalid. `field` is its name in the API until
    /// [`CommandError::with_option_names`] replaces it by the option's name.
    Field {
        field: String,
        problem: String,
    },
    Other(String),
}

impl CommandError {
    pub fn other(error: impl fmt::Display) -> Self {
        Self::Other(error.to_string())
    }

    /// Replaces the API's field name by the option's: the one in `exceptions`, otherwise the field's name with hyphens.
    pub fn with_option_names(self, exceptions: &[(&str, &str)]) -> Self {
        match self {
            Self::Field { field, problem } => {
                let exception = exceptions.iter().find(|(name, _)| *name == field);
                let option = match exception {
                    Some((_, option)) => (*option).to_owned(),
                    None => format!("--{}", field.replace('_', "-")),
                };
                Self::Field { field: option, problem }
            }
            other @ Self::Other(_) => other,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { field, problem } => write!(f, "{field}: {problem}"),
            Self::Other(message) => f.write_str(message),
        }
    }
}

impl From<FieldError> for CommandError {
    fn from(bad: FieldError) -> Self {
        Self::Field { field: bad.field, problem: bad.problem }
    }
}

impl From<RequestError> for CommandError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Field(bad) => bad.into(),
            RequestError::Failed(error) => error.into(),
        }
    }
}

impl From<IssuerError> for CommandError {
    fn from(error: IssuerError) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::CommandError;

    #[test]
    fn a_message_names_the_option_and_not_the_field() {
        let field = |field: &str| CommandError::Field {
            field: field.to_owned(),
            problem: "is not accepted".to_owned(),
        };
        let exceptions = [("created_since", "--since")];
        let named = |name: &str| field(name).with_option_names(&exceptions).to_string();
        assert_eq!(named("created_since"), "--since: is not accepted");
        assert_eq!(named("seen_before"), "--seen-before: is not accepted");
    }
}
