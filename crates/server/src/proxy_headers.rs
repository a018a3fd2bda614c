//! Request headers set by a reverse proxy in front of this server: the client's address, and, for trusted-header
//! connectors, the user. Browsers can send all of them as well.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName, header};
use countersign_core::connector::ProxyHeaders;
use countersign_core::network::Network;

/// `web.clientRemoteIP`: the header is used only if the connection comes from a trusted proxy.
#[derive(Clone, Debug, Default)]
pub struct ClientAddressRule {
    /// Such as `X-Forwarded-For`; ignored without trusted proxies.
    pub header: Option<HeaderName>,
    pub trusted_proxies: Vec<Network>,
}

impl ClientAddressRule {
    /// The client's address: if `peer` is a trusted proxy, the rightmost address in the header that is not one;
    /// otherwise `peer`.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        let Some(header) = &self.header else { return peer };
        if !self.trusts(peer) {
            return peer;
        }
        let values: Vec<&str> =
            headers.get_all(header).iter().filter_map(|value| value.to_str().ok()).collect();
        let mut client = peer;
        for entry in values.iter().flat_map(|value| value.split(',')).rev() {
            let Some(address) = parse_address(entry.trim()) else { return client };
            client = address.to_canonical();
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// Parses an address, with or without port or brackets.
fn parse_address(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let plain = bare.parse().ok();
    plain.or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

/// The address of the connection's other end.
pub fn peer_address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// Request extension: the headers of trusted-header connectors, which are removed from the request's headers.
///
/// They are not trusted here: the connector checks the peer's address.
#[derive(Clone, Debug)]
pub struct StrippedHeaders(pub ProxyHeaders);

/// Removes the headers of these names, including spellings with `_` that CGI programs treat as equal. Returns them with
/// a copy of `Connection`, in which a client can declare any of them hop-by-hop.
pub fn strip(headers: &mut HeaderMap, names: &[String]) -> Vec<(String, Vec<u8>)> {
    let is_named = |name: &str| names.contains(&name.replace('_', "-"));
    let found: Vec<_> = headers.keys().filter(|name| is_named(name.as_str())).cloned().collect();
    let mut fields = Vec::new();
    for name in found.iter().chain([&header::CONNECTION]) {
        for value in headers.get_all(name) {
            fields.push((name.as_str().to_owned(), value.as_bytes().to_vec()));
        }
    }
    for name in found {
        headers.remove(name);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::{ClientAddressRule, Network, strip};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let rule = ClientAddressRule {
            header: Some(HeaderName::from_static("x-forwarded-for")),
            trusted_proxies: vec![Network::parse("10.0.0.0/8").unwrap()],
        };
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
        }
        rule.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_client_cannot_choose_its_address() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1", "203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn every_spelling_of_a_trusted_header_is_stripped_and_nothing_else() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-remote-user", "jane"),
            ("x-remote-user", "admin"),
            ("x_remote_user", "admin"),
            ("x-remote_user", "admin"),
            ("x-remote-users", "stays"),
            ("connection", "keep-alive"),
            ("cookie", "a=b"),
        ] {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        let stripped = strip(&mut headers, &["x-remote-user".to_owned()]);
        let mut stripped: Vec<&str> = stripped.iter().map(|(name, _)| name.as_str()).collect();
        stripped.sort_unstable();
        let expected =
            ["connection", "x-remote-user", "x-remote-user", "x-remote_user", "x_remote_user"];
        assert_eq!(stripped, expected);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["connection", "cookie", "x-remote-users"]);
    }
}
