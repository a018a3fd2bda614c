//! The Secret Service: an item of the default collection for each login. The session between this process and the
//! service is encrypted, so that tokens are not in what `dbus-monitor` shows.
//!
//! Operations on a locked collection would open a prompt; it is tested for before each of them.

use std::collections::HashMap;

use ::secret_service::{Collection, EncryptionType, Error, SecretService};

use super::{KeyringError, SERVICE};

pub async fn get(name: &str) -> Result<Option<String>, KeyringError> {
    let service = connect().await?;
    let collection = unlocked_collection(&service).await?;
    secret(&collection, name).await
}

/// Returns what the item has afterwards.
pub async fn set(name: &str, label: &str, text: &str) -> Result<Option<String>, KeyringError> {
    let service = connect().await?;
    let collection = unlocked_collection(&service).await?;
    let replaces = true;
    collection
        .create_item(label, attributes(name), text.as_bytes(), replaces, "text/plain")
        .await?;
    secret(&collection, name).await
}

pub async fn delete(name: &str) -> Result<(), KeyringError> {
    let service = connect().await?;
    let collection = unlocked_collection(&service).await?;
    for item in collection.search_items(attributes(name)).await? {
        item.delete().await?;
    }
    Ok(())
}

async fn secret(collection: &Collection<'_>, name: &str) -> Result<Option<String>, KeyringError> {
    let items = collection.search_items(attributes(name)).await?;
    let Some(item) = items.first() else { return Ok(None) };
    Ok(String::from_utf8(item.get_secret().await?).ok())
}

/// Fails at once if there is no session bus, or if nothing on it is a Secret Service.
async fn connect() -> Result<SecretService<'static>, KeyringError> {
    SecretService::connect(EncryptionType::Dh).await.map_err(|cause| match cause {
        Error::Unavailable => KeyringError::Absent("no session bus".to_owned()),
        cause => KeyringError::Absent(describe(&cause)),
    })
}

/// A machine on which no keyring was created has no default collection; creating one would prompt for a password.
async fn unlocked_collection<'a>(
    service: &'a SecretService<'static>,
) -> Result<Collection<'a>, KeyringError> {
    let collection = service.get_default_collection().await.map_err(|cause| match cause {
        Error::NoResult => KeyringError::Absent("no default keyring was created".to_owned()),
        cause => cause.into(),
    })?;
    match collection.is_locked().await? {
        true => Err(KeyringError::Locked),
        false => Ok(collection),
    }
}

fn attributes(name: &str) -> HashMap<&str, &str> {
    HashMap::from([("service", SERVICE), ("username", name)])
}

impl From<Error> for KeyringError {
    fn from(cause: Error) -> Self {
        match cause {
            // A prompt is dismissed by the system where there is no display.
            Error::Locked | Error::Prompt => Self::Locked,
            cause => Self::Refused(describe(&cause)),
        }
    }
}

/// The cause without the names of the libraries that report it.
fn describe(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
