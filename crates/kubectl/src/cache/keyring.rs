//! Tokens in the system's keyring: the Keychain of macOS, elsewhere the Secret Service on the session bus (GNOME
//! keyring, KWallet, KeePassXC).
//!
//! A keyring is never asked to unlock, so no prompt appears, and every operation has a time limit.

#[cfg(target_os = "macos")]
mod keychain;
#[cfg(not(target_os = "macos"))]
mod secret_service;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[cfg(target_os = "macos")]
use keychain as backend;
#[cfg(not(target_os = "macos"))]
use secret_service as backend;

/// How long one operation may take. A service may have to be started first; one that hangs delays the process once.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The attribute by which the entries of this program are found.
const SERVICE: &str = "kubectl-countersign";

/// Why tokens cannot be read from the keyring or kept in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// No session bus, or no Secret Service on it, or it has no default collection.
    #[error("no keyring was found ({0})")]
    Absent(String),
    #[error("the keyring is locked")]
    Locked,
    #[error("the keyring did not respond within {} seconds", TIME_LIMIT.as_secs())]
    TimedOut,
    /// It refused: for example a secret of this size.
    #[error("the keyring reported an error ({0})")]
    Refused(String),
    /// It reported success, and then had other tokens or none.
    #[error("the keyring did not keep the tokens")]
    NotKept,
}

/// The keyring of this machine; clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    kind: Kind,
    has_timed_out: Arc<AtomicBool>,
}

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    System,
    #[cfg(test)]
    Memory(Arc<std::sync::Mutex<memory::State>>),
}

impl Keyring {
    /// The text of the entry `name`, if there is one.
    pub async fn read(&self, name: &str) -> Result<Option<String>, KeyringError> {
        self.limited(self.get(name)).await
    }

    /// Replaces the text of an entry, and reads it back: a service may drop or truncate what it accepted.
    /// `label`: how the system's program for keyrings names the entry.
    pub async fn write(&self, name: &str, label: &str, text: &str) -> Result<(), KeyringError> {
        match self.limited(self.set(name, label, text)).await? {
            Some(kept) if kept == text => Ok(()),
            _ => Err(KeyringError::NotKept),
        }
    }

    /// Succeeds if there is no such entry.
    pub async fn remove(&self, name: &str) -> Result<(), KeyringError> {
        self.limited(self.delete(name)).await
    }

    /// Whether tokens could be kept in it now.
    pub async fn check(&self) -> Result<(), KeyringError> {
        self.limited(self.get("check")).await.map(|_| ())
    }

    /// After one operation that ran into the limit the others of this process fail at once.
    async fn limited<T>(
        &self,
        operation: impl Future<Output = Result<T, KeyringError>>,
    ) -> Result<T, KeyringError> {
        if self.has_timed_out.load(Ordering::Relaxed) {
            return Err(KeyringError::TimedOut);
        }
        match tokio::time::timeout(TIME_LIMIT, Box::pin(operation)).await {
            Ok(result) => result,
            Err(_) => {
                self.has_timed_out.store(true, Ordering::Relaxed);
                Err(KeyringError::TimedOut)
            }
        }
    }

    async fn get(&self, name: &str) -> Result<Option<String>, KeyringError> {
        match &self.kind {
            Kind::System => backend::get(name).await,
            #[cfg(test)]
            Kind::Memory(state) => state.lock().unwrap().get(name),
        }
    }

    /// Returns what the entry has afterwards.
    async fn set(
        &self,
        name: &str,
        label: &str,
        text: &str,
    ) -> Result<Option<String>, KeyringError> {
        match &self.kind {
            Kind::System => backend::set(name, label, text).await,
            #[cfg(test)]
            Kind::Memory(state) => state.lock().unwrap().set(name, text),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), KeyringError> {
        match &self.kind {
            Kind::System => backend::delete(name).await,
            #[cfg(test)]
            Kind::Memory(state) => state.lock().unwrap().delete(name),
        }
    }
}

/// A keyring for unit tests, whose failures the test sets.
#[cfg(test)]
pub mod memory {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use super::{Keyring, KeyringError, Kind};

    #[derive(Debug, Default)]
    pub struct State {
        pub entries: BTreeMap<String, String>,
        /// The result of every operation.
        pub error: Option<KeyringError>,
        /// The result of writing.
        pub refusal: Option<KeyringError>,
        /// It reports success and keeps nothing.
        pub loses_entries: bool,
    }

    impl State {
        pub fn get(&self, name: &str) -> Result<Option<String>, KeyringError> {
            self.error.clone().map_or_else(|| Ok(self.entries.get(name).cloned()), Err)
        }

        pub fn set(&mut self, name: &str, text: &str) -> Result<Option<String>, KeyringError> {
            if let Some(error) = self.error.clone().or(self.refusal.clone()) {
                return Err(error);
            }
            if !self.loses_entries {
                self.entries.insert(name.to_owned(), text.to_owned());
            }
            self.get(name)
        }

        pub fn delete(&mut self, name: &str) -> Result<(), KeyringError> {
            if let Some(error) = self.error.clone() {
                return Err(error);
            }
            self.entries.remove(name);
            Ok(())
        }
    }

    pub fn keyring() -> (Keyring, Arc<Mutex<State>>) {
        let state = Arc::<Mutex<State>>::default();
        let keyring = Keyring { kind: Kind::Memory(Arc::clone(&state)), ..Keyring::default() };
        (keyring, state)
    }
}
