//! Whose address a request comes from. A header counts only when a configured proxy sent it.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};
use countersign_core::network::Network;

/// `web.clientRemoteIP`.
#[derive(Clone, Debug, Default)]
pub struct AddressRule {
    /// Such as `X-Forwarded-For`; ignored without trusted proxies.
    pub header: Option<HeaderName>,
    pub trusted_proxies: Vec<Network>,
}

impl AddressRule {
    /// The rightmost address in the header that is not a trusted proxy's, if the peer is one.
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
            let Some(address) = parse_entry(entry.trim()) else { return client };
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

/// An address, perhaps with a port or in brackets.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let plain = bare.parse().ok();
    plain.or_else(|| entry.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::{AddressRule, Network};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let rule = AddressRule {
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
    fn a_stranger_cannot_choose_his_address() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1", "203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }
}
