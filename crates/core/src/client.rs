//! A registered client, and its lifetimes where they differ from the issuer's.

pub mod registration;

use std::time::Duration;

use url::{Host, Url};

use crate::network::is_loopback_url;
use crate::{ClientId, Secret};

/// The redirect URI that requests a page with the code instead of a redirect.
pub const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// The redirect URI by which a Dex configuration permits a client the device flow. No code is sent there: a device
/// login ends at our own page.
pub const DEVICE_CALLBACK: &str = "/device/callback";

/// The client id of logins to the account pages, used in the log. No configured client may have it.
pub const OWN_PAGES: &str = "countersign-own-pages";

/// A client registered at this issuer (RFC 6749 section 2).
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub id: ClientId,
    /// `None` only for public clients; never empty.
    pub secret: Option<Secret>,
    pub name: String,
    pub logo_url: Option<String>,
    pub redirect_uris: Vec<String>,
    /// Clients that may request tokens with this one in `aud`.
    pub trusted_peers: Vec<ClientId>,
    /// A public client (RFC 6749 section 2.1).
    pub public: bool,
    /// Connectors the client may use; empty means all.
    pub allowed_connectors: Vec<crate::ConnectorId>,
    /// The client's own lifetimes; absent ones are the issuer's.
    pub lifetimes: crate::Lifetimes,
    /// Where a browser may be sent after it signed out here (RP-Initiated Logout 1.0 section 3).
    pub post_logout_redirect_uris: Vec<String>,
    /// Its back-channel logout endpoint (Back-Channel Logout 1.0 section 2.2).
    pub backchannel_logout_uri: Option<Url>,
    /// Its refresh tokens end when the browser signs out (Dex's `refreshTokenLifetime: session`).
    pub ends_with_browser: bool,
    /// The claim `groups` of its own tokens (`client_credentials`).
    pub own_groups: Vec<String>,
    /// Set if the client is a Kubernetes cluster.
    pub kubernetes: Option<crate::Kubernetes>,
}

impl Client {
    /// Whether this redirect URI may receive codes. Compared as bytes (RFC 9700 section 4.1.3); for public
    /// clients also by the loopback rules of RFC 8252 section 7.3: without registered URIs any loopback port
    /// and path, with one only the port is free. A path is on the host of the issuer, as in Dex.
    pub fn allows_redirect(&self, uri: &str) -> bool {
        if uri.starts_with('/') && !is_path_on_issuer(uri) {
            return false;
        }
        if self.redirect_uris.iter().any(|registered| registered == uri) {
            return true;
        }
        if !self.public {
            return false;
        }
        if self.redirect_uris.is_empty() {
            return uri == OUT_OF_BAND || is_plain_loopback(uri);
        }
        self.redirect_uris.iter().any(|registered| differs_in_loopback_port(registered, uri))
    }

    /// Whether the client may use the device authorization grant (RFC 8628), by Dex's rule: a public client
    /// without redirect URIs, or one with [`DEVICE_CALLBACK`] among them, with or without the issuer's path
    /// before it.
    pub fn allows_device_flow(&self) -> bool {
        let is_callback = |uri: &String| uri.starts_with('/') && uri.ends_with(DEVICE_CALLBACK);
        (self.public && self.redirect_uris.is_empty()) || self.redirect_uris.iter().any(is_callback)
    }

    /// Whether a browser may be redirected to this URI after logout. Compared byte for byte, like redirect URIs, since
    /// anything less strict is an open redirector.
    pub fn allows_post_logout_redirect(&self, uri: &str) -> bool {
        self.post_logout_redirect_uris.iter().any(|registered| registered == uri)
    }

    /// Whether a request by `requester` may name this client in `aud`.
    pub fn trusts(&self, requester: &ClientId) -> bool {
        self.id == *requester || self.trusted_peers.contains(requester)
    }

    /// The host of the redirect URI, for the login pages.
    pub fn host_of(redirect_uri: &str, issuer: &Url) -> Option<String> {
        if is_path_on_issuer(redirect_uri) {
            return issuer.host_str().map(str::to_owned);
        }
        Url::parse(redirect_uri).ok()?.host_str().map(str::to_owned)
    }
}

/// Whether a redirect URI is a path on the host of the issuer. [`DEVICE_CALLBACK`] is not: it only permits the device
/// flow.
fn is_path_on_issuer(uri: &str) -> bool {
    registration::is_path(uri) && !uri.ends_with(DEVICE_CALLBACK)
}

/// `http://localhost`, `127.0.0.0/8` or `[::1]`, without user, fragment or another notation of the address (`127.1`,
/// `0x7f.1`), since the browser must connect to the host that was checked.
fn is_plain_loopback(uri: &str) -> bool {
    let Some((authority, _)) = split_http(uri) else { return false };
    let Ok(url) = Url::parse(uri) else { return false };
    let loopback = match url.host() {
        // Not `is_localhost`: a name below localhost is not a loopback redirect URI (RFC 8252 section 7.3).
        Some(Host::Domain(name)) => name == "localhost",
        _ => is_loopback_url(&url),
    };
    let host_as_written = without_port(authority);
    loopback && url.host_str() == Some(host_as_written) && is_clean(uri)
}

/// Whether both are loopback URIs that differ only in the port; host, path and query are compared exactly.
fn differs_in_loopback_port(registered: &str, uri: &str) -> bool {
    if !is_plain_loopback(registered) || !is_plain_loopback(uri) {
        return false;
    }
    let (Some((a, rest_a)), Some((b, rest_b))) = (split_http(registered), split_http(uri)) else {
        return false;
    };
    without_port(a) == without_port(b) && rest_a == rest_b
}

