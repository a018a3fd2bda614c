//! Networks of the configuration, and the classes of addresses used in rules: the local machine, and addresses that no
//! configured service can have.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// A network such as `10.0.0.0/8`, or a single address (RFC 4632 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// Request extension: the address of the connection's other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

impl Network {
    /// Refuses addresses with bits beyond the prefix (`10.0.0.7/8`).
    pub fn parse(text: &str) -> Option<Self> {
        let network = match text.split_once('/') {
            None => IpNet::from(text.parse::<IpAddr>().ok()?),
            Some((_, prefix)) if prefix.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
        };
        (network == network.trunc()).then_some(Self(network))
    }

    /// An IPv4 address mapped to IPv6 (`::ffff:10.0.0.1`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a host name is reserved for the local machine (RFC 6761 section 6.3).
pub fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether a host, given as a name or an address without brackets, is the local machine.
pub fn is_loopback_host(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => is_loopback(address),
        Err(_) => is_localhost(host),
    }
}

/// Whether the host of a URL is the local machine.
pub fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_localhost(name),
        Some(Host::Ipv4(ip)) => is_loopback(ip.into()),
        Some(Host::Ipv6(ip)) => is_loopback(ip.into()),
        None => false,
    }
}

/// `127.0.0.0/8` and `::1`, including IPv4-mapped IPv6 addresses.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// What limits for each client count instead of its address: the /64 prefix of an IPv6 address, which is usually assigned
/// to one customer, and an IPv4 address as it is.
pub fn client_prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// Whether an address is link-local, broadcast, multicast or unspecified. Configured services do not have such
/// addresses, but cloud metadata services do (169.254.169.254).
pub fn is_link_local_or_special(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let local = match address {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    local || address.is_multicast() || address.is_unspecified()
}

/// As [`is_link_local_or_special`], for the host of a URL. True also for a URL without a host, and for the host name of
/// a cloud's metadata service.
pub fn is_link_local_or_special_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.') == "metadata.google.internal",
        Some(Host::Ipv4(ip)) => is_link_local_or_special(ip.into()),
        Some(Host::Ipv6(ip)) => is_link_local_or_special(ip.into()),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, is_link_local_or_special, is_loopback_host};

    #[test]
    fn a_network_contains_its_addresses_only() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("192.168.0.0/31", "::ffff:192.168.0.1", "192.168.0.2"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{inside} in {network}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{outside} in {network}");
        }
    }

    #[test]
    fn an_invalid_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0/8", "::/129", "10.0.0.0/+8", "a/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        assert_eq!(Network::parse("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
    }

    #[test]
    fn local_and_link_local_addresses_are_recognised_in_every_notation() {
        for host in
            ["localhost", "LOCALHOST.", "a.localhost", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
        {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["localhost.example.com", "10.0.0.1", "0.0.0.0", "", "notlocalhost"] {
            assert!(!is_loopback_host(host), "{host}");
        }
        for near in
            ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1"]
        {
            assert!(is_link_local_or_special(near.parse().unwrap()), "{near}");
        }
        for fine in ["10.1.2.3", "127.0.0.1", "192.0.2.1", "fd00::1", "2001:db8::1"] {
            assert!(!is_link_local_or_special(fine.parse().unwrap()), "{fine}");
        }
    }
}
