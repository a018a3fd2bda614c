//! Tokens in the system's keyring: Secret Service, macOS Keychain or Windows Credential Manager.
//!
//! The calls block, and the one to the Secret Service runs an executor of its own, so each runs in a new thread.

use keyring::Entry;

use super::record::Tokens;

const SERVICE: &str = "kubectl-countersign";

/// `None`: there is no keyring, it is locked, or it has no such entry.
pub fn read(name: &str) -> Option<Tokens> {
    let text = in_thread(name, |entry| entry.get_password())?;
    serde_json::from_str(&text).ok()
}

/// `false`: there is no keyring, or it refused the tokens (some limit their size).
pub fn write(name: &str, tokens: &Tokens) -> bool {
    let Ok(text) = serde_json::to_string(tokens) else { return false };
    in_thread(name, move |entry| entry.set_password(&text)).is_some()
}

pub fn remove(name: &str) {
    in_thread(name, |entry| entry.delete_credential());
}

fn in_thread<T: Send + 'static>(
    name: &str,
    call: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
) -> Option<T> {
    let name = name.to_owned();
    let thread = std::thread::spawn(move || call(&Entry::new(SERVICE, &name)?));
    thread.join().ok()?.ok()
}
