//! `web`: listeners, TLS, CORS and response headers.

use std::path::PathBuf;
use std::time::Duration;

use countersign_config::Section;
use countersign_core::network::Network;
use url::Url;

use super::lifetimes::duration;
use super::listen::{self, Listen, TlsVersion};
use super::{Addresses, text_items};

#[derive(Clone, Debug)]
pub struct Web {
    pub http: Option<Listen>,
    pub https: Option<Https>,
    /// CORS: origins whose scripts may read responses, compared exactly; `*` means any. Empty: none.
    pub allowed_origins: Vec<String>,
    /// Request headers that such scripts may send.
    pub allowed_headers: Vec<String>,
    /// `None`: a client's address is the peer address of the connection.
    pub client_address: Option<ClientAddress>,
    pub headers: Headers,
    /// Time between SIGTERM and closing the listeners, during which the server reports itself as not ready.
    pub shutdown_delay: Duration,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            http: None,
            https: None,
            allowed_origins: Vec::new(),
            allowed_headers: vec!["Authorization".to_owned()],
            client_address: None,
            headers: Headers::default(),
            shutdown_delay: SHUTDOWN_DELAY,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Https {
    pub listen: Listen,
    /// PEM, the leaf certificate first.
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    pub min_version: TlsVersion,
    /// `None`: the newest supported version.
    pub max_version: Option<TlsVersion>,
}

/// How a client's address is determined behind a reverse proxy.
#[derive(Clone, Debug)]
pub struct ClientAddress {
    /// Used only for connections from `trusted_proxies`.
    pub header: String,
    /// Never empty.
    pub trusted_proxies: Vec<Network>,
}

/// Response headers that an operator may replace; `None` keeps the default.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    pub content_security_policy: Option<String>,
    pub x_frame_options: Option<String>,
    pub x_content_type_options: Option<String>,
    pub x_xss_protection: Option<String>,
    pub strict_transport_security: Option<String>,
}

/// Addresses from the command line take precedence over those of the file, as in Dex.
pub fn read(root: &Section<'_>, addresses: &Addresses) -> Option<Web> {
    let flag = addresses.web_http.as_ref();
    if !root.has("web") {
        if let Some(listen) = flag {
            return Some(Web { http: Some(listen.clone()), ..Web::default() });
        }
        root.error("web", "is missing: web.http or web.https is required");
        return None;
    }
    let section = root.section("web")?;
    let in_file = listen::read(&section, "http");
    let http = flag.cloned().or(in_file);
    let has_http = flag.is_some() || section.is_set("http");
    let (has_https, https) = read_https(&section, addresses.web_https.clone());
    if !has_http && !has_https {
        section
            .error("http", "is missing: one of http and https is needed, such as 127.0.0.1:5556");
    }
    let web = Web {
        http,
        https,
        allowed_origins: read_origins(&section),
        allowed_headers: if section.has("allowedHeaders") {
            section.texts("allowedHeaders")
        } else {
            Web::default().allowed_headers
        },
        client_address: read_client_address(&section),
        headers: read_headers(&section),
        shutdown_delay: read_shutdown_delay(&section),
    };
    section.finish();
    Some(web)
}

/// Long enough for load balancers and kube-proxy to observe that a replica is not ready.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(5);
const MAX_SHUTDOWN_DELAY: Duration = Duration::from_mins(10);

fn read_shutdown_delay(section: &Section<'_>) -> Duration {
    let Some(found) = duration(section, "shutdownDelay") else { return SHUTDOWN_DELAY };
    if found > MAX_SHUTDOWN_DELAY {
        section.error("shutdownDelay", "expected at most 10m");
    }
    found
}

/// Whether the listener is configured, and its settings if they are valid.
fn read_https(section: &Section<'_>, flag: Option<Listen>) -> (bool, Option<Https>) {
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let wanted = flag.is_some() || section.is_set("https");
    let in_file = listen::read(section, "https");
    let listen = flag.or(in_file);
    let cert_file = section.text("tlsCert").filter(|text| !text.is_empty());
    let key_file = section.text("tlsKey").filter(|text| !text.is_empty());
    let min_version = section.choice("tlsMinVersion", &versions).unwrap_or(TlsVersion::Tls12);
    let max_version = section.choice("tlsMaxVersion", &versions);
    if max_version.is_some_and(|max| max < min_version) {
        section.error("tlsMaxVersion", "is lower than tlsMinVersion");
    }
    if !wanted {
        return (false, None);
    }
    let readable = |key: &'static str, file: Option<String>| {
        let Some(file) = file else {
            section.error(key, "is missing, and https needs it");
            return None;
        };
        if let Err(error) = section.files().check_readable(&file) {
            section.error(key, format!("the file {file:?} cannot be read: {error}"));
        }
        Some(PathBuf::from(file))
    };
    let (cert_file, key_file) = (readable("tlsCert", cert_file), readable("tlsKey", key_file));
    let https = listen.zip(cert_file).zip(key_file).map(|((listen, cert_file), key_file)| Https {
        listen,
        cert_file,
        key_file,
        min_version,
        max_version,
    });
    (true, https)
}

fn read_origins(section: &Section<'_>) -> Vec<String> {
    let origins = text_items(section, "allowedOrigins");
    for (item, text) in &origins {
        let origin = Url::parse(text).ok().map(|url| url.origin().ascii_serialization());
        if text != "*" && origin.as_deref() != Some(text) {
            item.warning(format!(
                "found {text:?}, which no browser sends, expected an origin such as https://app.example.com"
            ));
        }
    }
    origins.into_iter().map(|(_, text)| text).collect()
}

fn read_client_address(section: &Section<'_>) -> Option<ClientAddress> {
    let block = section.section("clientRemoteIP")?;
    let header = block.text("header").filter(|text| !text.is_empty());
    let proxies = text_items(&block, "trustedProxies");
    let mut trusted_proxies = Vec::new();
    for (item, text) in &proxies {
        match Network::parse(text) {
            Some(network) => trusted_proxies.push(network),
            None => item.error(format!("found {text:?}, expected a network such as 10.0.0.0/8")),
        }
    }
    let is_token =
        |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if header.as_ref().is_some_and(|name| !is_token(name)) {
        block.error("header", "expected the name of a header such as X-Forwarded-For");
    }
    match (&header, proxies.is_empty()) {
        (Some(_), true) => {
            let reason = "is ignored without trustedProxies, because anybody could send it";
            block.warning("header", reason);
        }
        (None, false) => block.warning("trustedProxies", "is ignored without header"),
        _ => {}
    }
    block.finish();
    let header = header.filter(|_| !trusted_proxies.is_empty())?;
    Some(ClientAddress { header, trusted_proxies })
}

fn read_headers(section: &Section<'_>) -> Headers {
    let Some(block) = section.section("headers") else { return Headers::default() };
    let header = |key: &'static str| {
        let value = block.text(key).filter(|value| !value.is_empty())?;
        let fits = value.bytes().all(|b| (0x20..0x7f).contains(&b));
        if !fits {
            block.error(key, "holds characters that a header cannot (RFC 9110 section 5.5)");
        }
        fits.then_some(value)
    };
    let headers = Headers {
        content_security_policy: header("Content-Security-Policy"),
        x_frame_options: header("X-Frame-Options"),
        x_content_type_options: header("X-Content-Type-Options"),
        x_xss_protection: header("X-XSS-Protection"),
        strict_transport_security: header("Strict-Transport-Security"),
    };
    block.finish();
    headers
}
