//! A reverse proxy that has authenticated the user and sends the identity in header fields.
//!
//! The header fields are trusted only if the connection comes from a configured address; no header (such as
//! `X-Forwarded-For`) and no path can replace that. Fields that are ambiguous, such as two names in one field, or that
//! the browser behind the proxy may have sent, are refused.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use countersign_config::Section;
use countersign_core::connector::{
    Fingerprint, LoginMethod, LoginOutcome, ProxyHeaders, Refusal, SignedIn, TrustedHeaderLogin,
};
use countersign_core::network::Network;
use countersign_core::text::{is_deceptive, is_joiner};
use countersign_core::{Connector, ConnectorId, Identity, Trace};

mod config;

use config::Config;

/// Longer than any list of groups that fits into a token.
const LONGEST_BYTES: usize = 32 * 1024;
const LONGEST_NAME_BYTES: usize = 1024;

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let config = config::read(section)?;
    // A proxy has no host of its own; the name of the id header identifies the set of user ids.
    let fingerprint = Fingerprint::Upstream(format!("authproxy:{}", config.user_id));
    let login_method = LoginMethod::TrustedHeader(Arc::new(AuthProxy { id: id.clone(), config }));
    Some(Connector { id, kind: "authproxy", name, login_method, refresh: None, fingerprint })
}

struct AuthProxy {
    id: ConnectorId,
    config: Config,
}

impl TrustedHeaderLogin for AuthProxy {
    fn fields(&self) -> Vec<&str> {
        self.config.names().to_vec()
    }

    fn login(&self, proxy_headers: &ProxyHeaders, trace: &mut Trace) -> LoginOutcome {
        if !self.trusts(proxy_headers.peer) {
            trace.excluded("the headers", "the connection comes from none of trustedProxies");
            return LoginOutcome::Refused(Refusal::NotThroughProxy);
        }
        match self.person(proxy_headers, trace) {
            Ok(identity) => LoginOutcome::Accepted(Box::new(SignedIn {
                identity,
                upstream: None,
                fingerprint: None,
            })),
            Err(reason) => {
                trace.note(reason.clone());
                LoginOutcome::Refused(Refusal::UnclearHeaders { reason })
            }
        }
    }

    fn diagnose(&self, trace: &mut Trace) {
        let config = &self.config;
        let networks: Vec<String> = config.proxies.iter().map(Network::to_string).collect();
        trace.note(format!(
            "a proxy at {} authenticates the user on the path /callback/{} of the issuer, and passes the request on",
            networks.join(" or "),
            self.id
        ));
        trace.note(format!(
            "it sets {} (the user, always) itself, whatever the browser sent",
            config.user
        ));
        let others: Vec<&str> =
            config.names().into_iter().filter(|name| *name != config.user).collect();
        trace.note(format!(
            "and it sets or takes away {}: what it lets through, the browser wrote",
            others.join(", ")
        ));
        if !config.static_groups.is_empty() {
            trace.note(format!("everybody is in {}", config.static_groups.join(", ")));
        }
    }
}

impl AuthProxy {
    fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.config.proxies.iter().any(|network| network.contains(peer)))
    }

    /// The identity, as in Dex; `Err` is why the header fields are ambiguous or incomplete.
    fn person(&self, proxy_headers: &ProxyHeaders, trace: &mut Trace) -> Result<Identity, String> {
        let config = &self.config;
        let fields = Fields::new(&proxy_headers.fields, &config.names())?;
        let user = fields
            .one(&config.user)?
            .ok_or_else(|| format!("{} is missing: the proxy has to say who it is", config.user))?;
        let user_id = fields.one(&config.user_id)?;
        let email = fields.one(&config.email)?;
        let name = fields.name(&config.user_name)?;
        let groups = fields.list(&config.group, &config.separator)?;
        for group in &groups {
            trace.included(group, "named by the proxy");
        }
        let added = config.static_groups.iter().filter(|group| !groups.contains(*group));
        Ok(Identity {
            user_id: user_id.unwrap_or_else(|| user.clone()),
            preferred_username: name.unwrap_or_else(|| user.clone()),
            email: email.unwrap_or_else(|| user.clone()),
            email_verified: true,
            username: user,
            groups: groups.iter().chain(added).cloned().collect(),
        })
    }
}

/// The header fields of a proxy; ambiguous ones are refused (threats 116 and 118 of the catalogue).
///
/// Groups are one field, split at each separator; surrounding white space is removed, empty names are dropped and
/// repeated ones kept once. Quotes have no defined meaning, so a field with quotes is refused.
struct Fields<'a>(&'a [(String, Vec<u8>)]);

impl<'a> Fields<'a> {
    /// `Err` if the browser behind the proxy may have sent a field: a name that some programs treat as one of ours
    /// (`X_Remote_User`), or a field listed in `Connection`, which proxies remove (RFC 9110 section 7.6.1).
    fn new(fields: &'a [(String, Vec<u8>)], names: &[&str]) -> Result<Self, String> {
        for (name, value) in fields {
            if let Some(alike) = names.iter().find(|alike| is_alike(name, alike)) {
                return Err(format!("there is a header that some programs take for {alike}"));
            }
            if name == "connection" && lists_one_of(value, names) {
                return Err(
                    "the header Connection names one of the headers of the proxy".to_owned()
                );
            }
        }
        Ok(Self(fields))
    }

    /// A user name, taken literally. A field with a comma or semicolon is refused.
    fn one(&self, name: &str) -> Result<Option<String>, String> {
        let Some(text) = self.name(name)? else { return Ok(None) };
        match text.contains([',', ';']) {
            true => Err(format!("{name} holds a comma or semicolon, so it could be two names")),
            false => Ok(Some(text)),
        }
    }

    /// A display name, which may contain a comma ("Doe, Jane").
    fn name(&self, name: &str) -> Result<Option<String>, String> {
        match self.text(name)? {
            Some(text) if text.len() > LONGEST_NAME_BYTES => Err(format!("{name} is too long")),
            text => Ok(text.map(str::to_owned)),
        }
    }

    fn list(&self, name: &str, separator: &str) -> Result<Vec<String>, String> {
        let Some(text) = self.text(name)? else { return Ok(Vec::new()) };
        if text.contains('"') {
            return Err(format!("{name} holds quotes, which mean nothing here"));
        }
        let mut seen = HashSet::new();
        let names = text.split(separator).map(str::trim);
        let names = names.filter(|name| !name.is_empty() && seen.insert(*name));
        Ok(names.map(str::to_owned).collect())
    }

    /// `None`: the field is absent or empty, which proxies send for unknown values.
    fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        let mut values = self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(format!("{name} is there more than once"));
        }
        if value.len() > LONGEST_BYTES {
            return Err(format!("{name} is too long"));
        }
        let text = std::str::from_utf8(value).map_err(|_| format!("{name} is not UTF-8"))?.trim();
        if text.chars().any(is_unseen) {
            return Err(format!("{name} holds characters that nobody can see"));
        }
        Ok((!text.is_empty()).then_some(text))
    }
}

/// Deceptive characters and joiners, which can make two different names look equal.
fn is_unseen(c: char) -> bool {
    is_deceptive(c) || is_joiner(c)
}

/// Whether CGI, WSGI or FastCGI would treat the two header names as equal.
fn is_alike(name: &str, alike: &str) -> bool {
    name != alike && name.replace('_', "-") == alike
}

fn lists_one_of(value: &[u8], names: &[&str]) -> bool {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    text.split(',')
        .map(|option| option.trim().replace('_', "-"))
        .any(|o| names.contains(&o.as_str()))
}

#[cfg(test)]
mod tests;
