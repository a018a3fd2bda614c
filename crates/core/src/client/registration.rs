//! Validation of client registrations: from the configuration file, the API, or Dex's data.

use url::Url;

use super::{DEVICE_CALLBACK, OUT_OF_BAND, OWN_PAGES};
use crate::network::is_link_local_or_special_url;
use crate::{Client, ClientId};

/// Schemes that a browser executes or opens locally.
const EXECUTED_SCHEMES: [&str; 6] = ["javascript", "data", "vbscript", "file", "blob", "about"];

/// Validates a client; the error states why it cannot be registered.
pub fn check_client(client: &Client) -> Result<(), String> {
    check_id(&client.id)?;
    if client.secret.is_none() && !client.public {
        return Err(
            "it has no secret and is not public: anybody could authenticate as it".to_owned()
        );
    }
    for uri in client.redirect_uris.iter().chain(&client.post_logout_redirect_uris) {
        check_redirect_uri(uri).map_err(|reason| format!("{uri:?}: {reason}"))?;
    }
    Ok(())
}

/// RFC 6749 appendix A.1. The id of the account pages is reserved.
pub fn check_id(id: &ClientId) -> Result<(), String> {
    if id.as_str().is_empty() {
        return Err("its id is empty".to_owned());
    }
    if !id.as_str().bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(
            "its id holds characters that a client id cannot, expected visible ASCII".to_owned()
        );
    }
    if id.as_str() == OWN_PAGES {
        return Err(format!("{id} is what our own pages are called, expected another id"));
    }
    Ok(())
}

/// Validates a redirect URI: absolute and without fragment (RFC 6749 section 3.1.2), or one of Dex's special forms.
pub fn check_redirect_uri(uri: &str) -> Result<(), &'static str> {
    // Dex's redirect URI of the device flow, with or without the issuer's path.
    let is_device_callback = uri.starts_with('/') && uri.ends_with(DEVICE_CALLBACK);
    if uri == OUT_OF_BAND || is_device_callback || is_path(uri) {
        return Ok(());
    }
    check_absolute(uri)
}

/// Whether the text is a path on this host: it begins with a single slash, so that no browser resolves it to another
/// host.
pub fn is_path(uri: &str) -> bool {
    uri.strip_prefix('/').is_some_and(|rest| !rest.starts_with('/'))
        && uri.bytes().all(|b| b.is_ascii_graphic())
        && !uri.contains(['\\', '#'])
}

fn check_absolute(uri: &str) -> Result<(), &'static str> {
    const EXPECTED: &str = "expected an absolute URI such as https://app.example.com/callback";
    let Some((scheme, rest)) = uri.split_once(':') else { return Err(EXPECTED) };
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    // A single letter is a Windows drive.
    if !scheme_fits || scheme.len() < 2 || rest.is_empty() {
        return Err(EXPECTED);
    }
    let scheme = scheme.to_ascii_lowercase();
    if EXECUTED_SCHEMES.contains(&scheme.as_str()) {
        return Err("whose scheme a browser would run instead of visit");
    }
    if uri.contains('#') {
        return Err("expected no fragment (#) in it");
    }
    if !uri.bytes().all(|b| b.is_ascii_graphic()) || uri.contains('\\') {
        return Err("expected only the characters of RFC 3986 in it");
    }
    let url = Url::parse(uri).map_err(|_| EXPECTED)?;
    if matches!(scheme.as_str(), "http" | "https") && !rest.starts_with("//") {
        return Err(EXPECTED);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected no user in it");
    }
    Ok(())
}

/// Absolute and without fragment (Back-Channel Logout 1.0 section 2.2).
pub fn parse_backchannel_logout_uri(text: &str) -> Result<Url, &'static str> {
    const EXPECTED: &str = "expected a URL such as https://app.example.com/backchannel-logout";
    let is_http = text.starts_with("https://") || text.starts_with("http://");
    if !is_http || !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains('\\') {
        return Err(EXPECTED);
    }
    let url = Url::parse(text).map_err(|_| EXPECTED)?;
    if url.fragment().is_some() {
        return Err("expected no fragment (#) in it");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected no user in it");
    }
    if is_link_local_or_special_url(&url) {
        return Err("which is no application's address");
    }
    Ok(url)
}
