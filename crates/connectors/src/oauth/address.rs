//! Which URLs from an upstream's document may be requested. The upstream is trusted about identities, but it must not
//! make this server send requests to hosts that only this server can reach, such as a cloud's metadata service or the
//! local machine (SSRF).
//!
//! Not covered: if the environment configures an HTTP proxy, the proxy resolves names.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use countersign_core::network::{
    is_link_local_or_special, is_link_local_or_special_url, is_localhost, is_loopback,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How close a host is, judged by its name or address; a greater value is closer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Network,
    ThisMachine,
    Link,
}

/// `Err` with the reason why `to`, found in a document of `from`, must not be requested: its host is closer than that
/// of `from`, it would leave TLS, or it is not an HTTP URL.
pub(crate) fn may_lead(from: &Url, to: &Url) -> Result<(), &'static str> {
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => {}
        (_, "http") => return Err("its URL is http although the issuer's is https"),
        _ => return Err("its URL is neither http nor https"),
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err("its URL carries a user name or password");
    }
    match (nearness(from), nearness(to)) {
        (from, to) if to <= from => Ok(()),
        (_, Nearness::Link) => Err("its URL is an address of the local link"),
        _ => Err("its URL is this machine"),
    }
}

fn nearness(url: &Url) -> Nearness {
    match url.host() {
        Some(Host::Ipv4(ip)) => of_address(ip.into()),
        Some(Host::Ipv6(ip)) => of_address(ip.into()),
        Some(Host::Domain(name)) => {
            if is_localhost(name) {
                Nearness::ThisMachine
            } else if is_link_local_or_special_url(url) {
                Nearness::Link
            } else {
                Nearness::Network
            }
        }
        None => Nearness::Link,
    }
}

fn of_address(ip: IpAddr) -> Nearness {
    // Connecting to the unspecified address reaches the local machine.
    if is_loopback(ip) || ip.to_canonical().is_unspecified() {
        Nearness::ThisMachine
    } else if is_link_local_or_special(ip) {
        Nearness::Link
    } else {
        Nearness::Network
    }
}

/// Resolves names like the system. A host that is not configured must not resolve to a close address, at any time (DNS
/// rebinding).
pub(super) struct Resolver {
    /// Host names from the configuration.
    pub configured: Arc<[String]>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let trusted = host == "localhost" || self.configured.contains(&host);
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let far = |address: &SocketAddr| of_address(address.ip()) == Nearness::Network;
            let kept: Vec<SocketAddr> =
                found.into_iter().filter(|address| trusted || far(address)).collect();
            if kept.is_empty() {
                return Err("the name resolves to no permitted address".into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::may_lead;

    /// Threat 101.
    #[test]
    fn a_document_does_not_lead_nearer_to_us_nor_out_of_tls() {
        let url = |text: &str| Url::parse(text).unwrap();
        for (from, to, allowed) in [
            ("https://id.example.com", "https://keys.example.net/jwks", true),
            ("https://id.example.com", "https://10.1.2.3/jwks", true),
            ("https://id.example.com", "http://id.example.com/jwks", false),
            ("http://id.example.com", "http://id.example.com/jwks", true),
            ("https://id.example.com", "gopher://id.example.com/", false),
            ("https://id.example.com", "file:///etc/passwd", false),
            ("https://id.example.com", "https://a:b@id.example.com/", false),
            ("https://id.example.com", "https://169.254.169.254/latest", false),
            ("https://id.example.com", "https://[::ffff:169.254.169.254]/", false),
            ("https://id.example.com", "https://metadata.google.internal/", false),
            ("https://id.example.com", "https://127.0.0.1/", false),
            ("https://id.example.com", "https://[::ffff:127.0.0.1]/", false),
            ("https://id.example.com", "https://2130706433/", false),
            ("https://id.example.com", "https://[::1]/", false),
            ("https://id.example.com", "https://0.0.0.0/", false),
            ("https://id.example.com", "https://localhost./", false),
            ("http://127.0.0.1:5556/dex", "http://localhost:5556/dex/keys", true),
            ("http://127.0.0.1:5556/dex", "http://169.254.169.254/", false),
        ] {
            assert_eq!(may_lead(&url(from), &url(to)).is_ok(), allowed, "{from} -> {to}");
        }
    }
}
