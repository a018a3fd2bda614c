//! The cookies: what they are called, how they are read and set. All are `HttpOnly` and `Lax`.
//!
//! - the *binder* says which browser this is; a login belongs to it;
//! - the *session* cookie proves a sign-in; the database knows its hash;
//! - a *trip* cookie keeps a sealed login while the browser is at an upstream; *trips* lists them, because
//!   their path hides them from every page but the callback.

use axum::http::{HeaderMap, HeaderValue, header};
use countersign_issuer::settings::IssuerUrl;

/// All trip cookies together; the oldest gives way.
const TRIPS_BYTES: usize = 6 * 1024;
/// Browsers keep cookies up to 4096 bytes, name and attributes included.
const PIECE_BYTES: usize = 3_800;
const MOST_PIECES: usize = 3;
/// Longer than any login: a browser that opens yesterday's tabs again is still itself.
const MONTH: u64 = 30 * 24 * 60 * 60;
const YEAR: u64 = 365 * 24 * 60 * 60;

#[derive(Clone, Debug)]
pub struct CookieNames {
    host: String,
    callback: String,
    callback_path: String,
    secure: bool,
}

impl CookieNames {
    /// Two issuers on one host do not share cookies: the names carry a mark of the issuer.
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

/// The cookies a request brought.
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
        self.get(&names.host_cookie("binder"))
    }

    pub fn session<'a>(&'a self, names: &CookieNames) -> Option<&'a str> {
        self.get(&names.host_cookie("session")).filter(|value| !value.is_empty())
    }

    /// Proof that this browser signed in with a password before; see `countersign_issuer::login`.
    pub fn device<'a>(&'a self, names: &CookieNames) -> Option<&'a str> {
        self.get(&names.host_cookie("device"))
    }

    /// The connector last used in this browser.
    pub fn last_connector<'a>(&'a self, names: &CookieNames) -> Option<&'a str> {
        self.get(&names.host_cookie("last"))
    }

    /// What was kept for the trip of this `state`.
    pub fn trip(&self, names: &CookieNames, state: &str) -> Option<String> {
        let pieces: Vec<&str> =
            piece_names(names, state).map_while(|name| self.get(&name).map(str::trim)).collect();
        (!pieces.is_empty()).then(|| pieces.concat())
    }

    /// Trips under way, oldest first, with the bytes each takes.
    fn trips(&self, names: &CookieNames) -> Vec<(String, usize)> {
        let list = self.get(&names.host_cookie("trips")).unwrap_or_default();
        let entry = |entry: &str| {
            let (state, size) = entry.split_once(':')?;
            is_state(state).then(|| Some((state.to_owned(), size.parse().ok()?)))?
        };
        list.split('.').filter_map(entry).take(64).collect()
    }
}

/// The names under which the pieces of one trip are kept.
fn piece_names(names: &CookieNames, state: &str) -> impl Iterator<Item = String> {
    let name = if is_state(state) { format!("{}{state}", names.callback) } else { String::new() };
    (0..MOST_PIECES).map(move |n| if n == 0 { name.clone() } else { format!("{name}.{n}") })
}

/// The states we make: 32 characters of base64url. Nothing else becomes part of a cookie's name.
fn is_state(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Cookies to set with an answer.
#[derive(Debug, Default)]
pub struct SetCookies(Vec<String>);

impl SetCookies {
    pub fn binding(&mut self, names: &CookieNames, value: &str) {
        self.add(names, &names.host_cookie("binder"), value, "/", Some(MONTH));
    }

    pub fn session(&mut self, names: &CookieNames, value: &str, lifetime_secs: u64) {
        self.add(names, &names.host_cookie("session"), value, "/", Some(lifetime_secs));
    }

    pub fn no_session(&mut self, names: &CookieNames) {
        self.add(names, &names.host_cookie("session"), "", "/", Some(0));
    }

    pub fn device(&mut self, names: &CookieNames, value: &str) {
        self.add(names, &names.host_cookie("device"), value, "/", Some(YEAR));
    }

    pub fn last_connector(&mut self, names: &CookieNames, id: &str) {
        self.add(names, &names.host_cookie("last"), id, "/", Some(YEAR));
    }

    /// Keeps what a trip needs to come back, and drops the oldest trips beyond the limit.
    pub fn depart(&mut self, names: &CookieNames, brought: &Cookies, state: &str, sealed: &str) {
        let mut trips = brought.trips(names);
        trips.push((state.to_owned(), sealed.len()));
        while trips.len() > 1 && trips.iter().map(|(_, size)| size).sum::<usize>() > TRIPS_BYTES {
            let (oldest, _) = trips.remove(0);
            self.forget(names, &oldest);
        }
        for (name, piece) in piece_names(names, state).zip(pieces(sealed)) {
            self.add(names, &name, piece, &names.callback_path, None);
        }
        self.list_trips(names, &trips);
    }

    /// A trip is over: whoever comes back a second time finds nothing.
    pub fn arrive(&mut self, names: &CookieNames, brought: &Cookies, state: &str) {
        let mut trips = brought.trips(names);
        trips.retain(|(other, _)| other != state);
        self.forget(names, state);
        self.list_trips(names, &trips);
    }

    fn forget(&mut self, names: &CookieNames, state: &str) {
        for name in piece_names(names, state).filter(|name| !name.is_empty()) {
            self.add(names, &name, "", &names.callback_path, Some(0));
        }
    }

    fn list_trips(&mut self, names: &CookieNames, trips: &[(String, usize)]) {
        let list: Vec<String> =
            trips.iter().map(|(state, size)| format!("{state}:{size}")).collect();
        let lifetime = trips.is_empty().then_some(0);
        self.add(names, &names.host_cookie("trips"), &list.join("."), "/", lifetime);
    }

    /// Without `lifetime_secs` the cookie ends with the browser.
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
        let (piece, tail) = rest.split_at_checked(PIECE_BYTES).unwrap_or((rest, ""));
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests;
