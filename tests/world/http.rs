//! The one HTTP client under every browser and relying party: it follows nothing and keeps nothing.

use std::path::Path;
use std::time::Duration;

/// `ca` is the only authority trusted for https; without it there is no https.
pub fn client(ca: Option<&Path>) -> reqwest::Client {
    builder(ca).build().unwrap()
}

/// The same, for a test that wants something more of it.
pub fn builder(ca: Option<&Path>) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .no_proxy();
    let authorities =
        ca.map(|path| reqwest::Certificate::from_pem(&std::fs::read(path).unwrap()).unwrap());
    builder.tls_certs_only(authorities)
}

/// `url` as it is dialled at another replica: the same path at `origin`.
pub fn at(origin: &str, url: &reqwest::Url) -> reqwest::Url {
    let mut dialled = reqwest::Url::parse(origin).unwrap();
    dialled.set_path(url.path());
    dialled.set_query(url.query());
    dialled
}

/// The `Host` a client sends for `url`: with the port, unless it is the scheme's own.
pub fn host_of(url: &reqwest::Url) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    }
}
