//! The issuer identifier, compared byte for byte (OpenID Connect Discovery 1.0 section 3).

use countersign_config::Section;
use countersign_core::network::is_loopback_url;
use url::Url;

/// An http or https URL without user, query and fragment.
#[derive(Clone, Debug)]
pub struct Issuer {
    text: String,
    url: Url,
}

impl Issuer {
    /// As written in the file: the value of `iss`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is plain http to another machine, so that passwords and codes could be intercepted.
    pub fn is_exposed(&self) -> bool {
        self.url.scheme() == "http" && !is_loopback_url(&self.url)
    }
}

pub fn read(root: &Section<'_>) -> Option<Issuer> {
    let text = root.required_text("issuer")?;
    let url = match parse(&text) {
        Ok(url) => url,
        Err(reason) => {
            root.error("issuer", format!("found {text:?}, {reason}"));
            return None;
        }
    };
    let issuer = Issuer { text, url };
    if issuer.is_exposed() {
        root.warning(
            "issuer",
            "is http beyond this machine: expected https, or passwords travel in clear",
        );
    }
    if issuer.text.ends_with('/') {
        let reason = "ends with a slash, which every application must then write as well";
        root.warning("issuer", reason);
    } else if issuer.url.as_str().trim_end_matches('/') != issuer.text {
        let usual = issuer.url.as_str().trim_end_matches('/');
        root.warning("issuer", format!("is not written as most programs write it: {usual}"));
    }
    Some(issuer)
}

fn parse(text: &str) -> Result<Url, &'static str> {
    let expected = "expected a URL such as https://login.example.com/dex";
    if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains('\\') {
        return Err(expected);
    }
    let url = Url::parse(text).map_err(|_| expected)?;
    let http = text.starts_with("http://") || text.starts_with("https://");
    if !http || url.host().is_none() {
        return Err(expected);
    }
    if text.contains('?') || text.contains('#') {
        return Err("expected no query and no fragment");
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err("expected no user in it");
    }
    // The path becomes the prefix of routes and the path of cookies.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    let path_as_written = text.splitn(4, '/').nth(3).unwrap_or("");
    if !path_as_written.chars().all(plain)
        || path_as_written.starts_with('/')
        || path_as_written.contains("//")
        || path_as_written.split('/').any(|part| part == "." || part == "..")
    {
        return Err("expected a path of letters, digits, '-', '.', '_' and '~'");
    }
    Ok(url)
}
