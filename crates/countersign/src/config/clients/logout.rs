//! `staticClients[]`: back-channel logout and redirect URIs after logout.

use countersign_config::Section;
use countersign_core::client::registration::parse_backchannel_logout_uri;
use countersign_core::network::is_loopback_url;
use url::Url;

use super::check_redirect_uri;
use crate::config::text_items;

/// The logout keys of a client.
pub struct Logout {
    pub post_logout_redirect_uris: Vec<String>,
    pub backchannel_logout_uri: Option<Url>,
    /// Its refresh tokens end when the browser signs out.
    pub ends_with_browser: bool,
}

pub fn read_logout(section: &Section<'_>) -> Logout {
    let items = text_items(section, "postLogoutRedirectURIs");
    for (item, uri) in &items {
        check_redirect_uri(item, uri);
    }
    // `sid` is always sent, so the value has no effect.
    section.flag("backchannelLogoutSessionRequired");
    let lifetimes = [("", false), ("standalone", false), ("session", true)];
    Logout {
        post_logout_redirect_uris: items.into_iter().map(|(_, uri)| uri).collect(),
        backchannel_logout_uri: read_backchannel(section),
        ends_with_browser: section.choice("refreshTokenLifetime", &lifetimes).unwrap_or(false),
    }
}

/// Absolute and without fragment (Back-Channel Logout 1.0 section 2.2).
fn read_backchannel(section: &Section<'_>) -> Option<Url> {
    const KEY: &str = "backchannelLogoutURI";
    let text = section.text(KEY).filter(|text| !text.is_empty())?;
    let url = match parse_backchannel_logout_uri(&text) {
        Ok(url) => url,
        Err(reason) => {
            section.error(KEY, format!("found {text:?}, {reason}"));
            return None;
        }
    };
    if url.scheme() == "http" && !is_loopback_url(&url) {
        let reason = "is http beyond this machine: anybody on the network path learns who signs out, expected https";
        section.warning(KEY, reason);
    }
    Some(url)
}
