//! How a browser handles cookies (RFC 6265 sections 5.3 and 5.4), as far as servers of this harness need it: hosts are
//! addresses, so no cookie is shared between hosts.

use reqwest::Url;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    pub host: String,
    pub path: String,
    pub is_secure: bool,
    /// In seconds since 1970; `None` until the browser is closed.
    pub expires: Option<u64>,
    /// The attributes as the server wrote them, for tests about them.
    pub attributes: String,
}

#[derive(Clone, Debug, Default)]
pub struct Jar(Vec<Cookie>);

impl Jar {
    /// Stores one `Set-Cookie` of a response from `url`; returns the value that is stored, if any. A cookie that a
    /// browser would reject fails the test: the server must not rely on it.
    pub fn set(&mut self, url: &Url, header: &str, now: u64) -> Option<String> {
        let (pair, attributes) = header.split_once(';').unwrap_or((header, ""));
        let (name, value) = pair.split_once('=').expect("a cookie has a name and a value");
        let mut cookie = Cookie {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            path: default_path(url),
            is_secure: false,
            expires: None,
            attributes: attributes.trim().to_owned(),
        };
        for attribute in attributes.split(';') {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match (key.trim().to_ascii_lowercase().as_str(), value.trim()) {
                ("secure", _) => cookie.is_secure = true,
                ("path", path) if path.starts_with('/') => path.clone_into(&mut cookie.path),
                ("max-age", age) => {
                    let age: i64 = age.parse().expect("Max-Age is a number");
                    cookie.expires = Some(now.saturating_add_signed(age.max(-1)));
                }
                ("expires", date) if date.contains("1970") => cookie.expires = Some(0),
                ("domain", domain) => assert_eq!(domain, cookie.host, "a cookie for another host"),
                _ => {}
            }
        }
        cookie.assert_acceptable(url);
        self.0
            .retain(|c| (&c.name, &c.host, &c.path) != (&cookie.name, &cookie.host, &cookie.path));
        let is_kept = cookie.expires.is_none_or(|until| until > now);
        is_kept.then(|| {
            let value = cookie.value.clone();
            self.0.push(cookie);
            value
        })
    }

    /// The header `Cookie` for a request to `url`; longest path first. `None` if there is nothing.
    pub fn header(&self, url: &Url, now: u64) -> Option<String> {
        let mut fitting: Vec<_> = self.0.iter().filter(|c| c.goes_to(url, now)).collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = fitting.iter().map(|c| format!("{}={}", c.name, c.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub fn all(&self) -> &[Cookie] {
        &self.0
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Cookie {
    fn goes_to(&self, url: &Url, now: u64) -> bool {
        let path = url.path();
        let under = path == self.path
            || path
                .strip_prefix(self.path.as_str())
                .is_some_and(|rest| self.path.ends_with('/') || rest.starts_with('/'));
        under
            && url.host_str() == Some(&self.host)
            && (!self.is_secure || url.scheme() == "https")
            && self.expires.is_none_or(|until| until > now)
    }

    /// The prefixes of draft-ietf-httpbis-rfc6265bis section 4.1.3, and `Secure` from plain http.
    fn assert_acceptable(&self, url: &Url) {
        let is_https = url.scheme() == "https";
        assert!(!self.is_secure || is_https, "a browser refuses Secure over http: {self:?}");
        if self.name.starts_with("__Host-") {
            assert!(self.is_secure && self.path == "/", "a browser refuses {self:?}");
            assert!(!self.attributes.to_lowercase().contains("domain"), "refused: {self:?}");
        }
        assert!(!self.name.starts_with("__Secure-") || self.is_secure, "refused: {self:?}");
    }
}

/// RFC 6265 section 5.1.4.
fn default_path(url: &Url) -> String {
    match url.path().rfind('/') {
        Some(end) if end > 0 => url.path()[..end].to_owned(),
        _ => "/".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Jar;
    use reqwest::Url;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_cookie_goes_to_its_path_and_below_only() {
        let mut jar = Jar::default();
        jar.set(&url("http://127.64.0.1/dex/auth"), "a=1; Path=/dex; HttpOnly", 0);
        jar.set(&url("http://127.64.0.1/dex/auth"), "b=2; Path=/dex/callback", 0);
        let header = |to: &str| jar.header(&url(to), 0);
        assert_eq!(header("http://127.64.0.1/dex"), Some("a=1".into()));
        assert_eq!(header("http://127.64.0.1/dex/callback?x"), Some("b=2; a=1".into()));
        assert_eq!(header("http://127.64.0.1/dexter"), None);
        assert_eq!(header("http://127.64.0.2/dex"), None);
    }

    #[test]
    fn a_cookie_ends_when_it_is_deleted_or_old() {
        let mut jar = Jar::default();
        let at = url("http://127.64.0.1/");
        jar.set(&at, "a=1; Max-Age=60", 1000);
        assert!(jar.header(&at, 1059).is_some());
        assert!(jar.header(&at, 1060).is_none());
        assert_eq!(jar.set(&at, "a=; Max-Age=0", 1010), None);
        jar.set(&at, "b=1", 1000);
        jar.set(&at, "b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 1000);
        assert!(jar.all().is_empty());
    }

    #[test]
    fn a_secure_cookie_stays_away_from_http() {
        let mut jar = Jar::default();
        jar.set(&url("https://127.64.0.1/dex"), "__Host-a=1; Secure; Path=/", 0);
        assert!(jar.header(&url("https://127.64.0.1/dex"), 0).is_some());
        assert!(jar.header(&url("http://127.64.0.1/dex"), 0).is_none());
    }

    #[test]
    #[should_panic(expected = "refuses Secure over http")]
    fn a_secure_cookie_from_http_fails_the_test() {
        Jar::default().set(&url("http://127.64.0.1/"), "a=1; Secure", 0);
    }
}
