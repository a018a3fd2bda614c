//! Names, parsing and setting of cookies. All are `HttpOnly` and `SameSite=Lax`.
//!
//! - `binding`: the browser binding, which a pending login is sealed to;
//! - `session`: the session token, whose hash is in the database;
//! - `cb-STATE`: the part of a login at an upstream that is not in its `state`; sent only to the callback path;
//! - `logins`: a list of those cookies, which are not sent to other paths;
//! - `device`: proves an earlier password login of an account in this browser (it selects the limit of attempts);
//! - `last`: the connector used last.

use axum::http::{HeaderMap, HeaderValue, header};
use countersign_issuer::settings::IssuerUrl;

/// Limit for all upstream-login cookies with their names; beyond it the oldest is dropped.
const MAX_UPSTREAM_LOGIN_BYTES: usize = 6 * 1024;
/// Maximum number of concurrent logins at upstreams in one browser.
const MAX_UPSTREAM_LOGINS: usize = 48;
/// Bytes counted for the name of such a cookie and its entry in the list.
const NAME_BYTES: usize = 64;
/// Browsers accept cookies up to 4096 bytes, including name and attributes.
const MAX_PIECE_BYTES: usize = 3_800;
const MAX_PIECES: usize = 3;
/// Lifetime of the browser binding: longer than any login, so that restored tabs can continue.
const BINDING_SECONDS: u64 = 30 * 24 * 60 * 60;
const ONE_YEAR_SECONDS: u64 = 365 * 24 * 60 * 60;

#[derive(Clone, Debug)]
pub struct CookieNames {
    host: String,
    callback: String,
    callback_path: String,
    secure: bool,
}

impl CookieNames {
    /// Names contain a tag of the issuer, so that two issuers on one host do not share cookies.
    pub fn of(issuer: &IssuerUrl) -> Self {
        let (secure, tag) = (issuer.is_https(), issuer.tag());
        Self {
            host: format!("{}cs-{tag}-", if secure { "__Host-" } else { "" }),
            callback: format!("{}cs-{tag}-cb-", if secure { "__Secure-" } else { "" }),
            callback_path: format!("{}/callback", issuer.base_path()),
            secure,
        }
    }

    fn host_cookie(&self, name: &str) -> String {
        format!("{}{name}", self.host)
    }
}

/// The cookies of a request.
#[derive(Clone, Debug, Default)]
pub struct Cookies(Vec<(String, String)>);

impl Cookies {
    pub fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Self(pairs.collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn binding<'a>(&'a self, names: &CookieNames) -> Option<&'a str> {
        self.get(&names.host_cookie("binding"))
    }

    pub fn session<'a>(&'a self, names: &CookieNames) -> Option<&'a str> {
        self.get(&names.host_cookie("session")).filter(|value| !value.is_empty())
    }

    /// Proof that this browser has signed in with a password before; see `countersign_issuer::login`.
    pub fn device<'a>(&'a self, names: &CookieNames) -> Option<&'a str> {
        self.get(&names.host_cookie("device"))
    }

    pub fn last_connector<'a>(&'a self, names: &CookieNames) -> Option<&'a str> {
        self.get(&names.host_cookie("last"))
    }

    /// The sealed login that was sent to an upstream with this `state`.
    pub fn upstream_login(&self, names: &CookieNames, state: &str) -> Option<String> {
        let pieces: Vec<&str> =
            piece_names(names, state).map_while(|name| self.get(&name).map(str::trim)).collect();
        (!pieces.is_empty()).then(|| pieces.concat())
    }

    /// The states of all logins at upstreams, oldest first, with their sizes in bytes.
    fn upstream_logins(&self, names: &CookieNames) -> Vec<(String, usize)> {
        let list = self.get(&names.host_cookie("logins")).unwrap_or_default();
        let entry = |entry: &str| {
            let (state, size) = entry.split_once(':')?;
            is_state(state).then(|| Some((state.to_owned(), size.parse().ok()?)))?
        };
        list.split('.').filter_map(entry).take(MAX_UPSTREAM_LOGINS).collect()
    }
}

/// The cookie names of the pieces of one sealed login.
fn piece_names(names: &CookieNames, state: &str) -> impl Iterator<Item = String> {
    let name = if is_state(state) { format!("{}{state}", names.callback) } else { String::new() };
    (0..MAX_PIECES).map(move |n| if n == 0 { name.clone() } else { format!("{name}.{n}") })
}

