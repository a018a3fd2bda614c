//! The Keychain of macOS. Its calls block, so each runs in a thread, which ends with the process if the call does not.

use keyring::{Entry, Error};
use tokio::sync::oneshot;

use super::{KeyringError, SERVICE};

pub async fn get(name: &str) -> Result<Option<String>, KeyringError> {
    match in_thread(name, |entry| entry.get_password()).await {
        Err(Error::NoEntry) => Ok(None),
        result => result.map(Some).map_err(KeyringError::from),
    }
}

/// Returns what the entry has afterwards.
pub async fn set(name: &str, _label: &str, text: &str) -> Result<Option<String>, KeyringError> {
    let text = text.to_owned();
    in_thread(name, move |entry| entry.set_password(&text)).await?;
    get(name).await
}

pub async fn delete(name: &str) -> Result<(), KeyringError> {
    match in_thread(name, |entry| entry.delete_credential()).await {
        Err(Error::NoEntry) => Ok(()),
        result => Ok(result?),
    }
}

async fn in_thread<T: Send + 'static>(
    name: &str,
    call: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
) -> keyring::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let name = name.to_owned();
    std::thread::spawn(move || {
        let result = Entry::new(SERVICE, &name).and_then(|entry| call(&entry));
        // Nobody waits any more after the time limit.
        let _ = sender.send(result);
    });
    receiver.await.unwrap_or(Err(Error::NoDefaultStore))
}

impl From<Error> for KeyringError {
    fn from(cause: Error) -> Self {
        match cause {
            Error::NoDefaultStore => Self::Absent("no Keychain".to_owned()),
            Error::NoStorageAccess(_) => Self::Locked,
            cause => Self::Refused(cause.to_string()),
        }
    }
}
