//! The hosts of a directory, in the order they are tried.

use std::net::Ipv6Addr;

use countersign_config::Section;
use countersign_core::network::is_loopback_host;
use rustls::pki_types::ServerName;

use super::config::{Host, Security};

/// Reads `host`, which may be several separated by commas, or the list `hosts`. `None`, with problems recorded, if one
/// is invalid. `security` is `None` if that part of the configuration is invalid.
pub(super) fn read(section: &Section<'_>, security: Option<&Security>) -> Option<Vec<Host>> {
    let host = section.text("host");
    let list = section.texts("hosts");
    let (key, texts) = match (host, section.has("hosts")) {
        (Some(_), true) => {
            section.error("hosts", "cannot be given together with host");
            return None;
        }
        (Some(host), false) => ("host", host.split(',').map(str::to_owned).collect()),
        (None, true) => ("hosts", list),
        (None, false) => {
            if !section.has("host") {
                section.error("host", "is missing");
            }
            return None;
        }
    };
    let clear = matches!(security, Some(Security::Clear));
    let port = if clear || matches!(security, Some(Security::StartTls(_))) { 389 } else { 636 };
    let mut hosts = Vec::new();
    let mut sound = true;
    for text in &texts {
        match parse(text.trim(), port, !clear) {
            Ok(host) => hosts.push(host),
            Err(reason) => {
                section.error(key, format!("{:?} {reason}", text.trim()));
                sound = false;
            }
        }
    }
    if texts.is_empty() {
        section.error(key, "is empty");
        return None;
    }
    if matches!(security, Some(Security::Tls(_))) && hosts.iter().any(|host| host.port == 389) {
        let instead = "give startTLS: true or another port";
        section
            .warning(key, format!("port 389 is for connections that begin without TLS: {instead}"));
    }
    if clear && !hosts.iter().all(|host| is_loopback_host(&host.name)) {
        section.warning("insecureNoSSL", "sends every password over the network in clear");
    }
    sound.then_some(hosts)
}

fn parse(text: &str, default_port: u16, tls: bool) -> Result<Host, &'static str> {
    if text.is_empty() {
        return Err("is not a host");
    }
    if text.contains("://") {
        return Err("is a URL, expected host or host:port");
    }
    let (name, port) = split(text)?;
    let port = match port {
        None => default_port,
        Some(digits) => match digits.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err("has a port that is not a number from 1 to 65535"),
        },
    };
    let server_name = ServerName::try_from(name.to_owned());
    if server_name.is_err() {
        return Err("is not a host name or an IP address");
    }
    Ok(Host { name: name.to_owned(), port, server_name: server_name.ok().filter(|_| tls) })
}

/// Splits into name or address, and port. IPv6 is in brackets, or without them if there is no port.
fn split(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or("lacks a closing bracket")?;
        if name.parse::<Ipv6Addr>().is_err() {
            return Err("is not an IPv6 address in brackets");
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((name, Some(port))),
            None if rest.is_empty() => Ok((name, None)),
            None => Err("has something behind the bracket that is not a port"),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    Ok(text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))))
}