/// Whether the text has the format of our states: 16 characters of base64url. Only such a text becomes part of a cookie
/// name.
fn is_state(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Cookies to set with a response.
#[derive(Debug, Default)]
pub struct SetCookies(Vec<String>);

impl SetCookies {
    pub fn binding(&mut self, names: &CookieNames, value: &str) {
        self.add(names, &names.host_cookie("binding"), value, "/", Some(BINDING_SECONDS));
    }

    pub fn session(&mut self, names: &CookieNames, value: &str, lifetime_secs: u64) {
        self.add(names, &names.host_cookie("session"), value, "/", Some(lifetime_secs));
    }

    pub fn no_session(&mut self, names: &CookieNames) {
        self.add(names, &names.host_cookie("session"), "", "/", Some(0));
    }

    pub fn device(&mut self, names: &CookieNames, value: &str) {
        self.add(names, &names.host_cookie("device"), value, "/", Some(ONE_YEAR_SECONDS));
    }

    pub fn last_connector(&mut self, names: &CookieNames, id: &str) {
        self.add(names, &names.host_cookie("last"), id, "/", Some(ONE_YEAR_SECONDS));
    }

    /// Stores a login that is redirected to an upstream, and drops the oldest ones beyond the size limit.
    pub fn keep_upstream_login(
        &mut self,
        names: &CookieNames,
        request: &Cookies,
        state: &str,
        sealed: &str,
    ) {
        let mut logins = request.upstream_logins(names);
        logins.push((state.to_owned(), sealed.len()));
        while logins.len() > MAX_UPSTREAM_LOGINS
            || logins.len() > 1
                && logins.iter().map(|(_, size)| size + NAME_BYTES).sum::<usize>()
                    > MAX_UPSTREAM_LOGIN_BYTES
        {
            let (oldest, _) = logins.remove(0);
            self.remove_pieces(names, &oldest);
        }
        for (name, piece) in piece_names(names, state).zip(pieces(sealed)) {
            self.add(names, &name, piece, &names.callback_path, None);
        }
        self.list_upstream_logins(names, &logins);
    }

    /// Removes a login whose callback was received, so that the callback cannot be repeated.
    pub fn remove_upstream_login(&mut self, names: &CookieNames, request: &Cookies, state: &str) {
        let mut logins = request.upstream_logins(names);
        logins.retain(|(other, _)| other != state);
        self.remove_pieces(names, state);
        self.list_upstream_logins(names, &logins);
    }

    fn remove_pieces(&mut self, names: &CookieNames, state: &str) {
        for name in piece_names(names, state).filter(|name| !name.is_empty()) {
            self.add(names, &name, "", &names.callback_path, Some(0));
        }
    }

    fn list_upstream_logins(&mut self, names: &CookieNames, logins: &[(String, usize)]) {
        let list: Vec<String> =
            logins.iter().map(|(state, size)| format!("{state}:{size}")).collect();
        let lifetime = logins.is_empty().then_some(0);
        self.add(names, &names.host_cookie("logins"), &list.join("."), "/", lifetime);
    }

    /// Without `lifetime_secs` the browser drops the cookie when it closes.
    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    fn add(
        &mut self,
        names: &CookieNames,
        name: &str,
        value: &str,
        path: &str,
        lifetime_secs: Option<u64>,
    ) {
        let age = lifetime_secs.map(|secs| format!("; Max-Age={secs}")).unwrap_or_default();
        let secure = if names.secure { "; Secure" } else { "" };
        self.0.push(format!("{name}={value}; Path={path}{age}; HttpOnly; SameSite=Lax{secure}"));
    }

    pub fn apply(self, headers: &mut HeaderMap) {
        for cookie in self.0 {
            if let Ok(value) = HeaderValue::try_from(cookie) {
                headers.append(header::SET_COOKIE, value);
            }
        }
    }
}

fn pieces(sealed: &str) -> impl Iterator<Item = &str> {
    let mut rest = sealed;
    std::iter::from_fn(move || {
        let (piece, tail) = rest.split_at_checked(MAX_PIECE_BYTES).unwrap_or((rest, ""));
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests;
