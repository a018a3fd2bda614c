//! `countersign keys list|rotate`.

use clap::Subcommand;
use countersign_issuer::admin::view::{KeyView, RotationView};

use super::api_client::RequestFields;
use super::backend::Backend;
use super::error::CommandError;
use super::output::OutputArguments;
use super::table::{Cell, Column, table};
use super::terminal::{Colour, Terminal};

const COLUMNS: [Column; 6] = [
    Column::new("KEY", 0),
    Column::new("STATE", 0),
    Column::new("ALGORITHM", 2),
    Column::new("SIGNS FROM", 1),
    Column::new("DROPPED AFTER", 1),
    Column::new("KID", 2).cut_to(12),
];

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// List the signing keys: next (published), signing, retired (still verifies)
    List,
    /// Publish the next key now; it signs an hour later, when every API server has fetched it
    Rotate,
}

pub async fn run(
    backend: &Backend,
    output: &OutputArguments,
    command: &KeyCommand,
) -> Result<(), CommandError> {
    match command {
        KeyCommand::List => {
            output.print(&backend.signing_keys().await?, |keys, terminal| render(keys, terminal))
        }
        KeyCommand::Rotate => output.print(&backend.rotate_keys().await?, render_rotation),
    }
}

impl Backend {
    async fn signing_keys(&self) -> Result<Vec<KeyView>, CommandError> {
        #[derive(serde::Deserialize)]
        struct KeyList {
            keys: Vec<KeyView>,
        }
        match self {
            Self::Api(api) => Ok(api.get::<KeyList>("/keys", &RequestFields::new()).await?.keys),
            Self::Database { app, .. } => Ok(app.issuer.signing_keys().await?),
        }
    }

    async fn rotate_keys(&self) -> Result<RotationView, CommandError> {
        match self {
            Self::Api(api) => api.post("/keys/rotate", &RequestFields::new()).await,
            Self::Database { app, administrator } => {
                Ok(app.issuer.rotate_keys(administrator).await?)
            }
        }
    }
}

fn render(keys: &[KeyView], terminal: &Terminal) -> String {
    if keys.is_empty() {
        return "There are no signing keys.\n".to_owned();
    }
    let row = |key: &KeyView| {
        let state = match key.state.as_str() {
            "signing" => Cell::coloured(Colour::Green, "signing"),
            "retired" => Cell::coloured(Colour::Dim, "retired"),
            other => Cell::from(other),
        };
        let drops_at = key.drops_at.as_deref().map(|at| terminal.instant(at));
        vec![
            Cell::from(key.number.to_string()),
            state,
            Cell::from(&key.algorithm),
            Cell::from(terminal.instant(&key.signs_from)),
            Cell::from(drops_at.unwrap_or_default()),
            Cell::from(&key.kid),
        ]
    };
    let rows: Vec<Vec<Cell>> = keys.iter().map(row).collect();
    table(terminal, &COLUMNS, &rows)
}

fn render_rotation(rotation: &RotationView, terminal: &Terminal) -> String {
    let (number, signs_from) = (rotation.number, terminal.instant_in_full(&rotation.signs_from));
    match rotation.made {
        true => format!("Key {number} is published and signs from {signs_from}.\n"),
        false => format!("Key {number} was published already and signs from {signs_from}.\n"),
    }
}