/// The authority of an `http` URI and the text after it, as written.
fn split_http(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest.split_at_checked(end)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() => host,
        _ => authority,
    }
}

fn is_clean(uri: &str) -> bool {
    !uri.contains(['#', '\\', '@']) && uri.bytes().all(|b| (0x21..0x7f).contains(&b))
}

/// `None`: the issuer's value applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Lifetime of ID and access tokens.
    pub tokens: Option<Duration>,
    pub codes: Option<Duration>,
    /// Time from the request at `/auth` to the code.
    pub requests: Option<Duration>,
    /// Whether a refresh token is rotated when it is used.
    pub rotate: Option<bool>,
    /// For how long the previous refresh token is answered with the same successor.
    pub reuse_interval: Option<Duration>,
    /// Lifetime of a refresh token since the code exchange.
    pub refresh_absolute: Option<Limit>,
    /// Lifetime of a refresh token since it was last used.
    pub refresh_idle: Option<Limit>,
    /// Maximum age of a sign-in for single sign-on at this client.
    pub session_absolute: Option<Duration>,
    /// Maximum time since the browser was last used, for single sign-on at this client.
    pub session_idle: Option<Duration>,
}

/// A lifetime that may be unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    After(Duration),
    Never,
}

impl Limit {
    /// `None`: unlimited.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::After(duration) => Some(duration),
            Self::Never => None,
        }
    }
}

impl Lifetimes {
    /// True if nothing differs from the issuer's values.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, OUT_OF_BAND, Url};
    use crate::{ClientId, Secret};

    fn client(public: bool, uris: &[&str]) -> Client {
        Client {
            id: ClientId::new("app"),
            secret: (!public).then(|| Secret::new("s")),
            name: "App".into(),
            redirect_uris: uris.iter().map(|u| (*u).to_owned()).collect(),
            public,
            ..Client::default()
        }
    }

    /// Stock Kubeflow registers `/oauth2/callback`; `/device/callback` permits the device flow alone.
    #[test]
    fn a_registered_path_is_on_the_host_of_the_issuer() {
        let issuer = Url::parse("https://login.example.com/dex").unwrap();
        let registered = ["/oauth2/callback", "/device/callback", "/dex/device/callback", "//a/cb"];
        let app = client(false, &registered);
        assert!(app.allows_redirect("/oauth2/callback"));
        for wrong in [
            "/device/callback",
            "/dex/device/callback",
            "//a/cb",
            "/oauth2/callback/",
            "/",
            "oauth2/callback",
        ] {
            assert!(!app.allows_redirect(wrong), "{wrong}");
        }
        assert!(!client(true, &[]).allows_redirect("/oauth2/callback"));
        let host = |uri| Client::host_of(uri, &issuer);
        assert_eq!(host("/oauth2/callback").as_deref(), Some("login.example.com"));
        assert_eq!(host("https://app.example.com/cb").as_deref(), Some("app.example.com"));
        assert_eq!((host("/device/callback"), host("app:/cb")), (None, None));
    }

    #[test]
    fn a_registered_uri_is_compared_byte_by_byte() {
        let app = client(false, &["https://app.example.com/cb"]);
        assert!(app.allows_redirect("https://app.example.com/cb"));
        for wrong in [
            "https://app.example.com/cb/",
            "https://app.example.com/cb/x",
            "https://app.example.com/cb?x=1",
            "https://app.example.com/cb#f",
            "https://APP.example.com/cb",
            "https://app.example.com/CB",
            "https://app.example.com:443/cb",
            "https://app.example.com/%2e%2e/cb",
            "https://app.example.com/a/../cb",
            "https://appXexample.com/cb",
            "https://app.example.com@evil.example/cb",
            "https://evil.example\\@app.example.com/cb",
            "https://app.example.com/cb%252f..%252f..",
            "javascript:alert(1)",
            "data:text/html,x",
            "",
            OUT_OF_BAND,
            "http://127.0.0.1:8000/cb",
        ] {
            assert!(!app.allows_redirect(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_public_client_without_uris_gets_any_loopback_port_and_path() {
        let cli = client(true, &[]);
        for right in [
            "http://localhost:8000",
            "http://localhost:18000/",
            "http://127.0.0.1:5555/callback",
            "http://[::1]:9/cb?x=1",
            "http://127.0.0.2/cb",
            OUT_OF_BAND,
        ] {
            assert!(cli.allows_redirect(right), "{right}");
        }
        for wrong in [
            "https://localhost/cb",
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "http://0.0.0.0/cb",
            "http://127.1/cb",
            "http://0x7f.0.0.1/cb",
            "http://2130706433/cb",
            "http://localhost:80@evil.example/",
            "http://user@localhost/",
            "http://localhost:8000/#f",
            "http://LOCALHOST/cb",
            "http://localhost\\@evil.example",
        ] {
            assert!(!cli.allows_redirect(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_public_client_with_a_loopback_uri_gets_any_port_of_it() {
        let cli = client(true, &["http://localhost:8085/auth/callback"]);
        assert!(cli.allows_redirect("http://localhost:8085/auth/callback"));
        assert!(cli.allows_redirect("http://localhost:9000/auth/callback"));
        assert!(cli.allows_redirect("http://localhost/auth/callback"));
        for wrong in [
            "http://127.0.0.1:8085/auth/callback",
            "http://localhost:8085/auth/callback/",
            "http://localhost:8085/auth/callback?x",
            "http://localhost:8085/",
            OUT_OF_BAND,
        ] {
            assert!(!cli.allows_redirect(wrong), "{wrong}");
        }
    }
}
