//! A range of addresses, as in `web.clientRemoteIP.trustedProxies`.

use std::fmt;
use std::net::IpAddr;

/// An address and how many of its first bits count (RFC 4632 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// `10.0.0.0/8`, `fd00::/8`, or a single address. Bits behind the prefix must be zero, because
    /// somebody who writes `10.0.0.7/8` means something else than they say.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = width(address);
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => width,
        };
        let tail_is_zero = prefix <= width && bits(address) & !mask(prefix, width) == 0;
        tail_is_zero.then_some(Self { address, prefix })
    }

    /// An IPv4 address that came through an IPv6 socket (`::ffff:10.0.0.1`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let width = width(self.address);
        width == self::width(address)
            && bits(address) & mask(self.prefix, width) == bits(self.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The first `prefix` of `width` bits set.
fn mask(prefix: u32, width: u32) -> u128 {
    let all = u128::MAX.checked_shr(128 - width).unwrap_or(0);
    all & !all.checked_shr(prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn an_address_is_in_its_network_only() {
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
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0/8", "::/129", "10.0.0.0/+8", "a/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        assert_eq!(Network::parse("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
    }
}
