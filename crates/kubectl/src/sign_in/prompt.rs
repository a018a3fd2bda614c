//! Prompts on standard error, and lines that the user types on standard input.

use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// A line without its line break; empty if standard input has ended.
pub async fn line(prompt: &str, timeout: Duration) -> Result<String, Error> {
    eprint!("{prompt}");
    read(timeout).await
}

/// The same, without showing on the terminal what is typed.
pub async fn hidden(prompt: &str, timeout: Duration) -> Result<String, Error> {
    let hidden = HiddenInput::begin();
    eprint!("{prompt}");
    let line = read(timeout).await;
    drop(hidden);
    eprintln!();
    line
}

async fn read(timeout: Duration) -> Result<String, Error> {
    let typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = tokio::time::timeout(timeout, typed)
        .await
        .map_err(|_| Error::LoginFailed("nobody typed it in time".to_owned()))?
        .map_err(|cause| Error::Local(cause.to_string()))?
        .map_err(|cause| Error::Local(format!("cannot read standard input: {cause}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The terminal does not show what is typed until this value is dropped.
struct HiddenInput(Option<Termios>);

impl HiddenInput {
    fn begin() -> Self {
        // Standard input may be a pipe, which shows nothing.
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(before) = &before {
            restore_when_ended(before);
            let mut hidden = before.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &hidden);
        }
        Self(before)
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            restore(before);
        }
    }
}

/// Restores the terminal before one of these signals ends the process. The library replaces their default action for as
/// long as the process runs, so that the tasks are needed after the prompt too: Ctrl-C would have no effect.
fn restore_when_ended(before: &Termios) {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ];
    for kind in kinds {
        let Ok(mut received) = signal(kind) else { continue };
        let before = before.clone();
        tokio::spawn(async move {
            received.recv().await;
            restore(&before);
            eprintln!();
            // As a shell reports a process that a signal has ended.
            std::process::exit(128 + kind.as_raw_value());
        });
    }
}

fn restore(before: &Termios) {
    let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
}
