//! Opens a login page in a browser on this machine, without a shell.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use url::Url;

use super::Options;
use crate::error::Error;

/// How long to wait for the start of a browser. One that runs in the terminal (`BROWSER=w3m`) does not return until it is
/// closed, and the listener must respond to it before.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// Where the login page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Nowhere: no browser is to be opened, or none could be.
    No,
    InWindow,
    /// In a browser that uses the terminal; nothing else must be written on it now.
    InTerminal,
}

/// Opens `url`, which the caller has checked to be a web address. If that fails, the cause is printed.
pub async fn open(options: &Options, url: &Url) -> Opened {
    if !options.opens_browser || !options.can_open_browser() {
        return Opened::No;
    }
    let (url, program) = (url.clone(), options.browser_command.clone());
    let opening = tokio::task::spawn_blocking(move || start(&url, program.as_deref()));
    match tokio::time::timeout(TIME_LIMIT, opening).await {
        Ok(Ok(Ok(()))) => Opened::InWindow,
        Ok(Ok(Err(error))) => {
            eprintln!("{error}");
            Opened::No
        }
        Ok(Err(_)) => Opened::No,
        Err(_) => Opened::InTerminal,
    }
}

/// With `program`, or with the system's default browser.
fn start(url: &Url, program: Option<&Path>) -> Result<(), Error> {
    match program {
        Some(program) => Command::new(program)
            .arg(url.as_str())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(drop)
            .map_err(|cause| Error::Local(format!("cannot run {}: {cause}", program.display()))),
        None => webbrowser::open(url.as_str())
            .map_err(|cause| Error::Local(format!("cannot open a browser: {cause}"))),
    }
}
