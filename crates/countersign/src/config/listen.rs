//! An address to listen on.

use std::fmt;

use countersign_config::Section;

/// `host:port`. With port 0 the system chooses a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// A host name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

impl Listen {
    /// Parses an address; `:5556` means every address of this machine, as in Go.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok())??;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().ok().map(|_| ip)?,
            None if host.is_empty() => "::",
            None => host,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let known = bracketed.is_some() || host == "::" || host.chars().all(plain);
        known.then(|| Self { host: host.to_owned(), port })
    }
}

impl Listen {
    /// Whether only this machine can connect.
    pub fn is_loopback(&self) -> bool {
        let ip = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The address at a key; `None` if absent or empty.
pub fn read(section: &Section<'_>, key: &'static str) -> Option<Listen> {
    let text = section.text(key).filter(|text| !text.is_empty())?;
    let listen = Listen::parse(&text);
    if listen.is_none() {
        section.error(key, format!("found {text:?}, expected host:port such as 127.0.0.1:5556"));
    }
    listen
}

#[cfg(test)]
mod tests {
    use super::Listen;

    #[test]
    fn addresses_are_those_of_go() {
        for (text, shown) in [
            ("127.0.0.1:5556", "127.0.0.1:5556"),
            (":5556", "[::]:5556"),
            ("[::1]:0", "[::1]:0"),
            ("localhost:80", "localhost:80"),
            ("0.0.0.0:65535", "0.0.0.0:65535"),
        ] {
            let listen = Listen::parse(text).unwrap();
            assert_eq!(listen.to_string(), shown);
        }
        for text in ["", "5556", "localhost", "a:b", "1.2.3.4:65536", "::1:80", "http://x:80", "a:"]
        {
            assert_eq!(Listen::parse(text), None, "{text}");
        }
    }
}
