//! `countersign keys list|rotate|drop`.

use clap::Subcommand;
use countersign_issuer::admin::keys::{KeyDropPreviewView, KeyDropView};
use countersign_issuer::admin::view::{KeyView, RotationView};

use super::CommandError;
use super::api_client::RequestFields;
use super::backend::Backend;
use super::output::{Colour, OutputArguments, Terminal, confirm};
use super::table::{Cell, Column, facts, fold, table};

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
    /// Drop a key that has leaked: no token it signed is accepted any more
    Drop {
        /// Number or kid of the key, as `keys list` prints it; while Vault keeps the signing key, the kid of an older
        /// key
        #[arg(value_name = "KEY", allow_hyphen_values = true, value_parser = parse_key)]
        key: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
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
        KeyCommand::Drop { key, yes } => {
            if !yes {
                eprint!("{}", render_preview(&backend.preview_drop_key(key).await?));
                confirm("Drop this key?", "no key was dropped")?;
            }
            output.print(&backend.drop_key(key).await?, render_drop)
        }
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

    async fn preview_drop_key(&self, key: &str) -> Result<KeyDropPreviewView, CommandError> {
        match self {
            Self::Api(api) => api.get(&format!("/keys/{key}"), &RequestFields::new()).await,
            Self::Database { app, .. } => {
                let found = app.issuer.preview_drop_key(key).await?;
                found.ok_or_else(|| absent(key))
            }
        }
    }

    async fn drop_key(&self, key: &str) -> Result<KeyDropView, CommandError> {
        match self {
            Self::Api(api) => api.delete(&format!("/keys/{key}")).await,
            Self::Database { app, administrator } => {
                let dropped = app.issuer.drop_key(administrator, key).await?;
                dropped.ok_or_else(|| absent(key))
            }
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
            Cell::from(match key.access_tokens_only {
                true => format!("{} (access tokens)", key.algorithm),
                false => key.algorithm.clone(),
            }),
            Cell::from(terminal.instant(&key.signs_from)),
            Cell::from(drops_at.unwrap_or_default()),
            Cell::from(&key.kid),
        ]
    };
    let rows: Vec<Vec<Cell>> = keys.iter().map(row).collect();
    let mut text = table(terminal, &COLUMNS, &rows);
    if let Some(signer) = keys.iter().find_map(|key| key.signer.as_deref()) {
        text.push_str(&format!("\nThe signing key is kept by {signer}.\n"));
    }
    text
}

fn absent(key: &str) -> CommandError {
    CommandError::Other(format!("there is no signing key {key}"))
}

/// A number from 1, or a `kid`: an RFC 7638 thumbprint in base64url, which may begin with a hyphen, or one of Dex's.
fn parse_key(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_valid = match text.parse::<i64>() {
        Ok(number) => number > 0,
        Err(_) => !text.is_empty() && !text.starts_with("--") && text.chars().all(allowed),
    };
    match is_valid {
        true => Ok(text.to_owned()),
        false => Err("expected the number or the kid of a key".to_owned()),
    }
}

/// The preview, for standard error.
fn render_preview(preview: &KeyDropPreviewView) -> String {
    let key = &preview.key;
    let signing = preview.signing_kid.clone();
    let refused = match &preview.tokens_until {
        Some(until) => format!("all that it signed; the last of them would expire at {until}"),
        None => "none".to_owned(),
    };
    facts(
        &Terminal::of_stderr(),
        &[
            ("key", format!("{} ({})", key.number, key.state)),
            ("kid", key.kid.clone()),
            ("tokens refused", refused),
            (
                "sessions",
                "go on; applications refresh and receive tokens of the other key".to_owned(),
            ),
            ("signs afterwards", signing.unwrap_or_else(|| "a new key".to_owned())),
            ("not covered", preview.beyond.clone()),
        ],
    )
}

fn render_drop(dropped: &KeyDropView, terminal: &Terminal) -> String {
    let new = if dropped.made { "A new key" } else { "The key" };
    let text = format!(
        "Dropped key {}. {new} {} signs from now on. {}",
        dropped.number, dropped.signing_kid, dropped.beyond
    );
    fold(&text, terminal.width, 0, str::to_owned)
}

fn render_rotation(rotation: &RotationView, terminal: &Terminal) -> String {
    let (number, signs_from) = (rotation.number, terminal.instant_in_full(&rotation.signs_from));
    match rotation.made {
        true => format!("Key {number} is published and signs from {signs_from}.\n"),
        false => format!("Key {number} was published already and signs from {signs_from}.\n"),
    }
}
