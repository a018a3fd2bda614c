//! Tokens in the system's keyring: the Keychain of macOS, elsewhere the Secret Service on the session bus (GNOME
//! keyring, KWallet, KeePassXC).
//!
//! No unlocking is ever requested, so no prompt appears, and every operation has a time limit.

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
    Memory(memory::Memory),
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
        match tokio::time::timeout(TIME_LIMIT, operation).await {
            Ok(result) => result,
            Err(_) => {
                self.has_timed_out.store(true, Ordering::Relaxed);
                Err(KeyringError::TimedOut)
            }
        }
    }

    async fn get(&self, name: &str) -> Result<Option<String>, KeyringError> {
        match &self.kind {
            Kind::System => Box::pin(backend::get(name)).await,
            #[cfg(test)]
            Kind::Memory(memory) => memory.get(name),
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
            Kind::System => Box::pin(backend::set(name, label, text)).await,
            #[cfg(test)]
            Kind::Memory(memory) => memory.set(name, text),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), KeyringError> {
        match &self.kind {
            Kind::System => Box::pin(backend::delete(name)).await,
            #[cfg(test)]
            Kind::Memory(memory) => memory.delete(name),
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

    #[derive(Clone, Debug, Default)]
    pub struct Memory(Arc<Mutex<State>>);

    impl Memory {
        pub fn get(&self, name: &str) -> Result<Option<String>, KeyringError> {
            let state = self.0.lock().unwrap();
            state.error.clone().map_or_else(|| Ok(state.entries.get(name).cloned()), Err)
        }

        pub fn set(&self, name: &str, text: &str) -> Result<Option<String>, KeyringError> {
            let mut state = self.0.lock().unwrap();
            if let Some(error) = state.error.clone().or(state.refusal.clone()) {
                return Err(error);
            }
            if !state.loses_entries {
                state.entries.insert(name.to_owned(), text.to_owned());
            }
            drop(state);
            self.get(name)
        }

        pub fn delete(&self, name: &str) -> Result<(), KeyringError> {
            let mut state = self.0.lock().unwrap();
            if let Some(error) = state.error.clone() {
                return Err(error);
            }
            state.entries.remove(name);
            Ok(())
        }
    }

    pub fn keyring() -> (Keyring, Arc<Mutex<State>>) {
        let state = Arc::<Mutex<State>>::default();
        let kind = Kind::Memory(Memory(Arc::clone(&state)));
        (Keyring { kind, ..Keyring::default() }, state)
    }
}
