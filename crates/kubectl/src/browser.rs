//! Opens the login page in the user's browser.

use std::path::Path;
use std::process::{Command, Stdio};

use url::{Host, Url};

use crate::error::Error;

/// Accepts only https, or http on loopback: a discovery document must not make this program start another one (`file:`,
/// `calculator:`).
pub fn check(url: &Url) -> Result<(), Error> {
    match is_web_address(url) {
        true => Ok(()),
        false => Err(Error::LoginFailed(format!("the issuer's login page {url} is not https"))),
    }
}

/// Opens a URL that [`check`] has accepted, with `program` or the system's default browser, without a shell.
pub fn open(url: &Url, program: Option<&Path>) -> Result<(), Error> {
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

/// Whether the URL is https, or http on loopback.
pub fn is_web_address(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_web_address;

    #[test]
    fn only_web_addresses_are_opened() {
        for (url, is_opened) in [
            ("https://id.example/auth", true),
            ("http://localhost:5556/auth", true),
            ("http://[::1]:5556/auth", true),
            ("http://id.example/auth", false),
            ("file:///bin/sh", false),
            ("calculator:", false),
        ] {
            assert_eq!(is_web_address(&url.parse().unwrap()), is_opened, "{url}");
        }
    }
}
